#include "fsd/inodes.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <assert.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 64 };

static_assert(sizeof(struct inode_slot) == 16, "a slot is 16 bytes");

/* Ids differ in their low bits (below one top-level name they count up) or only in their high ones (top-level names are
 * spread over the slots): a multiplication carries upwards alone, so the high half is folded down before and after. */
static size_t home_of(const struct inodes *inodes, uint64_t id)
{
    id = (id ^ id >> 32) * 0x9e3779b97f4a7c15ull;
    return (size_t)(id ^ id >> 32) & (inodes->capacity - 1);
}

static struct inode_slot *find(const struct inodes *inodes, uint64_t id)
{
    if (!inodes->capacity)
        return NULL;
    for (size_t i = home_of(inodes, id);; i = (i + 1) & (inodes->capacity - 1)) {
        if (inodes->slots[i].id == id)
            return &inodes->slots[i];
        if (!inodes->slots[i].id)
            return NULL;
    }
}

/* The first free slot for an id that is not in the table. */
static struct inode_slot *vacancy(const struct inodes *inodes, uint64_t id)
{
    size_t i = home_of(inodes, id);
    while (inodes->slots[i].id)
        i = (i + 1) & (inodes->capacity - 1);
    return &inodes->slots[i];
}

static int resize(struct inodes *inodes, size_t capacity)
{
    struct inodes resized = {calloc(capacity, sizeof *resized.slots), capacity, inodes->count};
    if (!resized.slots)
        return -ENOMEM;
    for (size_t i = 0; i < inodes->capacity; i++)
        if (inodes->slots[i].id)
            *vacancy(&resized, inodes->slots[i].id) = inodes->slots[i];
    free(inodes->slots);
    *inodes = resized;
    return 0;
}

/* Empties the slot and moves back what only stands behind it because the slot was taken. */
static void take_out(struct inodes *inodes, struct inode_slot *slot)
{
    size_t mask = inodes->capacity - 1, gap = (size_t)(slot - inodes->slots);
    for (size_t i = (gap + 1) & mask; inodes->slots[i].id; i = (i + 1) & mask) {
        size_t home = home_of(inodes, inodes->slots[i].id);
        if (((i - home) & mask) < ((i - gap) & mask))
            continue; /* its home lies behind the gap */
        inodes->slots[gap] = inodes->slots[i];
        gap = i;
    }
    inodes->slots[gap] = (struct inode_slot){0};
    inodes->count--;
    if (inodes->capacity > CAPACITY_MIN && inodes->count < inodes->capacity / 8)
        (void)resize(inodes, inodes->capacity / 2); /* without memory for it, it just stays as large as it is */
}

void inodes_close(struct inodes *inodes)
{
    free(inodes->slots);
    *inodes = (struct inodes){0};
}

int inodes_add(struct inodes *inodes, uint64_t id, bool setid)
{
    CHECK(id);
    struct inode_slot *slot = find(inodes, id);
    if (!slot) {
        if (inodes->count + 1 > inodes->capacity / 4 * 3) {
            int rc = resize(inodes, inodes->capacity ? inodes->capacity * 2 : CAPACITY_MIN);
            if (rc < 0)
                return rc;
        }
        slot = vacancy(inodes, id);
        *slot = (struct inode_slot){.id = id};
        inodes->count++;
    }
    slot->lookups++;
    slot->setid |= setid;
    return 0;
}

bool inodes_forget(struct inodes *inodes, uint64_t id, uint64_t lookups)
{
    struct inode_slot *slot = find(inodes, id);
    if (!slot)
        return false;
    if (slot->lookups > lookups) {
        slot->lookups -= lookups;
        return false;
    }
    bool held = slot->held;
    take_out(inodes, slot);
    return held;
}

bool inodes_hold(struct inodes *inodes, uint64_t id)
{
    struct inode_slot *slot = find(inodes, id);
    if (slot)
        slot->held = 1;
    return slot;
}

bool inodes_let_go(struct inodes *inodes, uint64_t id)
{
    struct inode_slot *slot = find(inodes, id);
    bool held = slot && slot->held;
    if (held)
        slot->held = 0;
    return held;
}

void inodes_mark_setid(struct inodes *inodes, uint64_t id)
{
    struct inode_slot *slot = find(inodes, id);
    if (slot)
        slot->setid = 1;
}

bool inodes_is_setid(const struct inodes *inodes, uint64_t id)
{
    const struct inode_slot *slot = find(inodes, id);
    return slot && slot->setid;
}

uint64_t inodes_lookups(const struct inodes *inodes, uint64_t id)
{
    const struct inode_slot *slot = find(inodes, id);
    return slot ? slot->lookups : 0;
}
