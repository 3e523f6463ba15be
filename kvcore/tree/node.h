/* Nodes and dentries as they lie in memory.
 *
 * The bulk of a store is small files with one name, so such a file is ONE allocation:
 *
 *   struct node                                     | struct dentry, its tail | [ext] | [inline value]
 *   id version mtime btime uid gid mode flags inline| dir name_len kind name.. | 8     | inline_len bytes
 *   44 bytes                                        | 10 bytes and the name    |       |
 *
 * so a 10-byte name with a 64-byte value takes 128 bytes. Whatever a plain small file does not need (ctime or
 * atime that differ from mtime and btime, a long value, xattrs, several links, expiry, a directory's index)
 * lives in struct node_ext, allocated on first need.
 *
 * WHO MOVES. A node with its dentry inside is reallocated when its name or inline value changes length: every
 * `struct node *` and `struct dentry *` of it dies with that. Only value.c and names.c do this, and they mend the two
 * places that point there (the id map and the directory). A directory never moves: its dentry is a separate
 * struct link, as are all dentries of a node with several links or none.
 *
 * Times are ns since 1970 in 64 bits: 1677 to 2262.
 */
#ifndef KV_TREE_NODE_H
#define KV_TREE_NODE_H

#include "kvcore/base/bytes.h"
#include "kvcore/base/mem.h"
#include "kvcore/tree/dentry.h"
#include "kvcore/tree/rope.h"

#include <sys/stat.h>

struct dir;
struct xattrs;

enum node_flag {
    NODE_EXT = 1 << 0,    /* a struct node_ext * follows the name */
    NODE_LINKED = 1 << 1, /* all its names, if any, are struct links (ext->links); the dentry inside names nothing */
    NODE_ROPE = 1 << 2,   /* the value is ext->rope, not inline */
    NODE_EXPIRES = 1 << 3,
    NODE_UNNAMED = 1 << 4, /* it was made without a name, and has had none yet: it may still be given one */
};

struct node {
    uint64_t id;
    uint64_t version;
    int64_t mtime_ns;
    int64_t btime_ns;
    uint32_t uid;
    uint32_t gid;
    uint16_t mode; /* type and permissions, as st_mode */
    uint8_t flags; /* enum node_flag */
    uint8_t inline_len;
    struct dentry dentry; /* must be last: its name, the ext pointer and the inline value follow */
};

/* One name of a node that has several, or of a directory. */
struct link {
    struct node *node;
    struct link *next;    /* the node's next link */
    struct dentry dentry; /* must be last */
};

struct node_ext {
    int64_t ctime_ns;
    int64_t atime_ns;
    int64_t expires_ns; /* with NODE_EXPIRES */
    uint32_t expiry_at; /* its place in the tree's expiry heap */
    uint32_t nlink;
    uint32_t holds;     /* who keeps it although it has no name (EFFECT_HOLD) */
    struct link *links; /* with NODE_LINKED */
    struct xattrs *xattrs;
    union {
        struct rope rope; /* with NODE_ROPE: files and symlinks */
        struct dir *dir;  /* directories */
        uint64_t rdev;    /* devices */
    };
};

static inline bool node_is_dir(const struct node *node) { return S_ISDIR(node->mode); }
static inline bool node_is_file(const struct node *node) { return S_ISREG(node->mode); }

/* The node that a dentry names. */
static inline struct node *dentry_node(const struct dentry *dentry)
{
    if (dentry->kind == DENTRY_INSIDE)
        return (struct node *)((char *)dentry - offsetof(struct node, dentry));
    return ((struct link *)((char *)dentry - offsetof(struct link, dentry)))->node;
}

/* NULL while the node is plain. */
static inline struct node_ext *node_ext(const struct node *node)
{
    struct node_ext *ext = NULL;
    if (node->flags & NODE_EXT)
        memcpy(&ext, node->dentry.name + node->dentry.name_len, sizeof ext);
    return ext;
}

/* The inline value's bytes. */
static inline char *node_inline(const struct node *node)
{
    size_t ext_bytes = node->flags & NODE_EXT ? sizeof(struct node_ext *) : 0;
    return (char *)node->dentry.name + node->dentry.name_len + ext_bytes;
}

static inline struct dir *node_dir(const struct node *node) { return node_ext(node)->dir; }

/* Lengths, times and counts, wherever they are kept. */
uint64_t node_size(const struct node *node);
uint64_t node_stored_bytes(const struct node *node);
int64_t node_ctime_ns(const struct node *node);
int64_t node_atime_ns(const struct node *node);
uint32_t node_nlink(const struct node *node);
/* INT64_MAX: never. */
int64_t node_expires_ns(const struct node *node);

/* A directory's one name; NULL for the root's. Only for directories. */
struct dentry *node_dir_dentry(const struct node *node);

/* A new node: a plain one, not linked anywhere, its name inside, with room for an inline value of inline_len bytes (the
 * caller fills it). NULL: out of memory. */
struct node *node_new(struct mem *mem, uint64_t id, uint16_t mode, struct bytes name, size_t inline_len);

/* Frees the node, its ext, value and xattrs; it must have no links and no children. */
void node_free(struct node *node, struct mem *mem);

/* The same node under another name inside and with another inline length; the first bytes of the value are kept, new
 * ones are undefined. Returns where it is now, often where it was; NULL: out of memory, nothing changed. */
struct node *node_reshape(struct node *node, struct mem *mem, struct bytes name, size_t inline_len);

/* The same node with an ext, which takes over the times. As node_reshape. */
struct node *node_extend(struct node *node, struct mem *mem);

/* A second block for the same node, under another name inside, in directory `dir`: it shares the ext, so that one of
 * the two must go by mem_free alone, without node_free. NULL: out of memory. */
struct node *node_copy(const struct node *node, struct mem *mem, struct node *dir, struct bytes name);

/* A new dentry of its own for `node`, not yet in its list. NULL: out of memory. */
struct link *link_new(struct mem *mem, struct node *node, struct node *dir, struct bytes name);

static inline struct link *link_of(const struct dentry *dentry)
{
    return (struct link *)((char *)dentry - offsetof(struct link, dentry));
}

#endif
