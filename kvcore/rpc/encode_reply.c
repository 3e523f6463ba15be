/* Replies to bytes: `[1, msgid, error, result]`.
 *
 * A value's pieces go straight to the end of `out`: its bytes are copied once on their way to the socket. An answer
 * of one number, which is most of them, is a reservation and a few stores.
 */
#include "kvcore/rpc/message.h"
#include "kvcore/rpc/writer.h"

enum {
    ENVELOPE_BYTES = 4 * WRITER_HEADER_BYTES,
    ATTR_FIELDS = 14,
    ATTR_BYTES = (2 + ATTR_FIELDS) * WRITER_HEADER_BYTES, /* with the lease */
    ENTRY_BYTES = 3 * WRITER_HEADER_BYTES,                /* without the name and the attributes */
    FIELD_BYTES = 3 * WRITER_HEADER_BYTES, /* a header, perhaps a section's; key; value; without their bytes */
};

static void begin(struct writer *writer, uint32_t id)
{
    writer_array(writer, 4);
    writer_uint32(writer, MESSAGE_RESPONSE);
    writer_uint32(writer, id);
}

/* A text made of file names may hold any bytes, and a cut one half a character; as str it must be UTF-8. */
static struct bytes printable(const char *text, char room[ERROR_TEXT_BYTES])
{
    struct bytes bytes = {text, strnlen(text, ERROR_TEXT_BYTES)};
    if (utf8_valid(bytes))
        return bytes;
    for (size_t i = 0; i < bytes.len; i++)
        room[i] = text[i] & 0x80 ? '?' : text[i];
    return bytes_make(room, bytes.len);
}

static int encode_error(struct buf *out, uint32_t id, const struct kv_reply *reply)
{
    char room[ERROR_TEXT_BYTES];
    struct bytes text = printable(reply->text, room), code = bytes_of(error_name(reply->error));
    struct writer writer;
    int rc = writer_begin(&writer, out, ENVELOPE_BYTES + 5 * WRITER_HEADER_BYTES + code.len + text.len);
    if (rc < 0)
        return rc;
    begin(&writer, id);
    writer_array(&writer, 3);
    writer_text(&writer, code);
    writer_text(&writer, text);
    if (reply->leased)
        writer_text(&writer, bytes_of("leased"));
    else
        writer_nil(&writer);
    writer_nil(&writer);
    writer_end(&writer, out);
    return 0;
}

static void write_attr(struct writer *writer, const struct kv_attr *attr)
{
    writer_array(writer, ATTR_FIELDS + attr->leased);
    writer_uint64(writer, attr->id);
    writer_uint64(writer, attr->version);
    writer_uint32(writer, attr->mode);
    writer_uint32(writer, attr->uid);
    writer_uint32(writer, attr->gid);
    writer_uint32(writer, attr->nlink);
    writer_uint64(writer, attr->size);
    writer_uint64(writer, attr->stored);
    writer_int64(writer, attr->atime_ns);
    writer_int64(writer, attr->mtime_ns);
    writer_int64(writer, attr->ctime_ns);
    writer_int64(writer, attr->btime_ns);
    writer_uint64(writer, attr->rdev);
    writer_int64(writer, attr->expires_ns);
    if (attr->leased)
        writer_true(writer);
}

static int encode_pieces(struct buf *out, uint32_t id, const struct kv_reply *reply)
{
    struct writer writer;
    int rc = writer_begin(&writer, out, ENVELOPE_BYTES + WRITER_HEADER_BYTES + reply->bytes);
    if (rc < 0)
        return rc;
    begin(&writer, id);
    writer_nil(&writer);
    if (reply->kind == KV_REPLY_TEXT)
        writer_str(&writer, reply->bytes);
    else
        writer_bin(&writer, reply->bytes);
    uint64_t left = reply->bytes;
    for (size_t i = 0; i < reply->count; i++) {
        CHECK(reply->pieces[i].len <= left);
        left -= reply->pieces[i].len;
        writer_bytes(&writer, reply->pieces[i]);
    }
    CHECK(left == 0);
    writer_end(&writer, out);
    return 0;
}

static void write_entry(struct writer *writer, enum kv_entry_shape shape, const struct kv_entry *entry)
{
    if (shape != KV_ENTRY_NAME)
        writer_array(writer, shape == KV_ENTRY_ATTR ? 2 : 3);
    writer_name(writer, entry->name);
    if (shape == KV_ENTRY_COOKIE_ATTR)
        writer_uint64(writer, entry->cookie);
    if (shape != KV_ENTRY_NAME)
        write_attr(writer, &entry->attr);
}

