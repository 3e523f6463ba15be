/* WHAT IS WHERE
 *
 *   pending            appended, not written: [room for a mark | records]
 *   current            the segment that is written to, at `end`
 *   retired segments   full or abandoned ones whose files are still open: to be synced and closed by aof_sync
 *   next               a file without a name of its own yet (log-next.tmp), made and allocated ahead by aof_prepare
 *
 * The store's thread is in this file, the other one in aof_sync.c; aof_open.c opens and closes.
 *
 * ROTATION waits for nothing but a rename: the old segment is handed to the other thread, which syncs it before it
 * calls anything behind it synced; the new one gets its header, then its name. A power loss in between may leave the
 * new segment and take records from the end of the old one; none of them had been called synced, and no mark covers
 * them, so recovery cuts the log there.
 *
 * THE ORDER that makes a crash safe: sync retired segments, sync the current one, sync the names, then say so.
 * aof_open removes what lies behind the end that recovery has found, and syncs that, before the first record goes
 * behind that end: or the dead could come back.
 *
 * ROOM. The current segment has blocks allocated up to `room_end`, extended by AOF_ROOM_STEP_BYTES, mostly by the other
 * thread before it is needed. The file's size is what was written, so that no zeros are read behind the end.
 *
 * The lock guards what both threads touch, and is held for a few assignments at a time. Files are closed by the other
 * thread alone, so it may use one that the first has just retired.
 *
 * Rejected: O_DIRECT with padded blocks, as it needs room for one block a record when records come one by one; a thread
 * for the writes too, since handing over costs more than a write(2) into the page cache.
 */
#include "kvcore/log/aof.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/log/aof_parts.h"
#include "kvcore/log/segment.h"

#include <stdlib.h>

enum {
    DIRECT_BYTES = 256 << 10, /* a record as long as this is not copied */
    KEEP_BYTES = 1 << 20,     /* a pending buffer larger than this is given back once it is empty */
};

static bool is_no_room(int rc) { return rc == -ENOSPC || rc == -EDQUOT; }

uint64_t aof_appended(const struct aof *aof) { return atomic_load(&aof->appended); }
uint64_t aof_written(const struct aof *aof) { return atomic_load(&aof->written); }
uint64_t aof_synced(const struct aof *aof) { return atomic_load(&aof->synced); }
int aof_error(const struct aof *aof) { return atomic_load(&aof->error); }
uint64_t aof_bytes(const struct aof *aof) { return atomic_load(&aof->closed_bytes) + atomic_load(&aof->end); }

int aof_set_broken(struct aof *aof, int rc)
{
    int none = 0;
    atomic_compare_exchange_strong(&aof->error, &none, rc);
    return aof_error(aof);
}

/* The list of segments */

int aof_reserve_known(struct aof *aof)
{
    pthread_mutex_lock(&aof->lock);
    int rc = 0;
    if (aof->known_count == aof->known_capacity) {
        size_t capacity = aof->known_capacity ? 2 * aof->known_capacity : 16;
        struct known *known = realloc(aof->known, capacity * sizeof *known);
        if (known) {
            aof->known = known;
            aof->known_capacity = capacity;
        }
        rc = known ? 0 : -ENOMEM;
    }
    pthread_mutex_unlock(&aof->lock);
    return rc;
}

void aof_know(struct aof *aof, uint64_t first_index, uint64_t bytes)
{
    CHECK(aof->known_count < aof->known_capacity);
    aof->known[aof->known_count++] = (struct known){first_index, bytes};
}

/* Beginning a segment */

/* A file that is to be a segment. */
struct blank {
    struct disk_file *file;
    const char *name;
    uint64_t room;
};

