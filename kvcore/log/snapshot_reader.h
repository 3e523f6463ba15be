/* A snapshot file, block by block, each checked before it is given out; and what is wrong with it.
 *
 * Memory: two blocks. The kernel reads ahead (DISK_STREAM).
 */
#ifndef KV_LOG_SNAPSHOT_READER_H
#define KV_LOG_SNAPSHOT_READER_H

#include "kvcore/base/disk.h"
#include "kvcore/log/snapshot_format.h"

struct snapshot_reader {
    struct disk_file *file;
    struct snapshot_header header;
    struct log_damage *damage;
    uint64_t size;    /* of the file */
    uint64_t offset;  /* of what `buffer` begins with */
    uint64_t current; /* of the block that was given out last */
    char *buffer;
    size_t at, filled;
    uint32_t seed, number;
    bool ended;
};

/* Opens it and reads its header. -EBADMSG and *ret_damage, which stays the reader's until it is closed; KV_VERSION;
 * -errno, -ENOMEM. */
int snapshot_reader_open(struct snapshot_reader *reader, struct disk *disk, const char *name,
                         struct log_damage *ret_damage);
void snapshot_reader_close(struct snapshot_reader *reader);

/* The next block: 1 and what it holds, borrowed until the next call; 0: the end was given out, and the file ends behind
 * it. -EBADMSG and the damage; -errno. */
int snapshot_reader_next(struct snapshot_reader *reader, struct block_head *ret_head, struct bytes *ret_payload);

/* The block that was given out last is not as it must be, for all that its checksum is right. Returns -EBADMSG. */
int snapshot_reader_refuse(struct snapshot_reader *reader, const char *why);

#endif
