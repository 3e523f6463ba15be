#include "tests/unit/tree_model.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

static void value_set(struct model_value *value, const void *bytes, uint64_t len)
{
    char *copy = malloc(len + 1);
    CHECK(copy);
    if (len)
        memcpy(copy, bytes, len);
    free(value->bytes);
    *value = (struct model_value){copy, len};
}

static void value_resize(struct model_value *value, uint64_t len)
{
    value->bytes = realloc(value->bytes, len + 1);
    CHECK(value->bytes);
    if (len > value->len)
        memset(value->bytes + value->len, 0, len - value->len);
    value->len = len;
}

struct bytes model_xattr_name(unsigned i)
{
    static const char *const names[MODEL_XATTRS] = {"user.a", "user.ab", "user.b", "security.x", "trusted.t", "user.z"};
    return bytes_of(names[i]);
}

static struct model_value *find_xattr(struct model_node *node, struct bytes name)
{
    for (unsigned i = 0; i < MODEL_XATTRS; i++)
        if (bytes_equal(name, model_xattr_name(i)))
            return &node->xattrs[i];
    return NULL;
}

static struct model_node *find_node(const struct model *model, uint64_t id)
{
    for (size_t i = 0; i < model->node_count; i++)
        if (model->nodes[i].id == id)
            return &model->nodes[i];
    return NULL;
}

static struct model_name *find_path(const struct model *model, const char *path)
{
    for (size_t i = 0; i < model->name_count; i++)
        if (strcmp(model->names[i].path, path) == 0)
            return &model->names[i];
    return NULL;
}

static struct model_name *find_name_of(const struct model *model, uint64_t id)
{
    for (size_t i = 0; i < model->name_count; i++)
        if (model->names[i].id == id)
            return &model->names[i];
    return NULL;
}