/* The one that aof_prepare has made, or one made now: under another name, since aof_prepare may just be at it. */
static int take_blank(struct aof *aof, struct blank *blank)
{
    pthread_mutex_lock(&aof->lock);
    *blank = (struct blank){aof->next, AOF_NEXT_NAME, aof->next_room};
    aof->next = NULL;
    pthread_mutex_unlock(&aof->lock);
    if (blank->file)
        return 0;
    *blank = (struct blank){.name = AOF_NOW_NAME};
    return disk_open(aof->disk, blank->name, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &blank->file);
}

/* Gives the file its header, then its name. */
static int name_segment(struct aof *aof, const struct blank *blank, const struct segment_header *header)
{
    char bytes[SEGMENT_HEADER_BYTES], name[LOG_NAME_BYTES];
    segment_header_encode(header, bytes);
    segment_name(header->first_index, name);
    int rc = disk_write(blank->file, 0, bytes, sizeof bytes);
    return rc < 0 ? rc : disk_rename(aof->disk, blank->name, name);
}

/* From here on `part` is the current segment. */
static void change_current(struct aof *aof, struct part *part, uint64_t room, bool abandon)
{
    pthread_mutex_lock(&aof->lock);
    struct part *old = aof->current;
    uint64_t end = atomic_load(&aof->end);
    bool again = old && old->first_index == part->first_index; /* it holds nothing, and its name goes to the new one */
    if (old) {
        old->end = end;
        old->abandoned = abandon;
        old->next = aof->retired;
        aof->retired = old;
    }
    if (old && !again) {
        aof->known[aof->known_count - 1].bytes = end;
        atomic_fetch_add(&aof->closed_bytes, end);
    }
    if (!again)
        aof_know(aof, part->first_index, 0);
    aof->current = part;
    aof->names_changed = true;
    atomic_store(&aof->end, SEGMENT_HEADER_BYTES);
    atomic_store(&aof->room_end, room);
    aof->rotate_at = aof->options.segment_bytes;
    pthread_mutex_unlock(&aof->lock);
}

int aof_begin_segment(struct aof *aof, uint64_t synced_index, bool abandon)
{
    struct segment_header header = {aof->options.epoch, aof_appended(aof) + 1, synced_index};
    struct part *part = malloc(sizeof *part);
    struct blank blank = {0};
    int rc = part ? aof_reserve_known(aof) : -ENOMEM;
    if (rc == 0)
        rc = take_blank(aof, &blank);
    if (rc == 0)
        rc = name_segment(aof, &blank, &header);
    if (rc < 0) {
        disk_close(blank.file);
        free(part);
        return rc;
    }
    *part = (struct part){.file = blank.file, .first_index = header.first_index};
    change_current(aof, part, blank.room, abandon);
    return 0;
}

/* Room, appending, writing: the store's thread */

int aof_room(struct aof *aof, uint64_t bytes)
{
    if (aof_error(aof) < 0 || aof->stuck < 0)
        return aof_error(aof) < 0 ? aof_error(aof) : aof->stuck;
    uint64_t have = atomic_load(&aof->room_end);
    uint64_t need = atomic_load(&aof->end) + aof->pending.len + bytes;
    if (need <= have)
        return 0;
    /* A step ahead; on a disk that has no such room, what is needed now. */
    uint64_t from = have > atomic_load(&aof->end) ? have : atomic_load(&aof->end), to = need + AOF_ROOM_STEP_BYTES;
    int rc = disk_allocate(aof->current->file, from, to - from);
    if (is_no_room(rc)) {
        to = need;
        rc = disk_allocate(aof->current->file, from, to - from);
    }
    if (rc == 0)
        atomic_store(&aof->room_end, to);
    return rc;
}

/* Writes at the end. */
static int write_bytes(struct aof *aof, struct bytes bytes)
{
    uint64_t end = atomic_load(&aof->end);
    int rc = disk_write(aof->current->file, end, bytes.data, bytes.len);
    aof->stuck = is_no_room(rc) ? rc : 0;
    if (rc < 0)
        return is_no_room(rc) ? rc : aof_set_broken(aof, rc);
    pthread_mutex_lock(&aof->lock);
    atomic_store(&aof->end, end + bytes.len);
    atomic_store(&aof->written, aof_appended(aof));
    pthread_mutex_unlock(&aof->lock);
    return 0;
}

