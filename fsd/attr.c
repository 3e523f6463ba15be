#include "fsd/attr.h"

#include <unistd.h>

enum { STAT_BLOCK_BYTES = 512, NS_PER_S = 1000000000 };

/* libfuse and the kernel clamp it. */
static const double forever_s = 1e9;

struct timespec attr_to_timespec(int64_t ns)
{
    int64_t s = ns / NS_PER_S, rest = ns % NS_PER_S;
    return (struct timespec){.tv_sec = rest < 0 ? s - 1 : s, .tv_nsec = rest < 0 ? rest + NS_PER_S : rest};
}

struct stat attr_to_stat(const struct kv_attr *attr, const struct attr_view *view)
{
    struct stat stat = {
        .st_ino = attr->id,
        .st_mode = attr->mode,
        .st_nlink = attr->nlink,
        .st_uid = view->has_uid ? view->uid : attr->uid,
        .st_gid = view->has_gid ? view->gid : attr->gid,
        .st_rdev = attr->rdev,
        .st_size = (off_t)attr->size,
        .st_blksize = CHUNK_BYTES, /* what stdio and cp(1) read at a time */
        .st_blocks = (blkcnt_t)((attr->stored + STAT_BLOCK_BYTES - 1) / STAT_BLOCK_BYTES),
        .st_atim = attr_to_timespec(attr->atime_ns),
        .st_mtim = attr_to_timespec(attr->mtime_ns),
        .st_ctim = attr_to_timespec(attr->ctime_ns),
    };
    if (view->has_umask)
        stat.st_mode = (attr->mode & S_IFMT) | (0777 & ~view->umask);
    return stat;
}

uint32_t attr_mode_without_setid(uint32_t mode)
{
    mode &= ~(uint32_t)S_ISUID;
    return mode & S_IXGRP ? mode & ~(uint32_t)S_ISGID : mode;
}

double attr_timeout(const struct kv_attr *attr, bool shared, int64_t now_ns)
{
    if (shared)
        return 0;
    if (!attr->expires_ns)
        return forever_s;
    return attr->expires_ns > now_ns ? (double)(attr->expires_ns - now_ns) / NS_PER_S : 0;
}

struct kv_attr attr_unknown_root(int64_t now_ns)
{
    return (struct kv_attr){
        .id = 1,
        .mode = S_IFDIR | 0755,
        .uid = getuid(),
        .gid = getgid(),
        .nlink = 2,
        .atime_ns = now_ns,
        .mtime_ns = now_ns,
        .ctime_ns = now_ns,
        .btime_ns = now_ns,
    };
}
