/* HOW A KEY IS FOUND
 *
 * A key is eleven digits of 6 bits, digit 0 the lowest. A branch of level n looks at digit n; the children of
 * level 0 are the values, all others are references to branches of a lower level:
 *
 *   reference   address of a branch (aligned to 16) | 4 bits of tag: its level, 0..10, or TAG_FULL
 *   branch      bitmap of the children present | child | child | ...      8 + 8 n bytes
 *   full        child 0 | child 1 | ... | child 63                        512 bytes, level 0 only
 *
 * 63 children with the bitmap and 64 without take the same 512 bytes, so a branch fills up and opens again in
 * place, and ids in sequence waste nothing of the size class.
 *
 * Where a branch of level n hangs directly below one of level m, digits n+1..m-1 of all keys below it are zero;
 * the same holds above the root. So a branch above level 0 never has child 0 alone: it would be left out.
 * A run of digits that is not zero is not left out, which keeps every reference one word.
 *
 * The size of a branch follows from its number of children, and is not stored. A block may be larger than that
 * (a failed shrink), never smaller.
 *
 * Out of memory: all that a change needs is allocated before the first reference is written.
 */
#include "kvcore/tree/radix.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tree/step.h"

#include <string.h>

enum { DIGIT_BITS = 6, DIGITS = 11, FANOUT = 64, TAG_MASK = 15, TAG_FULL = 15 };

struct branch {
    uint64_t present; /* bit d: there is a child for digit d */
    void *child[];
};

static struct branch *branch_at(const void *ref) { return (struct branch *)((uintptr_t)ref & ~(uintptr_t)TAG_MASK); }

static bool is_full(const void *ref) { return ((uintptr_t)ref & TAG_MASK) == TAG_FULL; }

static unsigned level_of(const void *ref) { return is_full(ref) ? 0 : (unsigned)((uintptr_t)ref & TAG_MASK); }

static void *make_ref(const void *block, unsigned tag)
{
    CHECK(((uintptr_t)block & TAG_MASK) == 0);
    return (void *)((uintptr_t)block | tag);
}

/* What a key's digits from `level` up amount to; more than 63 means that a higher digit is not zero. */
static uint64_t digits_from(uint64_t key, unsigned level) { return key >> (DIGIT_BITS * level); }

/* The key without digit `level` and those above. */
static uint64_t digits_below(uint64_t key, unsigned level) { return key & (((uint64_t)1 << (DIGIT_BITS * level)) - 1); }

static unsigned digit_of(uint64_t key, unsigned level) { return (unsigned)digits_from(key, level) % FANOUT; }

static bool has_child(const struct branch *branch, uint64_t digit) { return branch->present >> digit & 1; }

static unsigned child_count(const struct branch *branch) { return (unsigned)__builtin_popcountll(branch->present); }

/* The place in child[] that is digit's, present or not. */
static unsigned child_place(const struct branch *branch, uint64_t digit)
{
    return (unsigned)__builtin_popcountll(branch->present & (((uint64_t)1 << digit) - 1));
}

static size_t branch_bytes(unsigned children) { return step_up(sizeof(struct branch) + children * sizeof(void *)); }

/* A new branch with one child. */
static void *branch_new(struct mem *mem, unsigned level, unsigned digit, void *child, unsigned room)
{
    struct branch *branch = mem_alloc(mem, branch_bytes(room));
    if (!branch)
        return NULL;
    branch->present = (uint64_t)1 << digit;
    branch->child[0] = child;
    return make_ref(branch, level);
}

static void branch_put(struct branch *branch, unsigned digit, void *child)
{
    unsigned place = child_place(branch, digit), count = child_count(branch);
    memmove(&branch->child[place + 1], &branch->child[place], (count - place) * sizeof(void *));
    branch->child[place] = child;
    branch->present |= (uint64_t)1 << digit;
}

