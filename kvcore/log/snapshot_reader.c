#include "kvcore/log/snapshot_reader.h"

#include "kvcore/base/error.h"
#include "kvcore/log/code.h"

#include <stdio.h>
#include <stdlib.h>

/* So much is read at a time: what still lies in the processor's cache when it is decoded. */
enum { BUFFER_BYTES = 2 * BLOCK_BYTES_MAX, READ_BYTES = 256 << 10 };

/* Reads on, so that as much as possible of what follows `at` is in the buffer. */
static int fill(struct snapshot_reader *reader)
{
    reader->filled -= reader->at;
    memmove(reader->buffer, reader->buffer + reader->at, reader->filled);
    reader->offset += reader->at;
    reader->at = 0;
    size_t room = BUFFER_BYTES - reader->filled;
    int64_t got = disk_read(reader->file, reader->offset + reader->filled, reader->buffer + reader->filled,
                            room < READ_BYTES ? room : READ_BYTES);
    if (got < 0)
        return (int)got;
    reader->filled += (size_t)got;
    return 0;
}

static struct bytes ahead(const struct snapshot_reader *reader)
{
    return bytes_make(reader->buffer + reader->at, reader->filled - reader->at);
}

/* How far to the next whole block of this snapshot in these bytes, which may be damaged; their length: there is none.
 */
static size_t find_block(const struct snapshot_reader *reader, struct bytes bytes, struct block_head *ret_head)
{
    size_t at = 0;
    for (; at + BLOCK_HEAD_BYTES <= bytes.len; at++)
        if (block_is_plausible(bytes.data + at, ret_head) && ret_head->number >= reader->number &&
            block_check(bytes_make(bytes.data + at, bytes.len - at), reader->seed, ret_head) == 0)
            return at;
    return bytes.len;
}

/* Whole blocks behind the damage. */
static uint64_t count_beyond(struct snapshot_reader *reader)
{
    uint64_t count = 0;
    struct block_head head;
    while (fill(reader) == 0 && reader->filled >= BLOCK_HEAD_BYTES) {
        size_t skip = find_block(reader, ahead(reader), &head);
        if (skip < reader->filled) {
            count++;
            skip += head.length;
        } else { /* one may begin in the last bytes */
            skip = reader->filled > BLOCK_BYTES_MAX ? reader->filled - BLOCK_BYTES_MAX : reader->filled;
        }
        reader->at = skip;
    }
    return count;
}

static int damaged(struct snapshot_reader *reader, uint64_t offset, const char *why)
{
    reader->damage->offset = offset;
    snprintf(reader->damage->text, sizeof reader->damage->text, "%s", why);
    reader->damage->records_beyond = 0;
    if (reader->seed)
        reader->damage->records_beyond = count_beyond(reader);
    return -EBADMSG;
}

static int read_header(struct snapshot_reader *reader)
{
    int rc = fill(reader);
    if (rc < 0)
        return rc;
    rc = snapshot_header_decode(ahead(reader), &reader->header, &reader->seed);
    if (rc == -ENODATA)
        return damaged(reader, 0, "the file ends within its header");
    if (rc == -EBADMSG)
        return damaged(reader, 0, "the header is not that of a snapshot, or its checksum is wrong");
    reader->at = SNAPSHOT_HEADER_BYTES;
    return rc;
}

int snapshot_reader_open(struct snapshot_reader *reader, struct disk *disk, const char *name,
                         struct log_damage *ret_damage)
{
    *reader = (struct snapshot_reader){.damage = ret_damage};
    snprintf(ret_damage->file, sizeof ret_damage->file, "%s", name);
    reader->buffer = malloc(BUFFER_BYTES);
    if (!reader->buffer)
        return -ENOMEM;
    int rc = disk_open(disk, name, DISK_STREAM, &reader->file);
    if (rc == 0)
        rc = disk_size(reader->file, &reader->size);
    if (rc == 0)
        rc = read_header(reader);
    if (rc < 0)
        snapshot_reader_close(reader);
    return rc;
}

void snapshot_reader_close(struct snapshot_reader *reader)
{
    disk_close(reader->file);
    free(reader->buffer);
    *reader = (struct snapshot_reader){0};
}

static int check_end(struct snapshot_reader *reader)
{
    int rc = reader->filled == reader->at ? fill(reader) : 0;
    if (rc < 0)
        return rc;
    return reader->filled > reader->at
               ? damaged(reader, reader->offset + reader->at, "the file goes on behind its last block")
               : 0;
}

int snapshot_reader_next(struct snapshot_reader *reader, struct block_head *ret_head, struct bytes *ret_payload)
{
    if (reader->ended)
        return check_end(reader);
    struct block_head head;
    int rc;
    while ((rc = block_check(ahead(reader), reader->seed, &head)) == -ENODATA) {
        size_t before = ahead(reader).len;
        rc = fill(reader);
        if (rc < 0)
            return rc;
        if (ahead(reader).len == before) {
            rc = -ENODATA;
            break;
        }
    }
    reader->current = reader->offset + reader->at;
    if (rc == -ENODATA)
        return damaged(reader, reader->current,
                       ahead(reader).len ? "the file ends within this block, or the block's length is wrong"
                                         : "the file ends before its last block");
    if (rc == -EBADMSG)
        return damaged(reader, reader->current, "the checksum of this block is wrong");
    if (head.number != reader->number || (head.kind == BLOCK_SLOTS) != (head.number == 0))
        return damaged(reader, reader->current, "this block is not the one that belongs here");
    *ret_payload = bytes_make(ahead(reader).data + BLOCK_HEAD_BYTES, head.length - BLOCK_HEAD_BYTES);
    *ret_head = head;
    reader->at += head.length;
    reader->number++;
    reader->ended = head.kind == BLOCK_END;
    return 1;
}

int snapshot_reader_refuse(struct snapshot_reader *reader, const char *why)
{
    return damaged(reader, reader->current, why);
}
