/* The format (linux/posix_acl_xattr.h), little-endian: 4 bytes version, 2; then entries of 8 bytes:
 *
 *   2 bytes   2 bytes                 4 bytes
 *   tag       permissions, 0 to 7     uid or gid of a USER or GROUP entry
 *
 * in the order of their tags, where the owner, the owning group and the others have one entry each, and where there is
 * a named user or group there is a mask, which bounds what these and the owning group may do. The group bits of the
 * mode are the mask where there is one.
 */
#include "kvcore/tree/acl.h"

#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"

enum { VERSION = 2, HEADER_BYTES = 4, ENTRY_BYTES = 8 };
enum tag { OWNER = 0x01, USER = 0x02, OWNING_GROUP = 0x04, GROUP = 0x08, MASK = 0x10, OTHERS = 0x20 };

static unsigned read16(const char *data) { return (unsigned char)data[0] | (unsigned)(unsigned char)data[1] << 8; }

static unsigned permissions(const char *entry) { return read16(entry + 2); }

static void set_permissions(char *entry, uint32_t bits) { entry[2] = (char)(bits & 7); }

/* The entry of a tag that comes once; NULL: there is none. */
static const char *find(struct bytes acl, unsigned tag)
{
    for (size_t at = HEADER_BYTES; at < acl.len; at += ENTRY_BYTES)
        if (read16(acl.data + at) == tag)
            return acl.data + at;
    return NULL;
}

int acl_check(struct bytes acl)
{
    if (acl.len > ACL_BYTES_MAX)
        return -E2BIG;
    if (acl.len <= HEADER_BYTES || (acl.len - HEADER_BYTES) % ENTRY_BYTES || read16(acl.data) != VERSION ||
        read16(acl.data + 2))
        return -EINVAL;
    unsigned last = 0, seen = 0;
    for (size_t at = HEADER_BYTES; at < acl.len; at += ENTRY_BYTES) {
        unsigned tag = read16(acl.data + at);
        bool known = tag && tag <= OTHERS && !(tag & (tag - 1));
        bool again = tag == last && (tag == USER || tag == GROUP);
        if (!known || (tag <= last && !again) || permissions(acl.data + at) > 7)
            return -EINVAL;
        last = tag;
        seen |= tag;
    }
    unsigned needed = OWNER | OWNING_GROUP | OTHERS | (seen & (USER | GROUP) ? MASK : 0);
    return (seen & needed) == needed ? 0 : -EINVAL;
}

/* The entry that the group bits of the mode stand for. */
static const char *group_class(struct bytes acl)
{
    const char *mask = find(acl, MASK);
    return mask ? mask : find(acl, OWNING_GROUP);
}

uint32_t acl_mode(struct bytes acl)
{
    return permissions(find(acl, OWNER)) << 6 | permissions(group_class(acl)) << 3 | permissions(find(acl, OTHERS));
}

bool acl_is_extended(struct bytes acl) { return find(acl, USER) || find(acl, GROUP) || find(acl, MASK); }

void acl_chmod(char *acl, size_t len, uint32_t mode)
{
    struct bytes all = bytes_make(acl, len);
    set_permissions(acl + (find(all, OWNER) - acl), mode >> 6);
    set_permissions(acl + (group_class(all) - acl), mode >> 3);
    set_permissions(acl + (find(all, OTHERS) - acl), mode);
}

uint32_t acl_inherit(char *acl, size_t len, uint32_t mode)
{
    mode &= ~(uint32_t)0777 | acl_mode(bytes_make(acl, len));
    acl_chmod(acl, len, mode);
    return mode;
}
