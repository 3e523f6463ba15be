#define FUSE_USE_VERSION 312
#include "fsd/setattr.h"

#include <fuse_lowlevel.h>

/* What lies beyond 1677 and 2262 becomes the nearest time that there is, as in any file system (utimensat(2)). */
static int64_t to_ns(struct timespec time)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)time.tv_sec, 1000000000, &ns) || __builtin_add_overflow(ns, time.tv_nsec, &ns))
        return time.tv_sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

struct kv_request setattr_request(uint64_t id, const struct stat *attr, int valid)
{
    struct kv_request request = {
        .op = KV_OP_SETATTR,
        .node = kv_ref_id(id),
        .mode = attr->st_mode & 07777,
        .uid = attr->st_uid,
        .gid = attr->st_gid,
        .size = (uint64_t)attr->st_size,
        .atime_ns = to_ns(attr->st_atim),
        .mtime_ns = to_ns(attr->st_mtim),
    };
    if (valid & FUSE_SET_ATTR_MODE)
        request.options |= KV_OPT_MODE;
    if (valid & FUSE_SET_ATTR_UID)
        request.options |= KV_OPT_UID;
    if (valid & FUSE_SET_ATTR_GID)
        request.options |= KV_OPT_GID;
    if (valid & FUSE_SET_ATTR_SIZE)
        request.options |= KV_OPT_SIZE;
    if (valid & FUSE_SET_ATTR_ATIME_NOW)
        request.options |= KV_OPT_ATIME_NOW;
    else if (valid & FUSE_SET_ATTR_ATIME)
        request.options |= KV_OPT_ATIME;
    if (valid & FUSE_SET_ATTR_MTIME_NOW)
        request.options |= KV_OPT_MTIME_NOW;
    else if (valid & FUSE_SET_ATTR_MTIME)
        request.options |= KV_OPT_MTIME;
    return request;
}

bool setattr_strips_setid(int valid, uid_t uid)
{
    if (valid & FUSE_SET_ATTR_MODE)
        return false; /* who sets the mode says what it is to be */
    if (valid & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
        return true;
    return valid & FUSE_SET_ATTR_SIZE ? uid != 0 : !valid;
}
