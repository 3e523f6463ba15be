#include "fsd/statx.h"

#include <sys/sysmacros.h>

static struct statx_time time_of(struct timespec time)
{
    return (struct statx_time){.s = time.tv_sec, .ns = (uint32_t)time.tv_nsec};
}

struct statx_answer statx_answer(const struct stat *stat, struct timespec birth, double timeout_s)
{
    uint64_t valid_s = (uint64_t)timeout_s;
    return (struct statx_answer){
        .valid_s = valid_s,
        .valid_ns = (uint32_t)((timeout_s - (double)valid_s) * 1e9),
        .mask = STATX_BASIC_STATS | STATX_BTIME,
        .block_bytes = (uint32_t)stat->st_blksize,
        .nlink = (uint32_t)stat->st_nlink,
        .uid = stat->st_uid,
        .gid = stat->st_gid,
        .mode = (uint16_t)stat->st_mode,
        .ino = stat->st_ino,
        .size = (uint64_t)stat->st_size,
        .blocks = (uint64_t)stat->st_blocks,
        .atime = time_of(stat->st_atim),
        .btime = time_of(birth),
        .ctime = time_of(stat->st_ctim),
        .mtime = time_of(stat->st_mtim),
        .rdev_major = major(stat->st_rdev),
        .rdev_minor = minor(stat->st_rdev),
    };
}
