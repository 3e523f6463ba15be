#include "kvcore/log/recovery_files.h"

#include "kvcore/base/buf.h"
#include "kvcore/base/error.h"
#include "kvcore/log/segment.h"
#include "kvcore/log/snapshot.h"

#include <stdlib.h>

struct lists {
    struct buf snapshots, segments; /* of uint64_t */
    bool want_segments, want_snapshots;
    int rc;
};

static void on_name(const char *name, void *user)
{
    struct lists *lists = user;
    uint64_t index;
    struct buf *into = NULL;
    if (lists->want_segments && segment_index_of(name, &index))
        into = &lists->segments;
    else if (lists->want_snapshots && snapshot_index_of(name, &index))
        into = &lists->snapshots;
    if (into && lists->rc == 0)
        lists->rc = buf_append(into, &index, sizeof index);
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* The buffer's memory goes to *ret_list. */
static void take_sorted(struct buf *buf, uint64_t **ret_list, size_t *ret_count)
{
    *ret_list = (uint64_t *)buf->data;
    *ret_count = buf->len / sizeof **ret_list;
    if (*ret_count)
        qsort(*ret_list, *ret_count, sizeof **ret_list, compare_numbers);
    *buf = (struct buf){0};
}

static int find_sizes(struct disk *disk, struct recovery_files *files)
{
    files->sizes = calloc(files->segment_count + 1, sizeof *files->sizes);
    if (!files->sizes)
        return -ENOMEM;
    for (size_t i = 0; i < files->segment_count; i++) {
        char name[LOG_NAME_BYTES];
        struct disk_file *file;
        segment_name(files->segments[i], name);
        int rc = disk_open(disk, name, 0, &file);
        if (rc < 0)
            return rc;
        rc = disk_size(file, &files->sizes[i]);
        disk_close(file);
        if (rc < 0)
            return rc;
        files->segment_bytes += files->sizes[i];
    }
    return 0;
}

int recovery_files_list(struct disk *disk, bool segments, bool snapshots, struct recovery_files *ret_files)
{
    struct lists lists = {.want_segments = segments, .want_snapshots = snapshots};
    struct recovery_files files = {0};
    int rc = disk_list(disk, on_name, &lists);
    if (rc == 0)
        rc = lists.rc;
    take_sorted(&lists.segments, &files.segments, &files.segment_count);
    take_sorted(&lists.snapshots, &files.snapshots, &files.snapshot_count);
    if (rc == 0)
        rc = find_sizes(disk, &files);
    if (rc < 0)
        recovery_files_close(&files);
    else
        *ret_files = files;
    return rc;
}

void recovery_files_close(struct recovery_files *files)
{
    free(files->snapshots);
    free(files->segments);
    free(files->sizes);
    *files = (struct recovery_files){0};
}
