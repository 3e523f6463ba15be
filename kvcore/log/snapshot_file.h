/* The file of a snapshot that is being written: by the writer's thread alone.
 *
 * Blocks are gathered into long aligned pieces, each a multiple of DISK_STREAM_BYTES, so that they can go past the page
 * cache (DISK_STREAM). THE ORDER that makes a crash safe: `.tmp` is written, cut to its length and synced, then
 * renamed, then the names are synced; only then is the snapshot said to be there.
 */
#ifndef KV_LOG_SNAPSHOT_FILE_H
#define KV_LOG_SNAPSHOT_FILE_H

#include "kvcore/base/disk.h"
#include "kvcore/log/snapshot_blocks.h"

struct snapshot_file {
    struct disk *disk;
    struct disk_file *file; /* NULL: not open */
    bool made;              /* `.tmp` is there */
    uint32_t seed, number;  /* of the next block */
    void *memory;
    char *gathered; /* aligned, in `memory` */
    size_t filled;
    uint64_t offset; /* where `gathered` goes */
    uint64_t allocated;
    char name[LOG_NAME_BYTES], tmp_name[LOG_NAME_BYTES + 4];
};

/* In the store's thread, as it allocates. Takes the header; opens nothing yet. -ENOMEM. */
int snapshot_file_init(struct snapshot_file *file, struct disk *disk, struct mem *mem,
                       const struct snapshot_header *header);
void snapshot_file_close(struct snapshot_file *file, struct mem *mem);

/* Writes a block, or takes it into what will be written next. -errno. */
int snapshot_file_put(struct snapshot_file *file, const struct block *block);
/* All blocks were put. 0: the snapshot is safely on disk under its name. */
int snapshot_file_finish(struct snapshot_file *file);
/* Removes what there is of it, if anything. */
void snapshot_file_abandon(struct snapshot_file *file);

#endif
