/* A node goes straight where it will stay: one allocation for a small file, and its place in the id map. Only its name
 * takes a detour. Finding its place in a large directory waits for memory three times, so it is fetched step by step
 * while the next nodes come (dir_fetch), and entered BUILD_AHEAD names later. The order by name is made at the end
 * (tree_bulk_end).
 *
 * Directories are kept in a list besides, for the checks at the end. Their heat, which nobody else uses, says how far
 * each is.
 */
#include "kvcore/tree/build.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/bulk.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/key.h"
#include "kvcore/tree/xattr.h"

enum { DIR_CAME, DIR_AWAITED, DIR_CONNECTED };

static int wrong(struct build *build, const char *why)
{
    build->wrong = why;
    return -EBADMSG;
}

static struct mem *mem_of(const struct build *build) { return &build->tree->mem; }

static bool is_id(const struct tree *tree, uint64_t id)
{
    return id_sequence(id) > 0 && id_sequence(id) < tree->slots[id_slot(id)].next_sequence;
}

static int enter_id(struct build *build, struct node *node)
{
    struct tree *tree = build->tree;
    int rc = radix_set(&tree->slots[id_slot(node->id)].nodes, &tree->mem, id_sequence(node->id), node);
    if (rc == 0)
        tree->node_count++;
    return rc;
}

/* Names on their way into their directories */

static struct dentry *entering(const struct build *build, uint64_t number)
{
    return build->entering[number % BUILD_AHEAD];
}

static void fetch(const struct build *build, unsigned back, unsigned steps_left)
{
    if (build->arrived - build->entered < back)
        return;
    const struct dentry *dentry = entering(build, build->arrived - back);
    dir_fetch(node_dir(dentry->dir), dentry_name(dentry), steps_left);
}

static int enter_oldest(struct build *build)
{
    struct dentry *dentry = entering(build, build->entered++);
    struct dir *dir = node_dir(dentry->dir);
    if (dir_find(dir, dentry_name(dentry)))
        return wrong(build, "two nodes have the same name in one directory");
    bulk_touch(build->tree, dentry->dir);
    return dir_insert(dir, mem_of(build), dentry);
}

static int enter(struct build *build, struct dentry *dentry)
{
    if (build->arrived - build->entered == BUILD_AHEAD) {
        int rc = enter_oldest(build);
        if (rc < 0)
            return rc;
    }
    build->entering[build->arrived++ % BUILD_AHEAD] = dentry;
    fetch(build, 1, 3);
    fetch(build, BUILD_AHEAD / 3, 2);
    fetch(build, BUILD_AHEAD / 3 * 2, 1);
    return 0;
}

/* Directories */

static int remember_dir(struct build *build, struct node *dir)
{
    if (build->dir_count == build->dir_capacity) {
        size_t capacity = build->dir_capacity ? 2 * build->dir_capacity : 64;
        struct node **dirs = mem_realloc(mem_of(build), build->dirs, capacity * sizeof *dirs);
        if (!dirs)
            return -ENOMEM;
        build->dirs = dirs;
        build->dir_capacity = capacity;
    }
    build->dirs[build->dir_count++] = dir;
    dir->dentry.heat = DIR_AWAITED;
    build->awaited++;
    return 0;
}

/* An empty one that nothing is known of but its id. */
static int make_dir(struct build *build, uint64_t id, struct node **ret_dir)
{
    if (!is_id(build->tree, id))
        return wrong(build, "a directory has an id that was never given");
    struct node *dir = node_new(mem_of(build), id, S_IFDIR, (struct bytes){0}, 0);
    struct node *extended = dir ? node_extend(dir, mem_of(build)) : NULL;
    if (!extended)
        goto err_dir;
    dir = extended;
    dir->flags |= NODE_LINKED;
    node_ext(dir)->nlink = 2;
    node_ext(dir)->dir = dir_new(mem_of(build), build->tree->hash_seed);
    if (!node_ext(dir)->dir || remember_dir(build, dir) < 0)
        goto err_dir;
    if (enter_id(build, dir) < 0) {
        build->dir_count--;
        goto err_dir;
    }
    *ret_dir = dir;
    return 0;

err_dir:
    if (dir)
        node_free(dir, mem_of(build));
    return -ENOMEM;
}

/* The directory of a name: the last one, mostly. */
static int find_dir(struct build *build, uint64_t id, struct node **ret_dir)
{
    if (!build->dir || build->dir->id != id) {
        struct node *dir = tree_find(build->tree, id);
        if (dir && !node_is_dir(dir))
            return wrong(build, "a name lies in a node that is no directory");
        int rc = dir ? 0 : make_dir(build, id, &dir);
        if (rc < 0)
            return rc;
        build->dir = dir;
    }
    *ret_dir = build->dir;
    return 0;
}

/* Nodes */

