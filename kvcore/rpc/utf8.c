#include "kvcore/rpc/writer.h"

/* The length of the well-formed sequence at the front, 0 where there is none (Unicode 15, table 3-7). */
static size_t sequence(const unsigned char *at, size_t len)
{
    unsigned char first = at[0], low = 0x80, high = 0xbf;
    size_t count;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf) {
        count = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
        count = 3;
        low = first == 0xe0 ? 0xa0 : low;   /* overlong */
        high = first == 0xed ? 0x9f : high; /* surrogates */
    } else if (first >= 0xf0 && first <= 0xf4) {
        count = 4;
        low = first == 0xf0 ? 0x90 : low;   /* overlong */
        high = first == 0xf4 ? 0x8f : high; /* past U+10FFFF */
    } else {
        return 0;
    }
    if (len < count || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < count; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return count;
}

bool utf8_valid(struct bytes text)
{
    if (text.len == 0)
        return true; /* and its address may be NULL */
    const unsigned char *at = (const unsigned char *)text.data, *end = at + text.len;
    while (at < end) {
        uint64_t word;
        if (end - at >= 8) { /* names are mostly ASCII */
            memcpy(&word, at, sizeof word);
            if (!(word & 0x8080808080808080)) {
                at += 8;
                continue;
            }
        }
        size_t len = sequence(at, (size_t)(end - at));
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}
