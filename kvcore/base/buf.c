#include "kvcore/base/buf.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST_BYTES = 256 };

void buf_close(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

int buf_reserve(struct buf *buf, size_t more)
{
    if (more <= buf->capacity - buf->len)
        return 0;
    if (more > SIZE_MAX / 2 - buf->len)
        return -ENOMEM;
    size_t need = buf->len + more, capacity = buf->capacity ? buf->capacity : BUF_FIRST_BYTES;
    while (capacity < need)
        capacity += capacity / 2;
    char *data = realloc(buf->data, capacity);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->capacity = capacity;
    return 0;
}

int buf_append(struct buf *buf, const void *data, size_t len)
{
    int rc = buf_reserve(buf, len);
    if (rc < 0)
        return rc;
    if (len)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return 0;
}

int buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(len >= 0);
    int rc = buf_reserve(buf, (size_t)len + 1);
    if (rc < 0)
        return rc;
    va_start(args, format);
    vsnprintf(buf->data + buf->len, (size_t)len + 1, format, args);
    va_end(args);
    buf->len += (size_t)len;
    return 0;
}

void buf_consume(struct buf *buf, size_t len)
{
    CHECK(len <= buf->len);
    buf->len -= len;
    if (buf->len)
        memmove(buf->data, buf->data + len, buf->len);
}
