/* A growable run of bytes with a bound: what is written for a peer, and what has come from one. */
#ifndef KV_BASE_BUF_H
#define KV_BASE_BUF_H

#include "kvcore/base/bytes.h"

struct buf {
    char *data;
    size_t len;      /* bytes in use */
    size_t capacity; /* bytes allocated */
};

/* A zeroed struct is an empty buffer. */
void buf_close(struct buf *buf);

/* Makes room for `more` bytes behind len. -ENOMEM; the contents are untouched then. */
int buf_reserve(struct buf *buf, size_t more);

/* Appends. -ENOMEM; nothing is appended then. */
int buf_append(struct buf *buf, const void *data, size_t len);
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `len` bytes; the rest moves to the front. */
void buf_consume(struct buf *buf, size_t len);

static inline struct bytes buf_bytes(const struct buf *buf) { return (struct bytes){buf->data, buf->len}; }

#endif
