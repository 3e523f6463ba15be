/* Bytes to struct message: the envelope and the requests. Replies are in decode_result.c.
 *
 * msgpack-c turns the whole message into a tree of objects whose strings point into the bytes; the row of op_list.h
 * says what the tree must look like. What is wrong with a request is told to whoever sent it, by the operation and
 * the argument ("set: argument 2 (value) must be str or bin, not a map"), and the connection goes on; only where not
 * even the envelope is MessagePack-RPC there is nobody to tell.
 */
#include "kvcore/rpc/decoder.h"

#include "kvcore/base/error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ZONE_BYTES = 65536 };

struct decoder *decoder_new(void)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return NULL;
    if (!msgpack_zone_init(&decoder->zone, ZONE_BYTES)) {
        free(decoder);
        return NULL;
    }
    return decoder;
}

void decoder_free(struct decoder *decoder)
{
    if (!decoder)
        return;
    msgpack_zone_destroy(&decoder->zone);
    free(decoder);
}

void decoder_trim(struct decoder *decoder)
{
    decoder->error = decoder->result = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    msgpack_zone_clear(&decoder->zone);
}

/* A request being read. */
struct reader {
    struct decoder *decoder;
    struct message *message;
    const struct kv_op_info *info;
    const msgpack_object *params;
    size_t count; /* of params, without the options */
};

static int refuse(struct message *message, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

static int refuse(struct message *message, int code, const char *format, ...)
{
    message->error = code;
    va_list args;
    va_start(args, format);
    vsnprintf(message->text, sizeof message->text, format, args);
    va_end(args);
    return code;
}

/* A stranger's bytes, fit to be shown. */
struct shown {
    char text[52];
};

static struct shown shown(struct bytes bytes)
{
    struct shown shown;
    size_t len = bytes.len < 48 ? bytes.len : 48;
    for (size_t i = 0; i < len; i++)
        shown.text[i] = bytes.data[i] >= ' ' && bytes.data[i] <= '~' ? bytes.data[i] : '?';
    strcpy(shown.text + len, len < bytes.len ? "..." : "");
    return shown;
}

static const char *kind_of(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return "nil";
    case MSGPACK_OBJECT_BOOLEAN:
        return "a boolean";
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return object->via.u64 > INT64_MAX ? "an integer past 2^63-1" : "an integer";
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return "a negative integer";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return "a float";
    case MSGPACK_OBJECT_STR:
        return "a str";
    case MSGPACK_OBJECT_BIN:
        return "a bin";
    case MSGPACK_OBJECT_ARRAY:
        return "an array";
    case MSGPACK_OBJECT_MAP:
        return "a map";
    default:
        return "an ext";
    }
}

static const char *argument_name(char letter)
{
    switch (letter) {
    case 'n':
    case 'N':
    case 'P':
        return "node";
    case 't':
        return "target";
    case 'v':
        return "value";
    case 'x':
        return "name";
    case 'o':
        return "offset";
    case 'p':
        return "target offset";
    case 'l':
        return "length";
    case 'c':
        return "cookie";
    case 'b':
        return "first";
    case 'e':
        return "last";
    case 'd':
        return "delta";
    case 'k':
        return "ticket";
    default:
        return "milliseconds";
    }
}

static const char *argument_kind(char letter)
{
    switch (letter) {
    case 'n':
    case 'N':
    case 'P':
    case 't':
        return "a key (str or bin), an id (uint) or [directory id, name]";
    case 'v':
    case 'x':
        return "str or bin";
    case 'o':
    case 'p':
    case 'l':
    case 'c':
    case 'k':
        return "an integer from 0 on";
    default:
        return "an integer of 64 bits";
    }
}

static int refuse_argument(struct reader *reader, size_t at, char letter)
{
    return refuse(reader->message, -EINVAL, "%s: argument %zu (%s) must be %s, not %s", reader->info->name, at + 1,
                  argument_name(letter), argument_kind(letter), kind_of(&reader->params[at]));
}

