/* Extended attributes (xattr(7)). A size of 0 asks how long the answer would be; one that is too small is ERANGE. */
#include "fsd/fs.h"

#include "kvcore/base/error.h"

#include <sys/xattr.h>

static bool starts_with(const char *name, const char *start) { return strncmp(name, start, strlen(start)) == 0; }

/* Of other namespaces than these there is nothing. */
static bool refuse_name(fuse_req_t req, const char *name)
{
    static const char *const namespaces[] = {"user.", "trusted.", "security."};
    if (strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0)
        return false;
    int error = EOPNOTSUPP;
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++)
        if (starts_with(name, namespaces[i]))
            error = name[strlen(namespaces[i])] ? 0 : EINVAL;
    if (error)
        fuse_reply_err(req, error);
    return error;
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
    if (refuse_name(req, name) || own_getxattr(req, ino))
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
    fuse_ino_t ino = ino_of_id(call->id);
    bool ours = call->flags;
    struct fuse_session *session = call->fs->session;
    finish_none(call, reply);
    if (ours && !reply->error)
        fuse_lowlevel_notify_inval_inode(session, ino, -1, 0); /* attributes only: takes no lock, so it cannot block */
    return NULL;
}

/* An access ACL that is set by somebody who neither is root nor belongs to the file's group takes S_ISGID off, as
 * chmod(2) would: setxattr, then a look, then the mode. */
static const struct kv_request *finish_acl_look(struct fs_call *call, const struct kv_reply *reply)
{
    const struct kv_attr *attr = &reply->attr;
    if (reply->error || !(attr->mode & S_ISGID) || fs_in_group(call->req, attr->gid))
        return finish_none(call, reply);
    call->finish = finish_none;
    call->second = (struct kv_request){.op = KV_OP_SETATTR,
                                       .options = KV_OPT_MODE,
                                       .node = kv_ref_id(attr->id),
                                       .mode = attr->mode & 07777 & ~(uint32_t)S_ISGID};
    return &call->second;
}

static const struct kv_request *finish_set_acl(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error)
        return finish_none(call, reply);
    call->finish = finish_acl_look;
    call->second = (struct kv_request){.op = KV_OP_STAT, .node = kv_ref_id(call->id)};
    return &call->second;
}

static void run_setxattr(fuse_req_t req, const struct kv_request *request)
{
    if (request->op == KV_OP_SETXATTR && bytes_equal(request->name, bytes_of(ACL_ACCESS)) && fuse_req_ctx(req)->uid) {
        fs_run(req, finish_set_acl, request->node.id, request);
        return;
    }
    struct fs_call *call = fs_call(req, finish_setxattr);
    if (!call)
        return;
    call->id = request->node.id;
    call->flags = request->name.len > 8 && memcmp(request->name.data, "user.kv.", 8) == 0;
    fs_submit(call, request);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    if (refuse_name(req, name))
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

/* Setting an ACL to nothing is removing it, and that there was none is no error then. */
static const struct kv_request *finish_remove_acl(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error != -ENODATA)
        return finish_none(call, reply);
    fuse_reply_err(call->req, 0);
    return NULL;
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    if (refuse_name(req, name))
        return;
    struct kv_request request = {.op = KV_OP_REMOVEXATTR, .node = kv_ref_id(id_of_ino(ino)), .name = bytes_of(name)};
    if (starts_with(name, "system."))
        fs_run(req, finish_remove_acl, request.node.id, &request);
    else
        run_setxattr(req, &request);
}

static bool bytes_start_with(struct bytes name, const char *start)
{
    return name.len >= strlen(start) && memcmp(name.data, start, strlen(start)) == 0;
}

/* listxattr: xattr, buf, or err. The names one after the other, each with its terminator. */
static const struct kv_request *finish_listxattr(struct fs_call *call, const struct kv_reply *reply)
{
    struct buf *names = &call->fs->scratch;
    int rc = reply->error;
    names->len = 0;
    bool privileged = fuse_req_ctx(call->req)->uid == 0;
    for (size_t i = 0; i < reply->count && rc == 0; i++) {
        if (!privileged && bytes_start_with(reply->entries[i].name, "trusted.")) /* xattr(7): not theirs to see */
            continue;
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
    if (own_listxattr(req, ino, size))
        return;
    struct fs_call *call = fs_call(req, finish_listxattr);
    if (!call)
        return;
    call->id = id_of_ino(ino);
    call->size = size;
    struct kv_request request = {.op = KV_OP_LISTXATTR, .node = kv_ref_id(id_of_ino(ino))};
    fs_submit(call, &request);
}
