/* Reads a segment from its beginning, in large pieces, frame by frame. */
#ifndef KV_LOG_SEGMENT_READ_H
#define KV_LOG_SEGMENT_READ_H

#include "kvcore/base/disk.h"
#include "kvcore/log/segment.h"

/* A zeroed one is closed. */
struct segment_reader {
    struct disk_file *file;
    uint64_t size;
    struct buf window; /* of the file, from `offset` on */
    uint64_t offset;
    size_t at; /* in the window: of the next frame */
};

/* -errno, -ENOMEM. */
int segment_reader_open(struct segment_reader *reader, struct disk *disk, const char *name);
void segment_reader_close(struct segment_reader *reader);

/* Before anything else. As segment_header_decode, -errno, -ENOMEM. */
int segment_reader_header(struct segment_reader *reader, struct segment_header *ret_header);

/* 1 and *ret_frame, borrowed until the next call; 0: the file ends here; -ENODATA: it ends before the frame does;
 * -EBADMSG: that is no frame; -errno, -ENOMEM. */
int segment_reader_next(struct segment_reader *reader, struct segment_frame *ret_frame);

/* Where the next frame is, or the one that could not be read. */
static inline uint64_t segment_reader_offset(const struct segment_reader *reader)
{
    return reader->offset + reader->at;
}

#endif
