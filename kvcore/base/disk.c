/* The machine's disk behind the seam. Nothing is decided here, but how a stream is written (DISK_STREAM): by O_DIRECT,
 * since its pages would count towards the limit at which the kernel lets every writer wait (vm.dirty_ratio), the log's
 * too, and push out others that are needed. Where a file system or disk does not take that, each write is sent on its
 * way at once (sync_file_range(2)), so that little ever waits. docs/performance.md has figures.
 */
#include "kvcore/base/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct system_disk {
    struct disk disk; /* first */
    int fd;           /* of the directory */
};

struct system_file {
    struct disk_file file; /* first */
    int fd;
    bool stream; /* written to as one */
};

static int directory_fd(const struct disk *disk) { return ((const struct system_disk *)disk)->fd; }
static int file_fd(const struct disk_file *file) { return ((const struct system_file *)file)->fd; }
static struct system_file *file_of(struct disk_file *file) { return (struct system_file *)file; }
static int result(int rc) { return rc < 0 ? -errno : 0; }

static int open_stream(int directory, const char *name, int how)
{
    int fd = openat(directory, name, how | O_DIRECT, 0600);
    return fd < 0 && errno == EINVAL ? openat(directory, name, how, 0600) : fd;
}

static int system_open(struct disk *disk, const char *name, unsigned flags, struct disk_file **ret_file)
{
    int how = O_CLOEXEC | O_NOFOLLOW | (flags & DISK_WRITE ? O_RDWR : O_RDONLY);
    how |= flags & DISK_CREATE ? O_CREAT : 0;
    how |= flags & DISK_EXCLUSIVE ? O_EXCL : 0;
    how |= flags & DISK_TRUNCATE ? O_TRUNC : 0;
    struct system_file *file = malloc(sizeof *file);
    if (!file)
        return -ENOMEM;
    *file = (struct system_file){.file = {disk}, .stream = flags & DISK_STREAM && flags & DISK_WRITE};
    file->fd = file->stream ? open_stream(directory_fd(disk), name, how) : openat(directory_fd(disk), name, how, 0600);
    if (file->fd >= 0 && flags & DISK_STREAM)
        posix_fadvise(file->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    if (file->fd < 0) {
        int rc = -errno;
        free(file);
        return rc;
    }
    *ret_file = &file->file;
    return 0;
}

static void system_close(struct disk_file *file)
{
    close(file_fd(file));
    free(file);
}

static int64_t system_read(struct disk_file *file, uint64_t offset, void *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t got = pread(file_fd(file), (char *)bytes + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

/* Through the page cache from now on. False: it goes there already. */
static bool leave_direct(struct system_file *file)
{
    int flags = file->stream ? fcntl(file->fd, F_GETFL) : 0;
    return flags & O_DIRECT && fcntl(file->fd, F_SETFL, flags & ~O_DIRECT) == 0;
}

static int system_write(struct disk_file *file, uint64_t offset, const void *bytes, size_t length)
{
    size_t done = 0;
    while (done < length) {
        ssize_t put = pwrite(file_fd(file), (const char *)bytes + done, length - done, (off_t)(offset + done));
        if (put < 0 && (errno == EINTR || (errno == EINVAL && leave_direct(file_of(file)))))
            continue;
        if (put < 0)
            return -errno;
        if (put == 0)
            return -EIO;
        done += (size_t)put;
    }
    if (file_of(file)->stream) /* does nothing where nothing is dirty; an error will come back from the sync */
        sync_file_range(file_fd(file), (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
    return 0;
}

static int system_allocate(struct disk_file *file, uint64_t offset, uint64_t length)
{
    int rc;
    do
        rc = result(fallocate(file_fd(file), FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length));
    while (rc == -EINTR);
    return rc == -EOPNOTSUPP ? 0 : rc;
}

static int system_truncate(struct disk_file *file, uint64_t size)
{
    return result(ftruncate(file_fd(file), (off_t)size));
}

static int system_size(struct disk_file *file, uint64_t *ret_size)
{
    struct stat stat;
    if (fstat(file_fd(file), &stat) < 0)
        return -errno;
    *ret_size = (uint64_t)stat.st_size;
    return 0;
}

static int system_sync(struct disk_file *file) { return result(fdatasync(file_fd(file))); }

static int system_rename(struct disk *disk, const char *from, const char *to)
{
    return result(renameat(directory_fd(disk), from, directory_fd(disk), to));
}

static int system_remove(struct disk *disk, const char *name) { return result(unlinkat(directory_fd(disk), name, 0)); }

static int system_list(struct disk *disk, disk_on_name *on_name, void *user)
{
    int fd = openat(directory_fd(disk), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)))
        if (entry->d_type != DT_DIR)
            on_name(entry->d_name, user);
    int rc = -errno;
    closedir(dir);
    return rc;
}

static int system_sync_names(struct disk *disk) { return result(fsync(directory_fd(disk))); }

static void system_free(struct disk *disk)
{
    close(directory_fd(disk));
    free(disk);
}

static const struct disk_ops system_ops = {
    .open = system_open,
    .close = system_close,
    .read = system_read,
    .write = system_write,
    .allocate = system_allocate,
    .truncate = system_truncate,
    .size = system_size,
    .sync = system_sync,
    .rename = system_rename,
    .remove = system_remove,
    .list = system_list,
    .sync_names = system_sync_names,
    .free = system_free,
};

int disk_system(const char *path, struct disk **ret_disk)
{
    struct system_disk *disk = malloc(sizeof *disk);
    if (!disk)
        return -ENOMEM;
    *disk = (struct system_disk){.disk = {&system_ops}, .fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (disk->fd < 0) {
        int rc = -errno;
        free(disk);
        return rc;
    }
    *ret_disk = &disk->disk;
    return 0;
}

void disk_free(struct disk *disk)
{
    if (disk)
        disk->ops->free(disk);
}

int disk_open(struct disk *disk, const char *name, unsigned flags, struct disk_file **ret_file)
{
    return disk->ops->open(disk, name, flags, ret_file);
}

void disk_close(struct disk_file *file)
{
    if (file)
        file->disk->ops->close(file);
}

int64_t disk_read(struct disk_file *file, uint64_t offset, void *bytes, size_t length)
{
    return file->disk->ops->read(file, offset, bytes, length);
}

int disk_write(struct disk_file *file, uint64_t offset, const void *bytes, size_t length)
{
    return file->disk->ops->write(file, offset, bytes, length);
}

int disk_allocate(struct disk_file *file, uint64_t offset, uint64_t length)
{
    return file->disk->ops->allocate(file, offset, length);
}

int disk_truncate(struct disk_file *file, uint64_t size) { return file->disk->ops->truncate(file, size); }
int disk_size(struct disk_file *file, uint64_t *ret_size) { return file->disk->ops->size(file, ret_size); }
int disk_sync(struct disk_file *file) { return file->disk->ops->sync(file); }

int disk_rename(struct disk *disk, const char *from, const char *to) { return disk->ops->rename(disk, from, to); }
int disk_remove(struct disk *disk, const char *name) { return disk->ops->remove(disk, name); }

int disk_list(struct disk *disk, disk_on_name *on_name, void *user) { return disk->ops->list(disk, on_name, user); }
int disk_sync_names(struct disk *disk) { return disk->ops->sync_names(disk); }
