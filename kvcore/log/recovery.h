/* Recovery: a data directory becomes a tree again, and says what it found.
 *
 *   newest good snapshot ─> the log behind it, record by record ─> where to go on
 *
 * A torn end (the last segment ends within a record, and nothing whole lies behind it) is cut and reported. A damaged
 * snapshot falls back to the older one, if the log between is all there. Damage anywhere else, a gap between segments,
 * or a format newer than ours stops with a sentence that names the file, the offset, what lies beyond, and the command
 * to run. Nothing is dropped in silence, and nothing on disk is changed before all has been read.
 */
#ifndef KV_LOG_RECOVERY_H
#define KV_LOG_RECOVERY_H

#include "kvcore/base/disk.h"
#include "kvcore/log/damage.h"
#include "kvcore/log/record.h"
#include "kvcore/tree/tree.h"

struct recovery_options {
    bool log;       /* else the log's segments are not looked at: a store that keeps snapshots only */
    bool snapshots; /* else ... */
    /* for the tree of an empty directory */
    uint64_t hash_seed;
    uint32_t root_uid, root_gid, root_mode;
    int64_t time_ns;
};

/* A request that changed something, with what it was answered: for exactly-once across a restart. */
struct recovery_listener {
    void (*on_record)(struct recovery_listener *listener, const struct record *record);
};

struct recovery {
    struct tree *tree; /* the caller's from now on */
    uint64_t epoch;
    uint64_t index;                /* of the last change; 0: there was none */
    int64_t time_ns;               /* of the last change */
    char segment[LOG_NAME_BYTES];  /* what the log goes on in (aof_open); "": a new one */
    uint64_t segment_bytes;        /* where its last good record ends */
    char snapshot[LOG_NAME_BYTES]; /* what it was loaded from; "": none */
    uint64_t records;              /* replayed from the log */
    uint64_t torn_bytes;           /* cut from the end of `segment` */
    char report[512]; /* what a person should know, or "": torn tail, a snapshot that was passed over, ... */
};

/* Blocks as long as it takes; touches nothing but its arguments, so it may run in any thread. `progress` and `listener`
 * may be NULL. Negative with a sentence in `why`: -EBADMSG damage, KV_VERSION, -errno, -ENOMEM. */
int recovery_run(struct disk *disk, const struct recovery_options *options, struct log_progress *progress,
                 struct recovery_listener *listener, struct recovery *ret_recovery, char *why, size_t why_bytes);

#endif
