/* A borrowed run of bytes: what a key, a name or a value is to every function that only looks at it. */
#ifndef KV_BASE_BYTES_H
#define KV_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *data; /* NULL only where len is 0 or the function says what NULL means */
    size_t len;
};

static inline struct bytes bytes_of(const char *text) { return (struct bytes){text, strlen(text)}; }

static inline struct bytes bytes_make(const void *data, size_t len) { return (struct bytes){data, len}; }

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Order of names: as memcmp, a prefix first. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len ? memcmp(a.data, b.data, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

#endif
