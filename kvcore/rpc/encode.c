/* Requests to bytes; replies are in encode_reply.c. The order of the parameters is the letters' of op_list.h.
 *
 * First the most that the message can take is counted and reserved, then it is written without further questions.
 */
#include "kvcore/rpc/message.h"
#include "kvcore/rpc/writer.h"

enum {
    REF_BYTES = 3 * WRITER_HEADER_BYTES,                       /* without the name */
    ENVELOPE_BYTES = 6 * WRITER_HEADER_BYTES + 16,             /* with the operation's name */
    OPTION_BYTES = 2 * WRITER_HEADER_BYTES + 16,               /* with its name */
    ARGUMENTS_BYTES = 2 * REF_BYTES + 4 * WRITER_HEADER_BYTES, /* of fixed number */
    OPTIONS_BYTES = WRITER_HEADER_BYTES + KV_OPTION_COUNT * OPTION_BYTES,
};

static uint64_t most_bytes(const struct kv_request *request)
{
    uint64_t bytes = ENVELOPE_BYTES + ARGUMENTS_BYTES + OPTIONS_BYTES;
    bytes += request->node.name.len + request->target.name.len + request->value.len + request->name.len +
             request->after.len + request->durability.len;
    for (size_t i = 0; i < request->node_count; i++)
        bytes += REF_BYTES + request->nodes[i].name.len +
                 (request->values ? WRITER_HEADER_BYTES + request->values[i].len : 0);
    return bytes;
}

static void write_ref(struct writer *writer, const struct kv_ref *ref)
{
    switch (ref->kind) {
    case KV_REF_KEY:
        writer_name(writer, ref->name);
        return;
    case KV_REF_ID:
        writer_uint64(writer, ref->id);
        return;
    case KV_REF_NAME:
        writer_array(writer, 2);
        writer_uint64(writer, ref->id);
        writer_name(writer, ref->name);
        return;
    }
}

static void write_argument(struct writer *writer, const struct kv_request *request, char letter)
{
    switch (letter) {
    case 'n':
        write_ref(writer, &request->node);
        return;
    case 't':
        write_ref(writer, &request->target);
        return;
    case 'v':
        writer_value(writer, request->value);
        return;
    case 'x':
        writer_name(writer, request->name);
        return;
    case 'o':
        writer_uint64(writer, request->offset);
        return;
    case 'p':
        writer_uint64(writer, request->target_offset);
        return;
    case 'l':
        writer_uint64(writer, request->length);
        return;
    case 'c':
        writer_uint64(writer, request->cookie);
        return;
    case 'b':
        writer_int64(writer, request->first);
        return;
    case 'e':
        writer_int64(writer, request->last);
        return;
    case 'd':
        writer_int64(writer, request->delta);
        return;
    case 'k':
        writer_uint64(writer, request->ticket);
        return;
    default: /* 'm' */
        writer_int64(writer, request->ttl_ms);
        return;
    }
}

static void write_nodes(struct writer *writer, const struct kv_request *request, bool with_values)
{
    for (size_t i = 0; i < request->node_count; i++) {
        write_ref(writer, &request->nodes[i]);
        if (with_values)
            writer_value(writer, request->values[i]);
    }
}

static void write_option(struct writer *writer, const struct kv_request *request, unsigned bit)
{
    switch (bit) {
#define WRITE_BOOL(field)   writer_true(writer)
#define WRITE_INT(field)    writer_int64(writer, request->field)
#define WRITE_UINT(field)   writer_uint64(writer, request->field)
#define WRITE_UINT32(field) writer_uint64(writer, request->field)
#define WRITE_BYTES(field)  writer_value(writer, request->field)
#define X(symbol, name, type, field)                                                                                   \
    case KV_OPT_BIT_##symbol:                                                                                          \
        writer_text(writer, bytes_make(name, sizeof(name) - 1));                                                       \
        WRITE_##type(field);                                                                                           \
        return;
        KV_OPTION_LIST(X)
#undef X
#undef WRITE_BOOL
#undef WRITE_INT
#undef WRITE_UINT
#undef WRITE_UINT32
#undef WRITE_BYTES
    }
}

/* How many parameters the letters make. */
static size_t argument_count(const char *args, size_t node_count)
{
    size_t count = 0;
    for (; *args; args++)
        count += *args == 'N' ? node_count : *args == 'P' ? 2 * node_count : *args != '?';
    return count;
}

static int encode(struct buf *out, enum message_type type, uint32_t id, const struct kv_request *request)
{
    const struct kv_op_info *info = kv_op_info(request->op);
    CHECK(request->options < 1u << KV_OPTION_COUNT);
    if (request->node_count > REFS_MAX)
        return -E2BIG;
    struct writer writer;
    int rc = writer_begin(&writer, out, most_bytes(request));
    if (rc < 0)
        return rc;

    writer_array(&writer, type == MESSAGE_REQUEST ? 4 : 3);
    writer_uint32(&writer, type);
    if (type == MESSAGE_REQUEST)
        writer_uint32(&writer, id);
    writer_text(&writer, bytes_of(info->name));
    writer_array(&writer, argument_count(info->args, request->node_count) + (request->options != 0));
    for (const char *letter = info->args; *letter; letter++) {
        if (*letter == 'N' || *letter == 'P')
            write_nodes(&writer, request, *letter == 'P');
        else if (*letter != '?')
            write_argument(&writer, request, *letter);
    }
    if (request->options) {
        writer_map(&writer, (size_t)__builtin_popcount(request->options));
        for (uint32_t bits = request->options; bits; bits &= bits - 1)
            write_option(&writer, request, (unsigned)__builtin_ctz(bits));
    }
    writer_end(&writer, out);
    return 0;
}

int encode_request(struct buf *out, uint32_t id, const struct kv_request *request)
{
    return encode(out, MESSAGE_REQUEST, id, request);
}

int encode_notification(struct buf *out, const struct kv_request *request)
{
    return encode(out, MESSAGE_NOTIFICATION, 0, request);
}
