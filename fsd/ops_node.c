/* Operations on a node's attributes, and on the file system as a whole. */
#include "fsd/fs.h"

#include "fsd/setattr.h"
#include "kvcore/base/error.h"

enum { STATFS_BLOCK_BYTES = 4096 };

static void reply_last_known_root(fuse_req_t req, bool asks_birth)
{
    fs_reply_stat(req, asks_birth, &fs_of(req)->root, 0);
}

/* getattr: attr, or err; of the root always attr */
static const struct kv_request *finish_getattr(struct fs_call *call, const struct kv_reply *reply)
{
    if (!reply->error || call->id != FUSE_ROOT_ID)
        return finish_attr(call, reply);
    reply_last_known_root(call->req, call->asks_birth);
    return NULL;
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    (void)file;
    if (own_getattr(req, ino))
        return;
    if (ino == FUSE_ROOT_ID && !backend_connected(fs_of(req)->backend)) {
        reply_last_known_root(req, fs_of(req)->asks_birth);
        return;
    }
    struct fs_call *call = fs_call(req, finish_getattr);
    if (!call)
        return;
    call->id = id_of_ino(ino);
    struct kv_request request = {.op = KV_OP_STAT, .node = kv_ref_id(id_of_ino(ino))};
    if (fs_submit(call, &request) && ino == FUSE_ROOT_ID)
        fs_set_deadline(call, -ETIMEDOUT);
}

/* setattr: attr, or err. Where S_ISUID and S_ISGID have to go with it, the mode is asked for first. */
static const struct kv_request *finish_setattr_mode(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error)
        return finish_attr(call, reply);
    const struct kv_attr *attr = &reply->attr;
    uint32_t mode = attr_mode_without_setid(attr->mode);
    if (mode & S_ISGID && fuse_req_ctx(call->req)->uid && !fs_in_group(call->req, attr->gid))
        mode &= ~(uint32_t)S_ISGID; /* not theirs to keep, even where it does not run as the group */
    call->second.options |= KV_OPT_MODE;
    call->second.mode = mode & 07777;
    call->finish = finish_attr;
    return &call->second;
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int valid, struct fuse_file_info *file)
{
    (void)file;
    struct kv_request request = setattr_request(id_of_ino(ino), attr, valid);
    struct kv_request look = {.op = KV_OP_STAT, .node = kv_ref_id(id_of_ino(ino))};
    bool strips =
        setattr_strips_setid(valid, fuse_req_ctx(req)->uid) && inodes_is_setid(&fs_of(req)->inodes, id_of_ino(ino));
    if (!strips) {
        fs_run(req, finish_attr, id_of_ino(ino), &request);
        return;
    }
    struct fs_call *call = fs_call(req, finish_setattr_mode);
    if (!call)
        return;
    call->id = id_of_ino(ino);
    call->second = request;
    fs_submit(call, &look);
}

static uint64_t field_of(const struct kv_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->count; i++)
        if (strcmp(reply->fields[i].name, name) == 0)
            return reply->fields[i].number;
    return 0;
}

/* statfs: statfs, or err */
static const struct kv_request *finish_statfs(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error) {
        fuse_reply_err(call->req, error_to_errno(reply->error));
        return NULL;
    }
    uint64_t free_blocks = field_of(reply, "bytes_free") / STATFS_BLOCK_BYTES;
    uint64_t free_nodes = field_of(reply, "nodes_free");
    struct statvfs stat = {
        .f_bsize = STATFS_BLOCK_BYTES,
        .f_frsize = STATFS_BLOCK_BYTES,
        .f_blocks = field_of(reply, "bytes_total") / STATFS_BLOCK_BYTES,
        .f_bfree = free_blocks,
        .f_bavail = free_blocks,
        .f_files = field_of(reply, "nodes_total"),
        .f_ffree = free_nodes,
        .f_favail = free_nodes,
        .f_namemax = NAME_BYTES_MAX,
    };
    fuse_reply_statfs(call->req, &stat);
    return NULL;
}

/* umount(8) asks for it, and must not wait for a server that is away: an error will do, it goes on. */
void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    struct fs_call *call = fs_call(req, finish_statfs);
    if (!call)
        return;
    struct kv_request request = {.op = KV_OP_STATFS};
    if (fs_submit(call, &request))
        fs_set_deadline(call, -ETIMEDOUT);
}