static int refuse_missing(struct reader *reader, char letter)
{
    return refuse(reader->message, -EINVAL, "%s: argument %zu (%s) is missing", reader->info->name, reader->count + 1,
                  argument_name(letter));
}

static bool read_ref(const msgpack_object *object, struct kv_ref *ret_ref)
{
    struct bytes name;
    if (object_bytes(object, &name)) {
        *ret_ref = kv_ref_key(name);
        return true;
    }
    if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        *ret_ref = kv_ref_id(object->via.u64);
        return true;
    }
    uint64_t dir;
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size != 2 ||
        !object_uint(&object->via.array.ptr[0], &dir) || !object_bytes(&object->via.array.ptr[1], &name))
        return false;
    *ret_ref = kv_ref_name(dir, name);
    return true;
}

/* All remaining parameters are nodes (N), or pairs of a node and a value (P). */
static int read_nodes(struct reader *reader, size_t at, bool with_values)
{
    struct kv_request *request = &reader->message->request;
    size_t stride = with_values ? 2 : 1, count = (reader->count - at) / stride;
    if (count == 0 || (reader->count - at) % stride)
        return refuse_missing(reader, with_values && reader->count > at ? 'v' : 'N');
    if (count > REFS_MAX)
        return refuse(reader->message, -E2BIG, "%s: %zu nodes, at most %d in one request", reader->info->name, count,
                      REFS_MAX);
    struct kv_ref *nodes = msgpack_zone_malloc(&reader->decoder->zone, count * sizeof *nodes);
    struct bytes *values = with_values ? msgpack_zone_malloc(&reader->decoder->zone, count * sizeof *values) : NULL;
    if (!nodes || (with_values && !values))
        return refuse(reader->message, -ENOMEM, "%s: no memory for %zu nodes", reader->info->name, count);

    for (size_t i = 0; i < count; i++, at += stride) {
        if (!read_ref(&reader->params[at], &nodes[i]))
            return refuse_argument(reader, at, 'N');
        if (with_values && !object_bytes(&reader->params[at + 1], &values[i]))
            return refuse_argument(reader, at + 1, 'v');
    }
    request->nodes = nodes;
    request->values = values;
    request->node_count = count;
    return 0;
}

static bool read_argument(struct kv_request *request, char letter, const msgpack_object *object)
{
    switch (letter) {
    case 'n':
        return read_ref(object, &request->node);
    case 't':
        return read_ref(object, &request->target);
    case 'v':
        return object_bytes(object, &request->value);
    case 'x':
        return object_bytes(object, &request->name);
    case 'o':
        return object_uint(object, &request->offset);
    case 'p':
        return object_uint(object, &request->target_offset);
    case 'l':
        return object_uint(object, &request->length);
    case 'c':
        return object_uint(object, &request->cookie);
    case 'b':
        return object_int(object, &request->first);
    case 'e':
        return object_int(object, &request->last);
    case 'd':
        return object_int(object, &request->delta);
    case 'k':
        return object_uint(object, &request->ticket);
    default: /* 'm' */
        return object_int(object, &request->ttl_ms);
    }
}

static int read_arguments(struct reader *reader)
{
    size_t at = 0;
    bool optional = false;
    for (const char *letter = reader->info->args; *letter; letter++) {
        if (*letter == 'N' || *letter == 'P')
            return read_nodes(reader, at, *letter == 'P');
        if (*letter == '?') {
            optional = true;
            continue;
        }
        if (at == reader->count)
            return optional ? 0 : refuse_missing(reader, *letter);
        if (!read_argument(&reader->message->request, *letter, &reader->params[at]))
            return refuse_argument(reader, at, *letter);
        at++;
    }
    if (at < reader->count)
        return refuse(reader->message, -EINVAL, "%s: %zu arguments, at most %zu", reader->info->name, reader->count,
                      at);
    return 0;
}

enum option_kind { OPTION_BOOL, OPTION_INT, OPTION_UINT, OPTION_UINT32, OPTION_BYTES };

static const struct {
    const char *name;
    size_t len;
    enum option_kind kind;
} options[] = {
#define X(symbol, name, type, field) {name, sizeof(name) - 1, OPTION_##type},
    KV_OPTION_LIST(X)
#undef X
};

