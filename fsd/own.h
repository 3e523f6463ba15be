/* The mount's own files: .kvfs/stats and .kvfs/config in its root, "name: value" lines about the mount itself. They are
 * served here, without the store, so they can be read while the server is away.
 *
 * The root's listing does not show .kvfs, and the store takes no key of that name there (EPERM), so nothing is hidden
 * by it. Inode numbers are those whose ids would have sequence 0, which the store never gives. Whatever asks the store
 * about one of them is refused with EPERM (fs_submit): nothing in .kvfs can be changed.
 *
 * Open needs no message on this mount, so the kernel reads through its cache, which must not hold yesterday's text. So
 * each lookup of a file makes a snapshot of its text under a new inode number, which lives until the kernel forgets it:
 * who has it open reads one consistent text, of the length that stat(2) says.
 */
#ifndef KV_FSD_OWN_H
#define KV_FSD_OWN_H

#include "kvcore/rpc/request.h"

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312
#endif
#include <fuse_lowlevel.h>
#include <stdatomic.h>

enum {
    OWN_SNAPSHOTS_MAX = 256, /* texts that the kernel has not forgotten; past that a lookup is ENFILE */
    OWN_OPCODES = 64,        /* of FUSE, by number */
};

struct own_snapshot {
    char *text; /* NULL: free */
    size_t len;
    uint64_t lookups;
    int64_t time_ns;
    bool config;
};

struct own {
    char *config; /* what the options were; NULL: nothing is known */
    uint64_t calls[OWN_OPCODES];
    uint64_t bytes_in;              /* from the kernel */
    atomic_uint_fast64_t bytes_out; /* to it; the notifier's thread writes, too */
    unsigned next;
    struct own_snapshot snapshots[OWN_SNAPSHOTS_MAX];
};

void own_close(struct own *own);

/* A message of the kernel has come. */
void own_count(struct own *own, unsigned opcode, size_t bytes);

/* Is the inode one of ours? 1 is the root, the store's. */
static inline bool own_is(fuse_ino_t ino) { return ino > 1 && ino < 1 << 14; }

/* Does the request name something of ours, which no store knows? */
bool own_concerns(const struct kv_request *request);

/* These answer and return true, or return false: not ours. */
bool own_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool own_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups); /* answers nothing */
bool own_getattr(fuse_req_t req, fuse_ino_t ino);
bool own_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset);
bool own_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus);
bool own_getxattr(fuse_req_t req, fuse_ino_t ino);
bool own_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
