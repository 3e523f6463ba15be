/* Which inodes the kernel knows, and how often it was told of each (its lookup count, see forget in
 * fuse_lowlevel.h). A FUSE inode number is the node's id, so nothing needs to be found here to serve a request; the
 * table exists for two facts that only the mount knows:
 *
 *   held    the node lost its last name through this mount while the kernel still knew it; the store keeps it for
 *           us, and must be told when the kernel has forgotten it.
 *   setid   the node was seen as a file with S_ISUID or S_ISGID, which a write or chown has to take off.
 *
 * Open addressing with linear probing, 16 bytes a slot, at most 3/4 full; a removal closes the gap behind it, so there
 * are no tombstones. It shrinks when the kernel has dropped its caches.
 */
#ifndef KV_FSD_INODES_H
#define KV_FSD_INODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the kernel calls a node, and back. st_ino is the id itself, but the number by which FUSE messages name it
 * (`fuse_ino_t`) is the id turned left by the bits of its slot: the kernel's inode table hashes that number with a
 * multiplication and a mask, which loses the high bits, and the ids of many top-level names differ in nothing else.
 * The root, id 1, must be FUSE_ROOT_ID, also 1; no other id turns into 1, since sequences begin at 1. */
enum { ID_SLOT_BITS = 14 };

static inline uint64_t ino_of_id(uint64_t id) { return id == 1 ? 1 : id << ID_SLOT_BITS | id >> (64 - ID_SLOT_BITS); }

static inline uint64_t id_of_ino(uint64_t ino)
{
    return ino == 1 ? 1 : ino >> ID_SLOT_BITS | ino << (64 - ID_SLOT_BITS);
}

struct inode_slot {
    uint64_t id; /* 0: empty */
    uint64_t lookups : 62;
    uint64_t held : 1;
    uint64_t setid : 1;
};

struct inodes {
    struct inode_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

/* A zeroed struct is an empty table. */
void inodes_close(struct inodes *inodes);

/* The kernel is about to be told of this inode once more. -ENOMEM. */
int inodes_add(struct inodes *inodes, uint64_t id, bool setid);

/* The kernel takes back `lookups` of what it was told. True where that was the last and the store holds the node for
 * us: it is to be released. An id that is not here costs nothing (the root, which is never added). */
bool inodes_forget(struct inodes *inodes, uint64_t id, uint64_t lookups);

/* The store holds this node for us. False where the kernel does not know it (any more): release it at once. */
bool inodes_hold(struct inodes *inodes, uint64_t id);

/* The node has a name again: it is not to be held any more. True: it was, release it. */
bool inodes_let_go(struct inodes *inodes, uint64_t id);

/* Remembers that the node has S_ISUID or S_ISGID. */
void inodes_mark_setid(struct inodes *inodes, uint64_t id);
bool inodes_is_setid(const struct inodes *inodes, uint64_t id);

/* 0 where the kernel does not know it. */
uint64_t inodes_lookups(const struct inodes *inodes, uint64_t id);

#endif
