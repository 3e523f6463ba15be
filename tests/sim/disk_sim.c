/* A file is its bytes as calls see them, its bytes as they are safe, and the changes since the last sync in between:
 * each is carried out on the safe bytes at a sync, or by chance at a power loss. Names are kept in the same way.
 */
#include "tests/sim/disk_sim.h"

#include "kvcore/base/check.h"

#include <errno.h>
#include <string.h>

enum { SECTOR = 512, NAME_MAX_BYTES = 64, NAMES_MAX = 256 };

struct content {
    char *bytes;
    size_t len, capacity;
};

/* A write; or, without bytes, a change of the size to `offset`. */
struct change {
    struct change *next;
    uint64_t offset;
    size_t len;
    uint64_t size_after;
    bool is_size;
    char bytes[];
};

struct inode {
    struct inode *next;
    struct content seen, safe;
    struct change *changes, **last;
    uint64_t allocated;
    unsigned handles;
};

struct name {
    char text[NAME_MAX_BYTES];
    struct inode *inode;
};

struct names {
    struct name list[NAMES_MAX];
    size_t count;
};

/* `from` goes (""), `to` leads to the inode (""). */
struct rename {
    char from[NAME_MAX_BYTES], to[NAME_MAX_BYTES];
    struct inode *inode;
};

struct sim_disk {
    struct disk disk; /* first */
    struct chance chance;
    struct inode *inodes;
    struct names seen, safe;
    struct rename *renames;
    size_t rename_count;
    uint64_t counts[16];
    unsigned fail_calls;
    uint64_t fail_in, off_in, budget;
    int fail_code;
    bool fail_forever, off;
};

struct sim_file {
    struct disk_file file; /* first */
    struct inode *inode;
};

static void *must(void *block)
{
    CHECK(block);
    return block;
}

/* Contents */

static void content_resize(struct content *content, size_t len)
{
    if (len > content->capacity) {
        content->capacity = len + len / 2;
        content->bytes = must(realloc(content->bytes, content->capacity));
    }
    if (len > content->len)
        memset(content->bytes + content->len, 0, len - content->len);
    content->len = len;
}

static void content_put(struct content *content, uint64_t offset, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    if (offset + len > content->len)
        content_resize(content, offset + len);
    memcpy(content->bytes + offset, bytes, len);
}

static void content_copy(struct content *to, const struct content *from)
{
    content_resize(to, 0);
    content_put(to, 0, from->bytes, from->len);
}

/* Inodes */

static struct inode *inode_new(struct sim_disk *disk)
{
    struct inode *inode = must(calloc(1, sizeof *inode));
    inode->last = &inode->changes;
    inode->next = disk->inodes;
    disk->inodes = inode;
    return inode;
}

static void forget_changes(struct inode *inode)
{
    while (inode->changes) {
        struct change *next = inode->changes->next;
        free(inode->changes);
        inode->changes = next;
    }
    inode->last = &inode->changes;
}

static void note_change(struct inode *inode, uint64_t offset, const void *bytes, size_t len)
{
    struct change *change = must(malloc(sizeof *change + len));
    *change = (struct change){.offset = offset, .len = len, .size_after = inode->seen.len, .is_size = !bytes};
    if (len)
        memcpy(change->bytes, bytes, len);
    *inode->last = change;
    inode->last = &change->next;
}

static void make_safe(struct inode *inode)
{
    if (inode->changes)
        content_copy(&inode->safe, &inode->seen);
    forget_changes(inode);
}

static void put_whole(struct content *safe, const struct change *change)
{
    if (change->is_size)
        content_resize(safe, change->offset);
    else
        content_put(safe, change->offset, change->bytes, change->len);
}

/* One write, sector by sector; `keep` of 8 are there, and one in a while is torn. */
static void put_part(struct sim_disk *disk, struct content *safe, const struct change *change, uint64_t keep)
{
    for (size_t at = 0; at < change->len;) {
        uint64_t offset = change->offset + at;
        size_t len = SECTOR - offset % SECTOR;
        if (len > change->len - at)
            len = change->len - at;
        size_t kept = chance_below(&disk->chance, 8) < keep ? len : 0;
        if (chance_below(&disk->chance, 16) == 0)
            kept = chance_below(&disk->chance, len + 1);
        content_put(safe, offset, change->bytes + at, kept);
        at += len;
    }
}