/* The option of this name among `allowed`, or KV_OPTION_COUNT. */
static unsigned find_option(uint32_t allowed, struct bytes name)
{
    for (; allowed; allowed &= allowed - 1) {
        unsigned bit = (unsigned)__builtin_ctz(allowed);
        if (options[bit].len == name.len && memcmp(options[bit].name, name.data, name.len) == 0)
            return bit;
    }
    return KV_OPTION_COUNT;
}

static int refuse_option(struct reader *reader, struct bytes name)
{
    bool known = find_option((1u << KV_OPTION_COUNT) - 1, name) != KV_OPTION_COUNT;
    return refuse(reader->message, -EINVAL, known ? "%s: takes no option '%s'" : "%s: unknown option '%s'",
                  reader->info->name, shown(name).text);
}

static const char *option_kind_text(enum option_kind kind)
{
    switch (kind) {
    case OPTION_BOOL:
        return "true or false";
    case OPTION_INT:
        return "an integer of 64 bits";
    case OPTION_UINT:
        return "an integer from 0 on";
    case OPTION_UINT32:
        return "an integer from 0 to 4294967295";
    default:
        return "str or bin";
    }
}

static bool read_option(struct kv_request *request, unsigned bit, const msgpack_object *value)
{
    switch (bit) {
#define READ_BOOL(field)   value->type == MSGPACK_OBJECT_BOOLEAN
#define READ_INT(field)    object_int(value, &request->field)
#define READ_UINT(field)   object_uint(value, &request->field)
#define READ_UINT32(field) object_uint32(value, &request->field)
#define READ_BYTES(field)  object_bytes(value, &request->field)
#define X(symbol, name, type, field)                                                                                   \
    case KV_OPT_BIT_##symbol:                                                                                          \
        return READ_##type(field);
        KV_OPTION_LIST(X)
#undef X
#undef READ_BOOL
#undef READ_INT
#undef READ_UINT
#undef READ_UINT32
#undef READ_BYTES
    default:
        return false;
    }
}

static int read_options(struct reader *reader, const msgpack_object_map *map)
{
    struct kv_request *request = &reader->message->request;
    for (uint32_t i = 0; i < map->size; i++) {
        struct bytes name;
        const msgpack_object *value = &map->ptr[i].val;
        if (!object_bytes(&map->ptr[i].key, &name))
            return refuse(reader->message, -EINVAL, "%s: an option's name must be a str, not %s", reader->info->name,
                          kind_of(&map->ptr[i].key));
        unsigned bit = find_option(reader->info->options, name);
        if (bit == KV_OPTION_COUNT)
            return refuse_option(reader, name);
        if (!read_option(request, bit, value))
            return refuse(reader->message, -EINVAL, "%s: option '%s' must be %s, not %s", reader->info->name,
                          options[bit].name, option_kind_text(options[bit].kind), kind_of(value));
        bool off = options[bit].kind == OPTION_BOOL && !value->via.boolean;
        request->options = off ? request->options & ~(1u << bit) : request->options | 1u << bit;
    }
    return 0;
}

/* How many parameters must be there: a map behind them holds the options. */
static size_t required_count(const char *args) { return args[0] == 'P' ? 2 : (size_t)(strchrnul(args, '?') - args); }

static void read_request(struct decoder *decoder, struct bytes name, const msgpack_object *params,
                         struct message *message)
{
    memset(&message->request, 0, sizeof message->request);
    enum kv_op op = kv_op_from_name(name);
    if (op == KV_OP_COUNT) {
        refuse(message, -ENOSYS, "unknown method '%s'; docs/protocol.md lists them", shown(name).text);
        return;
    }
    struct reader reader = {decoder, message, kv_op_info(op), params->via.array.ptr, params->via.array.size};
    message->request.op = op;
    if (op == KV_OP_INCR)
        message->request.delta = 1; /* where the argument is left out */
    if (params->type != MSGPACK_OBJECT_ARRAY) {
        refuse(message, -EINVAL, "%s: the parameters must be an array, not %s", reader.info->name, kind_of(params));
        return;
    }
    const msgpack_object_map *map = NULL;
    if (reader.count > 0 && reader.params[reader.count - 1].type == MSGPACK_OBJECT_MAP &&
        reader.count > required_count(reader.info->args))
        map = &reader.params[--reader.count].via.map;
    if (read_arguments(&reader) == 0 && map)
        read_options(&reader, map);
}

