/* Operations that find, make, move and remove names. */
#include "fsd/fs.h"

#include "kvcore/base/error.h"

#include <fcntl.h>
#include <stdio.h>

/* A name longer than the store takes is answered here: the kernel lets 1024 bytes through. */
static bool refuse_long(fuse_req_t req, const char *name)
{
    if (strnlen(name, NAME_BYTES_MAX + 1) <= NAME_BYTES_MAX)
        return false;
    fuse_reply_err(req, ENAMETOOLONG);
    return true;
}

static struct kv_ref named(fuse_ino_t parent, const char *name)
{
    return kv_ref_name(id_of_ino(parent), bytes_of(name));
}

/* A request for a new node that belongs to who asks. */
static struct kv_request new_node(fuse_req_t req, enum kv_op op, fuse_ino_t parent, const char *name, mode_t mode)
{
    const struct fuse_ctx *who = fuse_req_ctx(req);
    return (struct kv_request){
        .op = op,
        .options = KV_OPT_MODE | KV_OPT_UMASK | KV_OPT_UID | KV_OPT_GID,
        .node = named(parent, name),
        .mode = mode,
        .umask = who->umask,
        .uid = who->uid,
        .gid = who->gid,
    };
}

/* lookup: entry, or err. That there is no such name is an entry too, which the kernel keeps, where nobody else can
 * make one. */
static const struct kv_request *finish_lookup(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error != -ENOENT || call->id || !fs_may_keep(call, reply->leased) ||
        (call->fs->backend->shared && !call->fs->keeps_entries))
        return finish_entry(call, reply);
    static const struct kv_attr never;
    struct fuse_entry_param none = {.entry_timeout = attr_timeout(&never, false, 0)};
    fuse_reply_entry(call->req, &none);
    return NULL;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (refuse_long(req, name) || own_lookup(req, parent, name))
        return;
    /* "." is asked for by open_by_handle_at(2), to get at an inode that the kernel has dropped, and ".." to find its
     * way up from a directory. */
    bool up = strcmp(name, "..") == 0, by_id = up || strcmp(name, ".") == 0;
    struct kv_request request = {.op = KV_OP_STAT,
                                 .options = up ? KV_OPT_PARENT : 0,
                                 .node = by_id ? kv_ref_id(id_of_ino(parent)) : named(parent, name)};
    fs_run(req, finish_lookup, by_id ? id_of_ino(parent) : 0, &request);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
    if (!own_forget(req, ino, lookups))
        fs_forget(fs_of(req), id_of_ino(ino), lookups);
    fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        if (!own_forget(req, forgets[i].ino, forgets[i].nlookup))
            fs_forget(fs_of(req), id_of_ino(forgets[i].ino), forgets[i].nlookup);
    fuse_reply_none(req);
}

/* create: create, or err */
static const struct kv_request *reply_created(struct fs_call *call, const struct kv_reply *reply)
{
    struct fs *fs = call->fs;
    struct fuse_entry_param entry;
    int rc = reply->error ? reply->error : fs_entry(call, &reply->attr, &entry);
    if (rc < 0) {
        fuse_reply_err(call->req, error_to_errno(rc));
        return NULL;
    }
    struct fuse_file_info file = {.flags = call->flags, .keep_cache = 1, .noflush = 1};
    if (fuse_reply_create(call->req, &entry, &file) < 0)
        fs_forget(fs, reply->attr.id, 1);
    return NULL;
}

/* The file may have been there already: made elsewhere after the kernel had looked. */
static const struct kv_request *finish_create(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error || !reply->attr.size || !(call->flags & O_TRUNC))
        return reply_created(call, reply);
    call->finish = reply_created;
    call->second = (struct kv_request){.op = KV_OP_SETATTR, .options = KV_OPT_SIZE, .node = kv_ref_id(reply->attr.id)};
    return &call->second;
}

/* The store holds the file for us, as one that has lost its last name: it goes when the kernel has forgotten it. */
static const struct kv_request *finish_unnamed(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error)
        return reply_created(call, reply);
    struct fs *fs = call->fs;
    uint64_t id = reply->attr.id;
    int rc = inodes_add(&fs->inodes, id, false); /* a lookup of our own, so that it is known before the answer */
    if (rc < 0) {
        releases_add(&fs->releases, id);
        fuse_reply_err(call->req, -rc);
        return NULL;
    }
    inodes_hold(&fs->inodes, id);
    reply_created(call, reply);
    fs_forget(fs, id, 1);
    return NULL;
}

