#include "kvcore/log/segment_read.h"

#include "kvcore/base/error.h"
#include "kvcore/log/code.h"

/* Large enough that a call costs nothing beside its bytes, small enough that they are still in the cache when read. */
enum { PIECE_BYTES = 256 << 10 };

int segment_reader_open(struct segment_reader *reader, struct disk *disk, const char *name)
{
    *reader = (struct segment_reader){0};
    int rc = disk_open(disk, name, 0, &reader->file);
    if (rc == 0)
        rc = disk_size(reader->file, &reader->size);
    if (rc < 0)
        segment_reader_close(reader);
    return rc;
}

void segment_reader_close(struct segment_reader *reader)
{
    disk_close(reader->file);
    buf_close(&reader->window);
    *reader = (struct segment_reader){0};
}

/* The window gets at least `need` bytes from `at` on, or all that the file has. */
static int fill(struct segment_reader *reader, size_t need)
{
    struct buf *window = &reader->window;
    buf_consume(window, reader->at);
    reader->offset += reader->at;
    reader->at = 0;
    uint64_t left = reader->size - reader->offset - window->len;
    size_t more = need > window->len + PIECE_BYTES ? need - window->len : PIECE_BYTES;
    more = more < left ? more : (size_t)left;
    int rc = buf_reserve(window, more);
    if (rc < 0)
        return rc;
    int64_t got = disk_read(reader->file, reader->offset + window->len, window->data + window->len, more);
    if (got < 0)
        return (int)got;
    window->len += (size_t)got;
    if ((size_t)got < more) /* it has become shorter */
        reader->size = reader->offset + window->len;
    return 0;
}

static struct bytes rest_of(const struct segment_reader *reader)
{
    if (reader->window.len == 0)
        return (struct bytes){0};
    return bytes_make(reader->window.data + reader->at, reader->window.len - reader->at);
}

static bool has_more(const struct segment_reader *reader) { return reader->offset + reader->window.len < reader->size; }

int segment_reader_header(struct segment_reader *reader, struct segment_header *ret_header)
{
    int rc = fill(reader, SEGMENT_HEADER_BYTES);
    if (rc == 0)
        rc = segment_header_decode(rest_of(reader), ret_header);
    if (rc == 0)
        reader->at = SEGMENT_HEADER_BYTES;
    return rc;
}

int segment_reader_next(struct segment_reader *reader, struct segment_frame *ret_frame)
{
    for (;;) {
        struct bytes rest = rest_of(reader);
        if (rest.len == 0 && !has_more(reader))
            return 0;
        int rc = segment_frame_read(rest, segment_reader_offset(reader), ret_frame);
        if (rc == 0) {
            reader->at += ret_frame->length;
            return 1;
        }
        if (rc != -ENODATA || !has_more(reader))
            return rc;
        size_t need = rest.len < FRAME_HEAD_BYTES ? FRAME_HEAD_BYTES : get_u32(rest.data + 4);
        if (need >
            reader->size - segment_reader_offset(reader)) /* a wrong length, perhaps: read no more than there is */
            return -ENODATA;
        rc = fill(reader, need);
        if (rc < 0)
            return rc;
    }
}
