/* Leases of a server's mount carried out in the kernel: what the server recalls is dropped from its caches, and then
 * acknowledged.
 *
 *   recall [7, ...] ──> notices, by the notifier's thread ──> told ──> recalled [7]
 *                              └─> not told within RECALLS_STUCK_MS: the caches are made invalid from here ──> recalled
 * [7]
 *
 * STUCK. The kernel takes the directory's lock to drop an entry, and waits for a page that is being written to drop
 * that; and one of our own requests may hold it, whose answer waits at the server for another mount, which waits just
 * so for us. Two notices take no lock: that an inode's attributes are out of date, and that all entries are (an epoch:
 * Linux 6.16). With them nothing old is shown any more: each entry is looked up again at its next use, and pages are
 * held against the new attributes (FUSE_CAP_AUTO_INVAL_DATA). Where the kernel has no epochs, entries are not kept at
 * all: each is looked up again at each use, with leases or without.
 *
 * IN FLIGHT. Answers and recalls come in the server's order, save that an answer to a write may have waited there. So
 * what is answered after a recall that its request did not know of is not kept (fs_call.recalls).
 *
 * LOST. When the leases end, all that the kernel has is made invalid, in the same way.
 */
#ifndef KV_FSD_RECALLS_H
#define KV_FSD_RECALLS_H

#include "fsd/fs.h"
#include "kvcore/rpc/recall.h"

enum { RECALLS_STUCK_MS = 5 };

struct recalls {
    struct fs *fs;
    struct notifier *notifier;
    void (*acknowledge)(void *user, uint64_t ticket);
    void *user;
    uv_timer_t timer; /* runs while notices wait to be told */
    bool held;        /* the server has granted leases */
    bool started;     /* the kernel can be told */
    uint64_t ticket;  /* to acknowledge; 0: none */
    struct buf nodes; /* ids whose attributes the waiting notices are about */
    bool entries;     /* ... and some are about entries */
    uint64_t told, stuck, lost;
};

/* Borrows them all. */
void recalls_init(struct recalls *recalls, uv_loop_t *loop, struct fs *fs, struct notifier *notifier,
                  void (*acknowledge)(void *user, uint64_t ticket), void *user);
/* The kernel has begun. False: the notifier does not run, nothing will be kept. */
void recalls_start(struct recalls *recalls, bool notifies);
/* The kernel is gone. The loop must run once more. */
void recalls_close(struct recalls *recalls);

void recalls_held(struct recalls *recalls, bool held);
void recalls_take(struct recalls *recalls, const struct kv_recall *recall);
/* All notices have been told. */
void recalls_told(struct recalls *recalls);

#endif