static bool create_unnamed(fuse_req_t req, fuse_ino_t parent, mode_t mode, int flags)
{
    if (!fs_of(req)->asks_unnamed)
        return false;
    struct fs_call *call = fs_call(req, finish_unnamed);
    if (!call)
        return true;
    call->flags = flags;
    struct kv_request request = new_node(req, KV_OP_TMPFILE, parent, "", mode);
    request.node = kv_ref_id(id_of_ino(parent));
    fs_submit(call, &request);
    return true;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file)
{
    if (create_unnamed(req, parent, mode, file->flags) || refuse_long(req, name))
        return;
    struct fs_call *call = fs_call(req, finish_create);
    if (!call)
        return;
    call->flags = file->flags;
    struct kv_request request = new_node(req, KV_OP_CREATE, parent, name, mode);
    if (file->flags & O_EXCL)
        request.options |= KV_OPT_NX;
    fs_submit(call, &request);
}

/* mknod, mkdir, symlink, link: entry, or err */
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    if (refuse_long(req, name))
        return;
    struct kv_request request = new_node(req, KV_OP_MKNOD, parent, name, mode);
    request.options |= KV_OPT_RDEV;
    request.rdev = rdev;
    fs_run(req, finish_entry, 0, &request);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    if (refuse_long(req, name))
        return;
    struct kv_request request = new_node(req, KV_OP_MKDIR, parent, name, mode);
    fs_run(req, finish_entry, 0, &request);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    if (refuse_long(req, name))
        return;
    struct kv_request request = new_node(req, KV_OP_SYMLINK, parent, name, 0);
    request.options &= ~(uint32_t)(KV_OPT_MODE | KV_OPT_UMASK);
    request.value = bytes_of(target);
    fs_run(req, finish_entry, 0, &request);
}

/* A file made without a name was held for us until now. */
static const struct kv_request *finish_link(struct fs_call *call, const struct kv_reply *reply)
{
    struct fs *fs = call->fs;
    if (!reply->error && inodes_let_go(&fs->inodes, reply->attr.id))
        releases_add(&fs->releases, reply->attr.id);
    return finish_entry(call, reply);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    if (refuse_long(req, name))
        return;
    struct kv_request request = {.op = KV_OP_LINK, .node = kv_ref_id(id_of_ino(ino)), .target = named(parent, name)};
    fs_run(req, finish_link, 0, &request);
}

/* readlink: readlink, or err. The reply needs a terminator, which the store's bytes do not have. */
static const struct kv_request *finish_readlink(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error) {
        fuse_reply_err(call->req, fs_errno(call, reply->error));
        return NULL;
    }
    char target[SYMLINK_BYTES_MAX + 1];
    size_t len = 0;
    for (size_t i = 0; i < reply->count; i++) {
        size_t room = SYMLINK_BYTES_MAX - len, more = reply->pieces[i].len;
        memcpy(target + len, reply->pieces[i].data, more < room ? more : room);
        len += more < room ? more : room;
    }
    target[len] = '\0';
    fuse_reply_readlink(call->req, target);
    return NULL;
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct kv_request request = {.op = KV_OP_READLINK, .node = kv_ref_id(id_of_ino(ino))};
    fs_run(req, finish_readlink, id_of_ino(ino), &request);
}

/* unlink, rmdir, rename: err. The reply's number is the node that thereby lost its last name and that the store now
 * holds for us; it is ours to release when the kernel, which may have it open, has forgotten it. */
static const struct kv_request *finish_removal(struct fs_call *call, const struct kv_reply *reply)
{
    struct fs *fs = call->fs;
    if (!reply->error && reply->uint && !inodes_hold(&fs->inodes, reply->uint))
        releases_add(&fs->releases, reply->uint);
    return finish_none(call, reply);
}

static void run_removal(fuse_req_t req, enum kv_op op, fuse_ino_t parent, const char *name)
{
    if (refuse_long(req, name))
        return;
    struct kv_request request = {.op = op, .options = KV_OPT_HOLD, .node = named(parent, name)};
    fs_run(req, finish_removal, 0, &request);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) { run_removal(req, KV_OP_UNLINK, parent, name); }

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) { run_removal(req, KV_OP_RMDIR, parent, name); }

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
               unsigned flags)
{
    if (refuse_long(req, name) || refuse_long(req, new_name))
        return;
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    struct kv_request request = {
        .op = KV_OP_RENAME,
        .options = KV_OPT_HOLD | (flags & RENAME_NOREPLACE ? KV_OPT_NOREPLACE : 0) |
                   (flags & RENAME_EXCHANGE ? KV_OPT_EXCHANGE : 0),
        .node = named(parent, name),
        .target = named(new_parent, new_name),
    };
    fs_run(req, finish_removal, 0, &request);
}
