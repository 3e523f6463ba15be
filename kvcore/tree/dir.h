/* What a directory holds: its dentries, found by name, walked in two orders.
 *
 *   by hash   extendible hashing: a table of 2^depth pointers to segments of at most DIR_SEGMENT_MAX dentries
 *             each, unsorted, with a one-byte tag per entry; lookup reads a segment and, by the tag, one
 *             dentry. The top bits of the hash choose the segment, so segments lie in hash order and a readdir
 *             position ("cookie") is a hash: it stays valid whatever is inserted and deleted, and needs no
 *             state in the server (as ext4's htree). A full segment splits, which bounds the longest pause.
 *   by name   a B+tree of dentry pointers, for sorted listings from any name.
 *
 * A small directory is one segment and one leaf. Segments and leaves grow by steps, not to their maximum at
 * once, because memory per key is what a store is measured by: both indexes together take about 20 bytes an entry.
 *
 * The hash is XXH3 (xxhash.h), seeded per tree: the seed travels with the data, so a cookie holds on every
 * node. Equal cookies are possible; dir_scan never parts them.
 */
#ifndef KV_TREE_DIR_H
#define KV_TREE_DIR_H

#include "kvcore/base/bytes.h"
#include "kvcore/base/mem.h"

struct dentry;
struct dir;

/* Cookies 0, 1 and 2 are never given to an entry: "from the start" and the mount's "." and "..". */
#define DIR_COOKIE_FIRST 3u

/* NULL when out of memory. */
struct dir *dir_new(struct mem *mem, uint64_t hash_seed);
/* Frees the index, not the dentries. Accepts NULL. */
void dir_free(struct dir *dir, struct mem *mem);

size_t dir_count(const struct dir *dir);

/* NULL when the name is not there. */
struct dentry *dir_find(const struct dir *dir, struct bytes name);

/* Begins to fetch what dir_find of this name will touch, so that it is in the processor's cache by then. Three calls
 * with some work between them, steps_left 3, 2, 1, fetch one thing after the other: tags, pointer, dentry. Changes
 * nothing; what it fetched in vain is lost. */
void dir_fetch(const struct dir *dir, struct bytes name, unsigned steps_left);

/* Adds a dentry whose name is not there yet (checked). -ENOMEM (unchanged). Borrows it until dir_remove. */
int dir_insert(struct dir *dir, struct mem *mem, struct dentry *dentry);

/* BULK. Many names come at once: dir_drop_order gives up the order by name, dir_insert, dir_remove and dir_replace
 * leave it alone, and dir_build_order makes it anew by one sort, which costs a fraction of so many insertions. In
 * between there is no dir_list (checked). */
void dir_drop_order(struct dir *dir, struct mem *mem);
bool dir_has_order(const struct dir *dir);
/* -ENOMEM: there is still none. */
int dir_build_order(struct dir *dir, struct mem *mem);

/* Takes out a dentry that is there (checked). Never fails. */
void dir_remove(struct dir *dir, struct mem *mem, struct dentry *dentry);

/* `now`, of the same name, stands where `was` stood: a node was moved in memory, or another node takes the name.
 * Compares pointers only, so `was` may be freed memory already. Never fails. */
void dir_replace(struct dir *dir, const struct dentry *was, struct dentry *now);

/* The position of a name in hash order: DIR_COOKIE_FIRST..INT64_MAX. */
uint64_t dir_cookie(const struct dir *dir, struct bytes name);

/* An entry with its position, as hashing found it. */
struct dir_found {
    uint64_t cookie;
    struct dentry *dentry;
};

/* Up to `max` dentries with a cookie > `after`, in cookie order, into `found`. Entries of equal cookie come all or
 * not at all, unless they alone exceed `max` (>= 64 is the caller's duty). 0 at the end. */
size_t dir_scan(const struct dir *dir, uint64_t after, struct dir_found *found, size_t max);

/* Up to `max` dentries whose name is > `after` (NULL data: from the first), in name order. 0 at the end. */
size_t dir_list(const struct dir *dir, struct bytes after, struct dentry **found, size_t max);

#endif
