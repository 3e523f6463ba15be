/* Opening a log where recovery has ended, and closing it. */
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/log/aof_parts.h"
#include "kvcore/log/segment.h"

#include <stdlib.h>

struct names {
    uint64_t *first;
    size_t count, capacity;
    int rc;
};

static void collect_name(const char *name, void *user)
{
    struct names *names = user;
    uint64_t first;
    if (names->rc < 0 || !segment_index_of(name, &first))
        return;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 16;
        uint64_t *grown = realloc(names->first, capacity * sizeof *grown);
        if (!grown) {
            names->rc = -ENOMEM;
            return;
        }
        names->first = grown;
        names->capacity = capacity;
    }
    names->first[names->count++] = first;
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static int list_segments(struct disk *disk, struct names *names)
{
    int rc = disk_list(disk, collect_name, names);
    if (rc == 0)
        rc = names->rc;
    if (rc == 0 && names->count)
        qsort(names->first, names->count, sizeof *names->first, compare_numbers);
    return rc;
}

/* A segment of an earlier run: what its process had not synced is synced now. */
static int adopt_segment(struct aof *aof, uint64_t first_index)
{
    char name[LOG_NAME_BYTES];
    struct disk_file *file;
    uint64_t size = 0;
    segment_name(first_index, name);
    int rc = disk_open(aof->disk, name, DISK_WRITE, &file);
    if (rc < 0)
        return rc;
    rc = disk_size(file, &size);
    if (rc == 0)
        rc = disk_sync(file);
    if (rc == 0)
        rc = aof_reserve_known(aof);
    if (rc == 0) {
        aof_know(aof, first_index, size);
        atomic_fetch_add(&aof->closed_bytes, size);
    }
    disk_close(file);
    return rc;
}

int aof_remove_segment(struct disk *disk, uint64_t first_index)
{
    char name[LOG_NAME_BYTES];
    segment_name(first_index, name);
    int rc = disk_remove(disk, name);
    return rc == -ENOENT ? 0 : rc;
}

/* Removes the segments behind the end and takes over those before it. `kept`: the one to go on in, or 0. The last one
 * goes first, and for good before the next one goes: a power loss must not leave a later one without those before. */
static int settle_segments(struct aof *aof, const struct names *names, uint64_t last_index, uint64_t kept)
{
    int rc = 0;
    for (size_t i = names->count; rc == 0 && i-- > 0;) {
        if (names->first[i] <= last_index || names->first[i] == kept)
            continue;
        rc = aof_remove_segment(aof->disk, names->first[i]);
        if (rc == 0)
            rc = disk_sync_names(aof->disk);
    }
    for (size_t i = 0; rc == 0 && i < names->count; i++)
        if (names->first[i] <= last_index && names->first[i] != kept)
            rc = adopt_segment(aof, names->first[i]);
    return rc;
}

/* Cuts what is behind the end and goes on there. */
static int reopen_segment(struct aof *aof, const char *name, uint64_t first_index, uint64_t end)
{
    struct disk_file *file;
    int rc = disk_open(aof->disk, name, DISK_WRITE, &file);
    if (rc < 0)
        return rc;
    rc = disk_truncate(file, end);
    if (rc == 0)
        rc = disk_sync(file);
    if (rc == 0)
        rc = aof_reserve_known(aof);
    aof->current = rc == 0 ? malloc(sizeof *aof->current) : NULL;
    if (!aof->current) {
        disk_close(file);
        return rc < 0 ? rc : -ENOMEM;
    }
    *aof->current = (struct part){.file = file, .first_index = first_index};
    aof_know(aof, first_index, 0);
    atomic_store(&aof->end, end);
    aof->rotate_at = aof->options.segment_bytes;
    return 0;
}

static int open_segments(struct aof *aof, uint64_t last_index, const char *name, uint64_t end_bytes)
{
    struct names names = {0};
    uint64_t kept = 0;
    if (name && (!segment_index_of(name, &kept) || end_bytes < SEGMENT_HEADER_BYTES))
        return -EINVAL;
    (void)disk_remove(aof->disk, AOF_NEXT_NAME); /* of a run that was broken off */
    (void)disk_remove(aof->disk, AOF_NOW_NAME);
    int rc = list_segments(aof->disk, &names);
    if (rc == 0)
        rc = settle_segments(aof, &names, last_index, kept);
    if (rc == 0)
        rc = name ? reopen_segment(aof, name, kept, end_bytes) : aof_begin_segment(aof, last_index, false);
    if (rc == 0 && !name)
        rc = disk_sync(aof->current->file);
    if (rc == 0)
        rc = disk_sync_names(aof->disk);
    aof->names_changed = false;
    free(names.first);
    return rc;
}

int aof_open(struct disk *disk, const struct aof_options *options, uint64_t last_index, const char *name,
             uint64_t end_bytes, struct aof **ret_aof)
{
    struct aof *aof = calloc(1, sizeof *aof);
    if (!aof)
        return -ENOMEM;
    aof->disk = disk;
    aof->options = *options;
    if (aof->options.segment_bytes < SEGMENT_BYTES_MIN)
        aof->options.segment_bytes = SEGMENT_BYTES_MIN;
    pthread_mutex_init(&aof->lock, NULL);
    atomic_store(&aof->appended, last_index);
    atomic_store(&aof->written, last_index);
    atomic_store(&aof->synced, last_index);
    int rc = buf_reserve(&aof->pending, MARK_BYTES);
    if (rc == 0)
        rc = open_segments(aof, last_index, name, end_bytes);
    if (rc < 0) {
        atomic_store(&aof->error, rc);
        aof_close(aof);
        return rc;
    }
    aof->pending.len = MARK_BYTES;
    *ret_aof = aof;
    return 0;
}

/* Everything is safe, and a last mark says so. */
static void finish(struct aof *aof)
{
    uint64_t index;
    if (aof_write(aof) < 0 || aof_sync(aof, &index) < 0 || aof_write_pending(aof) < 0)
        return;
    (void)disk_truncate(aof->current->file, atomic_load(&aof->end));
    (void)disk_sync(aof->current->file);
}

void aof_close(struct aof *aof)
{
    if (!aof)
        return;
    if (aof->current)
        finish(aof);
    aof_free_parts(aof->retired);
    aof_free_parts(aof->current);
    if (aof->next) {
        disk_close(aof->next);
        (void)disk_remove(aof->disk, AOF_NEXT_NAME);
    }
    pthread_mutex_destroy(&aof->lock);
    buf_close(&aof->pending);
    free(aof->known);
    free(aof);
}