/* Gives the branch at *where a child for a digit that has none. -ENOMEM. */
static int branch_add(void **where, struct mem *mem, unsigned digit, void *child)
{
    struct branch *branch = branch_at(*where);
    unsigned level = level_of(*where), count = child_count(branch);
    if (level == 0 && count == FANOUT - 1) {
        void **children = (void **)branch;
        memmove(children, children + 1, digit * sizeof(void *));
        children[digit] = child;
        *where = make_ref(branch, TAG_FULL);
        return 0;
    }
    if (branch_bytes(count + 1) != branch_bytes(count)) {
        branch = mem_realloc(mem, branch, branch_bytes(count + 1));
        if (!branch)
            return -ENOMEM;
        *where = make_ref(branch, level);
    }
    branch_put(branch, digit, child);
    return 0;
}

/* Takes a child out of the branch at *where; an emptied branch is freed, one that needs no level is left out. */
static void branch_drop(void **where, struct mem *mem, unsigned digit)
{
    struct branch *branch = branch_at(*where);
    unsigned level = level_of(*where);
    if (is_full(*where)) {
        void **children = (void **)branch;
        memmove(children + 1, children, digit * sizeof(void *));
        branch->present = ~((uint64_t)1 << digit);
        *where = make_ref(branch, 0);
        return;
    }
    unsigned place = child_place(branch, digit), left = child_count(branch) - 1;
    memmove(&branch->child[place], &branch->child[place + 1], (left - place) * sizeof(void *));
    branch->present &= ~((uint64_t)1 << digit);
    if (left == 0 || (level > 0 && branch->present == 1)) {
        *where = left ? branch->child[0] : NULL;
        mem_free(mem, branch);
    } else if (branch_bytes(left) != branch_bytes(left + 1)) {
        struct branch *smaller = mem_realloc(mem, branch, branch_bytes(left));
        if (smaller)
            *where = make_ref(smaller, level);
    }
}

static void free_below(void *ref, struct mem *mem)
{
    struct branch *branch = branch_at(ref);
    if (level_of(ref) > 0) {
        unsigned count = child_count(branch);
        for (unsigned i = 0; i < count; i++)
            free_below(branch->child[i], mem);
    }
    mem_free(mem, branch);
}

void radix_close(struct radix *radix, struct mem *mem)
{
    if (radix->root)
        free_below(radix->root, mem);
    *radix = (struct radix){0};
}

void *radix_find(const struct radix *radix, uint64_t key)
{
    void *ref = radix->root;
    while (ref) {
        unsigned level = level_of(ref);
        uint64_t digit = digits_from(key, level);
        if (digit >= FANOUT)
            return NULL;
        const struct branch *branch = branch_at(ref);
        if (is_full(ref))
            return ((void **)branch)[digit];
        if (!has_child(branch, digit))
            return NULL;
        void *child = branch->child[child_place(branch, digit)];
        if (level == 0)
            return child;
        ref = child;
        key = digits_below(key, level);
    }
    return NULL;
}

/* The branches that lead to one value, for a key of which `levels` digits are left. NULL when out of memory. */
static void *path_new(struct mem *mem, uint64_t key, unsigned levels, void *value)
{
    void *path = branch_new(mem, 0, digit_of(key, 0), value, 1);
    for (unsigned level = 1; path && level < levels; level++) {
        if (digit_of(key, level) == 0)
            continue;
        void *longer = branch_new(mem, level, digit_of(key, level), path, 1);
        if (!longer)
            free_below(path, mem);
        path = longer;
    }
    return path;
}

/* Puts a branch above *where, which assumes zeros where the key has its highest digit. -ENOMEM. */
static int fork_above(void **where, struct mem *mem, uint64_t key, void *value)
{
    unsigned level = (unsigned)(63 - __builtin_clzll(key)) / DIGIT_BITS;
    void *path = path_new(mem, digits_below(key, level), level, value);
    if (!path)
        return -ENOMEM;
    void *fork = branch_new(mem, level, 0, *where, 2);
    if (!fork) {
        free_below(path, mem);
        return -ENOMEM;
    }
    branch_put(branch_at(fork), digit_of(key, level), path);
    *where = fork;
    return 0;
}