static int unpack(struct decoder *decoder, struct bytes frame, msgpack_object *ret_object)
{
    size_t at = 0;
    msgpack_zone_clear(&decoder->zone);
    switch (msgpack_unpack(frame.data, frame.len, &at, &decoder->zone, ret_object)) {
    case MSGPACK_UNPACK_SUCCESS:
        return 0;
    case MSGPACK_UNPACK_NOMEM_ERROR:
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

static bool read_change(const msgpack_object *object, struct kv_change *ret_change)
{
    const msgpack_object *parts = object->via.array.ptr;
    *ret_change = (struct kv_change){.kind = KV_CHANGE_ATTR};
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 1 || object->via.array.size > 2 ||
        !object_uint(&parts[0], &ret_change->id))
        return false;
    if (object->via.array.size == 1)
        return true;
    ret_change->kind = parts[1].type == MSGPACK_OBJECT_BOOLEAN ? KV_CHANGE_DATA
                       : parts[1].type == MSGPACK_OBJECT_NIL   ? KV_CHANGE_ALL
                                                               : KV_CHANGE_ENTRY;
    return ret_change->kind != KV_CHANGE_ENTRY ||
           (object_bytes(&parts[1], &ret_change->name) && ret_change->name.len <= NAME_BYTES_MAX);
}

/* [ticket, change, ...]. What is no recall is -EPROTO: there is nobody to answer to. */
static int read_recall(struct decoder *decoder, const msgpack_object *params, struct kv_recall *ret_recall)
{
    if (params->type != MSGPACK_OBJECT_ARRAY || params->via.array.size < 1 ||
        !object_uint(&params->via.array.ptr[0], &ret_recall->ticket))
        return -EPROTO;
    size_t count = params->via.array.size - 1;
    struct kv_change *changes = msgpack_zone_malloc(&decoder->zone, (count ? count : 1) * sizeof *changes);
    if (!changes)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (!read_change(&params->via.array.ptr[i + 1], &changes[i]))
            return -EPROTO;
    ret_recall->changes = changes;
    ret_recall->count = count;
    return 0;
}

int message_decode(struct decoder *decoder, struct bytes frame, struct message *ret_message)
{
    msgpack_object envelope;
    int rc = unpack(decoder, frame, &envelope);
    if (rc < 0)
        return rc;
    if (envelope.type != MSGPACK_OBJECT_ARRAY || envelope.via.array.size < 3)
        return -EPROTO;
    const msgpack_object *parts = envelope.via.array.ptr;
    bool notification = parts[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER && parts[0].via.u64 == MESSAGE_NOTIFICATION;
    uint32_t type, id = 0;
    if (envelope.via.array.size != (notification ? 3 : 4) || !object_uint32(&parts[0], &type) ||
        type > MESSAGE_NOTIFICATION || (!notification && !object_uint32(&parts[1], &id)))
        return -EPROTO;

    const msgpack_object *body = parts + (notification ? 1 : 2);
    struct bytes method = {0};
    if (type != MESSAGE_RESPONSE && !object_str(&body[0], &method))
        return -EPROTO;
    ret_message->type = (enum message_type)type;
    ret_message->id = id;
    ret_message->error = 0;
    ret_message->text[0] = 0;
    ret_message->is_recall = false;
    if (type == MESSAGE_RESPONSE) {
        decoder->error = body[0];
        decoder->result = body[1];
    } else if (notification && bytes_equal(method, bytes_of("recall"))) {
        ret_message->is_recall = true;
        return read_recall(decoder, &body[1], &ret_message->recall);
    } else {
        read_request(decoder, method, &body[1], ret_message);
    }
    return 0;
}