static int check_image(struct build *build, const struct image *image)
{
    bool is_dir = S_ISDIR(image->mode);
    if (build->names)
        return wrong(build, "a node lacks some of its names");
    if (!is_id(build->tree, image->id))
        return wrong(build, "a node has an id that was never given");
    if (image->mode >> 16 || !(is_dir || image_has_value(image->mode) || S_ISCHR(image->mode) || S_ISBLK(image->mode) ||
                               S_ISFIFO(image->mode) || S_ISSOCK(image->mode)))
        return wrong(build, "a node is of no type that there is");
    if (image->names > (is_dir ? 1 : LINKS_MAX) || (image->id == ROOT_ID && (image->names || !is_dir)))
        return wrong(build, "a node has more names than it may");
    if (image->names == 0 && image->id != ROOT_ID && (image->holds == 0 || image->expires_ns != INT64_MAX))
        return wrong(build, "a node has neither a name nor a hold");
    if (image->is_unnamed && (image->names || is_dir))
        return wrong(build, "a node that has never had a name has one, or is a directory");
    if (image->expires_ns != INT64_MAX && is_dir)
        return wrong(build, "a directory has an expiry");
    uint64_t size = image->is_rope ? image->size : image->value.len;
    if (S_ISLNK(image->mode) ? size == 0 || size > SYMLINK_BYTES_MAX : size > VALUE_BYTES_MAX)
        return wrong(build, "a value has a length that none can have");
    if (!image->is_rope && size > INLINE_BYTES_MAX)
        return wrong(build, "a value lies in its node and is too long for that");
    return 0;
}

static bool needs_ext(const struct image *image)
{
    return image->is_rope || image->names != 1 || image->holds || image->has_xattrs || image->expires_ns != INT64_MAX ||
           image->ctime_ns != image->mtime_ns || image->atime_ns != image->btime_ns || !image_has_value(image->mode);
}

static void set_attributes(struct node *node, const struct image *image)
{
    node->mode = (uint16_t)image->mode;
    node->uid = image->uid;
    node->gid = image->gid;
    node->version = image->version;
    node->mtime_ns = image->mtime_ns;
    node->btime_ns = image->btime_ns;
    struct node_ext *ext = node_ext(node);
    if (!ext)
        return;
    ext->ctime_ns = image->ctime_ns;
    ext->atime_ns = image->atime_ns;
    ext->holds = image->holds;
}

/* What a node's ext has besides: not for directories. */
static int equip(struct build *build, struct node *node, const struct image *image)
{
    struct node_ext *ext = node_ext(node);
    ext->nlink = image->names == 1;
    if (image->names != 1)
        node->flags |= NODE_LINKED;
    if (image->is_unnamed)
        node->flags |= NODE_UNNAMED;
    if (image_has_rdev(image->mode))
        ext->rdev = image->rdev;
    if (!image->is_rope)
        return 0;
    node->flags |= NODE_ROPE;
    return rope_truncate(&ext->rope, mem_of(build), image->size);
}

/* A file, symlink, fifo, socket or device, not entered anywhere. */
static int make_node(struct build *build, const struct image *image, struct node **ret_node)
{
    struct bytes inside = image->names == 1 ? image->name : (struct bytes){0};
    struct node *node = node_new(mem_of(build), image->id, (uint16_t)image->mode, inside, image->value.len);
    if (!node)
        return -ENOMEM;
    if (image->value.len)
        memcpy(node_inline(node), image->value.data, image->value.len);
    int rc = 0;
    if (needs_ext(image)) {
        struct node *extended = node_extend(node, mem_of(build));
        node = extended ? extended : node;
        rc = extended ? equip(build, node, image) : -ENOMEM;
    }
    if (rc < 0) {
        node_free(node, mem_of(build));
        return rc;
    }
    set_attributes(node, image);
    *ret_node = node;
    return 0;
}

static int add_node(struct build *build, const struct image *image)
{
    struct node *node = NULL, *dir = NULL;
    if (tree_find(build->tree, image->id))
        return wrong(build, "a node comes twice");
    int rc = image->names == 1 ? find_dir(build, image->dir, &dir) : 0;
    if (rc == 0)
        rc = make_node(build, image, &node);
    if (rc < 0)
        return rc;
    rc = enter_id(build, node);
    if (rc < 0) {
        node_free(node, mem_of(build));
        return rc;
    }
    build->node = node;
    if (image->names != 1) {
        build->names = image->names;
        build->tail = &node_ext(node)->links;
    }
    node->dentry.dir = dir;
    if (image->expires_ns != INT64_MAX)
        rc = expiry_set(build->tree, node, image->expires_ns);
    return rc == 0 && dir ? enter(build, &node->dentry) : rc;
}

