/* AN EFFECT'S BYTES
 *
 *   head      1 byte: kind | MORE_FLAGS | MORE_VERSION | MORE_TIME
 *   flags     varint, with MORE_FLAGS
 *   version   varint, with MORE_VERSION: it is not the record's
 *   time      zigzag varint, with MORE_TIME: likewise
 *   fields    those of `fields_of` its kind, in the order of `enum field`; no others are kept
 *
 * An id is two varints, slot of birth and sequence, because its high bits alone would make each ten bytes long. CREATE
 * and ATTR end with what depends on themselves: a node's mode says whether it has a value or a device number, the mask
 * says which attributes follow.
 */
#include "kvcore/log/effect_code.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/log/code.h"
#include "kvcore/tree/key.h"
#include "kvcore/tree/tree.h"

enum { KIND_BITS = 0x1f, MORE_FLAGS = 0x20, MORE_VERSION = 0x40, MORE_TIME = 0x80 };

enum field {
    FIELD_DIR = 1 << 0,
    FIELD_NAME = 1 << 1,
    FIELD_TO = 1 << 2, /* to_dir, to_name */
    FIELD_ID = 1 << 3,
    FIELD_OFFSET = 1 << 4,
    FIELD_LENGTH = 1 << 5,
    FIELD_SOURCE = 1 << 6, /* source, source_offset */
    FIELD_EXPIRES = 1 << 7,
    FIELD_NODE = 1 << 8, /* mode, uid, gid; then rdev or value */
    FIELD_ATTR = 1 << 9, /* mask; then what it names */
    FIELD_XATTR_NAME = 1 << 10,
    FIELD_VALUE = 1 << 11,
};

static const uint16_t fields_of[] = {
    [EFFECT_CREATE] = FIELD_DIR | FIELD_NAME | FIELD_ID | FIELD_NODE,
    [EFFECT_LINK] = FIELD_DIR | FIELD_NAME | FIELD_ID,
    [EFFECT_UNLINK] = FIELD_DIR | FIELD_NAME,
    [EFFECT_RMDIR] = FIELD_DIR | FIELD_NAME,
    [EFFECT_RENAME] = FIELD_DIR | FIELD_NAME | FIELD_TO,
    [EFFECT_SET] = FIELD_ID | FIELD_VALUE,
    [EFFECT_WRITE] = FIELD_ID | FIELD_OFFSET | FIELD_VALUE,
    [EFFECT_TRUNCATE] = FIELD_ID | FIELD_OFFSET,
    [EFFECT_ATTR] = FIELD_ID | FIELD_ATTR,
    [EFFECT_SET_XATTR] = FIELD_ID | FIELD_XATTR_NAME | FIELD_VALUE,
    [EFFECT_REMOVE_XATTR] = FIELD_ID | FIELD_XATTR_NAME,
    [EFFECT_EXPIRE] = FIELD_ID | FIELD_EXPIRES,
    [EFFECT_RELEASE] = FIELD_ID,
    [EFFECT_PUNCH] = FIELD_ID | FIELD_OFFSET | FIELD_LENGTH,
    [EFFECT_COPY] = FIELD_ID | FIELD_OFFSET | FIELD_LENGTH | FIELD_SOURCE,
};

#define KINDS (sizeof fields_of / sizeof fields_of[0])

/* Head, flags, version, time, and every number of the kind that has most. */
enum { NUMBERS_BYTES = 1 + 16 * VARINT_BYTES_MAX };

static bool has_value(uint32_t mode) { return S_ISREG(mode) || S_ISLNK(mode); }
static bool has_rdev(uint32_t mode) { return !has_value(mode) && !S_ISDIR(mode); }

static bool is_unnamed(const struct effect *effect)
{
    return effect->kind == EFFECT_CREATE && effect->flags & EFFECT_HOLD;
}

/* Writing */

static char *put_id(char *at, uint64_t id) { return put_varint(put_varint(at, id_slot(id)), id_sequence(id)); }

