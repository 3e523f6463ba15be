/* The store: executes requests on a tree. No network, no files, no clock of its own.
 *
 *   request ──> resolve the names ──> decide: effects ──> tree_apply ──> sinks (log, replicas, watches to come)
 *                                                     └──> reply
 *
 * store_execute runs one request to its end; there is one thread. Every write request gets the next index, which
 * becomes the version of the nodes it changes, and a time later than the one before, so that two changes never bear one
 * mtime. What the effects of one request do, they do together: nothing else runs between them.
 *
 * A FULL STORE refuses what grows (-ENOSPC), or, with a policy, first gives up files (kvcore/tree/evict.h): before the
 * request runs, as many as it could need room for, each an unlink like that of an expired file.
 *
 * DURABILITY. What each change becomes on disk is a sink's work (journal.h). The store says only how far on its way
 * there an answer has to wait (`wait`), and asks first whether there is room (`backing`).
 *
 * Replies borrow: from the tree, and from scratch memory that the next request reuses.
 */
#ifndef KV_SERVER_STORE_H
#define KV_SERVER_STORE_H

#include "kvcore/base/buf.h"
#include "kvcore/base/clock.h"
#include "kvcore/rpc/request.h"
#include "kvcore/server/coherence.h"
#include "kvcore/server/durability.h"
#include "kvcore/tree/evict.h"
#include "kvcore/tree/tree.h"

struct kv_fields;

/* Who asks. One per connection or mount. */
struct session {
    uint64_t id;
    bool authenticated;
    char client[64];      /* as it named itself */
    struct radix held;    /* ids it keeps alive without a name -> how often (as a pointer) */
    struct member member; /* its leases */
};

/* Told of every effect, in order, after the tree has changed. */
struct store_sink {
    void (*on_effect)(struct store_sink *sink, const struct session *from, const struct effect *effect);
    /* The effects since the last time belong together: one request's, or one doing of the store itself. NULL: does not
     * care. */
    void (*on_end)(struct store_sink *sink, uint64_t index);
    struct store_sink *next;
};

/* What stands behind the store on disk. */
struct store_backing {
    /* Is there room for a change whose record takes about so many bytes? One that makes the store smaller may use what
     * is held back for it. 0, or negative, with a text where there is a reply (it may be NULL). */
    int (*admit)(struct store_backing *backing, uint64_t bytes, bool shrinks, struct kv_reply *reply);
    /* Begins a snapshot, behind the one under way if there is one; *ret_index is the least that it will hold. Negative
     * with a text in the reply. */
    int (*snapshot)(struct store_backing *backing, struct kv_reply *reply, uint64_t *ret_index);
};

/* Keeps nodes that others take the last name of: asked before each such effect of another session. */
struct store_keeper {
    bool (*wants)(struct store_keeper *keeper, uint64_t id);
    struct session *session; /* holds them */
};

/* Adds fields to `info`. */
struct store_info_source {
    void (*add)(struct store_info_source *source, struct kv_fields *fields);
    struct store_info_source *next;
};

struct store_options {
    uint64_t memory_bytes_max;  /* past it growth is ENOSPC, unless ... */
    enum evict_policy eviction; /* ... files are given up for it */
    const char *password;       /* NULL or "": none; borrowed */
    uint64_t hash_seed;
    uint32_t root_uid, root_gid, root_mode;
    struct clock *clock;
    const char *mode;           /* "server" or "embedded", for info */
    enum durability durability; /* of answers; of no effect without a backing */
};

struct store {
    struct store_options options;
    struct tree *tree;
    struct store_sink *sinks;
    struct store_info_source *info_sources;
    struct store_keeper *keeper;   /* NULL: none; borrowed */
    struct store_backing *backing; /* NULL: there is only memory; borrowed */
    bool loading;                  /* nothing but KV_OP_L is answered yet; loaded_percent are done */
    unsigned loaded_percent;
    struct store_wait wait;      /* of the last request */
    uint64_t names_index;        /* of the last change that moved a directory */
    struct coherence *coherence; /* NULL: no leases are given; borrowed */
    struct wait *wait_recall;    /* what the answer to the request that ran last has to wait for; NULL: nothing. The
                                    caller takes it: it parks the encoded answer with it */
    struct evict evict;
    uint64_t index;       /* of the last write request that changed something */
    int64_t last_time_ns; /* of the last change */
    int64_t started_ms;
    uint64_t next_session;
    uint64_t sessions; /* now */
    uint64_t requests; /* so far */
    uint64_t expired;  /* nodes removed because their time had come */
    uint64_t evicted;  /* ... because the store was full */
    uint64_t op_counts[KV_OP_COUNT];
    struct buf scratch[2]; /* what replies point to: rows (pieces, entries, fields), and text */
};

/* -ENOMEM. The tree is new and empty. */
int store_init(struct store *store, const struct store_options *options);
void store_close(struct store *store);

/* Takes the tree that recovery made, in place of the empty one; nobody may have used the store yet. */
void store_adopt(struct store *store, struct tree *tree, uint64_t index, int64_t last_time_ns);
/* Lets go of what sessions of an earlier run held: nodes without a name. Returns how many. */
size_t store_release_orphans(struct store *store);

/* Session ids are unique within a run of the store. */
void store_session_begin(struct store *store, struct session *session);
/* Releases all it held. */
void store_session_end(struct store *store, struct session *session);

/* Runs one request and fills the reply, which need not be cleared before, and store->wait. The reply is borrowed until
 * the next call. */
void store_execute(struct store *store, struct session *session, const struct kv_request *request,
                   struct kv_reply *reply);

/* This request will be executed soon, after `steps_left` others (3, 2, 1: called for each): begins to fetch the nodes
 * that it names, since most of a small request's time is waiting for memory. Changes nothing. */
void store_fetch(const struct store *store, const struct kv_request *request, unsigned steps_left);

/* Removes up to `max` nodes whose time has come. Returns how many. The owner calls it now and then; each request does
 * for what it touches. */
size_t store_expire(struct store *store, size_t max);

void store_add_sink(struct store *store, struct store_sink *sink);
void store_add_info_source(struct store *store, struct store_info_source *source);
void store_remove_info_source(struct store *store, struct store_info_source *source);

#endif