/* Is `path` the one of `top`, or below it? */
static bool is_inside(const char *path, const char *top)
{
    size_t len = strlen(top);
    return len == 0 || (strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

static size_t count_names(const struct model *model, uint64_t id)
{
    size_t count = 0;
    for (size_t i = 0; i < model->name_count; i++)
        count += model->names[i].id == id;
    return count;
}

static bool has_children(const struct model *model, const char *path)
{
    for (size_t i = 0; i < model->name_count; i++)
        if (is_inside(model->names[i].path, path) && strcmp(model->names[i].path, path) != 0)
            return true;
    return false;
}

static void add_name(struct model *model, char *path, uint64_t id)
{
    model->names = realloc(model->names, (model->name_count + 1) * sizeof *model->names);
    CHECK(model->names);
    model->names[model->name_count++] = (struct model_name){path, id};
}

static struct model_node *add_node(struct model *model, const struct model_node *node)
{
    model->nodes = realloc(model->nodes, (model->node_count + 1) * sizeof *model->nodes);
    CHECK(model->nodes);
    model->nodes[model->node_count] = *node;
    model->highest_sequence[id_slot(node->id)] = id_sequence(node->id);
    return &model->nodes[model->node_count++];
}

static void free_node(struct model_node *node)
{
    free(node->value.bytes);
    for (unsigned i = 0; i < MODEL_XATTRS; i++)
        free(node->xattrs[i].bytes);
}

void model_init(struct model *model, const struct tree *tree)
{
    *model = (struct model){0};
    const struct node *root = tree->root;
    struct model_node node = {.id = ROOT_ID, .mode = root->mode, .uid = root->uid, .gid = root->gid};
    node.mtime_ns = node.ctime_ns = node.atime_ns = node.btime_ns = root->btime_ns;
    node.expires_ns = INT64_MAX;
    add_node(model, &node);
    add_name(model, strdup(""), ROOT_ID);
}

void model_close(struct model *model)
{
    for (size_t i = 0; i < model->node_count; i++)
        free_node(&model->nodes[i]);
    for (size_t i = 0; i < model->name_count; i++)
        free(model->names[i].path);
    free(model->nodes);
    free(model->names);
    *model = (struct model){0};
}

static int find_dir(const struct model *model, uint64_t id, struct model_node **ret_dir, const char **ret_path)
{
    struct model_node *dir = find_node(model, id);
    if (!dir)
        return -ENOENT;
    if (!S_ISDIR(dir->mode))
        return -ENOTDIR;
    struct model_name *name = find_name_of(model, id);
    if (!name)
        return -ENOENT;
    *ret_dir = dir;
    *ret_path = name->path;
    return 0;
}

static char *join(const char *dir, struct bytes name)
{
    char *path;
    CHECK(asprintf(&path, "%s%s%.*s", dir, dir[0] ? "/" : "", (int)name.len, name.data) >= 0);
    return path;
}

static void touch(struct model_node *node, const struct effect *effect, bool contents)
{
    node->ctime_ns = effect->time_ns;
    node->version = effect->version;
    if (contents)
        node->mtime_ns = effect->time_ns;
}

/* What CREATE makes, wherever it will stand. */
static struct model_node new_node(const struct effect *effect)
{
    struct model_node node = {.id = effect->id, .version = effect->version};
    node.mtime_ns = node.ctime_ns = node.atime_ns = node.btime_ns = effect->time_ns;
    node.expires_ns = INT64_MAX;
    node.mode = effect->mode;
    node.uid = effect->uid;
    node.gid = effect->gid;
    if (S_ISREG(effect->mode) || S_ISLNK(effect->mode))
        value_set(&node.value, effect->value.data, effect->value.len);
    else if (!S_ISDIR(effect->mode))
        node.rdev = effect->rdev;
    return node;
}

static int create_unnamed(struct model *model, const struct effect *effect, uint64_t *ret_id, uint64_t *ret_held)
{
    const struct model_node *dir = find_node(model, effect->dir);
    if (!dir)
        return -ENOENT;
    if (!S_ISDIR(dir->mode))
        return -ENOTDIR;
    if (S_ISDIR(effect->mode))
        return -EPERM;
    struct model_node node = new_node(effect);
    node.unnamed = true;
    node.holds = 1;
    add_node(model, &node);
    *ret_id = *ret_held = effect->id;
    return 0;
}

static int create(struct model *model, const struct effect *effect, uint64_t *ret_id, uint64_t *ret_held)
{
    struct model_node *dir;
    const char *dir_path;
    if (effect->flags & EFFECT_HOLD)
        return create_unnamed(model, effect, ret_id, ret_held);
    int rc = find_dir(model, effect->dir, &dir, &dir_path);
    if (rc < 0)
        return rc;
    char *path = join(dir_path, effect->name);
    if (find_path(model, path)) {
        free(path);
        return -EEXIST;
    }
    touch(dir, effect, true);
    struct model_node node = new_node(effect);
    add_node(model, &node);
    add_name(model, path, effect->id);
    *ret_id = effect->id;
    return 0;
}

static int link_name(struct model *model, const struct effect *effect, uint64_t *ret_id)
{
    struct model_node *dir, *node = find_node(model, effect->id);
    const char *dir_path;
    if (!node || (!find_name_of(model, effect->id) && !node->unnamed))
        return -ENOENT;
    if (S_ISDIR(node->mode))
        return -EPERM;
    int rc = find_dir(model, effect->dir, &dir, &dir_path);
    if (rc < 0)
        return rc;
    char *path = join(dir_path, effect->name);
    if (find_path(model, path)) {
        free(path);
        return -EEXIST;
    }
    add_name(model, path, effect->id);
    node->unnamed = false;
    touch(dir, effect, true);
    touch(node, effect, false);
    *ret_id = effect->id;
    return 0;
}

static void remove_node(struct model *model, struct model_node *node)
{
    free_node(node);
    *node = model->nodes[--model->node_count];
}

/* The node loses this name. Returns its id if it is still there, else 0. */
static uint64_t drop_name(struct model *model, struct model_name *name, const struct effect *effect, uint64_t *ret_held)
{
    struct model_node *node = find_node(model, name->id);
    free(name->path);
    *name = model->names[--model->name_count];
    bool hold = effect->flags & EFFECT_HOLD;
    if (count_names(model, node->id) == 0) {
        if (node->holds == 0 && !hold) {
            remove_node(model, node);
            return 0;
        }
        node->holds += hold;
        node->expires_ns = INT64_MAX;
        *ret_held = node->id;
    }
    touch(node, effect, false);
    return node->id;
}

static int unlink_name(struct model *model, const struct effect *effect, uint64_t *ret_id, uint64_t *ret_held)
{
    struct model_node *dir;
    const char *dir_path;
    int rc = find_dir(model, effect->dir, &dir, &dir_path);
    if (rc < 0)
        return rc;
    char *path = join(dir_path, effect->name);
    struct model_name *name = find_path(model, path);
    bool is_dir = name && S_ISDIR(find_node(model, name->id)->mode);
    if (!name)
        rc = -ENOENT;
    else if (is_dir && effect->kind == EFFECT_UNLINK)
        rc = -EISDIR;
    else if (!is_dir && effect->kind == EFFECT_RMDIR)
        rc = -ENOTDIR;
    else if (is_dir && has_children(model, path))
        rc = -ENOTEMPTY;
    free(path);
    if (rc < 0)
        return rc;
    touch(dir, effect, true);
    *ret_id = drop_name(model, name, effect, ret_held);
    return 0;
}

/* Everything at or below `from` moves to `to`. */
static void move_paths(struct model *model, const char *from, const char *to)
{
    for (size_t i = 0; i < model->name_count; i++) {
        char *path = model->names[i].path, *moved;
        if (!is_inside(path, from))
            continue;
        CHECK(asprintf(&moved, "%s%s", to, path + strlen(from)) >= 0);
        free(path);
        model->names[i].path = moved;
    }
}

/* rename(2). 1: nothing is to be done. */
static int check_rename(const struct model *model, uint32_t flags, const char *from_dir, const char *from,
                        const char *to_dir, const char *to)
{
    struct model_name *source = find_path(model, from), *target = find_path(model, to);
    if (!source || (!target && flags & EFFECT_EXCHANGE))
        return -ENOENT;
    if (target && flags & EFFECT_NOREPLACE)
        return -EEXIST;
    if (target && target->id == source->id)
        return 1;
    bool source_is_dir = S_ISDIR(find_node(model, source->id)->mode);
    bool target_is_dir = target && S_ISDIR(find_node(model, target->id)->mode);
    if (source_is_dir && is_inside(to_dir, from))
        return -EINVAL;
    if (flags & EFFECT_EXCHANGE)
        return target_is_dir && is_inside(from_dir, to) ? -EINVAL : 0;
    if (target && target_is_dir && !source_is_dir)
        return -EISDIR;
    if (target && !target_is_dir && source_is_dir)
        return -ENOTDIR;
    return target_is_dir && has_children(model, to) ? -ENOTEMPTY : 0;
}

static void do_rename(struct model *model, const struct effect *effect, const char *from, const char *to,
                      uint64_t *ret_held)
{
    struct model_name *target = find_path(model, to);
    touch(find_node(model, find_path(model, from)->id), effect, false);
    if (effect->flags & EFFECT_EXCHANGE) {
        touch(find_node(model, target->id), effect, false);
        move_paths(model, from, "\1");
        move_paths(model, to, from);
        move_paths(model, "\1", to);
        return;
    }
    if (target)
        drop_name(model, target, effect, ret_held);
    move_paths(model, from, to);
}

static int rename_name(struct model *model, const struct effect *effect, uint64_t *ret_id, uint64_t *ret_held)
{
    struct model_node *from_dir, *to_dir;
    const char *from_path, *to_path;
    int rc = find_dir(model, effect->dir, &from_dir, &from_path);
    if (rc < 0)
        return rc;
    char *from = join(from_path, effect->name);
    rc = find_path(model, from) ? find_dir(model, effect->to_dir, &to_dir, &to_path) : -ENOENT;
    if (rc < 0) {
        free(from);
        return rc;
    }
    char *to = join(to_path, effect->to_name);
    rc = check_rename(model, effect->flags, from_path, from, to_path, to);
    if (rc >= 0)
        *ret_id = find_path(model, from)->id;
    if (rc == 0) {
        touch(from_dir, effect, true);
        touch(to_dir, effect, true);
        do_rename(model, effect, from, to, ret_held);
    }
    free(from);
    free(to);
    return rc < 0 ? rc : 0;
}

static int check_file(const struct model_node *node)
{
    if (!node)
        return -ENOENT;
    if (S_ISDIR(node->mode))
        return -EISDIR;
    return S_ISREG(node->mode) ? 0 : -EINVAL;
}

/* Zeros, or bytes of `source`, in a range. */
static int change_range(const struct model *model, struct model_node *node, const struct effect *effect)
{
    const struct model_node *source = find_node(model, effect->source);
    uint64_t offset = effect->offset, from = effect->source_offset, length = effect->length;
    bool copies = effect->kind == EFFECT_COPY;
    int rc = check_file(node);
    if (rc == 0 && copies)
        rc = check_file(source);
    if (rc < 0)
        return rc;
    if (offset > VALUE_BYTES_MAX || length > VALUE_BYTES_MAX - offset)
        return -EFBIG;
    if (copies && (from > source->value.len || length > source->value.len - from))
        return -EINVAL;
    if (copies && source == node && length && offset < from + length && from < offset + length)
        return -EINVAL;
    bool grows = copies ? length > 0 : effect->flags & EFFECT_EXTEND;
    if (grows && offset + length > node->value.len)
        value_resize(&node->value, offset + length);
    if (copies && length)
        memcpy(node->value.bytes + offset, source->value.bytes + from, length);
    for (uint64_t at = offset; !copies && at < node->value.len && at < offset + length; at++)
        node->value.bytes[at] = 0;
    touch(node, effect, true);
    return 0;
}

static int change_value(struct model_node *node, const struct effect *effect)
{
    uint64_t end = effect->offset + effect->value.len;
    int rc = check_file(node);
    if (rc < 0)
        return rc;
    if (effect->kind != EFFECT_SET && (effect->offset > VALUE_BYTES_MAX || end > VALUE_BYTES_MAX))
        return -EFBIG;
    if (effect->kind == EFFECT_SET) {
        value_set(&node->value, effect->value.data, effect->value.len);
    } else if (effect->kind == EFFECT_TRUNCATE) {
        value_resize(&node->value, effect->offset);
    } else if (effect->value.len) {
        if (end > node->value.len)
            value_resize(&node->value, end);
        memcpy(node->value.bytes + effect->offset, effect->value.data, effect->value.len);
    }
    touch(node, effect, true);
    return 0;
}

static void change_attributes(struct model_node *node, const struct effect *effect)
{
    if (effect->mask & EFFECT_MODE)
        node->mode = (node->mode & S_IFMT) | (effect->mode & 07777);
    if (effect->mask & EFFECT_UID)
        node->uid = effect->uid;
    if (effect->mask & EFFECT_GID)
        node->gid = effect->gid;
    if (effect->mask & EFFECT_ATIME)
        node->atime_ns = effect->atime_ns;
    if (effect->mask & EFFECT_MTIME)
        node->mtime_ns = effect->mtime_ns;
    touch(node, effect, false);
}

static int change_xattr(struct model_node *node, const struct effect *effect)
{
    struct model_value *xattr = find_xattr(node, effect->name);
    if (effect->kind == EFFECT_SET_XATTR) {
        uint64_t total = effect->name.len + effect->value.len;
        for (unsigned i = 0; i < MODEL_XATTRS; i++)
            if (node->xattrs[i].bytes && xattr != &node->xattrs[i])
                total += model_xattr_name(i).len + node->xattrs[i].len;
        if (total > XATTR_TOTAL_BYTES_MAX)
            return -ENOSPC;
        value_set(xattr, effect->value.data, effect->value.len);
    } else {
        if (!xattr->bytes)
            return -ENODATA;
        free(xattr->bytes);
        *xattr = (struct model_value){0};
    }
    touch(node, effect, false);
    return 0;
}

static int expire(const struct model *model, struct model_node *node, const struct effect *effect)
{
    if (S_ISDIR(node->mode))
        return -EISDIR;
    if (effect->expires_ns != INT64_MAX && !find_name_of(model, node->id))
        return -ENOENT;
    node->expires_ns = effect->expires_ns;
    node->version = effect->version;
    return 0;
}

static int release(struct model *model, struct model_node *node)
{
    if (node->holds == 0)
        return -ENOENT;
    if (--node->holds == 0 && count_names(model, node->id) == 0)
        remove_node(model, node);
    return 0;
}

/* The effects that go to a node by its id. */
static int change_node(struct model *model, const struct effect *effect, uint64_t *ret_id)
{
    struct model_node *node = find_node(model, effect->id);
    if (!node)
        return -ENOENT;
    int rc = 0;
    switch (effect->kind) {
    case EFFECT_SET:
    case EFFECT_WRITE:
    case EFFECT_TRUNCATE:
        rc = change_value(node, effect);
        break;
    case EFFECT_PUNCH:
    case EFFECT_COPY:
        rc = change_range(model, node, effect);
        break;
    case EFFECT_ATTR:
        change_attributes(node, effect);
        break;
    case EFFECT_SET_XATTR:
    case EFFECT_REMOVE_XATTR:
        rc = change_xattr(node, effect);
        break;
    case EFFECT_EXPIRE:
        rc = expire(model, node, effect);
        break;
    case EFFECT_RELEASE:
        return release(model, node);
    default:
        return -EINVAL;
    }
    if (rc == 0)
        *ret_id = effect->id;
    return rc;
}

int model_apply(struct model *model, const struct effect *effect, uint64_t *ret_id, uint64_t *ret_held)
{
    *ret_id = *ret_held = 0;
    switch (effect->kind) {
    case EFFECT_CREATE:
        return create(model, effect, ret_id, ret_held);
    case EFFECT_LINK:
        return link_name(model, effect, ret_id);
    case EFFECT_UNLINK:
    case EFFECT_RMDIR:
        return unlink_name(model, effect, ret_id, ret_held);
    case EFFECT_RENAME:
        return rename_name(model, effect, ret_id, ret_held);
    default:
        return change_node(model, effect, ret_id);
    }
}
