/* The disk seam: a directory and the files in it. The log, the snapshots and recovery reach the disk through this
 * alone, so that a test can fail every call in turn, lose what was not synced, and tear what was being written.
 *
 * A file's bytes are safe from a power loss after disk_sync; its name (created, renamed, removed) after
 * disk_sync_names. Until then the disk may keep any part of it, in any order: that is what the simulated disk does.
 *
 * Names are plain: no '/', no directories below. Calls block. One file may be used by two threads at once, except to
 * close it. Every function returns 0 or a negative errno, unless it says otherwise; out-parameters are untouched on
 * failure. Sources: open(2), pread(2), pwrite(2), fallocate(2), fdatasync(2), rename(2).
 */
#ifndef KV_BASE_DISK_H
#define KV_BASE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk;

struct disk_file {
    struct disk *disk;
};

enum disk_open_flag {
    DISK_WRITE = 1,     /* to read and write; else only to read */
    DISK_CREATE = 2,    /* made where it is missing */
    DISK_EXCLUSIVE = 4, /* with DISK_CREATE: it must be missing, -EEXIST */
    DISK_TRUNCATE = 8,  /* emptied */
    DISK_STREAM = 16, /* a long file that is read or written once, front to back, and must not get in the way of others:
                         written ones go past the page cache where that is possible. Then memory, offset and length of
                         each write are multiples of DISK_STREAM_BYTES */
};

enum { DISK_STREAM_BYTES = 4096 };

typedef void disk_on_name(const char *name, void *user);

struct disk_ops {
    int (*open)(struct disk *disk, const char *name, unsigned flags, struct disk_file **ret_file);
    void (*close)(struct disk_file *file);
    int64_t (*read)(struct disk_file *file, uint64_t offset, void *bytes, size_t length);
    int (*write)(struct disk_file *file, uint64_t offset, const void *bytes, size_t length);
    int (*allocate)(struct disk_file *file, uint64_t offset, uint64_t length);
    int (*truncate)(struct disk_file *file, uint64_t size);
    int (*size)(struct disk_file *file, uint64_t *ret_size);
    int (*sync)(struct disk_file *file);
    int (*rename)(struct disk *disk, const char *from, const char *to);
    int (*remove)(struct disk *disk, const char *name);
    int (*list)(struct disk *disk, disk_on_name *on_name, void *user);
    int (*sync_names)(struct disk *disk);
    void (*free)(struct disk *disk);
};

struct disk {
    const struct disk_ops *ops;
};

/* A directory of the machine, which must be there. */
int disk_system(const char *path, struct disk **ret_disk);
/* Accepts NULL. Its files must be closed. */
void disk_free(struct disk *disk);

int disk_open(struct disk *disk, const char *name, unsigned flags, struct disk_file **ret_file);
/* Accepts NULL. Reports nothing: whoever needs to know has synced. */
void disk_close(struct disk_file *file);

/* How many bytes were read, fewer than `length` only at the end of the file; or negative. */
int64_t disk_read(struct disk_file *file, uint64_t offset, void *bytes, size_t length);
/* All of it, or a negative code and nobody knows how much. */
int disk_write(struct disk_file *file, uint64_t offset, const void *bytes, size_t length);
/* Takes room on the disk ahead, behind the end too, without a change of the size: a write there then does not fail with
 * -ENOSPC. Where the file system cannot do so nothing happens, and that is no error. */
int disk_allocate(struct disk_file *file, uint64_t offset, uint64_t length);
int disk_truncate(struct disk_file *file, uint64_t size);
int disk_size(struct disk_file *file, uint64_t *ret_size);
int disk_sync(struct disk_file *file);

/* Replaces `to`. */
int disk_rename(struct disk *disk, const char *from, const char *to);
int disk_remove(struct disk *disk, const char *name);
/* Calls on_name for each file, in no order; the name is borrowed for the call. Nothing is to be changed meanwhile. */
int disk_list(struct disk *disk, disk_on_name *on_name, void *user);
int disk_sync_names(struct disk *disk);

#endif
