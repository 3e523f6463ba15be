/* The append-only file: what has been done, in order, in segments `log-<index>.aof`, each named by the index of its
 * first record.
 *
 * TWO THREADS. The store's thread appends (aof_append: to memory) and writes (aof_write: one write(2) of all that
 * waits, before the answers leave). What may take long is done by another, by aof_sync (fdatasync of what was written)
 * and by aof_prepare (the next segment, made and allocated ahead), one such call at a time; neither touches what the
 * first two use.
 *
 *   appended ──aof_write──> written (survives kill -9) ──aof_sync──> synced (survives power loss)
 *
 * MARKS. Behind each sync the next write also says in the log up to where all is synced (segment.h), which is what
 * tells a torn tail from damage later; aof_write does so too when nothing else waits, so call it once after a sync.
 *
 * ROOM FIRST. aof_room takes room on the disk before a request changes anything, so that a full disk refuses the
 * request (-ENOSPC) instead of losing its record; it costs nothing while there is room.
 *
 * FAILURE. A write that fails for want of room all the same (-ENOSPC, -EDQUOT) keeps what waits; the next aof_write
 * tries again. Any other write or sync that fails leaves the log broken: it takes no record any more, and every call
 * says so with the first error, until aof_mend begins a new segment behind a snapshot that holds all (a failed fsync
 * cannot be tried again: the kernel may have dropped the pages; fsync(2)). That snapshot must be safely on disk before
 * aof_rotate: what the broken segment has lost is nowhere else.
 */
#ifndef KV_LOG_AOF_H
#define KV_LOG_AOF_H

#include "kvcore/base/buf.h"
#include "kvcore/base/disk.h"

struct aof;

struct aof_options {
    uint64_t segment_bytes; /* a longer one is followed by a new one */
    uint64_t epoch;
};

/* Goes on behind record `last_index` (0: none yet). `name` and `end_bytes` are the segment that recovery ended in and
 * where its last good record ends; NULL: a new segment is begun. -errno, -ENOMEM. */
int aof_open(struct disk *disk, const struct aof_options *options, uint64_t last_index, const char *name,
             uint64_t end_bytes, struct aof **ret_aof);
/* Writes and syncs what it still can. Accepts NULL. The other thread must be out of it. */
void aof_close(struct aof *aof);

/* Is there room on the disk for `bytes` more? 0, -ENOSPC, -EDQUOT, or why it is broken. */
int aof_room(struct aof *aof, uint64_t bytes);
/* Takes a whole record (record_end), of the next index. A long one is written at once, with all before it, instead of
 * being copied. One that could not be made for want of memory (record.data is NULL), or that there is no memory to
 * keep, breaks the log: -ENOMEM; why the log is broken. A broken log keeps nothing of it but the index, behind which
 * the snapshot that mends it stands. */
int aof_append(struct aof *aof, uint64_t index, struct bytes record);
/* Writes all that was appended; may begin the next segment. */
int aof_write(struct aof *aof);

/* From the other thread. Afterwards all is synced that was written when it began; *ret_index says up to which record.
 */
int aof_sync(struct aof *aof, uint64_t *ret_index);

/* From the other thread: takes room on the disk ahead, and makes the next segment when this one nears its end. Does
 * nothing when nothing is due, so it is called with every aof_sync. What fails here fails again, and is told, where it
 * is needed. */
void aof_prepare(struct aof *aof);

uint64_t aof_appended(const struct aof *aof); /* indexes: of the last record ... */
uint64_t aof_written(const struct aof *aof);
uint64_t aof_synced(const struct aof *aof);
uint64_t aof_bytes(const struct aof *aof); /* of all segments that are there */
int aof_error(const struct aof *aof);      /* 0: it works */

/* Begins a new segment, behind what was appended: a snapshot of this instant makes all before it unneeded. Does not
 * wait for the disk. A broken log stays broken. */
int aof_rotate(struct aof *aof);
/* Goes on in a new segment although the log is broken: only when a snapshot of all that was appended is safely on disk,
 * since what the broken segment has lost is nowhere else. */
int aof_mend(struct aof *aof);
/* Removes segments that hold nothing after `index`. From either thread. */
int aof_remove_until(struct aof *aof, uint64_t index);

#endif
