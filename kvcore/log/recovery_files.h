/* The snapshots and segments of a data directory. */
#ifndef KV_LOG_RECOVERY_FILES_H
#define KV_LOG_RECOVERY_FILES_H

#include "kvcore/base/disk.h"

/* A zeroed one is empty. Sorted. */
struct recovery_files {
    uint64_t *snapshots; /* their indexes */
    uint64_t *segments;  /* their first indexes */
    uint64_t *sizes;     /* of the segments */
    size_t snapshot_count, segment_count;
    uint64_t segment_bytes; /* all together */
};

/* -errno, -ENOMEM. */
int recovery_files_list(struct disk *disk, bool segments, bool snapshots, struct recovery_files *ret_files);
void recovery_files_close(struct recovery_files *files);

#endif
