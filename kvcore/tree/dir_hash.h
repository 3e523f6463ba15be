/* The dentries of one directory by the hash of their name: lookup, and readdir in hash order. See dir.h. */
#ifndef KV_TREE_DIR_HASH_H
#define KV_TREE_DIR_HASH_H

#include "kvcore/base/bytes.h"
#include "kvcore/base/mem.h"

struct dentry;
struct dir;
struct dir_found;
struct segment;

struct dir_hash {
    union {
        struct segment *only;   /* depth 0; NULL when empty */
        struct segment **table; /* 2^depth slots */
    };
    uint64_t seed;
    uint64_t (*name_hash)(uint64_t seed, struct bytes name);
    size_t count;
    uint32_t deepest; /* segments as deep as the table; at 0 the table halves */
    uint8_t depth;
};

/* `name_hash` NULL: XXH3. */
void dir_hash_init(struct dir_hash *hash, uint64_t seed, uint64_t (*name_hash)(uint64_t seed, struct bytes name));
void dir_hash_close(struct dir_hash *hash, struct mem *mem);

/* As the functions of dir.h of the same names. */
struct dentry *dir_hash_find(const struct dir_hash *hash, struct bytes name);
void dir_hash_fetch(const struct dir_hash *hash, struct bytes name, unsigned steps_left);
int dir_hash_insert(struct dir_hash *hash, struct mem *mem, struct dentry *dentry);
void dir_hash_remove(struct dir_hash *hash, struct mem *mem, struct dentry *dentry);
void dir_hash_replace(struct dir_hash *hash, const struct dentry *was, struct dentry *now);
uint64_t dir_hash_cookie(const struct dir_hash *hash, struct bytes name);
size_t dir_hash_scan(const struct dir_hash *hash, uint64_t after, struct dir_found *found, size_t max);
/* All dentries, hash->count of them, in no useful order. */
void dir_hash_all(const struct dir_hash *hash, struct dentry **ret_list);

/* dir_new with another hash than XXH3, so that a test can make cookies collide. */
struct dir *dir_new_hashed_by(struct mem *mem, uint64_t hash_seed,
                              uint64_t (*name_hash)(uint64_t seed, struct bytes name));

#endif
