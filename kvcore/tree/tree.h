/* The namespace in memory: names to nodes to values. Pure: no I/O, no clock, no chance.
 *
 *   key ──walk──> dentry ──> node ──> value, xattrs
 *                  ^          ^
 *     dir (by hash, by name)  slots[slot of birth].nodes (by sequence)
 *
 * Reading is by the functions here; changing is by tree_apply alone (effect.h). A `struct node *` is good until the
 * next tree_apply: whoever needs a node longer keeps its id.
 *
 * Invariants (tree_verify checks them): every node is in the id map of its slot of birth under its own id; every
 * dentry of a directory leads to a node that knows it; nlink is the number of names, for directories 2 and one
 * for each subdirectory; a node without a name has a hold and no expiry; the expiry heap holds the nodes with
 * NODE_EXPIRES, no others.
 */
#ifndef KV_TREE_TREE_H
#define KV_TREE_TREE_H

#include "kvcore/base/limits.h"
#include "kvcore/tree/effect.h"
#include "kvcore/tree/expiry.h"
#include "kvcore/tree/node.h"
#include "kvcore/tree/radix.h"

#define ROOT_ID 1u

/* An id: slot of birth, sequence within it. */
#define ID_SLOT_SHIFT 50
static inline unsigned id_slot(uint64_t id) { return (unsigned)(id >> ID_SLOT_SHIFT); }
static inline uint64_t id_sequence(uint64_t id) { return id & ((1ull << ID_SLOT_SHIFT) - 1); }

struct tree_slot {
    uint64_t next_sequence; /* the first that was never used */
    struct radix nodes;     /* by sequence */
};

struct tree {
    struct mem mem;
    uint64_t hash_seed;
    struct node *root;
    uint64_t node_count;
    struct expiry expiry;
    struct bulk *bulk;            /* NULL: none is on */
    struct tree_watcher *watcher; /* NULL: nobody watches (watcher.h) */
    struct tree_slot slots[SLOTS];
};

/* A tree with an empty root directory. The seed fixes the order of readdir; it must be unknown to those who choose
 * names. NULL: out of memory. */
struct tree *tree_new(uint64_t hash_seed, uint32_t root_uid, uint32_t root_gid, uint32_t root_mode, int64_t time_ns);
void tree_free(struct tree *tree);

/* By id, named or held. NULL: no such node. */
struct node *tree_find(const struct tree *tree, uint64_t id);

/* By name in a directory. NULL: no such name. */
struct node *tree_lookup(const struct node *dir, struct bytes name);

/* Where a key leads. */
struct tree_place {
    struct node *node; /* NULL: nothing has that name in dir */
    struct node *dir;  /* NULL: the place is the root */
    struct bytes name; /* in dir */
    struct bytes rest; /* what follows `name`, a valid key: not empty means that a parent directory is missing */
    char path[2 * KEY_BYTES_MAX + 2]; /* what name and rest point into once a symlink was followed */
};

/* Walks from the root. Symlinks on the way are followed, one at the end only with `follow`. 0 and *ret_place, also when
 * the place is empty; -ENOTDIR, -ELOOP (too many symlinks), -ENAMETOOLONG, -EXDEV (a symlink out of the store:
 * absolute, or to ".." of the root), or -ENOENT (a symlink through a missing directory to a place that is no key:
 * "missing/../x"). *ret_place is undefined then. The key must be valid (key_check) or empty. */
int tree_walk(const struct tree *tree, struct bytes key, bool follow, struct tree_place *ret_place);

/* dir_fetch, for the last component of a key. Symlinks on the way are not followed: then nothing is fetched. */
void tree_fetch(const struct tree *tree, struct bytes key, unsigned steps_left);

/* BULK. Between these two, names are entered without keeping directories in order, for a tree that is being loaded:
 * everything works but listing by name (and tree_verify). One at a time. -ENOMEM: it is not on; at the end: it is still
 * on, and the end can be tried again. tree_free may come before the end. */
int tree_bulk_begin(struct tree *tree);
int tree_bulk_end(struct tree *tree);

/* The id that the next node created in `dir` under `name` gets: slot of the key, that slot's next sequence. */
uint64_t tree_next_id(const struct tree *tree, const struct node *dir, struct bytes name);

/* Is the key of `name` in `dir` no longer than a key may be? */
bool tree_key_fits(const struct node *dir, struct bytes name);

/* The slot that the node's first name is in; the root's and a nameless node's: their birth slot. */
unsigned tree_slot_of(const struct tree *tree, const struct node *node);

/* 0, or the negative code of the rule it breaks; nothing is changed then. */
int tree_apply(struct tree *tree, struct effect *effect);

/* Writes the node's key, as its first name has it, to `out` (KEY_BYTES_MAX bytes). Returns its length, or
 * -ENOENT for a nameless node, -ENAMETOOLONG where renames made it longer than a key may be. */
int tree_key_of(const struct node *node, char *out);

/* Up to `max` borrowed pieces of a file's or symlink's value. As rope_pieces. */
size_t tree_value(const struct node *node, uint64_t offset, uint64_t length, struct bytes *pieces, size_t max,
                  uint64_t *ret_bytes);

/* As rope_seek, of a file's value. */
int tree_seek(const struct node *node, uint64_t offset, bool hole, uint64_t *ret_offset);

/* Memory that a write to a file, or a cut at `offset` (see rope_cut_cost), would add to what it has now: what admission
 * asks for. */
uint64_t tree_write_cost(const struct node *node, uint64_t offset, uint64_t length);
uint64_t tree_cut_cost(const struct node *node, uint64_t offset);

/* CHECKs every invariant; for tests. Slow. */
void tree_verify(const struct tree *tree);

#endif
