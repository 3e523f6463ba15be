#include "kvcore/tree/dir.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/dentry.h"
#include "kvcore/tree/dir_hash.h"
#include "kvcore/tree/dir_order.h"
#include "kvcore/tree/dir_sort.h"

/* Both indexes hold the same dentries, unless the order was dropped. */
struct dir {
    struct dir_hash hash;
    struct dir_order order;
};

/* What a dropped order has for a root: a flag of its own would make every directory larger. */
static char dropped;

static struct order_node *dropped_root(void) { return (struct order_node *)&dropped; }

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
    if (dir_has_order(dir))
        dir_order_close(&dir->order, mem);
    dir_hash_close(&dir->hash, mem);
    mem_free(mem, dir);
}

bool dir_has_order(const struct dir *dir) { return dir->order.root != dropped_root(); }

void dir_drop_order(struct dir *dir, struct mem *mem)
{
    if (dir_has_order(dir))
        dir_order_close(&dir->order, mem);
    dir->order.root = dropped_root();
}

int dir_build_order(struct dir *dir, struct mem *mem)
{
    if (dir_has_order(dir))
        return 0;
    size_t count = dir_count(dir);
    struct dir_order order = {0};
    struct dentry **list = mem_alloc(mem, (count + 1) * sizeof(*list));
    if (!list)
        return -ENOMEM;
    dir_hash_all(&dir->hash, list);
    int rc = dir_sort(mem, list, count);
    if (rc == 0)
        rc = dir_order_build(&order, mem, list, count);
    mem_free(mem, list);
    if (rc == 0)
        dir->order = order;
    return rc;
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
    if (rc < 0 || !dir_has_order(dir))
        return rc;
    rc = dir_order_insert(&dir->order, mem, dentry);
    if (rc < 0)
        dir_hash_remove(&dir->hash, mem, dentry);
    return rc;
}

void dir_remove(struct dir *dir, struct mem *mem, struct dentry *dentry)
{
    if (dir_has_order(dir))
        dir_order_remove(&dir->order, mem, dentry);
    dir_hash_remove(&dir->hash, mem, dentry);
}

void dir_replace(struct dir *dir, const struct dentry *was, struct dentry *now)
{
    dir_hash_replace(&dir->hash, was, now);
    if (dir_has_order(dir))
        dir_order_replace(&dir->order, was, now);
}

uint64_t dir_cookie(const struct dir *dir, struct bytes name) { return dir_hash_cookie(&dir->hash, name); }

size_t dir_scan(const struct dir *dir, uint64_t after, struct dir_found *found, size_t max)
{
    return dir_hash_scan(&dir->hash, after, found, max);
}

size_t dir_list(const struct dir *dir, struct bytes after, struct dentry **found, size_t max)
{
    CHECK(dir_has_order(dir));
    return dir_order_list(&dir->order, after, found, max);
}
