/* Replays the segments of a log into a tree, up to where they can be read. */
#ifndef KV_LOG_RECOVERY_REPLAY_H
#define KV_LOG_RECOVERY_REPLAY_H

#include "kvcore/log/recovery.h"

struct replay {
    /* given */
    struct disk *disk;
    struct tree *tree;             /* NULL: the records are only checked, effect by effect */
    uint64_t held;                 /* up to here the tree has all */
    struct log_progress *progress; /* may be NULL */
    uint64_t done_bytes, total_bytes;
    struct recovery_listener *listener; /* may be NULL */

    /* found */
    uint64_t index;   /* of the last record in the tree */
    uint64_t epoch;   /* the highest */
    int64_t time_ns;  /* of the last record */
    uint64_t records; /* that were new */
    size_t segment;   /* which of the segments was read last */
    uint64_t end;     /* where its last good frame ends */
    uint64_t size;    /* of that file */
    uint64_t next_index;

    bool stopped; /* before the end of all segments; then: */
    uint64_t bad_index;
    char text[160]; /* why */
};

/* Reads the segments (sorted first indexes) from `from` on. 0: to the end, or to where it stopped. -EBADMSG: a record
 * that is whole does not fit the tree (`text`); KV_VERSION, -errno, -ENOMEM: of the file `segment`. */
int replay_run(struct replay *replay, const uint64_t *segments, size_t from, size_t count);

/* What lies behind the place where it stopped. */
struct beyond {
    uint64_t records;      /* whole ones */
    uint64_t synced_index; /* the highest that a mark or a header says */
    uint64_t bytes;        /* from the stop to the end of the last segment */
};

/* -errno, -ENOMEM. */
int replay_look_beyond(const struct replay *replay, const uint64_t *segments, size_t count, struct beyond *ret_beyond);

#endif