static void empty_pending(struct aof *aof)
{
    aof->pending.len = MARK_BYTES;
    if (aof->pending.capacity <= KEEP_BYTES)
        return;
    char *smaller = realloc(aof->pending.data, KEEP_BYTES);
    if (!smaller)
        return;
    aof->pending.data = smaller;
    aof->pending.capacity = KEEP_BYTES;
}

/* The current segment is full. One that cannot be followed now, for want of room perhaps, goes on for a while. */
static void rotate_if_full(struct aof *aof)
{
    uint64_t end = atomic_load(&aof->end);
    if (end < aof->rotate_at)
        return;
    if (aof->current->first_index > aof_appended(aof) || aof_begin_segment(aof, aof_synced(aof), false) < 0)
        aof->rotate_at = end + aof->options.segment_bytes / 8;
}

/* All that waits, and a mark before it if there is something new to say; leaves the segment as it is. */
int aof_write_pending(struct aof *aof)
{
    uint64_t synced = aof_synced(aof);
    size_t from = MARK_BYTES;
    if (synced > aof->marked) {
        segment_mark_encode(atomic_load(&aof->end), synced, aof->pending.data);
        from = 0;
    }
    if (aof->pending.len == from)
        return 0;
    int rc = write_bytes(aof, bytes_make(aof->pending.data + from, aof->pending.len - from));
    if (is_no_room(rc) && aof->pending.len == MARK_BYTES) { /* nothing but a mark: it can wait */
        aof->stuck = 0;
        return 0;
    }
    if (rc < 0)
        return rc;
    aof->marked = synced;
    empty_pending(aof);
    return 0;
}

int aof_write(struct aof *aof)
{
    int rc = aof_error(aof);
    if (rc == 0)
        rc = aof_write_pending(aof);
    if (rc == 0)
        rotate_if_full(aof);
    return rc;
}

/* A long record: 0, or nothing of it was taken. */
static int append_direct(struct aof *aof, uint64_t index, struct bytes record)
{
    int rc = aof_write(aof);
    if (rc < 0)
        return rc;
    atomic_store(&aof->appended, index);
    rc = write_bytes(aof, record);
    if (rc < 0)
        atomic_store(&aof->appended, index - 1);
    return rc;
}

int aof_append(struct aof *aof, uint64_t index, struct bytes record)
{
    CHECK(index == aof_appended(aof) + 1);
    if (record.len >= DIRECT_BYTES && append_direct(aof, index, record) == 0)
        return 0;
    int rc = aof_error(aof);
    if (rc == 0)
        rc = record.data ? buf_append(&aof->pending, record.data, record.len) : -ENOMEM;
    if (rc < 0)
        rc = aof_set_broken(aof, rc);
    atomic_store(&aof->appended, index);
    return rc;
}

int aof_mend(struct aof *aof)
{
    uint64_t appended = aof_appended(aof);
    int rc = aof_begin_segment(aof, appended, true);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&aof->lock);
    aof->generation++;
    for (struct part *part = aof->retired; part; part = part->next)
        part->abandoned = true;
    atomic_store(&aof->written, appended);
    atomic_store(&aof->synced, appended);
    atomic_store(&aof->error, 0);
    pthread_mutex_unlock(&aof->lock);
    aof->marked = appended; /* the header says so */
    aof->stuck = 0;
    empty_pending(aof);
    return 0;
}

int aof_rotate(struct aof *aof)
{
    int rc = aof_error(aof);
    if (rc == 0)
        rc = aof_write_pending(aof);
    if (rc < 0 || aof->current->first_index > aof_appended(aof)) /* or it holds nothing yet */
        return rc;
    return aof_begin_segment(aof, aof_synced(aof), false);
}