/* Adds a child to *where, and all branches below it that the key needs. -ENOMEM. */
static int grow_below(void **where, struct mem *mem, uint64_t key, void *value)
{
    unsigned level = level_of(*where), digit = digit_of(key, level);
    if (level == 0)
        return branch_add(where, mem, digit, value);
    void *path = path_new(mem, digits_below(key, level), level, value);
    if (!path)
        return -ENOMEM;
    int rc = branch_add(where, mem, digit, path);
    if (rc < 0)
        free_below(path, mem);
    return rc;
}

static int add_first(void **where, struct mem *mem, uint64_t key, void *value)
{
    void *path = path_new(mem, key, DIGITS, value);
    if (!path)
        return -ENOMEM;
    *where = path;
    return 0;
}

/* Where the value of a key stands, or NULL; *ret_where is then the reference at which the key is missing. */
static void **value_place(struct radix *radix, uint64_t *key, void ***ret_where)
{
    void **where = &radix->root;
    while (*where) {
        unsigned level = level_of(*where);
        uint64_t digit = digits_from(*key, level);
        if (digit >= FANOUT)
            break;
        struct branch *branch = branch_at(*where);
        if (is_full(*where))
            return (void **)branch + digit;
        if (!has_child(branch, digit))
            break;
        void **child = &branch->child[child_place(branch, digit)];
        if (level == 0)
            return child;
        where = child;
        *key = digits_below(*key, level);
    }
    *ret_where = where;
    return NULL;
}

int radix_set(struct radix *radix, struct mem *mem, uint64_t key, void *value)
{
    CHECK(value);
    void **where = NULL;
    void **place = value_place(radix, &key, &where);
    if (place) {
        *place = value;
        return 0;
    }
    int rc;
    if (!*where)
        rc = add_first(where, mem, key, value);
    else if (digits_from(key, level_of(*where)) >= FANOUT)
        rc = fork_above(where, mem, key, value);
    else
        rc = grow_below(where, mem, key, value);
    if (rc == 0)
        radix->count++;
    return rc;
}

static void *remove_below(void **where, struct mem *mem, uint64_t key)
{
    unsigned level = level_of(*where);
    uint64_t digit = digits_from(key, level);
    struct branch *branch = branch_at(*where);
    if (digit >= FANOUT || (!is_full(*where) && !has_child(branch, digit)))
        return NULL;
    if (level == 0) {
        void *value = is_full(*where) ? ((void **)branch)[digit] : branch->child[child_place(branch, digit)];
        branch_drop(where, mem, (unsigned)digit);
        return value;
    }
    unsigned place = child_place(branch, digit);
    void *value = remove_below(&branch->child[place], mem, digits_below(key, level));
    if (!branch->child[place])
        branch_drop(where, mem, (unsigned)digit);
    return value;
}

void *radix_remove(struct radix *radix, struct mem *mem, uint64_t key)
{
    void *value = radix->root ? remove_below(&radix->root, mem, key) : NULL;
    if (value)
        radix->count--;
    return value;
}

/* The first value below `ref` whose key is >= from; its digits are added to *key. */
static void *next_below(void *ref, uint64_t from, uint64_t *key)
{
    unsigned level = level_of(ref);
    uint64_t digit = digits_from(from, level);
    if (digit >= FANOUT)
        return NULL;
    const struct branch *branch = branch_at(ref);
    if (is_full(ref)) {
        *key |= digit;
        return ((void **)branch)[digit];
    }
    uint64_t ahead = branch->present & (UINT64_MAX << digit);
    for (; ahead; ahead &= ahead - 1) {
        unsigned at = (unsigned)__builtin_ctzll(ahead);
        void *child = branch->child[child_place(branch, at)];
        uint64_t tail = 0;
        void *value = level == 0 ? child : next_below(child, at == digit ? digits_below(from, level) : 0, &tail);
        if (value) {
            *key |= (uint64_t)at << (DIGIT_BITS * level) | tail;
            return value;
        }
    }
    return NULL;
}

void *radix_next(const struct radix *radix, uint64_t from, uint64_t *ret_key)
{
    uint64_t key = 0;
    void *value = radix->root ? next_below(radix->root, from, &key) : NULL;
    if (value)
        *ret_key = key;
    return value;
}
