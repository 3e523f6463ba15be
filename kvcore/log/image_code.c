/* A NODE
 *
 *   1 byte    IMAGE_NODE
 *   1 byte    which of the first fields are there: enum differs
 *   1 byte    which of the others: enum more; only with DIFFERS_MORE
 *   fields    in the order of the two enums; in between, before the others, its name, if it has exactly one
 *   value     of a file or symlink that is no rope; or the device number of what is neither that nor a directory
 *   names     with MORE_NAMES: directory and name of each, up to IMAGE_NAMES_MAX
 *   xattrs    with MORE_XATTRS: how many, then name and value of each
 *
 * An id is two varints, slot of birth and sequence. Versions and times are differences, zigzag. docs/formats.md has
 * more.
 */
#include "kvcore/log/image_code.h"

#include "kvcore/base/limits.h"
#include "kvcore/tree/tree.h"
#include "kvcore/tree/xattr.h"

enum differs {
    DIFFERS_ID = 1 << 0, /* it is not the next one */
    DIFFERS_MODE = 1 << 1,
    DIFFERS_OWNER = 1 << 2,   /* uid, gid */
    DIFFERS_VERSION = 1 << 3, /* from that of the one before */
    DIFFERS_MTIME = 1 << 4,   /* likewise */
    DIFFERS_BTIME = 1 << 5,   /* from its own mtime */
    DIFFERS_DIR = 1 << 6,
    DIFFERS_MORE = 1 << 7,
};

enum more {
    MORE_TIMES = 1 << 0,   /* ctime from mtime, atime from btime */
    MORE_EXPIRES = 1 << 1, /* since 1970 */
    MORE_HOLDS = 1 << 2,
    MORE_NAMES = 1 << 3, /* how many; it is not one */
    MORE_ROPE = 1 << 4,  /* the value's length; it follows by chunks */
    MORE_XATTRS = 1 << 5,
    MORE_UNNAMED = 1 << 6, /* it has never had a name (O_TMPFILE); nothing follows for it */
    MORE_ALL = (1 << 7) - 1,
};

enum { NUMBERS = 20 }; /* the most that stand in one node, without names and xattrs */

/* --- writing --- */

static char *put_id(char *at, uint64_t id) { return put_varint(put_varint(at, id_slot(id)), id_sequence(id)); }

static char *put_difference(char *at, uint64_t now, uint64_t before)
{
    return put_varint(at, zigzag((int64_t)(now - before)));
}

