#include "kvcore/log/recovery_replay.h"

#include "kvcore/base/error.h"
#include "kvcore/log/code.h"
#include "kvcore/log/segment_read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* Says why the log ends here, where record `bad_index` should be. Returns 1. */
static int stop(struct replay *replay, uint64_t bad_index, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int stop(struct replay *replay, uint64_t bad_index, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(replay->text, sizeof replay->text, format, args);
    va_end(args);
    replay->stopped = true;
    replay->bad_index = bad_index;
    return 1;
}

static int misfit(struct replay *replay, const struct record *record, int rc)
{
    snprintf(replay->text, sizeof replay->text, "record %" PRIu64 " is whole, but does not fit what is before it: %s",
             record->head.index, rc == -EBADMSG ? "an effect is not as it must be" : error_text(rc));
    return rc == -ENOMEM ? rc : -EBADMSG;
}

static int apply(struct replay *replay, const struct record *record)
{
    struct effect effect;
    size_t at = 0;
    int rc;
    while ((rc = record_next(record, &at, &effect)) > 0) {
        rc = replay->tree ? tree_apply(replay->tree, &effect) : 0;
        if (rc < 0)
            return misfit(replay, record, rc);
    }
    if (rc < 0)
        return misfit(replay, record, rc);
    replay->index = record->head.index;
    replay->time_ns = record->head.time_ns;
    replay->records++;
    if (replay->listener)
        replay->listener->on_record(replay->listener, record);
    return 0;
}

/* 0: go on; 1: it stops here. */
static int take_record(struct replay *replay, const struct record *record)
{
    if (record->head.index != replay->next_index)
        return stop(replay, replay->next_index, "record %" PRIu64 " stands where %" PRIu64 " belongs",
                    record->head.index, replay->next_index);
    replay->next_index++;
    if (record->head.epoch > replay->epoch)
        replay->epoch = record->head.epoch;
    return record->head.index > replay->held ? apply(replay, record) : 0;
}

static void tell_progress(struct replay *replay, const struct segment_reader *reader, uint64_t *told)
{
    enum { STEP_BYTES = 1 << 20 };
    uint64_t at = segment_reader_offset(reader);
    if (!replay->progress || (at - *told < STEP_BYTES && at < reader->size))
        return;
    *told = at;
    replay->progress->on_progress(replay->progress, replay->done_bytes + at, replay->total_bytes);
}

static int read_frames(struct replay *replay, struct segment_reader *reader)
{
    struct segment_frame frame;
    uint64_t told = 0;
    int rc;
    while ((rc = segment_reader_next(reader, &frame)) > 0) {
        rc = frame.kind == FRAME_RECORD ? take_record(replay, &frame.record) : 0;
        if (rc != 0)
            return rc;
        replay->end = segment_reader_offset(reader);
        tell_progress(replay, reader, &told);
    }
    if (rc == -ENODATA)
        return stop(replay, replay->next_index, "the file ends within a record");
    if (rc == -EBADMSG)
        return stop(replay, replay->next_index, "this is no whole record");
    return rc;
}

/* Is this the segment that belongs here? */
static int check_header(struct replay *replay, struct segment_reader *reader, uint64_t first_index)
{
    struct segment_header header;
    int rc = segment_reader_header(reader, &header);
    if (rc == -ENODATA || rc == -EBADMSG)
        return stop(replay, first_index, rc == -ENODATA ? "the file ends within its header" : "its header is damaged");
    if (rc < 0)
        return rc;
    if (header.first_index != first_index)
        return stop(replay, first_index, "its header is that of the segment of record %" PRIu64, header.first_index);
    if (header.epoch > replay->epoch)
        replay->epoch = header.epoch;
    replay->end = segment_reader_offset(reader);
    return 0;
}

static int replay_segment(struct replay *replay, uint64_t first_index)
{
    char name[LOG_NAME_BYTES];
    struct segment_reader reader;
    segment_name(first_index, name);
    int rc = segment_reader_open(&reader, replay->disk, name);
    if (rc < 0)
        return rc;
    replay->end = 0;
    replay->size = reader.size;
    rc = check_header(replay, &reader, first_index);
    if (rc == 0)
        rc = read_frames(replay, &reader);
    replay->done_bytes += reader.size;
    segment_reader_close(&reader);
    return rc;
}

/* The segment after one that ended well, or the first one. */
static int check_order(struct replay *replay, uint64_t first_index, bool is_first)
{
    if (is_first && first_index <= replay->held + 1) {
        replay->next_index = first_index;
        return 0;
    }
    if (first_index == replay->next_index)
        return 0;
    if (first_index < replay->next_index)
        return stop(replay, replay->next_index,
                    "it should begin with record %" PRIu64 ", not with %" PRIu64 " which another segment has",
                    replay->next_index, first_index);
    return stop(replay, replay->next_index, "records %" PRIu64 " to %" PRIu64 " before it are missing",
                replay->next_index, first_index - 1);
}

int replay_run(struct replay *replay, const uint64_t *segments, size_t from, size_t count)
{
    replay->index = replay->held;
    replay->next_index = replay->held + 1;
    for (size_t i = from; i < count; i++) {
        int rc = check_order(replay, segments[i], i == from);
        if (rc == 0) {
            replay->segment = i;
            rc = replay_segment(replay, segments[i]);
        } else {
            replay->segment = i;
            replay->end = 0;
        }
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    return 0;
}

/* Behind the stop: no frame can be trusted to follow another, so every byte is tried as the beginning of one. Marks are
 * short and cheap to try; records are only counted, within a budget of bytes to sum up, since the bytes of a value may
 * look like the head of a long one any number of times. */
struct search {
    struct bytes bytes;
    uint64_t offset; /* of the bytes in the file */
    uint64_t budget;
    struct beyond *beyond;
};

/* Returns the length of the frame at `at`; 0: there is none. */
static size_t try_frame(struct search *search, size_t at)
{
    struct bytes rest = bytes_make(search->bytes.data + at, search->bytes.len - at);
    struct segment_frame frame;
    if (rest.data[8] == FRAME_RECORD) {
        uint32_t length = get_u32(rest.data + 4);
        if (length > rest.len || length > search->budget)
            return 0;
        search->budget -= length;
    } else if (rest.data[8] != FRAME_MARK) {
        return 0;
    }
    if (segment_frame_read(rest, search->offset + at, &frame) < 0)
        return 0;
    if (frame.kind == FRAME_RECORD)
        search->beyond->records++;
    else if (frame.synced_index > search->beyond->synced_index)
        search->beyond->synced_index = frame.synced_index;
    return frame.length;
}

static void search_frames(struct search *search)
{
    for (size_t at = 0; at + FRAME_HEAD_BYTES <= search->bytes.len;) {
        size_t length = try_frame(search, at);
        at += length ? length : 1;
    }
}

/* From `offset` of a segment to its end. */
static int look_beyond(struct disk *disk, uint64_t first_index, uint64_t offset, struct beyond *beyond)
{
    enum { BUDGET_FACTOR = 64 };
    char name[LOG_NAME_BYTES];
    struct disk_file *file;
    struct segment_header header;
    struct buf bytes = {0};
    uint64_t size = 0;
    segment_name(first_index, name);
    int rc = disk_open(disk, name, 0, &file);
    if (rc < 0)
        return rc;
    rc = disk_size(file, &size);
    if (rc == 0 && size > offset)
        rc = buf_reserve(&bytes, size - offset);
    if (rc == 0 && size > offset) {
        int64_t got = disk_read(file, offset, bytes.data, size - offset);
        rc = got < 0 ? (int)got : 0;
        bytes.len = got < 0 ? 0 : (size_t)got;
    }
    disk_close(file);
    if (rc == 0 && offset == 0 && segment_header_decode(buf_bytes(&bytes), &header) == 0 &&
        header.synced_index > beyond->synced_index)
        beyond->synced_index = header.synced_index;
    beyond->bytes += bytes.len;
    struct search search = {buf_bytes(&bytes), offset, BUDGET_FACTOR * (uint64_t)bytes.len, beyond};
    if (rc == 0)
        search_frames(&search);
    buf_close(&bytes);
    return rc;
}

int replay_look_beyond(const struct replay *replay, const uint64_t *segments, size_t count, struct beyond *ret_beyond)
{
    struct beyond beyond = {0};
    for (size_t i = replay->segment; i < count; i++) {
        int rc = look_beyond(replay->disk, segments[i], i == replay->segment ? replay->end : 0, &beyond);
        if (rc < 0)
            return rc;
    }
    *ret_beyond = beyond;
    return 0;
}