static int add_dir(struct build *build, const struct image *image)
{
    struct node *dir = tree_find(build->tree, image->id);
    if (dir && (!node_is_dir(dir) || dir->dentry.heat != DIR_AWAITED))
        return wrong(build, "a node comes twice");
    int rc = dir ? 0 : make_dir(build, image->id, &dir);
    if (rc < 0)
        return rc;
    set_attributes(dir, image);
    dir->dentry.heat = DIR_CAME;
    build->awaited--;
    build->node = dir;
    build->names = image->names;
    build->tail = &node_ext(dir)->links;
    return image->names ? build_name(build, image->dir, image->name) : 0;
}

int build_begin(struct build *build, struct tree *tree)
{
    *build = (struct build){.tree = tree};
    CHECK(tree->node_count == 1 && dir_count(node_dir(tree->root)) == 0);
    int rc = tree_bulk_begin(tree);
    return rc < 0 ? rc : remember_dir(build, tree->root);
}

int build_node(struct build *build, const struct image *image)
{
    int rc = check_image(build, image);
    if (rc == 0 && image->names == 1)
        rc = name_check(image->name, NULL) < 0 ? wrong(build, "a name is none") : 0;
    if (rc < 0)
        return rc;
    return S_ISDIR(image->mode) ? add_dir(build, image) : add_node(build, image);
}

int build_name(struct build *build, uint64_t dir_id, struct bytes name)
{
    struct node *dir, *node = build->node;
    if (build->names == 0)
        return wrong(build, "a node has more names than it says");
    if (name_check(name, NULL) < 0)
        return wrong(build, "a name is none");
    int rc = find_dir(build, dir_id, &dir);
    if (rc < 0)
        return rc;
    struct link *link = link_new(mem_of(build), node, dir, name);
    if (!link)
        return -ENOMEM;
    *build->tail = link;
    build->tail = &link->next;
    build->names--;
    if (node_is_dir(node))
        node_ext(dir)->nlink++;
    else
        node_ext(node)->nlink++;
    return enter(build, &link->dentry);
}

int build_xattr(struct build *build, struct bytes name, struct bytes value)
{
    struct node_ext *ext = build->node ? node_ext(build->node) : NULL;
    struct bytes there;
    if (!ext || name.len == 0 || name.len > XATTR_NAME_BYTES_MAX || value.len > XATTR_VALUE_BYTES_MAX ||
        xattrs_get(ext->xattrs, name, &there))
        return wrong(build, "an xattr is none, or comes twice");
    int rc = xattrs_set(&ext->xattrs, mem_of(build), name, value);
    return rc == -ENOSPC ? wrong(build, "a node has more xattrs than it may") : rc;
}

int build_chunk(struct build *build, uint64_t id, uint64_t number, struct bytes data)
{
    struct node *node = build->node && build->node->id == id ? build->node : tree_find(build->tree, id);
    if (!node || !(node->flags & NODE_ROPE))
        return wrong(build, "a part of a value belongs to no node that has such");
    int rc = rope_restore(&node_ext(node)->rope, mem_of(build), number, data);
    return rc == -EINVAL ? wrong(build, "a part of a value lies where none can be") : rc;
}

/* Do all directories lead up to the root, or to one that is held? */
static int check_connected(struct build *build)
{
    for (size_t i = 0; i < build->dir_count; i++) {
        const struct dentry *up;
        size_t steps = 0;
        struct node *top = build->dirs[i];
        for (; top->dentry.heat != DIR_CONNECTED && (up = node_dir_dentry(top)); top = up->dir)
            if (steps++ > build->dir_count)
                return wrong(build, "a directory lies in itself");
        for (top = build->dirs[i]; top->dentry.heat != DIR_CONNECTED && (up = node_dir_dentry(top)); top = up->dir)
            top->dentry.heat = DIR_CONNECTED;
    }
    return 0;
}

static int check_held(struct build *build)
{
    for (size_t i = 0; i < build->dir_count; i++) {
        struct node *dir = build->dirs[i];
        dir->dentry.heat = 0;
        if (node_dir_dentry(dir) || dir->id == ROOT_ID)
            continue;
        if (dir_count(node_dir(dir)))
            return wrong(build, "a directory without a name has entries");
        node_ext(dir)->nlink = 0;
    }
    return 0;
}

int build_end(struct build *build)
{
    int rc = 0;
    while (rc == 0 && build->entered < build->arrived)
        rc = enter_oldest(build);
    if (rc == 0 && build->names)
        rc = wrong(build, "a node lacks some of its names");
    if (rc == 0 && build->awaited)
        rc = wrong(build, "a directory that has entries is missing");
    if (rc == 0)
        rc = check_connected(build);
    if (rc == 0)
        rc = check_held(build);
    return rc == 0 ? tree_bulk_end(build->tree) : rc;
}

void build_close(struct build *build)
{
    if (build->tree)
        mem_free(mem_of(build), build->dirs);
    *build = (struct build){0};
}
