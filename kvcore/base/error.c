#include "kvcore/base/error.h"

#include <string.h>

/* The errnos that kvfs answers with, and what they mean here. */
#define ERRNO_LIST(X)                                                                                                  \
    X(EPERM)                                                                                                           \
    X(ENOENT)                                                                                                          \
    X(EINTR)                                                                                                           \
    X(EIO)                                                                                                             \
    X(E2BIG)                                                                                                           \
    X(EBADF)                                                                                                           \
    X(EAGAIN)                                                                                                          \
    X(ENOMEM)                                                                                                          \
    X(EACCES)                                                                                                          \
    X(EBUSY)                                                                                                           \
    X(EEXIST)                                                                                                          \
    X(EXDEV)                                                                                                           \
    X(ENODEV)                                                                                                          \
    X(ENOTDIR)                                                                                                         \
    X(EISDIR)                                                                                                          \
    X(EINVAL)                                                                                                          \
    X(EFBIG)                                                                                                           \
    X(ENOSPC)                                                                                                          \
    X(EROFS)                                                                                                           \
    X(EMLINK)                                                                                                          \
    X(ERANGE)                                                                                                          \
    X(EDEADLK)                                                                                                         \
    X(ENAMETOOLONG)                                                                                                    \
    X(ENOSYS)                                                                                                          \
    X(ENOTEMPTY)                                                                                                       \
    X(ELOOP)                                                                                                           \
    X(ENODATA)                                                                                                         \
    X(EOVERFLOW)                                                                                                       \
    X(ENOTSUP)                                                                                                         \
    X(ETIMEDOUT)                                                                                                       \
    X(ECONNREFUSED)                                                                                                    \
    X(ECONNRESET)                                                                                                      \
    X(ECANCELED)                                                                                                       \
    X(ESTALE)                                                                                                          \
    X(EDQUOT)                                                                                                          \
    X(EPROTO)                                                                                                          \
    X(EADDRINUSE)                                                                                                      \
    X(ENXIO)

static const struct {
    int code;
    const char *name;
    const char *text; /* NULL: strerror's */
} errors[] = {
#define X(symbol) {-symbol, #symbol, NULL},
    ERRNO_LIST(X)
#undef X
#define X(symbol, meaning) {KV_##symbol, #symbol, meaning},
        KV_ERROR_LIST(X)
#undef X
};

enum { ERROR_COUNT = sizeof errors / sizeof errors[0] };

const char *error_name(int code)
{
    for (int i = 0; i < ERROR_COUNT; i++)
        if (errors[i].code == code)
            return errors[i].name;
    return "EIO";
}

const char *error_text(int code)
{
    for (int i = 0; i < ERROR_COUNT; i++)
        if (errors[i].code == code && errors[i].text)
            return errors[i].text;
    return strerror(code > KV_ERROR_BASE && code < KV_ERROR_END ? EIO : -code);
}

int error_from_name(const char *name, unsigned long len)
{
    for (int i = 0; i < ERROR_COUNT; i++)
        if (strlen(errors[i].name) == len && memcmp(errors[i].name, name, len) == 0)
            return errors[i].code;
    return -EIO;
}

int error_to_errno(int code)
{
    switch (code) {
    case KV_CROSSSLOT:
        return EXDEV;
    case KV_READONLY:
        return EROFS;
    case KV_NOAUTH:
        return EACCES;
    case KV_LOADING:
    case KV_BUSY:
        return EAGAIN;
    default:
        return code > KV_ERROR_BASE && code < KV_ERROR_END ? EIO : -code;
    }
}
