/* Extended attributes (xattr(7)). A size of 0 asks how long the answer would be; one that is too small is ERANGE. */
#include "fsd/fs.h"

#include "kvcore/base/error.h"

#include <sys/xattr.h>

/* POSIX ACLs and the like, which the kernel would have to enforce: not here, and known without asking the store, since
 * ls(1) and cp(1) ask for each file. */
static bool refuse_system(fuse_req_t req, const char *name)
{
    if (strncmp(name, "system.", strlen("system.")) != 0)
        return false;
    fuse_reply_err(req, EOPNOTSUPP);
    return true;
}

static void reply_bytes(struct fs_call *call, const char *data, size_t len)
{
    if (!call->size)
        fuse_reply_xattr(call->req, len);
    else if (len > call->size)
        fuse_reply_err(call->req, ERANGE);
    else
        fuse_reply_buf(call->req, data, len);
}

/* getxattr: xattr, buf, or err */
static const struct kv_request *finish_getxattr(struct fs_call *call, const struct kv_reply *reply)
{
    struct bytes value = reply->error ? (struct bytes){0} : kv_reply_bytes(reply);
    if (reply->error)
        fuse_reply_err(call->req, fs_errno(call, reply->error));
    else
        reply_bytes(call, value.data, value.len);
    return NULL;
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    if (refuse_system(req, name))
        return;
    struct fs_call *call = fs_call(req, finish_getxattr);
    if (!call)
        return;
    call->id = id_of_ino(ino);
    call->size = size;
    struct kv_request request = {.op = KV_OP_GETXATTR, .node = kv_ref_id(id_of_ino(ino)), .name = bytes_of(name)};
    fs_submit(call, &request);
}

/* setxattr, removexattr: err. One of ours (user.kv.*) may change what the kernel was told of the node. */
static const struct kv_request *finish_setxattr(struct fs_call *call, const struct kv_reply *reply)
{
    uint64_t id = call->id;
    bool ours = call->flags;
    struct fuse_session *session = call->fs->session;
    finish_none(call, reply);
    if (ours && !reply->error)
        fuse_lowlevel_notify_inval_inode(session, id, -1, 0); /* attributes only: takes no lock, so it cannot block */
    return NULL;
}

static void run_setxattr(fuse_req_t req, const struct kv_request *request)
{
    struct fs_call *call = fs_call(req, finish_setxattr);
    if (!call)
        return;
    call->id = request->node.id;
    call->flags = request->name.len > 8 && memcmp(request->name.data, "user.kv.", 8) == 0;
    fs_submit(call, request);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    if (refuse_system(req, name))
        return;
    struct kv_request request = {
        .op = KV_OP_SETXATTR,
        .options = (flags & XATTR_CREATE ? KV_OPT_NX : 0) | (flags & XATTR_REPLACE ? KV_OPT_XX : 0),
        .node = kv_ref_id(id_of_ino(ino)),
        .name = bytes_of(name),
        .value = bytes_make(value, size),
    };
    run_setxattr(req, &request);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    if (refuse_system(req, name))
        return;
    struct kv_request request = {.op = KV_OP_REMOVEXATTR, .node = kv_ref_id(id_of_ino(ino)), .name = bytes_of(name)};
    run_setxattr(req, &request);
}

/* listxattr: xattr, buf, or err. The names one after the other, each with its terminator. */
static const struct kv_request *finish_listxattr(struct fs_call *call, const struct kv_reply *reply)
{
    struct buf *names = &call->fs->scratch;
    int rc = reply->error;
    names->len = 0;
    for (size_t i = 0; i < reply->count && rc == 0; i++) {
        rc = buf_append(names, reply->entries[i].name.data, reply->entries[i].name.len);
        rc = rc ? rc : buf_append(names, "", 1);
    }
    if (rc < 0)
        fuse_reply_err(call->req, fs_errno(call, rc));
    else
        reply_bytes(call, names->data, names->len);
    return NULL;
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    struct fs_call *call = fs_call(req, finish_listxattr);
    if (!call)
        return;
    call->id = id_of_ino(ino);
    call->size = size;
    struct kv_request request = {.op = KV_OP_LISTXATTR, .node = kv_ref_id(id_of_ino(ino))};
    fs_submit(call, &request);
}
