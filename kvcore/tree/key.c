#include "kvcore/tree/key.h"

#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"

static int refuse(int code, const char *why, const char **ret_why)
{
    if (ret_why)
        *ret_why = why;
    return code;
}

int name_check(struct bytes name, const char **ret_why)
{
    if (name.len == 0)
        return refuse(-EINVAL, "is empty", ret_why);
    if (name.len > NAME_BYTES_MAX)
        return refuse(-ENAMETOOLONG, "has a component of more than 255 bytes", ret_why);
    if (memchr(name.data, '\0', name.len))
        return refuse(-EINVAL, "contains a NUL byte", ret_why);
    if (memchr(name.data, '/', name.len))
        return refuse(-EINVAL, "contains a '/'", ret_why);
    if (bytes_equal(name, bytes_of(".")) || bytes_equal(name, bytes_of("..")))
        return refuse(-EINVAL, "has a component '.' or '..'", ret_why);
    return 0;
}

int key_check(struct bytes key, const char **ret_why)
{
    if (key.len == 0)
        return 0;
    if (key.len > KEY_BYTES_MAX)
        return refuse(-ENAMETOOLONG, "is longer than 4095 bytes", ret_why);
    if (key.data[0] == '/')
        return refuse(-EINVAL, "begins with '/'", ret_why);
    if (key.data[key.len - 1] == '/')
        return refuse(-EINVAL, "ends with '/'", ret_why);
    struct bytes component;
    while (key_next(&key, &component)) {
        if (component.len == 0)
            return refuse(-EINVAL, "has an empty component", ret_why);
        int rc = name_check(component, ret_why);
        if (rc < 0)
            return rc;
    }
    return 0;
}

bool key_next(struct bytes *rest, struct bytes *ret_component)
{
    if (rest->len == 0)
        return false;
    const char *slash = memchr(rest->data, '/', rest->len);
    size_t len = slash ? (size_t)(slash - rest->data) : rest->len;
    size_t cut = slash ? len + 1 : len;
    *ret_component = bytes_make(rest->data, len);
    *rest = bytes_make(rest->data + cut, rest->len - cut);
    return true;
}

void key_split(struct bytes key, struct bytes *ret_parent, struct bytes *ret_name)
{
    const char *slash = memrchr(key.data, '/', key.len);
    size_t parent_len = slash ? (size_t)(slash - key.data) : 0;
    size_t name_at = slash ? parent_len + 1 : 0;
    *ret_parent = bytes_make(key.data, parent_len);
    *ret_name = bytes_make(key.data + name_at, key.len - name_at);
}

/* CRC-16/XMODEM: polynomial 0x1021, from 0, nothing reflected. The shifts are the polynomial applied to a whole
 * byte at once, which needs no table. */
static uint16_t crc16(struct bytes bytes)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned carry = (unsigned)(crc >> 8) ^ (unsigned char)bytes.data[i];
        carry ^= carry >> 4;
        crc = (uint16_t)(crc << 8 ^ carry << 12 ^ carry << 5 ^ carry);
    }
    return crc;
}

/* What stands between the first '{' and the next '}', or all of it. */
static struct bytes hash_tag(struct bytes component)
{
    const char *open = memchr(component.data, '{', component.len);
    if (!open)
        return component;
    const char *tag = open + 1, *end = component.data + component.len;
    const char *close = memchr(tag, '}', (size_t)(end - tag));
    return close && close > tag ? bytes_make(tag, (size_t)(close - tag)) : component;
}

unsigned key_slot(struct bytes key)
{
    struct bytes component;
    if (!key_next(&key, &component))
        return 0;
    return crc16(hash_tag(component)) % SLOTS;
}
