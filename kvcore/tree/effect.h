/* Effects: the only ways in which a tree changes.
 *
 * An effect is deterministic. Whoever makes one has already chosen the ids, the time and the version, so that applying
 * the same effects to equal trees gives equal trees: on the primary, on a replica, and on replay of the log. The rules
 * of POSIX that depend on the tree alone (ENOTEMPTY, EEXIST, EISDIR, ...) are checked where an effect is applied, once.
 *
 * What can be judged without the tree is the maker's to check: names (name_check), a new id (tree_next_id), a symlink's
 * target (1 to SYMLINK_BYTES_MAX bytes), the bounds of an xattr.
 *
 * An effect that fails has changed nothing, and ret_node is NULL.
 */
#ifndef KV_TREE_EFFECT_H
#define KV_TREE_EFFECT_H

#include "kvcore/base/bytes.h"

struct node;

enum effect_kind {
    EFFECT_CREATE = 1,   /* dir, name, id, mode, uid, gid, rdev, value: a node of any type; a file's first bytes or a
                            symlink's target in value. Flag HOLD: without a name, in no directory */
    EFFECT_LINK,         /* id, dir, name: one more name; the first one of a node that was made without */
    EFFECT_UNLINK,       /* dir, name: not a directory */
    EFFECT_RMDIR,        /* dir, name: an empty directory */
    EFFECT_RENAME,       /* dir, name, to_dir, to_name; flags */
    EFFECT_SET,          /* id, value: the whole value */
    EFFECT_WRITE,        /* id, offset, value */
    EFFECT_TRUNCATE,     /* id, offset: the new size */
    EFFECT_ATTR,         /* id, mask, mode, uid, gid, atime_ns, mtime_ns */
    EFFECT_SET_XATTR,    /* id, name, value */
    EFFECT_REMOVE_XATTR, /* id, name */
    EFFECT_EXPIRE,       /* id, expires_ns; INT64_MAX: never. Not a directory; a node without a name only never */
    EFFECT_RELEASE,      /* id: one hold less */
    EFFECT_PUNCH,        /* id, offset, length; flags: zeros there, which take no memory; the size stays */
    EFFECT_COPY,         /* id, offset, source, source_offset, length: bytes that the file `source` has. In one file the
                            two ranges do not overlap. Memory is shared where the offsets allow it */
};

enum effect_flag {
    EFFECT_NOREPLACE = 1, /* RENAME: the target must not exist */
    EFFECT_EXCHANGE = 2,  /* RENAME: both exist and change places */
    EFFECT_HOLD = 4,      /* UNLINK, RMDIR, RENAME: a node that loses its last name is held, not freed; its expiry ends.
                             CREATE, not of a directory: the node has no name and is held; `dir` stays as it is */
    EFFECT_EXTEND = 8,    /* PUNCH: the size becomes offset + length, if it is less */
};

enum effect_mask {
    EFFECT_MODE = 1, /* the permission bits; the type stays */
    EFFECT_UID = 2,
    EFFECT_GID = 4,
    EFFECT_ATIME = 8,
    EFFECT_MTIME = 16,
};

struct effect {
    enum effect_kind kind;
    uint32_t flags;
    uint64_t version; /* what the changed nodes' version becomes */
    int64_t time_ns;  /* what their times become */
    uint64_t id;
    uint64_t dir;
    uint64_t to_dir;
    struct bytes name;
    struct bytes to_name;
    struct bytes value;
    uint64_t offset;
    uint64_t length;
    uint64_t source;
    uint64_t source_offset;
    uint64_t rdev;
    uint32_t mask;
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    int64_t atime_ns;
    int64_t mtime_ns;
    int64_t expires_ns;

    /* Not part of the effect: the node that `id` names, where the maker has just found it. NULL: it is looked up. */
    struct node *found;

    /* Results, not part of the effect: the node created, linked, renamed or changed, or what an unlink left of it (its
     * address now; NULL: gone); the id of a node without a name that this effect has made held, or 0; of a rename, the
     * id of the node that was replaced or changed places, or 0; of an unlink or rmdir, of the node that had the name.
     */
    struct node *ret_node;
    uint64_t ret_held;
    uint64_t ret_other;
};

#endif
