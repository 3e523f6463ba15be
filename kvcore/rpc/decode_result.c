/* A response's error and result to struct kv_reply, in the shape that its request calls for.
 *
 * The other end may be a broken or a hostile server: whatever is not exactly the shape is -EPROTO, and every count
 * is bounded before memory is taken for it.
 */
#include "kvcore/rpc/decoder.h"

#include "kvcore/base/error.h"

enum { ATTR_FIELDS = 14, FIELDS_MAX = 4096 /* in one map */ };

static bool read_attr(const msgpack_object *object, struct kv_attr *ret_attr)
{
    if (object->type != MSGPACK_OBJECT_ARRAY)
        return false;
    const msgpack_object *at = object->via.array.ptr;
    ret_attr->leased = object->via.array.size == ATTR_FIELDS + 1;
    if (ret_attr->leased && (at[ATTR_FIELDS].type != MSGPACK_OBJECT_BOOLEAN || !at[ATTR_FIELDS].via.boolean))
        return false;
    if (!ret_attr->leased && object->via.array.size != ATTR_FIELDS)
        return false;
    return object_uint(at, &ret_attr->id) && object_uint(at + 1, &ret_attr->version) &&
           object_uint32(at + 2, &ret_attr->mode) && object_uint32(at + 3, &ret_attr->uid) &&
           object_uint32(at + 4, &ret_attr->gid) && object_uint32(at + 5, &ret_attr->nlink) &&
           object_uint(at + 6, &ret_attr->size) && object_uint(at + 7, &ret_attr->stored) &&
           object_int(at + 8, &ret_attr->atime_ns) && object_int(at + 9, &ret_attr->mtime_ns) &&
           object_int(at + 10, &ret_attr->ctime_ns) && object_int(at + 11, &ret_attr->btime_ns) &&
           object_uint(at + 12, &ret_attr->rdev) && object_int(at + 13, &ret_attr->expires_ns);
}

/* name, [name, attr] or [name, cookie, attr] */
static bool read_entry(const msgpack_object *object, enum kv_entry_shape shape, struct kv_entry *ret_entry)
{
    ret_entry->present = true;
    if (shape == KV_ENTRY_NAME)
        return object_bytes(object, &ret_entry->name);
    uint32_t size = shape == KV_ENTRY_ATTR ? 2 : 3;
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size != size)
        return false;
    const msgpack_object *parts = object->via.array.ptr;
    return object_bytes(&parts[0], &ret_entry->name) && read_attr(&parts[size - 1], &ret_entry->attr) &&
           (shape == KV_ENTRY_ATTR || object_uint(&parts[1], &ret_entry->cookie));
}

/* bin, or nil for what is not there */
static bool read_value(const msgpack_object *object, struct kv_entry *ret_entry)
{
    ret_entry->present = object->type != MSGPACK_OBJECT_NIL;
    return !ret_entry->present || object_bin(object, &ret_entry->name);
}

static int read_entries(struct decoder *decoder, const msgpack_object *result, struct kv_reply *reply)
{
    if (result->type != MSGPACK_OBJECT_ARRAY || result->via.array.size > REFS_MAX)
        return -EPROTO;
    size_t count = result->via.array.size;
    struct kv_entry *entries = msgpack_zone_malloc(&decoder->zone, count * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const msgpack_object *object = &result->via.array.ptr[i];
        entries[i].name = (struct bytes){0};
        entries[i].cookie = 0;
        if (!(reply->kind == KV_REPLY_VALUES ? read_value(object, &entries[i])
                                             : read_entry(object, reply->shape, &entries[i])))
            return -EPROTO;
    }
    reply->entries = entries;
    reply->count = count;
    return 0;
}

/* "section.field" or "field", with a terminator; NULL where memory is short. */
static const char *field_name(struct decoder *decoder, const struct bytes *section, struct bytes key)
{
    size_t section_len = section ? section->len + 1 : 0;
    char *name = msgpack_zone_malloc_no_align(&decoder->zone, section_len + key.len + 1);
    if (!name)
        return NULL;
    if (section) {
        memcpy(name, section->data, section->len);
        name[section->len] = '.';
    }
    memcpy(name + section_len, key.data, key.len);
    name[section_len + key.len] = 0;
    return name;
}

static bool read_key(const msgpack_object *object, struct bytes *ret_key)
{
    return object_bytes(object, ret_key) && ret_key->len <= NAME_BYTES_MAX && !memchr(ret_key->data, 0, ret_key->len);
}

static int read_field(struct decoder *decoder, const struct bytes *section, const msgpack_object_kv *pair,
                      struct kv_field *ret_field)
{
    struct bytes key;
    *ret_field = (struct kv_field){0};
    if (!read_key(&pair->key, &key))
        return -EPROTO;
    if (!object_uint(&pair->val, &ret_field->number) && !object_bytes(&pair->val, &ret_field->text))
        return -EPROTO;
    ret_field->name = field_name(decoder, section, key);
    return ret_field->name ? 0 : -ENOMEM;
}

