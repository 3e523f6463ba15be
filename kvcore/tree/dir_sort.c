/* A million names lie all over memory, and comparing two of them waits for both. So each name is read once, front to
 * back, ahead of its turn: what all have in common is skipped, the next 8 bytes become a number beside the pointer, and
 * the numbers are sorted in passes by byte (LSD radix sort), which looks at no name. Names that agree in those 8 bytes
 * are sorted by the next ones in the same way. A few are sorted by insertion.
 *
 * A name that ends within the 8 bytes is filled up with zeros: no name holds a NUL, so it comes before all that go on.
 */
#include "kvcore/tree/dir_sort.h"

#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/tree/dentry.h"

#include <endian.h>
#include <stdint.h>

struct item {
    uint64_t key;
    struct dentry *dentry;
};

enum { FEW = 24, AHEAD = 12, KEY_BYTES = 8 };

static void prefetch_name(const struct item *items, size_t at, size_t count)
{
    if (at + AHEAD < count)
        __builtin_prefetch(items[at + AHEAD].dentry->name);
}

static void sort_few(struct item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct item item = items[i];
        size_t at = i;
        for (; at > 0 && bytes_compare(dentry_name(items[at - 1].dentry), dentry_name(item.dentry)) > 0; at--)
            items[at] = items[at - 1];
        items[at] = item;
    }
}

/* How many bytes all names share, of which they are known to share `depth`. */
static size_t common_bytes(const struct item *items, size_t count, size_t depth)
{
    struct bytes first = dentry_name(items[0].dentry);
    size_t common = first.len;
    for (size_t i = 1; i < count && common > depth; i++) {
        prefetch_name(items, i, count);
        struct bytes name = dentry_name(items[i].dentry);
        size_t end = name.len < common ? name.len : common;
        if (end == common && memcmp(name.data + depth, first.data + depth, end - depth) == 0)
            continue;
        for (common = depth; common < end && name.data[common] == first.data[common];)
            common++;
    }
    return common;
}

static uint64_t key_at(struct bytes name, size_t depth)
{
    uint64_t key = 0;
    size_t len = name.len > depth ? name.len - depth : 0;
    memcpy(&key, name.data + depth, len < KEY_BYTES ? len : KEY_BYTES);
    return be64toh(key);
}

static void set_keys(struct item *items, size_t count, size_t depth)
{
    for (size_t i = 0; i < count; i++) {
        prefetch_name(items, i, count);
        items[i].key = key_at(dentry_name(items[i].dentry), depth);
    }
}

static unsigned digit_of(uint64_t key, unsigned digit) { return key >> 8 * digit & 0xff; }

/* By the keys. The result is in `items`. */
static void sort_by_key(struct item *items, struct item *scratch, size_t count)
{
    size_t sums[KEY_BYTES][256] = {{0}};
    struct item *from = items, *to = scratch;
    for (size_t i = 0; i < count; i++)
        for (unsigned digit = 0; digit < KEY_BYTES; digit++)
            sums[digit][digit_of(items[i].key, digit)]++;
    for (unsigned digit = 0; digit < KEY_BYTES; digit++) {
        size_t *sum = sums[digit], before = 0;
        if (sum[digit_of(from[0].key, digit)] == count)
            continue;
        for (unsigned value = 0; value < 256; value++) {
            size_t here = sum[value];
            sum[value] = before;
            before += here;
        }
        for (size_t i = 0; i < count; i++)
            to[sum[digit_of(from[i].key, digit)]++] = from[i];
        struct item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, count * sizeof *items);
}

/* Names that share their first `depth` bytes. Goes at most NAME_BYTES_MAX / KEY_BYTES deep. */
static void sort_from(struct item *items, struct item *scratch, size_t count, size_t depth)
{
    if (count <= FEW) {
        sort_few(items, count);
        return;
    }
    depth = common_bytes(items, count, depth);
    set_keys(items, count, depth);
    sort_by_key(items, scratch, count);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && items[to].key == items[from].key;)
            to++;
        if (to - from > 1)
            sort_from(items + from, scratch, to - from, depth + KEY_BYTES);
    }
}

int dir_sort(struct mem *mem, struct dentry **list, size_t count)
{
    struct item *items = mem_alloc(mem, (2 * count + 1) * sizeof *items);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct item){0, list[i]};
    sort_from(items, items + count, count, 0);
    for (size_t i = 0; i < count; i++)
        list[i] = items[i].dentry;
    mem_free(mem, items);
    return 0;
}
