/* One allocation holds the list: entries one behind the other, in name order, each
 *
 *   4 bytes           1 byte          name_len    value_len
 *   value_len         name_len        name        value
 *
 * Nothing points into it, so a search walks from the front; nodes have a handful of attributes. A change that adds
 * bytes builds a new list and then drops the old one, so a failure leaves everything as it was and the value may
 * be borrowed from the list itself. A removal closes the gap in place and therefore cannot fail.
 */
#include "kvcore/tree/xattr.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"

struct entry {
    uint32_t value_len;
    uint8_t name_len;
    char bytes[]; /* the name, then the value */
} __attribute__((packed));

struct xattrs {
    uint32_t len;         /* bytes of `entries` */
    uint32_t total_bytes; /* names and values in it, for XATTR_TOTAL_BYTES_MAX */
    char entries[];
};

static_assert(XATTR_NAME_BYTES_MAX <= UINT8_MAX, "a name's length fits its byte");

static const struct entry *entry_at(const struct xattrs *xattrs, size_t at)
{
    return (const struct entry *)(xattrs->entries + at);
}

static struct bytes entry_name(const struct entry *entry) { return bytes_make(entry->bytes, entry->name_len); }

static struct bytes entry_value(const struct entry *entry)
{
    return bytes_make(entry->bytes + entry->name_len, entry->value_len);
}

static size_t payload_bytes(const struct entry *entry) { return (size_t)entry->name_len + entry->value_len; }
static size_t entry_bytes(const struct entry *entry) { return sizeof *entry + payload_bytes(entry); }

/* Where the entry of that name is, or where it belongs; true when it is there. */
static bool find(const struct xattrs *xattrs, struct bytes name, size_t *ret_at)
{
    int order = 1;
    size_t at = 0;
    while (xattrs && at < xattrs->len) {
        order = bytes_compare(name, entry_name(entry_at(xattrs, at)));
        if (order <= 0)
            break;
        at += entry_bytes(entry_at(xattrs, at));
    }
    *ret_at = at;
    return order == 0;
}

static char *append(char *to, const void *data, size_t len)
{
    if (len)
        memcpy(to, data, len);
    return to + len;
}

void xattrs_free(struct xattrs *xattrs, struct mem *mem) { mem_free(mem, xattrs); }

bool xattrs_get(const struct xattrs *xattrs, struct bytes name, struct bytes *ret_value)
{
    size_t at;
    if (!find(xattrs, name, &at))
        return false;
    *ret_value = entry_value(entry_at(xattrs, at));
    return true;
}

int xattrs_set(struct xattrs **xattrs, struct mem *mem, struct bytes name, struct bytes value)
{
    CHECK(name.len > 0 && name.len <= XATTR_NAME_BYTES_MAX && value.len <= XATTR_VALUE_BYTES_MAX);
    struct xattrs *was = *xattrs;
    size_t at, len = was ? was->len : 0, total_bytes = was ? was->total_bytes : 0, replaced = 0;
    if (find(was, name, &at)) {
        replaced = entry_bytes(entry_at(was, at));
        total_bytes -= payload_bytes(entry_at(was, at));
    }
    total_bytes += name.len + value.len;
    if (total_bytes > XATTR_TOTAL_BYTES_MAX)
        return -ENOSPC;

    struct entry entry = {.value_len = (uint32_t)value.len, .name_len = (uint8_t)name.len};
    size_t now_len = len - replaced + entry_bytes(&entry);
    struct xattrs *now = mem_alloc(mem, sizeof *now + now_len);
    if (!now)
        return -ENOMEM;
    *now = (struct xattrs){.len = (uint32_t)now_len, .total_bytes = (uint32_t)total_bytes};
    char *to = now->entries;
    if (was)
        to = append(to, was->entries, at);
    to = append(to, &entry, sizeof entry);
    to = append(to, name.data, name.len);
    to = append(to, value.data, value.len);
    if (was)
        append(to, was->entries + at + replaced, len - at - replaced);
    mem_free(mem, was);
    *xattrs = now;
    return 0;
}

int xattrs_remove(struct xattrs **xattrs, struct mem *mem, struct bytes name)
{
    struct xattrs *list = *xattrs;
    size_t at;
    if (!find(list, name, &at))
        return -ENODATA;
    size_t gone = entry_bytes(entry_at(list, at));
    if (gone == list->len) {
        mem_free(mem, list);
        *xattrs = NULL;
        return 0;
    }
    list->total_bytes -= (uint32_t)payload_bytes(entry_at(list, at));
    list->len -= (uint32_t)gone;
    memmove(list->entries + at, list->entries + at + gone, list->len - at);
    struct xattrs *shrunk = mem_realloc(mem, list, sizeof *list + list->len);
    if (shrunk) /* or else the list stays in its too long allocation */
        *xattrs = shrunk;
    return 0;
}

bool xattrs_next(const struct xattrs *xattrs, size_t *at, struct bytes *ret_name, struct bytes *ret_value)
{
    if (!xattrs || *at >= xattrs->len)
        return false;
    const struct entry *entry = entry_at(xattrs, *at);
    *ret_name = entry_name(entry);
    *ret_value = entry_value(entry);
    *at += entry_bytes(entry);
    return true;
}
