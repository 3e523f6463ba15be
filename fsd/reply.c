/* The store's replies as FUSE's. */
#include "fsd/fs.h"

#include "fsd/statx.h"
#include "kvcore/base/clock.h"
#include "kvcore/base/error.h"

int fs_errno(const struct fs_call *call, int error)
{
    return error == -ENOENT && call->id ? ESTALE : error_to_errno(error);
}

bool fs_in_group(fuse_req_t req, gid_t gid)
{
    gid_t groups[256];
    if (fuse_req_ctx(req)->gid == gid)
        return true;
    int count = fuse_req_getgroups(req, sizeof groups / sizeof groups[0], groups);
    for (int i = 0; i < count && i < (int)(sizeof groups / sizeof groups[0]); i++)
        if (groups[i] == gid)
            return true;
    return false;
}

bool fs_may_keep(const struct fs_call *call, bool leased)
{
    const struct fs *fs = call->fs;
    return !fs->backend->shared || (leased && fs->leased && call->recalls == fs->recalls);
}

static double timeout_of(const struct fs_call *call, const struct kv_attr *attr)
{
    return attr_timeout(attr, !fs_may_keep(call, attr->leased), attr->expires_ns ? clock_real_ns(clock_system()) : 0);
}

int fs_entry(struct fs_call *call, const struct kv_attr *attr, struct fuse_entry_param *ret_entry)
{
    struct fs *fs = call->fs;
    int rc = inodes_add(&fs->inodes, attr->id, attr_is_setid(attr));
    if (rc < 0)
        return rc;
    double timeout = timeout_of(call, attr);
    *ret_entry = (struct fuse_entry_param){
        .ino = ino_of_id(attr->id),
        .attr = attr_to_stat(attr, &fs->view),
        .attr_timeout = timeout,
        .entry_timeout = fs->keeps_entries || !fs->backend->shared ? timeout : 0,
    };
    return 0;
}

void fs_forget(struct fs *fs, uint64_t id, uint64_t lookups)
{
    if (inodes_forget(&fs->inodes, id, lookups))
        releases_add(&fs->releases, id);
}

void fs_reply_entry(struct fs_call *call, const struct kv_attr *attr)
{
    struct fuse_entry_param entry;
    int rc = fs_entry(call, attr, &entry);
    if (rc < 0)
        fuse_reply_err(call->req, -rc);
    else if (fuse_reply_entry(call->req, &entry) < 0)
        fs_forget(call->fs, attr->id, 1); /* the request was given up meanwhile */
}

void fs_reply_attr(struct fs_call *call, const struct kv_attr *attr)
{
    struct fs *fs = call->fs;
    if (attr->id == FUSE_ROOT_ID)
        fs->root = *attr;
    if (attr_is_setid(attr))
        inodes_mark_setid(&fs->inodes, attr->id);
    fs_reply_stat(call->req, call->asks_birth, attr, timeout_of(call, attr));
}

void fs_reply_stat(fuse_req_t req, bool asks_birth, const struct kv_attr *attr, double timeout_s)
{
    struct stat stat = attr_to_stat(attr, &fs_of(req)->view);
    if (!asks_birth) {
        fuse_reply_attr(req, &stat, timeout_s);
        return;
    }
    struct statx_answer answer = statx_answer(&stat, attr_to_timespec(attr->btime_ns), timeout_s);
    fuse_reply_buf(req, (const char *)&answer, sizeof answer);
}

const struct kv_request *finish_none(struct fs_call *call, const struct kv_reply *reply)
{
    fuse_reply_err(call->req, reply->error ? fs_errno(call, reply->error) : 0);
    return NULL;
}

const struct kv_request *finish_entry(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error)
        fuse_reply_err(call->req, fs_errno(call, reply->error));
    else
        fs_reply_entry(call, &reply->attr);
    return NULL;
}

const struct kv_request *finish_attr(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error)
        fuse_reply_err(call->req, fs_errno(call, reply->error));
    else
        fs_reply_attr(call, &reply->attr);
    return NULL;
}