/* Some part of what was not synced becomes safe: all changes up to one and none behind, or any of them. */
static void make_part_safe(struct sim_disk *disk, struct inode *inode)
{
    size_t count = 0, i = 0;
    for (const struct change *change = inode->changes; change; change = change->next)
        count++;
    if (count == 0)
        return;
    bool prefix = chance_below(&disk->chance, 2);
    size_t kept = chance_below(&disk->chance, count + 1),
           sized = prefix ? kept : chance_below(&disk->chance, count + 1);
    uint64_t size = inode->safe.len, keep = chance_below(&disk->chance, 9);
    for (const struct change *change = inode->changes; change; change = change->next, i++) {
        if (i < sized)
            size = change->size_after;
        if (prefix && i > kept)
            continue;
        if (prefix && i < kept)
            put_whole(&inode->safe, change);
        else if (!change->is_size)
            put_part(disk, &inode->safe, change, keep);
        else if (chance_below(&disk->chance, 2))
            content_resize(&inode->safe, change->offset);
    }
    if (!prefix || chance_below(&disk->chance, 2)) /* or where the last kept bytes end */
        content_resize(&inode->safe, size);
    forget_changes(inode);
}

/* Names */

static struct name *names_find(struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].text, text) == 0)
            return &names->list[i];
    return NULL;
}

static void names_apply(struct names *names, const struct rename *rename)
{
    struct name *from = rename->from[0] ? names_find(names, rename->from) : NULL;
    if (from)
        *from = names->list[--names->count];
    if (!rename->to[0])
        return;
    struct name *to = names_find(names, rename->to);
    if (!to) {
        CHECK(names->count < NAMES_MAX);
        to = &names->list[names->count++];
        strcpy(to->text, rename->to);
    }
    to->inode = rename->inode;
}

static void change_name(struct sim_disk *disk, const char *from, const char *to, struct inode *inode)
{
    struct rename rename = {.inode = inode};
    CHECK(strlen(from) < NAME_MAX_BYTES && strlen(to) < NAME_MAX_BYTES);
    strcpy(rename.from, from);
    strcpy(rename.to, to);
    names_apply(&disk->seen, &rename);
    disk->renames = must(realloc(disk->renames, (disk->rename_count + 1) * sizeof rename));
    disk->renames[disk->rename_count++] = rename;
}

/* Frees what no name and no handle leads to. */
static void sweep(struct sim_disk *disk)
{
    for (struct inode **at = &disk->inodes; *at;) {
        struct inode *inode = *at;
        bool used = inode->handles > 0;
        for (size_t i = 0; i < disk->seen.count; i++)
            used = used || disk->seen.list[i].inode == inode;
        for (size_t i = 0; i < disk->safe.count; i++)
            used = used || disk->safe.list[i].inode == inode;
        for (size_t i = 0; i < disk->rename_count; i++)
            used = used || disk->renames[i].inode == inode;
        if (used) {
            at = &inode->next;
            continue;
        }
        *at = inode->next;
        forget_changes(inode);
        free(inode->seen.bytes);
        free(inode->safe.bytes);
        free(inode);
    }
}

/* Each call begins here: 0, or what it fails with. *ret_part: the power goes off in it, so that it may have been done
 * in part. */
static int begin_call(struct disk *seam, enum disk_sim_call call, bool *ret_part)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    *ret_part = false;
    disk->counts[__builtin_ctz(call)]++;
    if (disk->off)
        return -EIO;
    if (disk->off_in && --disk->off_in == 0) {
        disk->off = true;
        *ret_part = true;
        return -EIO;
    }
    if (!(disk->fail_calls & call) || disk->fail_in == 0)
        return 0;
    if (disk->fail_in > 1) {
        disk->fail_in--;
        return 0;
    }
    disk->fail_in = disk->fail_forever ? 1 : 0;
    return disk->fail_code;
}

static struct inode *inode_of(struct disk_file *file) { return ((struct sim_file *)file)->inode; }
static struct sim_disk *disk_of(struct disk_file *file) { return (struct sim_disk *)file->disk; }

static int sim_open(struct disk *seam, const char *name, unsigned flags, struct disk_file **ret_file)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    bool part;
    int rc = begin_call(seam, DISK_SIM_OPEN, &part);
    if (rc < 0 && !part)
        return rc;
    struct name *found = names_find(&disk->seen, name);
    if (found && flags & DISK_EXCLUSIVE)
        return -EEXIST;
    if (!found && !(flags & DISK_CREATE))
        return -ENOENT;
    struct inode *inode = found ? found->inode : inode_new(disk);
    if (!found)
        change_name(disk, "", name, inode);
    if (flags & DISK_TRUNCATE && inode->seen.len) {
        content_resize(&inode->seen, 0);
        note_change(inode, 0, NULL, 0);
    }
    if (rc < 0)
        return rc;
    struct sim_file *file = must(malloc(sizeof *file));
    *file = (struct sim_file){{seam}, inode};
    inode->handles++;
    *ret_file = &file->file;
    return 0;
}

