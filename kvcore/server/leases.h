/* Leases: which session may keep what of which node until it is recalled. A pure table: no loop, no sockets, no clock.
 *
 * A session (a `lessee` here) has two kinds:
 *   node    (id)              its attributes, and all that a holder checks against them: bytes, listing, ACLs
 *   entry   (directory, name) what the name leads to, also that it leads nowhere
 *
 * RECALL. A change ends the leases it touches, of every lessee but the one that made it, and each such end is told once
 * (leases_tell), with the ticket of the message that it will travel in. A lessee acknowledges tickets in order. Until
 * then it may still show the old, so whoever changes the same thing meanwhile is told of that ticket too, without a
 * new recall: that is what its answer has to wait for. A lessee may get the lease again at once; the next recall then
 * has a ticket of its own.
 *
 *      lessee --+-- holder (node 7) -- attributes? ticket, hashes of the names leased in it
 *               +-- holder (node 9) ...                    ^ all holders of one node in one chain of the hash table
 *
 * One holder is one (lessee, node). A name is kept as its hash alone, of 64 bits and seeded, in a set of the
 * directory's holder: 1 million files that one session has cached take 1 million holders and as many hashes, which is
 * below 64 bytes for each lease. Two names of one directory and of one hash (a chance of 2^-64 for a pair) would end
 * each other's lease untold.
 *
 * BOUND. At LEASES_MAX the holder that was granted something longest ago is recalled whole (KV_CHANGE_ALL).
 *
 * DAMPING. What was recalled LEASE_DAMP_RECALLS times within LEASE_DAMP_MS is not leased for LEASE_DAMP_MS: two hosts
 * that write one file in turns then ask, which costs them one round trip, instead of waiting for each other's kernels.
 * It is remembered in a small table where the latest wins; what is forgotten is damped later.
 */
#ifndef KV_SERVER_LEASES_H
#define KV_SERVER_LEASES_H

#include "kvcore/rpc/recall.h"

struct lease_damp;
struct lease_holder;

/* Embedded by its owner. */
struct lessee {
    uint64_t ticket;                     /* of the message that the next recall travels in; from 1 on */
    uint64_t acknowledged;               /* all up to this one */
    size_t count;                        /* leases it has */
    uint32_t index;                      /* the rest is private */
    uint32_t first;                      /* its holders */
    uint32_t oldest_ended, newest_ended; /* those that wait for an acknowledgement only */
};

/* `change` is to be told to the lessee under `ticket`; NULL: it was told already, and is not acknowledged. */
typedef void leases_tell(void *user, struct lessee *lessee, const struct kv_change *change, uint64_t ticket);

struct leases {
    size_t max;   /* LEASES_MAX; a test has less */
    size_t count; /* leases */
    uint64_t granted, recalled, damped, pushed_out;
    uint64_t memory_bytes;
    /* The rest is private. */
    leases_tell *tell;
    void *user;
    uint64_t seed;
    struct lease_holder **slabs; /* holders, by index: 0 is none */
    uint32_t slab_count, holder_count, holder_top, free;
    uint32_t *buckets;
    uint32_t bucket_count; /* a power of two */
    uint32_t oldest, newest;
    struct lessee **lessees;
    uint32_t lessee_count;
    struct lease_damp *damp;
};

/* -ENOMEM. */
int leases_init(struct leases *leases, uint64_t seed, leases_tell *tell, void *user);
void leases_close(struct leases *leases);

/* -ENOMEM. The lessee need not be cleared. */
int leases_join(struct leases *leases, struct lessee *lessee);
/* All it had is over, untold. */
void leases_leave(struct leases *leases, struct lessee *lessee);

/* False: no lease (damped, or no memory). */
bool leases_grant(struct leases *leases, struct lessee *lessee, uint64_t id, int64_t now_ms);
/* With `always` only want of memory is a reason not to. */
bool leases_grant_entry(struct leases *leases, struct lessee *lessee, uint64_t dir, struct bytes name, bool always,
                        int64_t now_ms);

/* Something has changed, by `by` (NULL: nobody that has leases). */
void leases_recall(struct leases *leases, const struct kv_change *change, const struct lessee *by, int64_t now_ms);

/* The message with the open ticket is on its way. */
void leases_sent(struct lessee *lessee);
/* The lessee has forgotten all that tickets up to this one named. False: it cannot have, there was no such ticket. */
bool leases_acknowledged(struct leases *leases, struct lessee *lessee, uint64_t ticket);

#endif
