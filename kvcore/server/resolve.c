#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"
#include "kvcore/tree/key.h"

/* Bytes that a new name costs beside its value, for admission: node, dentry, ext, indexes. */
enum { NODE_COST_BYTES = 512 };

static int bad_name(struct exec *exec, const char *what, struct bytes name, int rc, const char *why)
{
    int shown = name.len < 64 ? (int)name.len : 64;
    return kv_reply_fail(exec->reply, rc, "%s: the %s '%.*s%s' %s", kv_op_info(exec->request->op)->name, what, shown,
                         name.data ? name.data : "", name.len > 64 ? "..." : "", why);
}

/* Something whose time has come is not there any more: whoever comes upon it removes it. */
static int drop_expired(struct exec *exec, struct node **node)
{
    if (!*node || !((*node)->flags & NODE_EXPIRES) || node_expires_ns(*node) > exec->now_ns)
        return 0;
    int rc = exec_expire(exec, *node);
    *node = NULL;
    return rc;
}

/* The request tells of a state that came with this change. */
static void saw(struct exec *exec, uint64_t version) { exec->seen = version > exec->seen ? version : exec->seen; }

/* Where nothing is, the directory says since when. Symlinks on the way may be newer than what they lead to. */
static void saw_place(struct exec *exec, const struct tree_place *place)
{
    const char *name = place->name.data;
    if (name >= place->path && name < place->path + sizeof place->path)
        saw(exec, exec->store->index);
    else
        saw(exec, place->node ? place->node->version : place->dir->version);
}

/* What a name leads to is in use from now, unless its time has come. */
static int found(struct exec *exec, struct tree_place *place)
{
    saw_place(exec, place);
    int rc = drop_expired(exec, &place->node);
    if (rc == 0 && place->node)
        evict_use(&exec->store->evict, exec->tree, place->node);
    return rc;
}

static int find_id(struct exec *exec, uint64_t id, struct node **ret_node)
{
    struct node *node = tree_find(exec->tree, id);
    saw(exec, node ? node->version : exec->store->index);
    int rc = drop_expired(exec, &node);
    if (rc < 0)
        return rc;
    if (!node)
        return -ESTALE;
    evict_use(&exec->store->evict, exec->tree, node);
    *ret_node = node;
    return 0;
}

static int place_in_dir(struct exec *exec, const struct kv_ref *ref, struct tree_place *ret_place)
{
    const char *why;
    struct node *dir;
    int rc = name_check(ref->name, &why);
    if (rc < 0)
        return bad_name(exec, "name", ref->name, rc, why);
    rc = find_id(exec, ref->id, &dir);
    if (rc < 0)
        return rc;
    if (!node_is_dir(dir))
        return -ENOTDIR;
    ret_place->dir = dir;
    ret_place->name = ref->name;
    ret_place->rest = (struct bytes){0};
    ret_place->node = tree_lookup(dir, ref->name);
    return found(exec, ret_place);
}

static int place_of_key(struct exec *exec, struct bytes key, bool follow, struct tree_place *ret_place)
{
    const char *why;
    int rc = key.len ? key_check(key, &why) : 0;
    if (rc < 0)
        return bad_name(exec, "key", key, rc, why);
    rc = tree_walk(exec->tree, key, follow, ret_place);
    if (rc < 0)
        saw(exec, exec->store->index);
    if (rc == -EXDEV)
        return bad_name(exec, "key", key, rc, "leads through a symlink that points out of the store");
    if (rc < 0)
        return rc;
    return found(exec, ret_place);
}

int exec_place(struct exec *exec, const struct kv_ref *ref, bool follow, struct tree_place *ret_place)
{
    switch (ref->kind) {
    case KV_REF_KEY:
        return place_of_key(exec, ref->name, follow, ret_place);
    case KV_REF_NAME:
        return place_in_dir(exec, ref, ret_place);
    case KV_REF_ID:
        break;
    }
    ret_place->dir = NULL;
    ret_place->name = ret_place->rest = (struct bytes){0};
    return find_id(exec, ref->id, &ret_place->node);
}

int exec_node(struct exec *exec, const struct kv_ref *ref, struct node **ret_node)
{
    if (ref->kind == KV_REF_ID)
        return find_id(exec, ref->id, ret_node);
    struct tree_place place;
    bool follow = kv_op_info(exec->request->op)->flags & KV_OP_F || exec->request->options & KV_OPT_FOLLOW;
    int rc = exec_place(exec, ref, follow, &place);
    if (rc < 0)
        return rc;
    if (!place.node)
        return -ENOENT;
    *ret_node = place.node;
    return 0;
}

int exec_file(struct exec *exec, const struct kv_ref *ref, struct node **ret_node)
{
    int rc = exec_node(exec, ref, ret_node);
    if (rc < 0)
        return rc;
    if (node_is_dir(*ret_node))
        return -EISDIR;
    return node_is_file(*ret_node) ? 0 : -EINVAL;
}

