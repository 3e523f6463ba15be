#include "kvcore/tree/dir.h"

#include "kvcore/tree/dentry.h"
#include "kvcore/tree/dir_hash.h"
#include "kvcore/tree/dir_order.h"

/* Both indexes hold the same dentries. */
struct dir {
    struct dir_hash hash;
    struct dir_order order;
};

struct dir *dir_new(struct mem *mem, uint64_t hash_seed) { return dir_new_hashed_by(mem, hash_seed, NULL); }

struct dir *dir_new_hashed_by(struct mem *mem, uint64_t hash_seed,
                              uint64_t (*name_hash)(uint64_t seed, struct bytes name))
{
    struct dir *dir = mem_calloc(mem, sizeof(*dir));
    if (dir)
        dir_hash_init(&dir->hash, hash_seed, name_hash);
    return dir;
}

void dir_free(struct dir *dir, struct mem *mem)
{
    if (!dir)
        return;
    dir_order_close(&dir->order, mem);
    dir_hash_close(&dir->hash, mem);
    mem_free(mem, dir);
}

size_t dir_count(const struct dir *dir) { return dir->hash.count; }

struct dentry *dir_find(const struct dir *dir, struct bytes name) { return dir_hash_find(&dir->hash, name); }

void dir_fetch(const struct dir *dir, struct bytes name, unsigned steps_left)
{
    dir_hash_fetch(&dir->hash, name, steps_left);
}

int dir_insert(struct dir *dir, struct mem *mem, struct dentry *dentry)
{
    int rc = dir_hash_insert(&dir->hash, mem, dentry);
    if (rc < 0)
        return rc;
    rc = dir_order_insert(&dir->order, mem, dentry);
    if (rc < 0)
        dir_hash_remove(&dir->hash, mem, dentry);
    return rc;
}

void dir_remove(struct dir *dir, struct mem *mem, struct dentry *dentry)
{
    dir_order_remove(&dir->order, mem, dentry);
    dir_hash_remove(&dir->hash, mem, dentry);
}

void dir_replace(struct dir *dir, const struct dentry *was, struct dentry *now)
{
    dir_hash_replace(&dir->hash, was, now);
    dir_order_replace(&dir->order, was, now);
}

uint64_t dir_cookie(const struct dir *dir, struct bytes name) { return dir_hash_cookie(&dir->hash, name); }

size_t dir_scan(const struct dir *dir, uint64_t after, struct dentry **found, size_t max)
{
    return dir_hash_scan(&dir->hash, after, found, max);
}

size_t dir_list(const struct dir *dir, struct bytes after, struct dentry **found, size_t max)
{
    return dir_order_list(&dir->order, after, found, max);
}