/* How many fields a map holds, those of its sections included. */
static size_t field_count(const msgpack_object_map *map)
{
    size_t count = 0;
    for (uint32_t i = 0; i < map->size; i++)
        count += map->ptr[i].val.type == MSGPACK_OBJECT_MAP ? map->ptr[i].val.via.map.size : 1;
    return count;
}

static int read_section(struct decoder *decoder, const msgpack_object_kv *pair, struct kv_field *fields)
{
    struct bytes section;
    const msgpack_object_map *map = &pair->val.via.map;
    if (!read_key(&pair->key, &section))
        return -EPROTO;
    for (uint32_t i = 0; i < map->size; i++) {
        int rc = read_field(decoder, &section, &map->ptr[i], &fields[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_map(struct decoder *decoder, const msgpack_object *result, struct kv_reply *reply)
{
    if (result->type != MSGPACK_OBJECT_MAP)
        return -EPROTO;
    const msgpack_object_map *map = &result->via.map;
    size_t count = field_count(map), filled = 0;
    if (count > FIELDS_MAX)
        return -EPROTO;
    struct kv_field *fields = msgpack_zone_malloc(&decoder->zone, count * sizeof *fields);
    if (!fields)
        return -ENOMEM;
    for (uint32_t i = 0; i < map->size; i++) {
        const msgpack_object_kv *pair = &map->ptr[i];
        bool section = pair->val.type == MSGPACK_OBJECT_MAP;
        int rc =
            section ? read_section(decoder, pair, fields + filled) : read_field(decoder, NULL, pair, fields + filled);
        if (rc < 0)
            return rc;
        filled += section ? pair->val.via.map.size : 1;
    }
    reply->fields = fields;
    reply->count = count;
    return 0;
}

/* [code, text, detail] */
static int read_error(const msgpack_object *error, struct kv_reply *reply)
{
    struct bytes code, text;
    if (error->type != MSGPACK_OBJECT_ARRAY || error->via.array.size != 3 ||
        !object_str(&error->via.array.ptr[0], &code) || !object_str(&error->via.array.ptr[1], &text))
        return -EPROTO;
    size_t len = text.len < sizeof reply->text - 1 ? text.len : sizeof reply->text - 1;
    memcpy(reply->text, text.data, len);
    reply->text[len] = 0;
    reply->error = error_from_name(code.data, code.len);
    struct bytes detail;
    reply->leased = object_str(&error->via.array.ptr[2], &detail) && bytes_equal(detail, bytes_of("leased"));
    return 0;
}

static bool read_piece(struct decoder *decoder, const msgpack_object *result, struct kv_reply *reply)
{
    if (!(reply->kind == KV_REPLY_TEXT ? object_str(result, &decoder->piece) : object_bin(result, &decoder->piece)))
        return false;
    reply->pieces = &decoder->piece;
    reply->count = 1;
    reply->bytes = decoder->piece.len;
    return true;
}

static bool read_plain(const msgpack_object *result, struct kv_reply *reply)
{
    switch (reply->kind) {
    case KV_REPLY_NIL:
        return result->type == MSGPACK_OBJECT_NIL;
    case KV_REPLY_BOOL:
        reply->uint = result->type == MSGPACK_OBJECT_BOOLEAN && result->via.boolean;
        return result->type == MSGPACK_OBJECT_BOOLEAN;
    case KV_REPLY_UINT:
        return object_uint(result, &reply->uint);
    case KV_REPLY_INT:
        return object_int(result, &reply->integer);
    default: /* KV_REPLY_ATTR */
        return read_attr(result, &reply->attr);
    }
}

static enum kv_entry_shape entry_shape(enum kv_op op, uint32_t options)
{
    if (op == KV_OP_READDIR)
        return KV_ENTRY_COOKIE_ATTR;
    return op == KV_OP_LS && options & KV_OPT_LONG ? KV_ENTRY_ATTR : KV_ENTRY_NAME;
}

int decode_result(struct decoder *decoder, enum kv_op op, uint32_t options, struct kv_reply *ret_reply)
{
    struct kv_reply *reply = ret_reply;
    const msgpack_object *result = &decoder->result;
    reply->error = 0;
    reply->leased = false;
    reply->text[0] = 0;
    reply->kind = KV_REPLY_NIL;
    reply->shape = KV_ENTRY_NAME;
    reply->pieces = NULL;
    reply->entries = NULL;
    reply->fields = NULL;
    reply->count = 0;
    reply->bytes = 0;
    if (decoder->error.type != MSGPACK_OBJECT_NIL)
        return read_error(&decoder->error, reply);

    reply->kind = kv_op_info(op)->reply;
    switch (reply->kind) {
    case KV_REPLY_TEXT:
    case KV_REPLY_BYTES:
        return read_piece(decoder, result, reply) ? 0 : -EPROTO;
    case KV_REPLY_ENTRIES:
        reply->shape = entry_shape(op, options);
        return read_entries(decoder, result, reply);
    case KV_REPLY_VALUES:
        return read_entries(decoder, result, reply);
    case KV_REPLY_MAP:
        return read_map(decoder, result, reply);
    default:
        return read_plain(result, reply) ? 0 : -EPROTO;
    }
}
