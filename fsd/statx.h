/* FUSE_STATX (Linux 6.6): getattr with the time of birth. libfuse 3.14 does not know it, and the kernel's header here
 * may be older; but the message begins as FUSE_GETATTR's does, so the device lets libfuse take it for one
 * (fs.asks_birth), and the answer is given as bytes. Layout: linux/fuse.h of 6.6, struct fuse_statx_out. */
#ifndef KV_FSD_STATX_H
#define KV_FSD_STATX_H

#include <assert.h>
#include <stdint.h>
#include <sys/stat.h>

enum { STATX_OPCODE = 52 };

struct statx_time {
    int64_t s;
    uint32_t ns;
    int32_t reserved;
};

struct statx_answer {
    uint64_t valid_s;
    uint32_t valid_ns;
    uint32_t flags;
    uint64_t spare[2];
    uint32_t mask, block_bytes;
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, spare_mode;
    uint64_t ino, size, blocks, attributes_mask;
    struct statx_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t spare_end[14];
};

static_assert(sizeof(struct statx_answer) == 288, "as the kernel has it");

struct statx_answer statx_answer(const struct stat *stat, struct timespec birth, double timeout_s);

#endif
