/* When snapshots are taken, and taking them beside the store's work.
 *
 *   snapshots_due: pure        rules, state, time ──> why one is due now, or not
 *   the rest: thin             an idle handle walks (snapshot_slice, SNAPSHOTS_SLICE_US a turn of the loop)  ‖  libuv's
 *                              pool writes (snapshot_write), one call at a time
 *
 * LOG REWRITE. A snapshot begins with a new segment of the log (aof_rotate), so that all older ones are unneeded once
 * it is safely on disk; they and the snapshots beyond `keep` are removed only then. Of the snapshots that are kept the
 * oldest has its log behind it still, so a damaged one has something to fall back to.
 *
 * A BROKEN LOG is mended by a snapshot: one is tried at once, then every SNAPSHOTS_RETRY_MS.
 *
 * FAILURE. The file is left out (snapshot.h), a person is told, and what made it due makes it due again later. Nothing
 * that is on disk is removed.
 */
#ifndef KV_SERVER_SNAPSHOTS_H
#define KV_SERVER_SNAPSHOTS_H

#include "kvcore/base/limits.h"
#include "kvcore/log/snapshot.h"
#include "kvcore/server/journal.h"

enum {
    SNAPSHOTS_KEEP_DEFAULT = 2,
    SNAPSHOTS_SLICE_US = 250,
    SNAPSHOTS_PERIOD_MS = 100,
    SNAPSHOTS_RETRY_MS = 5000,
    SNAPSHOTS_GROWTH_FACTOR = 2,       /* a log this many times as long as the last snapshot is rewritten, ... */
    SNAPSHOTS_GROWTH_BYTES = 64 << 20, /* ... but not below this */
};

#define SNAPSHOT_RULES_DEFAULT "3600 1 300 100 60 10000"

/* `save 900 1`: after so many seconds, if there were so many changes. */
struct snapshot_rule {
    uint64_t seconds, changes;
};

struct snapshot_policy {
    struct snapshot_rule rules[SNAPSHOT_RULES_MAX];
    unsigned rule_count; /* 0: by growth and on demand alone */
    unsigned keep;       /* how many there may be; at least 1 */
    bool at_exit;
};

/* "900 1 60 10000", also with colons between; "" for none. -EINVAL with a sentence in `why`. */
int snapshot_rules_parse(struct snapshot_policy *policy, const char *text, char *why, size_t why_bytes);

/* What the decision depends on. */
struct snapshots_state {
    uint64_t index;        /* of the store */
    uint64_t last_index;   /* of the last good snapshot */
    int64_t last_ms;       /* when that was begun, or the store was opened */
    int64_t failed_ms;     /* when the last failure was; 0: it went well */
    uint64_t last_bytes;   /* of the file; 0: there is none */
    uint64_t log_bytes;    /* recorded since then */
    uint64_t wanted_index; /* somebody has asked for one that holds this */
    bool asked;
    bool log_broken;
    bool log_full; /* there was no room on the disk for it: what a snapshot makes unneeded is room */
};

enum snapshot_reason {
    SNAPSHOT_NOT_DUE,
    SNAPSHOT_ASKED,  /* somebody wants it */
    SNAPSHOT_MENDS,  /* the log is broken */
    SNAPSHOT_RULE,   /* so many changes in so long */
    SNAPSHOT_GROWTH, /* the log has grown long */
};
enum snapshot_reason snapshots_due(const struct snapshot_policy *policy, const struct snapshots_state *state,
                                   int64_t now_ms);

struct snapshots {
    uv_loop_t *loop;
    struct store *store;
    struct disk *disk;
    struct journal *journal; /* NULL: no log is kept */
    struct snapshot_policy policy;
    struct snapshots_state state;
    uint64_t taken, failed; /* since the start */
    int last_error;
    /* The rest is private. */
    struct snapshot *current;
    struct snapshot_info info; /* of the current one */
    enum snapshot_reason reason;
    int64_t begun_ms, took_ms;
    uint64_t log_bytes_then;
    uint64_t log_bytes_begun; /* the same, of the one under way */
    int walk;                 /* enum snapshot_state: what the last slice said */
    uv_idle_t walker;
    uv_timer_t timer;
    uv_work_t work;
    unsigned keep; /* snapshots that stay, now */
    bool working;
    int work_rc;
    int open_handles;
    void (*on_closed)(void *user);
    void *user;
};

/* Borrows all. `last`: what recovery loaded, or zeros; `log_bytes`: what the log has behind it. */
void snapshots_open(struct snapshots *snapshots, uv_loop_t *loop, struct store *store, struct disk *disk,
                    struct journal *journal, const struct snapshot_policy *policy, const struct snapshot_info *last,
                    uint64_t log_bytes);

/* One is to be taken that holds all that there is now. */
uint64_t snapshots_ask(struct snapshots *snapshots);

/* Breaks off the one under way; takes a last one if the policy says so, which blocks. on_closed fires when nothing of
 * it is left in the loop. */
void snapshots_close(struct snapshots *snapshots, void (*on_closed)(void *user), void *user);

void snapshots_add_info(const struct snapshots *snapshots, struct kv_fields *fields);

#endif
