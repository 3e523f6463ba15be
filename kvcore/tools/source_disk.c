/* A directory of the machine, in the order of names, by fts(3). Holes are found by lseek(2) SEEK_DATA, xattrs (POSIX
 * ACLs among them, as the kernel's own bytes) by llistxattr(2). What is on another file system below is copied too.
 */
#include "kvcore/tools/copy.h"

#include "kvcore/base/error.h"
#include "kvcore/tools/id_paths.h"

#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20, XATTRS_MAX = 1024 };

struct source_disk {
    struct source source; /* first */
    const char *top;
    FTS *fts;
    const FTSENT *entry;
    char target[SYMLINK_BYTES_MAX + 1];
    struct id_paths links;
    struct item_xattr xattrs[XATTRS_MAX];
    char names[XATTR_TOTAL_BYTES_MAX], values[XATTR_TOTAL_BYTES_MAX];
    char piece[PIECE_BYTES];
    int fd;
    off_t at, hole; /* of the file: how far it was read, and where the data at hand ends */
};

static int by_name(const FTSENT **a, const FTSENT **b) { return strcmp((*a)->fts_name, (*b)->fts_name); }

static int64_t ns_of(struct timespec time) { return time.tv_sec * 1000000000 + time.tv_nsec; }

static int begin(struct source_disk *disk, struct copy *copy)
{
    char *paths[] = {(char *)disk->top, NULL};
    struct stat stat_top;
    int rc = stat(disk->top, &stat_top) < 0 ? -errno : S_ISDIR(stat_top.st_mode) ? 0 : -ENOTDIR;
    if (rc == 0)
        disk->fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (rc == 0 && !disk->fts)
        rc = -errno;
    if (rc < 0)
        tool_complain(copy->tool, "%s: %s (%s)", disk->top, error_text(rc), error_name(rc));
    return rc;
}

/* The path below the top. */
static const char *path_of(const struct source_disk *disk, const FTSENT *entry)
{
    const char *path = entry->fts_path + strlen(disk->top);
    while (*path == '/')
        path++;
    return path;
}

static int fill_item(struct source_disk *disk, struct item *item)
{
    const FTSENT *entry = disk->entry;
    const struct stat *stat = entry->fts_statp;
    *item = (struct item){
        .path = path_of(disk, entry),
        .mode = stat->st_mode,
        .uid = stat->st_uid,
        .gid = stat->st_gid,
        .size = S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : 0,
        .rdev = stat->st_rdev,
        .atime_ns = ns_of(stat->st_atim),
        .mtime_ns = ns_of(stat->st_mtim),
    };
    if (S_ISLNK(stat->st_mode)) {
        ssize_t len = readlink(entry->fts_accpath, disk->target, sizeof disk->target - 1);
        if (len < 0)
            return -errno;
        disk->target[len] = '\0';
        item->target = disk->target;
    }
    if (!S_ISDIR(stat->st_mode) && stat->st_nlink > 1)
        item->link = id_paths_meet(&disk->links, stat->st_dev, stat->st_ino, item->path);
    return 0;
}

static int disk_next(struct source *source, struct copy *copy, struct item *ret_item)
{
    struct source_disk *disk = (struct source_disk *)source;
    int rc = disk->fts ? 0 : begin(disk, copy);
    if (rc < 0)
        return rc;
    for (;;) {
        errno = 0;
        disk->entry = fts_read(disk->fts);
        if (!disk->entry)
            return errno ? -errno : 0;
        switch (disk->entry->fts_info) {
        case FTS_DP:
            continue;
        case FTS_DNR:
        case FTS_ERR:
        case FTS_NS:
            copy_complain(copy, path_of(disk, disk->entry), -disk->entry->fts_errno, NULL);
            continue;
        }
        rc = fill_item(disk, ret_item);
        if (rc == 0)
            return 1;
        copy_complain(copy, path_of(disk, disk->entry), rc, NULL);
    }
}

/* What the mount of a store makes up by itself. */
static bool is_made_up(const char *name) { return strncmp(name, "user.kv.", 8) == 0; }

static int find_xattrs(struct source_disk *disk, struct item *item)
{
    const char *path = disk->entry->fts_accpath;
    ssize_t names = llistxattr(path, disk->names, sizeof disk->names);
    if (names < 0)
        return errno == ENOTSUP ? 0 : -errno;
    size_t used = 0, count = 0;
    for (const char *name = disk->names; name < disk->names + names; name += strlen(name) + 1) {
        if (is_made_up(name))
            continue;
        ssize_t len = lgetxattr(path, name, disk->values + used, sizeof disk->values - used);
        if (len < 0 && errno == ENODATA)
            continue;
        if (len < 0)
            return -errno;
        if (count == XATTRS_MAX)
            return -E2BIG;
        disk->xattrs[count++] = (struct item_xattr){bytes_of(name), bytes_make(disk->values + used, (size_t)len)};
        used += (size_t)len;
    }
    item->xattrs = disk->xattrs;
    item->xattr_count = count;
    return 0;
}

static int disk_open(struct source *source, struct copy *copy, struct item *item)
{
    struct source_disk *disk = (struct source_disk *)source;
    (void)copy;
    if (disk->fd >= 0)
        close(disk->fd);
    disk->fd = -1;
    disk->at = disk->hole = 0;
    if (S_ISREG(item->mode)) {
        disk->fd = open(disk->entry->fts_accpath, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (disk->fd < 0)
            return -errno;
    }
    return find_xattrs(disk, item);
}

/* Up to the size that the file had when it was found: what it grows by meanwhile comes with the next import. */
static int disk_read(struct source *source, const struct item *item, uint64_t *ret_offset, struct bytes *ret_piece)
{
    struct source_disk *disk = (struct source_disk *)source;
    off_t size = (off_t)item->size;
    if (disk->at == disk->hole) {
        disk->at = lseek(disk->fd, disk->hole, SEEK_DATA);
        disk->hole = disk->at < 0 ? -1 : lseek(disk->fd, disk->at, SEEK_HOLE);
        if (disk->hole < 0)
            return errno == ENXIO ? 0 : -errno;
    }
    if (disk->hole > size)
        disk->hole = size;
    if (disk->at >= disk->hole)
        return 0;
    off_t left = disk->hole - disk->at;
    ssize_t got = pread(disk->fd, disk->piece, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, disk->at);
    if (got < 0)
        return -errno;
    *ret_offset = (uint64_t)disk->at;
    *ret_piece = bytes_make(disk->piece, (size_t)got);
    disk->at += got;
    return got > 0;
}

static void disk_close(struct source *source)
{
    struct source_disk *disk = (struct source_disk *)source;
    if (disk->fd >= 0)
        close(disk->fd);
    if (disk->fts)
        fts_close(disk->fts);
    id_paths_close(&disk->links);
    free(disk);
}

struct source *source_disk_new(const char *path)
{
    struct source_disk *disk = calloc(1, sizeof *disk);
    if (!disk)
        return NULL;
    disk->source = (struct source){.next = disk_next, .open = disk_open, .read = disk_read, .close = disk_close};
    disk->top = path;
    disk->fd = -1;
    return &disk->source;
}