static char *put_bytes(char *at, struct bytes bytes)
{
    at = put_varint(at, bytes.len);
    if (bytes.len)
        memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

size_t image_bytes_max(const struct node *node)
{
    const struct node_ext *ext = node_ext(node);
    size_t bytes = 3 + NUMBERS * VARINT_BYTES_MAX + NAME_BYTES_MAX + INLINE_BYTES_MAX, at = 0;
    struct bytes name, value;
    if (!ext)
        return bytes;
    while (xattrs_next(ext->xattrs, &at, &name, &value))
        bytes += name.len + value.len + 2 * VARINT_BYTES_MAX;
    return node->flags & NODE_LINKED ? bytes + IMAGE_NAMES_MAX * IMAGE_NAME_BYTES_MAX : bytes;
}

static unsigned differs_of(const struct image_base *base, const struct image *image, unsigned more)
{
    unsigned differs = more ? DIFFERS_MORE : 0;
    differs |= image->id != base->id + 1 ? DIFFERS_ID : 0;
    differs |= image->mode != base->mode ? DIFFERS_MODE : 0;
    differs |= image->uid != base->uid || image->gid != base->gid ? DIFFERS_OWNER : 0;
    differs |= image->version != base->version ? DIFFERS_VERSION : 0;
    differs |= image->mtime_ns != base->mtime_ns ? DIFFERS_MTIME : 0;
    differs |= image->btime_ns != image->mtime_ns ? DIFFERS_BTIME : 0;
    differs |= image->names == 1 && image->dir != base->dir ? DIFFERS_DIR : 0;
    return differs;
}

static unsigned more_of(const struct image *image)
{
    unsigned more = 0;
    more |= image->ctime_ns != image->mtime_ns || image->atime_ns != image->btime_ns ? MORE_TIMES : 0;
    more |= image->expires_ns != INT64_MAX ? MORE_EXPIRES : 0;
    more |= image->holds ? MORE_HOLDS : 0;
    more |= image->names != 1 ? MORE_NAMES : 0;
    more |= image->is_rope ? MORE_ROPE : 0;
    more |= image->has_xattrs ? MORE_XATTRS : 0;
    more |= image->is_unnamed ? MORE_UNNAMED : 0;
    return more;
}

static void set_base(struct image_base *base, const struct image *image)
{
    base->id = image->id;
    base->version = image->version;
    base->mtime_ns = image->mtime_ns;
    base->mode = image->mode;
    base->uid = image->uid;
    base->gid = image->gid;
    if (image->names == 1)
        base->dir = image->dir;
}

static char *put_differs(char *at, unsigned differs, const struct image_base *base, const struct image *image)
{
    if (differs & DIFFERS_ID)
        at = put_id(at, image->id);
    if (differs & DIFFERS_MODE)
        at = put_varint(at, image->mode);
    if (differs & DIFFERS_OWNER)
        at = put_varint(put_varint(at, image->uid), image->gid);
    if (differs & DIFFERS_VERSION)
        at = put_difference(at, image->version, base->version);
    if (differs & DIFFERS_MTIME)
        at = put_difference(at, (uint64_t)image->mtime_ns, (uint64_t)base->mtime_ns);
    if (differs & DIFFERS_BTIME)
        at = put_difference(at, (uint64_t)image->btime_ns, (uint64_t)image->mtime_ns);
    if (differs & DIFFERS_DIR)
        at = put_id(at, image->dir);
    return image->names == 1 ? put_bytes(at, image->name) : at;
}

static char *put_links(char *at, const struct link **next, uint64_t count)
{
    const struct link *link = *next;
    for (; count; count--, link = link->next)
        at = put_bytes(put_id(at, link->dentry.dir->id), dentry_name(&link->dentry));
    *next = link;
    return at;
}

static char *put_more(char *at, unsigned more, const struct image *image)
{
    if (more & MORE_TIMES) {
        at = put_difference(at, (uint64_t)image->ctime_ns, (uint64_t)image->mtime_ns);
        at = put_difference(at, (uint64_t)image->atime_ns, (uint64_t)image->btime_ns);
    }
    if (more & MORE_EXPIRES)
        at = put_varint(at, zigzag(image->expires_ns));
    if (more & MORE_HOLDS)
        at = put_varint(at, image->holds);
    if (more & MORE_NAMES)
        at = put_varint(at, image->names);
    return more & MORE_ROPE ? put_varint(at, image->size) : at;
}

static char *put_xattrs(char *at, const struct xattrs *xattrs)
{
    struct bytes name, value;
    uint64_t count = 0;
    for (size_t i = 0; xattrs_next(xattrs, &i, &name, &value);)
        count++;
    at = put_varint(at, count);
    for (size_t i = 0; xattrs_next(xattrs, &i, &name, &value);)
        at = put_bytes(put_bytes(at, name), value);
    return at;
}

char *image_put(char *at, struct image_base *base, const struct node *node, const struct image *image,
                const struct link **ret_next)
{
    unsigned more = more_of(image), differs = differs_of(base, image, more);
    *ret_next = more & MORE_NAMES && image->names ? node_ext(node)->links : NULL;
    *at++ = IMAGE_NODE;
    *at++ = (char)differs;
    if (more)
        *at++ = (char)more;
    at = put_differs(at, differs, base, image);
    at = put_more(at, more, image);
    if (image_has_rdev(image->mode))
        at = put_varint(at, image->rdev);
    else if (image_has_value(image->mode) && !image->is_rope)
        at = put_bytes(at, image->value);
    set_base(base, image);
    if (*ret_next)
        at = put_links(at, ret_next, image->names < IMAGE_NAMES_MAX ? image->names : IMAGE_NAMES_MAX);
    return more & MORE_XATTRS ? put_xattrs(at, node_ext(node)->xattrs) : at;
}

char *image_put_names(char *at, const struct link **next)
{
    uint64_t count = 0;
    for (const struct link *link = *next; link && count < IMAGE_NAMES_MAX; link = link->next)
        count++;
    *at++ = IMAGE_NAMES;
    return put_links(put_varint(at, count), next, count);
}

char *image_put_chunk_head(char *at, uint64_t id, uint64_t number, size_t length)
{
    *at++ = IMAGE_CHUNK;
    return put_varint(put_varint(put_id(at, id), number), length);
}

/* --- reading --- */

static uint64_t get_id(struct decode *decode)
{
    uint64_t slot = decode_varint_to(decode, SLOTS - 1);
    return slot << ID_SLOT_SHIFT | decode_varint_to(decode, (1ull << ID_SLOT_SHIFT) - 1);
}

static int64_t get_difference(struct decode *decode, int64_t before)
{
    return (int64_t)((uint64_t)before + (uint64_t)unzigzag(decode_varint(decode)));
}

static uint8_t get_byte(struct decode *decode)
{
    if (decode->at < decode->end)
        return (uint8_t)*decode->at++;
    decode->bad = true;
    return 0;
}

unsigned image_get_kind(struct decode *decode)
{
    if (decode->bad || decode->at == decode->end)
        return 0;
    uint8_t kind = get_byte(decode);
    if (kind < IMAGE_NODE || kind > IMAGE_CHUNK)
        decode->bad = true;
    return decode->bad ? 0 : kind;
}

static void get_differs(struct decode *decode, unsigned differs, const struct image_base *base, bool one_name,
                        struct image *image)
{
    image->id = differs & DIFFERS_ID ? get_id(decode) : base->id + 1;
    image->mode = differs & DIFFERS_MODE ? (uint32_t)decode_varint_to(decode, UINT16_MAX) : base->mode;
    image->uid = base->uid;
    image->gid = base->gid;
    if (differs & DIFFERS_OWNER) {
        image->uid = (uint32_t)decode_varint_to(decode, UINT32_MAX);
        image->gid = (uint32_t)decode_varint_to(decode, UINT32_MAX);
    }
    image->version = base->version;
    if (differs & DIFFERS_VERSION)
        image->version = (uint64_t)get_difference(decode, (int64_t)base->version);
    image->mtime_ns = differs & DIFFERS_MTIME ? get_difference(decode, base->mtime_ns) : base->mtime_ns;
    image->btime_ns = differs & DIFFERS_BTIME ? get_difference(decode, image->mtime_ns) : image->mtime_ns;
    image->dir = differs & DIFFERS_DIR ? get_id(decode) : base->dir;
    if (one_name)
        image->name = decode_bytes(decode);
}

static void get_more(struct decode *decode, unsigned more, struct image *image)
{
    image->ctime_ns = image->mtime_ns;
    image->atime_ns = image->btime_ns;
    if (more & MORE_TIMES) {
        image->ctime_ns = get_difference(decode, image->mtime_ns);
        image->atime_ns = get_difference(decode, image->btime_ns);
    }
    image->expires_ns = more & MORE_EXPIRES ? unzigzag(decode_varint(decode)) : INT64_MAX;
    image->holds = more & MORE_HOLDS ? (uint32_t)decode_varint_to(decode, UINT32_MAX) : 0;
    image->names = more & MORE_NAMES ? decode_varint_to(decode, LINKS_MAX) : 1;
    image->size = more & MORE_ROPE ? decode_varint_to(decode, VALUE_BYTES_MAX) : 0;
    image->is_rope = more & MORE_ROPE;
    image->has_xattrs = more & MORE_XATTRS;
    image->is_unnamed = more & MORE_UNNAMED;
}

void image_get_node(struct decode *decode, struct image_base *base, struct image *ret_image)
{
    unsigned differs = get_byte(decode), more = differs & DIFFERS_MORE ? get_byte(decode) : 0;
    get_differs(decode, differs, base, !(more & MORE_NAMES), ret_image);
    get_more(decode, more, ret_image);
    ret_image->value = (struct bytes){0};
    ret_image->rdev = 0;
    if (image_has_rdev(ret_image->mode))
        ret_image->rdev = decode_varint(decode);
    else if (image_has_value(ret_image->mode) && !ret_image->is_rope)
        ret_image->value = decode_bytes(decode);
    if (more & ~(unsigned)MORE_ALL || (more & MORE_NAMES && ret_image->names == 1) ||
        (ret_image->is_rope && !image_has_value(ret_image->mode)))
        decode->bad = true;
    set_base(base, ret_image);
}

void image_get_name(struct decode *decode, uint64_t *ret_dir, struct bytes *ret_name)
{
    *ret_dir = get_id(decode);
    *ret_name = decode_bytes(decode);
}

uint64_t image_get_count(struct decode *decode, uint64_t max) { return decode_varint_to(decode, max); }

void image_get_xattr(struct decode *decode, struct bytes *ret_name, struct bytes *ret_value)
{
    *ret_name = decode_bytes(decode);
    *ret_value = decode_bytes(decode);
}

void image_get_chunk(struct decode *decode, struct image_chunk *ret_chunk)
{
    ret_chunk->id = get_id(decode);
    ret_chunk->number = decode_varint_to(decode, VALUE_BYTES_MAX / CHUNK_BYTES);
    ret_chunk->data = decode_bytes(decode);
}
