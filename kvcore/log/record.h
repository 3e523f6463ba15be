/* One record: what one request has changed, as the log, a replica and recovery have it. docs/formats.md has the bytes.
 *
 * A record is atomic: all its effects or none. It is built in a buffer while its request runs, effect by effect:
 *
 *   record_begin ... record_add ... record_add ... record_end
 *
 * and read in place: what record_read gives points into the bytes it was given.
 */
#ifndef KV_LOG_RECORD_H
#define KV_LOG_RECORD_H

#include "kvcore/base/buf.h"
#include "kvcore/tree/effect.h"

/* What stands before the effects. Session and message id name the request, so that one sent again after a lost reply is
 * known; 0: none. `result` is what it was answered, opaque here, empty where nobody could ask again. */
struct record_head {
    uint64_t epoch;
    uint64_t index; /* one more than that of the record before */
    int64_t time_ns;
    uint64_t session;
    uint32_t message;
    uint16_t slot;
};

struct record {
    struct record_head head;
    uint32_t effect_count;
    struct bytes effects; /* encoded, one behind the other */
    struct bytes result;
    size_t length; /* of the whole record */
};

/* Begins a record at the end of `out` and leaves in *ret_start where. -ENOMEM. */
int record_begin(struct buf *out, const struct record_head *head, size_t *ret_start);
/* The version is the record's index and the time its time, unless the effect has others. -ENOMEM: the record is to be
 * taken back then (buf.len = start). */
int record_add(struct buf *out, size_t start, const struct effect *effect);
/* Closes it: result, length, checksum. -ENOMEM. */
int record_end(struct buf *out, size_t start, struct bytes result);

/* Reads the record at the front of `bytes`. 0; -ENODATA: the bytes end before the record does; -EBADMSG: it is not as a
 * record must be, or its checksum is wrong. Never reads past the bytes, whatever they are. */
int record_read(struct bytes bytes, struct record *ret_record);

/* The next effect: *at starts at 0. 1 and *ret_effect, which borrows from the record; 0 at the end; -EBADMSG. */
int record_next(const struct record *record, size_t *at, struct effect *ret_effect);

#endif
