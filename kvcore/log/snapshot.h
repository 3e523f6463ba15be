/* Snapshots: the whole tree of one instant in a file `snapshot-<index>.rdb`, taken while the store goes on serving,
 * without fork. docs/formats.md has the bytes.
 *
 * TAKING ONE. The store's thread walks the nodes by id in slices (snapshot_slice) and encodes them into blocks; another
 * thread writes the blocks (snapshot_write), ends the file with fsync, renames it into place and syncs the directory. A
 * node about to change that the walk has not reached is encoded first, as it was (the tree's watcher calls us);
 * long values are shared by reference. Blocks that wait are bounded: past the bound the walk waits for the writer, and
 * only nodes saved before their change may go beyond it.
 *
 *   snapshot_start ─> [ snapshot_slice ... ]  ‖  [ snapshot_write ... ] ─> snapshot_end
 *
 * A snapshot is visible under its name only whole and synced. One that was broken off leaves a `.tmp`, which
 * snapshot_write, snapshot_end or the next start of the store removes.
 */
#ifndef KV_LOG_SNAPSHOT_H
#define KV_LOG_SNAPSHOT_H

#include "kvcore/base/disk.h"
#include "kvcore/log/damage.h"
#include "kvcore/tree/tree.h"

struct snapshot_info {
    uint64_t epoch;
    uint64_t index;  /* of the last record that it holds */
    int64_t time_ns; /* of the last change that it holds */
    uint64_t nodes;
    uint64_t bytes; /* of the file */
};

struct snapshot;

/* Takes the tree as it is now; `info` has epoch, index and time. The tree's one watcher until snapshot_end. -EBUSY:
 * there is one already. -errno, -ENOMEM. Opens no file yet. */
int snapshot_start(struct tree *tree, struct disk *disk, const struct snapshot_info *info,
                   struct snapshot **ret_snapshot);

enum snapshot_state {
    SNAPSHOT_WALKING, /* call again */
    SNAPSHOT_WAITING, /* the writer is behind: call again when snapshot_write has returned */
    SNAPSHOT_WALKED,  /* all is in blocks; the tree is not watched any more */
};

/* From the store's thread: walks for about `bytes` of encoded nodes. An enum snapshot_state, or -ENOMEM and the like:
 * the snapshot has failed and is to be ended. */
int snapshot_slice(struct snapshot *snapshot, uint64_t bytes);

/* From the other thread: writes the blocks that are there. 0: more are to come; 1: the snapshot is safely on disk under
 * its name; negative: it has failed. */
int snapshot_write(struct snapshot *snapshot);

/* From either thread: breaks it off. The next snapshot_write removes what there is of the file and returns -ECANCELED,
 * as does the next snapshot_slice. */
void snapshot_abort(struct snapshot *snapshot);

/* Bytes of blocks that wait for the writer. They are more than a few MiB only where nodes change faster than the disk
 * writes: whoever lets them change can hold them back. */
uint64_t snapshot_waiting_bytes(struct snapshot *snapshot);

/* How far it is: nodes encoded, of those there were at the start. */
void snapshot_progress(const struct snapshot *snapshot, uint64_t *ret_done, uint64_t *ret_total);
/* What the file has become; once snapshot_write has returned 1. */
const struct snapshot_info *snapshot_result(const struct snapshot *snapshot);

/* Frees it, whatever its state; snapshot_write must not be running, and the tree must still be there. Takes long, since
 * it has to remove the file, only where no snapshot_write has returned since it failed. Accepts NULL. */
void snapshot_end(struct snapshot *snapshot);

/* "snapshot-<20 digits>.rdb" */
void snapshot_name(uint64_t index, char name[LOG_NAME_BYTES]);
/* False: that is no snapshot's name. */
bool snapshot_index_of(const char *name, uint64_t *ret_index);

/* Reads one into a new tree. -EBADMSG and *ret_damage: it is damaged; KV_VERSION: it is of a newer format; -errno,
 * -ENOMEM. `progress` may be NULL. */
int snapshot_load(struct disk *disk, const char *name, struct log_progress *progress, struct tree **ret_tree,
                  struct snapshot_info *ret_info, struct log_damage *ret_damage);

/* Reads it and checks all that can be checked without a tree. As snapshot_load. */
int snapshot_check(struct disk *disk, const char *name, struct log_progress *progress, struct snapshot_info *ret_info,
                   struct log_damage *ret_damage);

#endif
