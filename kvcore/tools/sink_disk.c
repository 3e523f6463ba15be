/* A tree into a directory of the machine.
 *
 * A file is written under a temporary name beside its own, gets its xattrs, owner, mode and times, and is renamed: so
 * nobody ever reads half of it, and what bears the right time is whole. Who is not root cannot give files away: they
 * are theirs then, as tar(1) does it.
 */
#include "kvcore/tools/copy.h"

#include "kvcore/base/error.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct sink_disk {
    struct sink sink; /* first */
    const char *top;
    unsigned temporary; /* so many were made */
    int fd;             /* the file being written, or -1 */
    char path[PATH_MAX];
    char name[PATH_MAX]; /* where it is written */
};

static int join(char *out, const char *top, const char *path)
{
    int len = snprintf(out, PATH_MAX, "%s%s%s", top, *path ? "/" : "", path);
    return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int result(int rc) { return rc < 0 ? -errno : 0; }

static struct timespec time_of(int64_t ns)
{
    int64_t s = ns / 1000000000, rest = ns % 1000000000;
    if (rest < 0) {
        rest += 1000000000;
        s--;
    }
    return (struct timespec){.tv_sec = s, .tv_nsec = rest};
}

static int64_t ns_of(struct timespec time) { return time.tv_sec * 1000000000 + time.tv_nsec; }

/* xattr(7): what only root may set is left out for others. */
static bool may_set(struct bytes name)
{
    return geteuid() == 0 || (name.len > 5 && memcmp(name.data, "user.", 5) == 0) ||
           (name.len > 7 && memcmp(name.data, "system.", 7) == 0);
}

static int set_xattrs(const char *path, const struct item *item)
{
    char name[XATTR_NAME_BYTES_MAX + 1];
    for (size_t i = 0; i < item->xattr_count; i++) {
        const struct item_xattr *xattr = &item->xattrs[i];
        if (!may_set(xattr->name) || xattr->name.len >= sizeof name)
            continue;
        memcpy(name, xattr->name.data, xattr->name.len);
        name[xattr->name.len] = '\0';
        if (lsetxattr(path, name, xattr->value.data, xattr->value.len, 0) < 0)
            return -errno;
    }
    return 0;
}

/* Owner first: a change of owner takes set-id bits and capabilities away. */
static int set_attributes(const char *path, const struct item *item)
{
    struct timespec times[] = {time_of(item->atime_ns), time_of(item->mtime_ns)};
    int rc = result(lchown(path, item->uid, item->gid));
    if (rc == -EPERM && geteuid() != 0)
        rc = 0;
    if (rc == 0)
        rc = set_xattrs(path, item);
    if (rc == 0 && !S_ISLNK(item->mode))
        rc = result(chmod(path, item->mode & 07777));
    if (rc == 0)
        rc = result(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW));
    return rc;
}

static bool disk_has(struct sink *sink, struct copy *copy, const struct item *item)
{
    struct sink_disk *disk = (struct sink_disk *)sink;
    struct stat there, first;
    (void)copy;
    if (join(disk->path, disk->top, item->path) < 0 || lstat(disk->path, &there) < 0)
        return false;
    if (item->link)
        return join(disk->name, disk->top, item->link) == 0 && lstat(disk->name, &first) == 0 &&
               first.st_ino == there.st_ino && first.st_dev == there.st_dev;
    if ((there.st_mode ^ item->mode) & S_IFMT || ns_of(there.st_mtim) != item->mtime_ns)
        return false;
    return !S_ISREG(item->mode) || (uint64_t)there.st_size == item->size;
}

static int make_dir(struct sink_disk *disk)
{
    struct stat there;
    if (mkdir(disk->path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (lstat(disk->path, &there) < 0)
        return -errno;
    if (disk->path[strlen(disk->top)] == '\0' && stat(disk->path, &there) < 0) /* the top may be a symlink */
        return -errno;
    return S_ISDIR(there.st_mode) ? 0 : -ENOTDIR;
}

static int begin_temporary(struct sink_disk *disk)
{
    const char *slash = strrchr(disk->path, '/');
    int len = snprintf(disk->name, sizeof disk->name, "%.*s/.kv-%ld-%u", (int)(slash - disk->path), disk->path,
                       (long)getpid(), disk->temporary++);
    if (len < 0 || (size_t)len >= sizeof disk->name)
        return -ENAMETOOLONG;
    disk->fd = open(disk->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return result(disk->fd);
}

/* A symlink, a special file or one more name, in place of what is there. */
static int make_other(struct sink_disk *disk, const struct item *item)
{
    if (unlink(disk->path) < 0 && errno != ENOENT)
        return -errno;
    if (item->link) {
        int rc = join(disk->name, disk->top, item->link);
        return rc < 0 ? rc : result(link(disk->name, disk->path));
    }
    int rc = S_ISLNK(item->mode) ? result(symlink(item->target, disk->path))
                                 : result(mknod(disk->path, (item->mode & S_IFMT) | 0600, item->rdev));
    return rc < 0 ? rc : set_attributes(disk->path, item);
}

static int disk_make(struct sink *sink, struct copy *copy, const struct item *item)
{
    struct sink_disk *disk = (struct sink_disk *)sink;
    (void)copy;
    int rc = join(disk->path, disk->top, item->path);
    if (rc < 0)
        return rc;
    if (S_ISDIR(item->mode))
        return make_dir(disk);
    return S_ISREG(item->mode) && !item->link ? begin_temporary(disk) : make_other(disk, item);
}

static int disk_write(struct sink *sink, struct copy *copy, const struct item *item, uint64_t offset,
                      struct bytes piece)
{
    struct sink_disk *disk = (struct sink_disk *)sink;
    (void)copy, (void)item;
    for (size_t done = 0; done < piece.len;) {
        ssize_t put = pwrite(disk->fd, piece.data + done, piece.len - done, (off_t)(offset + done));
        if (put < 0)
            return -errno;
        done += (size_t)put;
    }
    return 0;
}

static int disk_end(struct sink *sink, struct copy *copy, const struct item *item, int rc)
{
    struct sink_disk *disk = (struct sink_disk *)sink;
    (void)copy;
    if (rc == 0)
        rc = result(ftruncate(disk->fd, (off_t)item->size));
    if (close(disk->fd) < 0 && rc == 0)
        rc = -errno;
    disk->fd = -1;
    if (rc == 0)
        rc = set_attributes(disk->name, item);
    if (rc == 0)
        rc = result(rename(disk->name, disk->path));
    if (rc < 0)
        unlink(disk->name);
    return rc;
}

static int disk_leave(struct sink *sink, struct copy *copy, const struct item *item)
{
    struct sink_disk *disk = (struct sink_disk *)sink;
    (void)copy;
    int rc = join(disk->path, disk->top, item->path);
    return rc < 0 ? rc : set_attributes(disk->path, item);
}

static int disk_finish(struct sink *sink, struct copy *copy)
{
    (void)sink, (void)copy;
    return 0;
}

static void disk_close(struct sink *sink) { free(sink); }

struct sink *sink_disk_new(const char *path)
{
    struct sink_disk *disk = calloc(1, sizeof *disk);
    if (!disk)
        return NULL;
    disk->sink = (struct sink){.has = disk_has,
                               .make = disk_make,
                               .write = disk_write,
                               .end = disk_end,
                               .leave = disk_leave,
                               .finish = disk_finish,
                               .close = disk_close};
    disk->top = path;
    disk->fd = -1;
    return &disk->sink;
}