unsigned exec_slot(struct exec *exec, const struct kv_ref *ref)
{
    struct node *node;
    if (ref->kind == KV_REF_KEY)
        return key_slot(ref->name);
    if (ref->kind == KV_REF_NAME && ref->id == ROOT_ID)
        return key_slot(ref->name);
    node = tree_find(exec->tree, ref->id);
    return node ? tree_slot_of(exec->tree, node) : id_slot(ref->id);
}

int exec_need_parent(const struct tree_place *place) { return place->rest.len ? -ENOENT : 0; }

int exec_check_key(struct exec *exec, const struct tree_place *place)
{
    if (place->dir->id == ROOT_ID && bytes_equal(place->name, bytes_of(OWN_NAME)))
        return kv_reply_fail(exec->reply, -EPERM, "%s: the key " OWN_NAME " is where mounts show their own files",
                             kv_op_info(exec->request->op)->name);
    if (tree_key_fits(place->dir, place->name))
        return 0;
    return kv_reply_fail(exec->reply, -ENAMETOOLONG, "%s: the key would be longer than %d bytes",
                         kv_op_info(exec->request->op)->name, KEY_BYTES_MAX);
}

int exec_make_parents(struct exec *exec, struct tree_place *place)
{
    while (place->rest.len) {
        CHECK(!place->node);
        struct node *dir;
        struct effect effect = exec_effect(exec, EFFECT_CREATE);
        effect.dir = place->dir->id;
        effect.name = place->name;
        effect.id = tree_next_id(exec->tree, place->dir, place->name);
        effect.mode = S_IFDIR | 0755 | (place->dir->mode & S_ISGID);
        effect.uid = place->dir->uid;
        effect.gid = place->dir->gid;
        int rc = exec_check_key(exec, place);
        if (rc == 0)
            rc = exec_admit(exec, NODE_COST_BYTES);
        if (rc == 0 && exec_inherits(place->dir, S_IFDIR))
            rc = exec_create_inheriting(exec, place->dir, &effect, &dir);
        else if (rc == 0 && (rc = exec_apply(exec, &effect)) == 0)
            dir = effect.ret_node;
        if (rc < 0)
            return rc;
        place->dir = dir;
        key_next(&place->rest, &place->name);
    }
    return 0;
}

/* A new node in this directory, its owner and mode as the request or the directory says; the umask comes later. */
static struct effect creation(const struct exec *exec, const struct node *dir, struct bytes name, uint32_t type,
                              uint32_t default_mode)
{
    const struct kv_request *request = exec->request;
    struct effect effect = exec_effect(exec, EFFECT_CREATE);
    effect.dir = dir->id;
    effect.name = name;
    effect.id = tree_next_id(exec->tree, dir, name);
    effect.mode = type | ((request->options & KV_OPT_MODE ? request->mode : default_mode) & 07777);
    effect.uid = request->options & KV_OPT_UID ? request->uid : dir->uid;
    effect.gid = request->options & KV_OPT_GID ? request->gid : dir->gid;
    if (dir->mode & S_ISGID) { /* inode(7): what is made below belongs to the directory's group */
        effect.gid = dir->gid;
        effect.mode |= type == S_IFDIR ? S_ISGID : 0;
    }
    return effect;
}

static int create(struct exec *exec, const struct node *dir, struct effect *effect, struct node **ret_node)
{
    int rc;
    if (exec_inherits(dir, effect->mode & S_IFMT)) {
        rc = exec_create_inheriting(exec, dir, effect, ret_node);
    } else {
        if (exec->request->options & KV_OPT_UMASK)
            effect->mode &= ~(exec->request->umask & 0777);
        rc = exec_apply(exec, effect);
        if (rc == 0)
            *ret_node = effect->ret_node;
    }
    if (rc < 0)
        return rc;
    evict_born(&exec->store->evict, exec->tree, *ret_node);
    return 0;
}

int exec_create(struct exec *exec, const struct tree_place *place, uint32_t type, uint32_t default_mode,
                struct bytes value, uint64_t rdev, struct node **ret_node)
{
    if (!place->dir) /* named by id, or the root: it is there already */
        return -EEXIST;
    int rc = exec_check_key(exec, place);
    if (rc == 0)
        rc = exec_admit(exec, NODE_COST_BYTES + value.len);
    if (rc < 0)
        return rc;
    struct effect effect = creation(exec, place->dir, place->name, type, default_mode);
    effect.value = value;
    effect.rdev = rdev;
    return create(exec, place->dir, &effect, ret_node);
}

int exec_create_unnamed(struct exec *exec, struct node *dir, struct node **ret_node)
{
    int rc = exec_admit(exec, NODE_COST_BYTES);
    if (rc < 0)
        return rc;
    struct effect effect = creation(exec, dir, (struct bytes){0}, S_IFREG, 0644);
    effect.flags = EFFECT_HOLD;
    return create(exec, dir, &effect, ret_node);
}
