/* The log's other thread: it syncs what was written, closes what is done with, makes ready what comes next, and removes
 * what nobody needs. See aof.c. */
#include "kvcore/base/error.h"
#include "kvcore/log/aof_parts.h"
#include "kvcore/log/segment.h"

#include <stdlib.h>

/* What one aof_sync has to do. */
struct work {
    struct part *retired; /* the newest first */
    struct disk_file *current;
    uint64_t target;
    unsigned generation;
    bool names;
};

static void take_work(struct aof *aof, struct work *work)
{
    pthread_mutex_lock(&aof->lock);
    *work = (struct work){.current = aof->current->file, .names = aof->names_changed, .generation = aof->generation};
    work->target = aof_written(aof);
    work->retired = aof->retired;
    aof->retired = NULL;
    aof->names_changed = false;
    pthread_mutex_unlock(&aof->lock);
}

static int sync_retired(struct part *part)
{
    if (!part || part->abandoned)
        return 0;
    int rc = sync_retired(part->next);
    if (rc < 0)
        return rc;
    (void)disk_truncate(part->file, part->end); /* gives back the room behind it; when it cannot, it is just kept */
    return disk_sync(part->file);
}

void aof_free_parts(struct part *part)
{
    while (part) {
        struct part *next = part->next;
        disk_close(part->file);
        free(part);
        part = next;
    }
}

/* A log that was mended meanwhile has nothing to do with what became of the segments before. */
static void tell(struct aof *aof, const struct work *work, int rc)
{
    pthread_mutex_lock(&aof->lock);
    if (aof->generation != work->generation)
        aof->names_changed = true;
    else if (rc < 0)
        aof_set_broken(aof, rc);
    else if (work->target > aof_synced(aof))
        atomic_store(&aof->synced, work->target);
    pthread_mutex_unlock(&aof->lock);
}

int aof_sync(struct aof *aof, uint64_t *ret_index)
{
    struct work work;
    int rc = aof_error(aof);
    if (rc < 0)
        return rc;
    take_work(aof, &work);
    if (work.target > aof_synced(aof) || work.names) {
        rc = sync_retired(work.retired);
        if (rc == 0)
            rc = disk_sync(work.current);
        if (rc == 0 && work.names)
            rc = disk_sync_names(aof->disk);
        tell(aof, &work, rc);
    }
    aof_free_parts(work.retired);
    if (rc == 0)
        *ret_index = work.target;
    return rc;
}

/* Blocks behind those that the current segment has, while it is not long enough to be followed anyway. */
static void extend_room(struct aof *aof)
{
    pthread_mutex_lock(&aof->lock);
    struct part *part = aof->current;
    uint64_t have = atomic_load(&aof->room_end);
    uint64_t end = atomic_load(&aof->end);
    pthread_mutex_unlock(&aof->lock);
    uint64_t from = have > end ? have : end;
    if (from - end > AOF_ROOM_STEP_BYTES / 2 || from >= aof->options.segment_bytes ||
        disk_allocate(part->file, from, AOF_ROOM_STEP_BYTES) < 0)
        return;
    pthread_mutex_lock(&aof->lock);
    if (aof->current == part) /* and nobody was faster */
        atomic_compare_exchange_strong(&aof->room_end, &have, (from + AOF_ROOM_STEP_BYTES));
    pthread_mutex_unlock(&aof->lock);
}

static void make_next(struct aof *aof)
{
    pthread_mutex_lock(&aof->lock);
    bool due = !aof->next && atomic_load(&aof->end) > aof->options.segment_bytes / 2;
    pthread_mutex_unlock(&aof->lock);
    struct disk_file *file;
    if (!due || disk_open(aof->disk, AOF_NEXT_NAME, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file) < 0)
        return;
    uint64_t room = aof->options.segment_bytes < AOF_ROOM_STEP_BYTES ? aof->options.segment_bytes : AOF_ROOM_STEP_BYTES;
    if (disk_allocate(file, 0, room) < 0)
        room = 0;
    pthread_mutex_lock(&aof->lock);
    aof->next = file;
    aof->next_room = room;
    pthread_mutex_unlock(&aof->lock);
}

void aof_prepare(struct aof *aof)
{
    if (aof_error(aof) < 0)
        return;
    extend_room(aof);
    make_next(aof);
}

/* The first segment, if all it holds is at or below `index`; 0: it must stay. */
static uint64_t removable(struct aof *aof, uint64_t index)
{
    pthread_mutex_lock(&aof->lock);
    bool go = aof->known_count > 1 && aof->known[1].first_index <= index + 1;
    uint64_t first = go ? aof->known[0].first_index : 0;
    pthread_mutex_unlock(&aof->lock);
    return first;
}

static void forget(struct aof *aof, uint64_t first_index)
{
    pthread_mutex_lock(&aof->lock);
    if (aof->known_count > 1 && aof->known[0].first_index == first_index) {
        atomic_fetch_sub(&aof->closed_bytes, aof->known[0].bytes);
        aof->known_count--;
        memmove(aof->known, aof->known + 1, aof->known_count * sizeof *aof->known);
    }
    pthread_mutex_unlock(&aof->lock);
}

int aof_remove_until(struct aof *aof, uint64_t index)
{
    for (uint64_t first; (first = removable(aof, index));) {
        int rc = aof_remove_segment(aof->disk, first);
        if (rc < 0)
            return rc;
        forget(aof, first);
    }
    return 0;
}