static char *put_bytes(char *at, struct bytes bytes)
{
    at = put_varint(at, bytes.len);
    if (bytes.len)
        memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

static char *put_node(char *at, const struct effect *effect)
{
    at = put_varint(at, effect->mode);
    at = put_varint(at, effect->uid);
    at = put_varint(at, effect->gid);
    if (has_rdev(effect->mode))
        return put_varint(at, effect->rdev);
    return has_value(effect->mode) ? put_bytes(at, effect->value) : at;
}

static char *put_attr(char *at, const struct effect *effect)
{
    at = put_varint(at, effect->mask);
    if (effect->mask & EFFECT_MODE)
        at = put_varint(at, effect->mode);
    if (effect->mask & EFFECT_UID)
        at = put_varint(at, effect->uid);
    if (effect->mask & EFFECT_GID)
        at = put_varint(at, effect->gid);
    if (effect->mask & EFFECT_ATIME)
        at = put_varint(at, zigzag(effect->atime_ns));
    if (effect->mask & EFFECT_MTIME)
        at = put_varint(at, zigzag(effect->mtime_ns));
    return at;
}

static char *put_head(char *at, const struct effect_base *base, const struct effect *effect)
{
    char *head = at++;
    *head = (char)effect->kind;
    if (effect->flags) {
        *head |= MORE_FLAGS;
        at = put_varint(at, effect->flags);
    }
    if (effect->version != base->version) {
        *head |= MORE_VERSION;
        at = put_varint(at, effect->version);
    }
    if (effect->time_ns != base->time_ns) {
        *head |= (char)MORE_TIME;
        at = put_varint(at, zigzag(effect->time_ns));
    }
    return at;
}

static char *put_fields(char *at, unsigned fields, const struct effect *effect)
{
    if (fields & FIELD_DIR)
        at = put_id(at, effect->dir);
    if (fields & FIELD_NAME)
        at = put_bytes(at, is_unnamed(effect) ? (struct bytes){0} : effect->name);
    if (fields & FIELD_TO)
        at = put_bytes(put_id(at, effect->to_dir), effect->to_name);
    if (fields & FIELD_ID)
        at = put_id(at, effect->id);
    if (fields & FIELD_OFFSET)
        at = put_varint(at, effect->offset);
    if (fields & FIELD_LENGTH)
        at = put_varint(at, effect->length);
    if (fields & FIELD_SOURCE)
        at = put_varint(put_id(at, effect->source), effect->source_offset);
    if (fields & FIELD_EXPIRES)
        at = put_varint(at, zigzag(effect->expires_ns));
    if (fields & FIELD_NODE)
        at = put_node(at, effect);
    if (fields & FIELD_ATTR)
        at = put_attr(at, effect);
    if (fields & FIELD_XATTR_NAME)
        at = put_bytes(at, effect->name);
    if (fields & FIELD_VALUE)
        at = put_bytes(at, effect->value);
    return at;
}

int effect_encode(struct buf *out, const struct effect_base *base, const struct effect *effect)
{
    CHECK(effect->kind > 0 && (unsigned)effect->kind < KINDS);
    int rc = buf_reserve(out, NUMBERS_BYTES + effect->name.len + effect->to_name.len + effect->value.len);
    if (rc < 0)
        return rc;
    char *at = put_head(out->data + out->len, base, effect);
    at = put_fields(at, fields_of[effect->kind], effect);
    out->len = (size_t)(at - out->data);
    return 0;
}

/* Reading */

static uint64_t take_id(struct decode *decode)
{
    uint64_t slot = decode_varint_to(decode, SLOTS - 1);
    return slot << ID_SLOT_SHIFT | decode_varint_to(decode, (1ull << ID_SLOT_SHIFT) - 1);
}

static struct bytes take_name(struct decode *decode)
{
    struct bytes name = decode_bytes(decode);
    decode->bad = decode->bad || name_check(name, NULL) < 0;
    return name;
}

static void take_node(struct decode *decode, struct effect *effect)
{
    effect->mode = (uint32_t)decode_varint_to(decode, UINT16_MAX);
    effect->uid = (uint32_t)decode_varint_to(decode, UINT32_MAX);
    effect->gid = (uint32_t)decode_varint_to(decode, UINT32_MAX);
    if (has_value(effect->mode))
        effect->value = decode_bytes(decode);
    else if (S_ISFIFO(effect->mode) || S_ISSOCK(effect->mode) || S_ISCHR(effect->mode) || S_ISBLK(effect->mode))
        effect->rdev = decode_varint(decode);
    else if (!S_ISDIR(effect->mode))
        decode->bad = true;
    if (effect->id == 0)
        decode->bad = true;
    if (S_ISLNK(effect->mode) && (effect->value.len == 0 || effect->value.len > SYMLINK_BYTES_MAX))
        decode->bad = true;
}

static void take_attr(struct decode *decode, struct effect *effect)
{
    effect->mask = (uint32_t)decode_varint_to(decode, 2 * EFFECT_MTIME - 1);
    if (effect->mask & EFFECT_MODE)
        effect->mode = (uint32_t)decode_varint_to(decode, UINT32_MAX);
    if (effect->mask & EFFECT_UID)
        effect->uid = (uint32_t)decode_varint_to(decode, UINT32_MAX);
    if (effect->mask & EFFECT_GID)
        effect->gid = (uint32_t)decode_varint_to(decode, UINT32_MAX);
    if (effect->mask & EFFECT_ATIME)
        effect->atime_ns = unzigzag(decode_varint(decode));
    if (effect->mask & EFFECT_MTIME)
        effect->mtime_ns = unzigzag(decode_varint(decode));
}

static void take_xattr_name(struct decode *decode, struct effect *effect)
{
    effect->name = decode_bytes(decode);
    if (effect->name.len == 0 || effect->name.len > XATTR_NAME_BYTES_MAX ||
        memchr(effect->name.data, '\0', effect->name.len))
        decode->bad = true;
}

static void take_fields(struct decode *decode, unsigned fields, struct effect *effect)
{
    if (fields & FIELD_DIR)
        effect->dir = take_id(decode);
    if (fields & FIELD_NAME && is_unnamed(effect))
        decode->bad = decode_bytes(decode).len > 0 || decode->bad;
    else if (fields & FIELD_NAME)
        effect->name = take_name(decode);
    if (fields & FIELD_TO) {
        effect->to_dir = take_id(decode);
        effect->to_name = take_name(decode);
    }
    if (fields & FIELD_ID)
        effect->id = take_id(decode);
    if (fields & FIELD_OFFSET)
        effect->offset = decode_varint(decode);
    if (fields & FIELD_LENGTH)
        effect->length = decode_varint(decode);
    if (fields & FIELD_SOURCE) {
        effect->source = take_id(decode);
        effect->source_offset = decode_varint(decode);
    }
    if (fields & FIELD_EXPIRES)
        effect->expires_ns = unzigzag(decode_varint(decode));
    if (fields & FIELD_NODE)
        take_node(decode, effect);
    if (fields & FIELD_ATTR)
        take_attr(decode, effect);
    if (fields & FIELD_XATTR_NAME)
        take_xattr_name(decode, effect);
    if (fields & FIELD_VALUE)
        effect->value = decode_bytes(decode);
    if (fields & FIELD_XATTR_NAME && effect->value.len > XATTR_VALUE_BYTES_MAX)
        decode->bad = true;
}

int effect_decode(struct bytes bytes, size_t *at, const struct effect_base *base, struct effect *ret_effect)
{
    CHECK(*at < bytes.len);
    struct decode decode = {bytes.data + *at, bytes.data + bytes.len, false};
    uint8_t head = (uint8_t)*decode.at++;
    struct effect effect = {.kind = head & KIND_BITS, .version = base->version, .time_ns = base->time_ns};
    if (effect.kind == 0 || (unsigned)effect.kind >= KINDS)
        return -EBADMSG;
    if (head & MORE_FLAGS)
        effect.flags = (uint32_t)decode_varint_to(&decode, UINT32_MAX);
    if (head & MORE_VERSION)
        effect.version = decode_varint(&decode);
    if (head & MORE_TIME)
        effect.time_ns = unzigzag(decode_varint(&decode));
    take_fields(&decode, fields_of[effect.kind], &effect);
    if (decode.bad)
        return -EBADMSG;
    *at = (size_t)(decode.at - bytes.data);
    *ret_effect = effect;
    return 0;
}