static int encode_entries(struct buf *out, uint32_t id, const struct kv_reply *reply)
{
    bool values = reply->kind == KV_REPLY_VALUES, plain = values || reply->shape == KV_ENTRY_NAME;
    if (reply->count > (plain ? REFS_MAX : LISTING_MAX))
        return -E2BIG;
    uint64_t most = ENVELOPE_BYTES + WRITER_HEADER_BYTES + reply->count * (ENTRY_BYTES + (plain ? 0 : ATTR_BYTES));
    for (size_t i = 0; i < reply->count; i++)
        most += reply->entries[i].name.len;
    struct writer writer;
    int rc = writer_begin(&writer, out, most);
    if (rc < 0)
        return rc;
    begin(&writer, id);
    writer_nil(&writer);
    writer_array(&writer, reply->count);
    for (size_t i = 0; i < reply->count; i++) {
        if (!values)
            write_entry(&writer, reply->shape, &reply->entries[i]);
        else if (reply->entries[i].present)
            writer_value(&writer, reply->entries[i].name);
        else
            writer_nil(&writer);
    }
    writer_end(&writer, out);
    return 0;
}

/* "section" of "section.field"; data is NULL where the name has none. */
static struct bytes section_of(const struct kv_field *field)
{
    const char *dot = strchr(field->name, '.');
    return dot ? bytes_make(field->name, (size_t)(dot - field->name)) : (struct bytes){0};
}

/* How many fields from `at` on lie in the same section; 1 for a field without one. */
static size_t section_len(const struct kv_reply *reply, size_t at)
{
    struct bytes section = section_of(&reply->fields[at]);
    size_t end = at + 1;
    if (section.data)
        while (end < reply->count && section_of(&reply->fields[end]).data &&
               bytes_equal(section_of(&reply->fields[end]), section))
            end++;
    return end - at;
}

static void write_field(struct writer *writer, const char *name, const struct kv_field *field)
{
    writer_name(writer, bytes_of(name));
    if (field->text.data)
        writer_name(writer, field->text);
    else
        writer_uint64(writer, field->number);
}

/* Fields of one section that follow each other make a map in the map. */
static int encode_map(struct buf *out, uint32_t id, const struct kv_reply *reply)
{
    uint64_t most = ENVELOPE_BYTES + WRITER_HEADER_BYTES;
    size_t keys = 0;
    for (size_t at = 0; at < reply->count; at++)
        most += 2 * FIELD_BYTES + strlen(reply->fields[at].name) + reply->fields[at].text.len;
    for (size_t at = 0; at < reply->count; at += section_len(reply, at))
        keys++;
    struct writer writer;
    int rc = writer_begin(&writer, out, most);
    if (rc < 0)
        return rc;
    begin(&writer, id);
    writer_nil(&writer);
    writer_map(&writer, keys);
    for (size_t at = 0; at < reply->count;) {
        const struct kv_field *field = &reply->fields[at];
        struct bytes section = section_of(field);
        size_t end = at + section_len(reply, at);
        if (section.data) {
            writer_name(&writer, section);
            writer_map(&writer, end - at);
        }
        for (; at < end; at++)
            write_field(&writer, reply->fields[at].name + (section.data ? section.len + 1 : 0), &reply->fields[at]);
    }
    writer_end(&writer, out);
    return 0;
}

static int encode_plain(struct buf *out, uint32_t id, const struct kv_reply *reply)
{
    struct writer writer;
    int rc = writer_begin(&writer, out, ENVELOPE_BYTES + ATTR_BYTES);
    if (rc < 0)
        return rc;
    begin(&writer, id);
    writer_nil(&writer);
    switch (reply->kind) {
    case KV_REPLY_BOOL:
        if (reply->uint)
            writer_true(&writer);
        else
            writer_false(&writer);
        break;
    case KV_REPLY_UINT:
        writer_uint64(&writer, reply->uint);
        break;
    case KV_REPLY_INT:
        writer_int64(&writer, reply->integer);
        break;
    case KV_REPLY_ATTR:
        write_attr(&writer, &reply->attr);
        break;
    default: /* KV_REPLY_NIL */
        writer_nil(&writer);
        break;
    }
    writer_end(&writer, out);
    return 0;
}

int encode_reply(struct buf *out, uint32_t id, const struct kv_reply *reply)
{
    if (reply->error)
        return encode_error(out, id, reply);
    switch (reply->kind) {
    case KV_REPLY_TEXT:
    case KV_REPLY_BYTES:
        return encode_pieces(out, id, reply);
    case KV_REPLY_ENTRIES:
    case KV_REPLY_VALUES:
        return encode_entries(out, id, reply);
    case KV_REPLY_MAP:
        return encode_map(out, id, reply);
    default:
        return encode_plain(out, id, reply);
    }
}