static void sim_close(struct disk_file *file)
{
    inode_of(file)->handles--;
    sweep(disk_of(file));
    free(file);
}

static int64_t sim_read(struct disk_file *file, uint64_t offset, void *bytes, size_t length)
{
    bool part;
    int rc = begin_call(file->disk, DISK_SIM_READ, &part);
    const struct content *seen = &inode_of(file)->seen;
    if (rc < 0)
        return rc;
    if (offset >= seen->len)
        return 0;
    if (length > seen->len - offset)
        length = seen->len - offset;
    memcpy(bytes, seen->bytes + offset, length);
    return (int64_t)length;
}

/* Bytes that may be written at `offset` before the disk is full. */
static size_t room_at(const struct sim_disk *disk, const struct inode *inode, uint64_t offset, size_t length)
{
    if (disk->budget == 0)
        return length;
    uint64_t used = 0, own = inode->seen.len > inode->allocated ? inode->seen.len : inode->allocated;
    for (const struct inode *at = disk->inodes; at; at = at->next)
        used += at->seen.len > at->allocated ? at->seen.len : at->allocated;
    uint64_t end = own + (disk->budget > used ? disk->budget - used : 0);
    if (offset >= end)
        return 0;
    return length < end - offset ? length : end - offset;
}

static void write_part(struct inode *inode, uint64_t offset, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    content_put(&inode->seen, offset, bytes, length);
    note_change(inode, offset, bytes, length);
}

static int sim_write(struct disk_file *file, uint64_t offset, const void *bytes, size_t length)
{
    struct sim_disk *disk = disk_of(file);
    bool part, was_off = disk->off;
    int rc = begin_call(file->disk, DISK_SIM_WRITE, &part);
    if (was_off)
        return rc;
    if (rc < 0) {
        write_part(inode_of(file), offset, bytes, chance_below(&disk->chance, length + 1));
        return rc;
    }
    size_t room = room_at(disk, inode_of(file), offset, length);
    write_part(inode_of(file), offset, bytes, room);
    return room < length ? -ENOSPC : 0;
}

static int sim_allocate(struct disk_file *file, uint64_t offset, uint64_t length)
{
    bool part;
    int rc = begin_call(file->disk, DISK_SIM_ALLOCATE, &part);
    if (rc < 0)
        return rc;
    struct inode *inode = inode_of(file);
    if (room_at(disk_of(file), inode, offset, length) < length)
        return -ENOSPC;
    if (inode->allocated < offset + length)
        inode->allocated = offset + length;
    return 0;
}

static int sim_truncate(struct disk_file *file, uint64_t size)
{
    bool part;
    int rc = begin_call(file->disk, DISK_SIM_TRUNCATE, &part);
    if (rc < 0 && !part)
        return rc;
    struct inode *inode = inode_of(file);
    content_resize(&inode->seen, size);
    inode->allocated = size;
    note_change(inode, size, NULL, 0);
    return rc;
}

static int sim_size(struct disk_file *file, uint64_t *ret_size)
{
    bool part;
    int rc = begin_call(file->disk, DISK_SIM_SIZE, &part);
    if (rc == 0)
        *ret_size = inode_of(file)->seen.len;
    return rc;
}

static int sim_sync(struct disk_file *file)
{
    bool part;
    int rc = begin_call(file->disk, DISK_SIM_SYNC, &part);
    if (rc == 0)
        make_safe(inode_of(file));
    else if (!part && !disk_of(file)->off)
        make_part_safe(disk_of(file), inode_of(file));
    return rc;
}

static int sim_rename(struct disk *seam, const char *from, const char *to)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    bool part;
    int rc = begin_call(seam, DISK_SIM_RENAME, &part);
    if (rc < 0 && !part)
        return rc;
    struct name *found = names_find(&disk->seen, from);
    if (!found)
        return -ENOENT;
    change_name(disk, from, to, found->inode);
    sweep(disk);
    return rc;
}

static int sim_remove(struct disk *seam, const char *name)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    bool part;
    int rc = begin_call(seam, DISK_SIM_REMOVE, &part);
    if (rc < 0 && !part)
        return rc;
    if (!names_find(&disk->seen, name))
        return -ENOENT;
    change_name(disk, name, "", NULL);
    sweep(disk);
    return rc;
}

