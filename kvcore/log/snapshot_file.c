#include "kvcore/log/snapshot_file.h"

#include "kvcore/base/error.h"
#include "kvcore/log/snapshot.h"

#include <stdio.h>

enum {
    WRITE_BYTES = 1 << 20,     /* one write */
    ALLOCATE_BYTES = 32 << 20, /* room is taken ahead in such steps */
    GATHERED_BYTES = WRITE_BYTES + BLOCK_BYTES_MAX,
};

static_assert(WRITE_BYTES % DISK_STREAM_BYTES == 0, "whole pieces are aligned");

int snapshot_file_init(struct snapshot_file *file, struct disk *disk, struct mem *mem,
                       const struct snapshot_header *header)
{
    void *memory = mem_alloc(mem, GATHERED_BYTES + DISK_STREAM_BYTES);
    if (!memory)
        return -ENOMEM;
    uintptr_t aligned = ((uintptr_t)memory + DISK_STREAM_BYTES - 1) & ~(uintptr_t)(DISK_STREAM_BYTES - 1);
    *file = (struct snapshot_file){.disk = disk, .memory = memory, .gathered = (char *)aligned};
    snapshot_name(header->index, file->name);
    snprintf(file->tmp_name, sizeof file->tmp_name, "%s.tmp", file->name);
    snapshot_header_encode(header, file->gathered);
    file->seed = snapshot_seed(file->gathered);
    file->filled = SNAPSHOT_HEADER_BYTES;
    return 0;
}

void snapshot_file_close(struct snapshot_file *file, struct mem *mem)
{
    mem_free(mem, file->memory);
    *file = (struct snapshot_file){0};
}

static int open_tmp(struct snapshot_file *file)
{
    if (file->file)
        return 0;
    int rc = disk_open(file->disk, file->tmp_name, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE | DISK_STREAM, &file->file);
    file->made = file->made || rc == 0;
    return rc;
}

/* The first `length` gathered bytes. */
static int write_gathered(struct snapshot_file *file, size_t length)
{
    int rc = open_tmp(file);
    if (rc == 0 && file->offset + length > file->allocated) {
        uint64_t more = length > ALLOCATE_BYTES ? length : ALLOCATE_BYTES;
        rc = disk_allocate(file->file, file->offset, more);
        if (rc == -ENOSPC || rc == -EDQUOT) { /* a small disk: no more than is needed now */
            more = length;
            rc = disk_allocate(file->file, file->offset, more);
        }
        file->allocated = file->offset + more;
    }
    if (rc == 0)
        rc = disk_write(file->file, file->offset, file->gathered, length);
    return rc;
}

int snapshot_file_put(struct snapshot_file *file, const struct block *block)
{
    char *at = file->gathered + file->filled;
    const struct block_head head = {(uint32_t)block->length, file->number, block->kind};
    block_copy(block, at);
    block_seal(at, &head, file->seed);
    file->number++;
    file->filled += block->length;
    if (file->filled < WRITE_BYTES)
        return 0;
    int rc = write_gathered(file, WRITE_BYTES);
    if (rc < 0)
        return rc;
    file->offset += WRITE_BYTES;
    file->filled -= WRITE_BYTES;
    memmove(file->gathered, file->gathered + WRITE_BYTES, file->filled);
    return 0;
}

/* What is left, filled up with zeros to a whole piece, which are cut off again. */
static int write_end(struct snapshot_file *file)
{
    size_t whole = (file->filled + DISK_STREAM_BYTES - 1) & ~(size_t)(DISK_STREAM_BYTES - 1);
    memset(file->gathered + file->filled, 0, whole - file->filled);
    int rc = write_gathered(file, whole);
    return rc < 0 ? rc : disk_truncate(file->file, file->offset + file->filled);
}

int snapshot_file_finish(struct snapshot_file *file)
{
    int rc = write_end(file);
    if (rc == 0)
        rc = disk_sync(file->file);
    if (rc < 0)
        return rc;
    disk_close(file->file);
    file->file = NULL;
    rc = disk_rename(file->disk, file->tmp_name, file->name);
    if (rc < 0)
        return rc;
    file->made = false;
    return disk_sync_names(file->disk);
}

void snapshot_file_abandon(struct snapshot_file *file)
{
    disk_close(file->file);
    file->file = NULL;
    if (file->made)
        disk_remove(file->disk, file->tmp_name);
    file->made = false;
}
