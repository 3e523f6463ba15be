/* One file of the log, `log-<20 digits>.aof`, named by the index of its first record: a header, then frames, each a
 * record (record.h) or a mark. docs/formats.md has the bytes.
 *
 * MARKS tell a torn tail from damage. After a power loss the part of the log that was not synced may be there in any
 * pieces: a bad record with good ones behind it is then no damage, and nothing that was promised is lost when the log
 * is cut there. The same sight in the part that was synced means that the disk has lost what it had promised to keep.
 * So the writer says, in a mark before the next records and in the header of each new segment, up to which record all
 * was synced. A bad record is damage if any mark behind it covers it, in this segment or in a later one.
 *
 * A mark's checksum covers the place where it stands as well, so that a log which somebody stored as a value is not
 * taken for one.
 */
#ifndef KV_LOG_SEGMENT_H
#define KV_LOG_SEGMENT_H

#include "kvcore/base/bytes.h"
#include "kvcore/log/damage.h"
#include "kvcore/log/frame.h"
#include "kvcore/log/record.h"

enum { SEGMENT_VERSION = 1, SEGMENT_HEADER_BYTES = 48, MARK_BYTES = FRAME_HEAD_BYTES + 8 };

struct segment_header {
    uint64_t epoch;        /* of the node when it was begun */
    uint64_t first_index;  /* of the first record that it is to hold */
    uint64_t synced_index; /* up to here all was synced when it was begun */
};

void segment_name(uint64_t first_index, char name[LOG_NAME_BYTES]);
/* False: that is no segment's name. */
bool segment_index_of(const char *name, uint64_t *ret_first_index);

void segment_header_encode(const struct segment_header *header, char out[SEGMENT_HEADER_BYTES]);
/* -ENODATA: it is not all there; -EBADMSG; KV_VERSION: it is of a newer format. */
int segment_header_decode(struct bytes bytes, struct segment_header *ret_header);

/* A mark that will stand at `offset` of its segment. */
void segment_mark_encode(uint64_t offset, uint64_t synced_index, char out[MARK_BYTES]);

struct segment_frame {
    enum frame_kind kind;
    size_t length;
    struct record record;  /* of a record */
    uint64_t synced_index; /* of a mark */
};

/* The frame at the front of `bytes`, which stand at `offset` of the segment. 0; as record_read. */
int segment_frame_read(struct bytes bytes, uint64_t offset, struct segment_frame *ret_frame);

#endif