static int sim_list(struct disk *seam, disk_on_name *on_name, void *user)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    bool part;
    int rc = begin_call(seam, DISK_SIM_LIST, &part);
    for (size_t i = 0; rc == 0 && i < disk->seen.count; i++)
        on_name(disk->seen.list[i].text, user);
    return rc;
}

static int sim_sync_names(struct disk *seam)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    bool part;
    int rc = begin_call(seam, DISK_SIM_SYNC_NAMES, &part);
    if (rc < 0)
        return rc;
    disk->safe = disk->seen;
    disk->rename_count = 0;
    sweep(disk);
    return 0;
}

static void sim_free(struct disk *seam)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    for (const struct inode *inode = disk->inodes; inode; inode = inode->next)
        CHECK(inode->handles == 0);
    disk->seen.count = disk->safe.count = disk->rename_count = 0;
    sweep(disk);
    free(disk->renames);
    free(disk);
}

static const struct disk_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .read = sim_read,
    .write = sim_write,
    .allocate = sim_allocate,
    .truncate = sim_truncate,
    .size = sim_size,
    .sync = sim_sync,
    .rename = sim_rename,
    .remove = sim_remove,
    .list = sim_list,
    .sync_names = sim_sync_names,
    .free = sim_free,
};

struct disk *disk_sim_new(uint64_t seed)
{
    struct sim_disk *disk = must(calloc(1, sizeof *disk));
    disk->disk.ops = &sim_ops;
    disk->chance.state = seed * 2685821657736338717ull | 1; /* seeds in a row are not alike */
    for (int i = 0; i < 8; i++)
        chance_next(&disk->chance);
    return &disk->disk;
}

struct disk *disk_sim_clone(const struct disk *seam)
{
    const struct sim_disk *from = (const struct sim_disk *)seam;
    struct sim_disk *disk = (struct sim_disk *)disk_sim_new(1);
    disk->chance = from->chance;
    for (size_t i = 0; i < from->seen.count; i++) {
        struct inode *inode = inode_new(disk);
        content_copy(&inode->seen, &from->seen.list[i].inode->seen);
        content_copy(&inode->safe, &inode->seen);
        change_name(disk, "", from->seen.list[i].text, inode);
    }
    disk->safe = disk->seen;
    disk->rename_count = 0;
    return &disk->disk;
}

uint64_t disk_sim_calls(const struct disk *disk, unsigned calls)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < 16; i++)
        if (calls & 1u << i)
            sum += ((const struct sim_disk *)disk)->counts[i];
    return sum;
}

void disk_sim_fail(struct disk *seam, unsigned calls, uint64_t nth, int code, bool forever)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    disk->fail_calls = calls;
    disk->fail_in = nth;
    disk->fail_code = code;
    disk->fail_forever = forever;
}

void disk_sim_set_budget(struct disk *seam, uint64_t bytes) { ((struct sim_disk *)seam)->budget = bytes; }

void disk_sim_power_off(struct disk *seam, uint64_t nth)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    disk->off = disk->off || nth == 0;
    disk->off_in = nth;
}

bool disk_sim_is_off(const struct disk *seam) { return ((const struct sim_disk *)seam)->off; }

/* Works again, and nobody has ordered a failure. */
static void come_back(struct sim_disk *disk)
{
    for (const struct inode *inode = disk->inodes; inode; inode = inode->next)
        CHECK(inode->handles == 0);
    disk->off = false;
    disk->off_in = disk->fail_in = 0;
    sweep(disk);
}

void disk_sim_power_on(struct disk *seam)
{
    struct sim_disk *disk = (struct sim_disk *)seam;
    for (struct inode *inode = disk->inodes; inode; inode = inode->next) {
        make_part_safe(disk, inode);
        content_copy(&inode->seen, &inode->safe);
        inode->allocated = 0;
    }
    bool prefix = chance_below(&disk->chance, 2);
    size_t kept = chance_below(&disk->chance, disk->rename_count + 1);
    for (size_t i = 0; i < disk->rename_count; i++)
        if (prefix ? i < kept : chance_below(&disk->chance, 2))
            names_apply(&disk->safe, &disk->renames[i]);
    disk->seen = disk->safe;
    disk->rename_count = 0;
    come_back(disk);
}

void disk_sim_restart(struct disk *seam) { come_back((struct sim_disk *)seam); }

char *disk_sim_bytes(struct disk *seam, const char *name, size_t *ret_len)
{
    struct name *found = names_find(&((struct sim_disk *)seam)->seen, name);
    if (!found)
        return NULL;
    *ret_len = found->inode->seen.len;
    return found->inode->seen.bytes;
}
