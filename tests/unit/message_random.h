/* Random requests and replies, of every operation, and the comparison of what went in with what came out. */
#ifndef TESTS_UNIT_MESSAGE_RANDOM_H
#define TESTS_UNIT_MESSAGE_RANDOM_H

#include "kvcore/base/error.h"
#include "kvcore/rpc/message.h"
#include "tests/unit/seed.h"

enum { POOL_BYTES = 70000, RANDOM_ITEMS_MAX = 40 };

struct random_message {
    struct chance chance;
    char pool[2 * POOL_BYTES]; /* any bytes, then letters */
    struct kv_ref nodes[RANDOM_ITEMS_MAX];
    struct bytes values[RANDOM_ITEMS_MAX];
    struct kv_entry entries[RANDOM_ITEMS_MAX];
    struct kv_field fields[RANDOM_ITEMS_MAX];
    char names[RANDOM_ITEMS_MAX][64];
};

static inline void random_message_start(struct random_message *random, const char *test)
{
    random->chance = chance_start(test);
    for (size_t i = 0; i < POOL_BYTES; i++) {
        random->pool[i] = (char)chance_next(&random->chance);
        random->pool[POOL_BYTES + i] = (char)('a' + chance_below(&random->chance, 26));
    }
}

/* Lengths around those where MessagePack's headers change. */
static inline size_t random_len(struct random_message *random)
{
    static const size_t edges[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536};
    if (chance_below(&random->chance, 64) == 0)
        return edges[chance_below(&random->chance, 10)];
    return chance_below(&random->chance, 40);
}

static inline struct bytes random_bytes(struct random_message *random)
{
    size_t len = random_len(random), start = chance_below(&random->chance, POOL_BYTES - len);
    return bytes_make(random->pool + (chance_below(&random->chance, 2) ? POOL_BYTES : 0) + start, len);
}

/* Numbers of every width. */
static inline uint64_t random_uint(struct random_message *random)
{
    return chance_next(&random->chance) >> chance_below(&random->chance, 64);
}

static inline int64_t random_int(struct random_message *random)
{
    int64_t value = (int64_t)(random_uint(random) >> 1);
    return chance_below(&random->chance, 2) ? -value - 1 : value;
}

static inline struct kv_ref random_ref(struct random_message *random)
{
    switch (chance_below(&random->chance, 3)) {
    case 0:
        return kv_ref_key(random_bytes(random));
    case 1:
        return kv_ref_id(random_uint(random));
    default:
        return kv_ref_name(random_uint(random), random_bytes(random));
    }
}

static inline void random_argument(struct random_message *random, char letter, struct kv_request *request)
{
    switch (letter) {
    case 'n':
        request->node = random_ref(random);
        return;
    case 't':
        request->target = random_ref(random);
        return;
    case 'P':
    case 'N':
        request->node_count = 1 + chance_below(&random->chance, RANDOM_ITEMS_MAX);
        request->nodes = random->nodes;
        request->values = letter == 'P' ? random->values : NULL;
        for (size_t i = 0; i < request->node_count; i++) {
            random->nodes[i] = random_ref(random);
            random->values[i] = random_bytes(random);
        }
        return;
    case 'v':
        request->value = random_bytes(random);
        return;
    case 'x':
        request->name = random_bytes(random);
        return;
    case 'o':
    case 'c':
    case 'k':
        request->offset = random_uint(random);
        return;
    case 'p':
        request->target_offset = random_uint(random);
        return;
    case 'l':
        request->length = random_uint(random);
        return;
    case 'e':
        request->last = random_int(random);
        return;
    default:
        request->first = random_int(random);
        return;
    }
}

static inline void random_options(struct random_message *random, struct kv_request *request)
{
    request->options = kv_op_info(request->op)->options & (uint32_t)chance_next(&random->chance);
    if (chance_below(&random->chance, 2))
        request->options = 0;
#define FILL_BOOL(field)
#define FILL_INT(field)    request->field = random_int(random);
#define FILL_UINT(field)   request->field = random_uint(random);
#define FILL_UINT32(field) request->field = (uint32_t)random_uint(random);
#define FILL_BYTES(field)  request->field = random_bytes(random);
#define X(symbol, name, type, field)                                                                                   \
    if (request->options & KV_OPT_##symbol) {                                                                          \
        FILL_##type(field)                                                                                             \
    }
    KV_OPTION_LIST(X)
#undef X
}

static inline void random_request(struct random_message *random, enum kv_op op, struct kv_request *ret_request)
{
    struct kv_request request = {.op = op};
    for (const char *letter = kv_op_info(op)->args; *letter; letter++)
        if (*letter != '?')
            random_argument(random, *letter, &request);
    random_options(random, &request);
    *ret_request = request;
}

static inline bool same_ref(const struct kv_ref *a, const struct kv_ref *b)
{
    return a->kind == b->kind && a->id == b->id && bytes_equal(a->name, b->name);
}

/* All fields: those that an operation has no use for are zero on both sides. */
static inline bool same_request(const struct kv_request *a, const struct kv_request *b)
{
    bool same = a->op == b->op && a->options == b->options && same_ref(&a->node, &b->node) &&
                same_ref(&a->target, &b->target) && a->node_count == b->node_count && bytes_equal(a->value, b->value) &&
                bytes_equal(a->name, b->name) && a->offset == b->offset && a->length == b->length &&
                a->target_offset == b->target_offset && a->if_version == b->if_version && a->mode == b->mode &&
                a->uid == b->uid && a->gid == b->gid && a->limit == b->limit && a->rdev == b->rdev &&
                a->size == b->size && a->atime_ns == b->atime_ns && a->mtime_ns == b->mtime_ns &&
                bytes_equal(a->after, b->after) && !a->values == !b->values;
    for (size_t i = 0; same && i < a->node_count; i++)
        same = same_ref(&a->nodes[i], &b->nodes[i]) && (!a->values || bytes_equal(a->values[i], b->values[i]));
    return same;
}

static inline struct kv_attr random_attr(struct random_message *random)
{
    return (struct kv_attr){
        .id = random_uint(random),
        .version = random_uint(random),
        .mode = (uint32_t)random_uint(random),
        .uid = (uint32_t)random_uint(random),
        .gid = (uint32_t)random_uint(random),
        .nlink = (uint32_t)random_uint(random),
        .size = random_uint(random),
        .stored = random_uint(random),
        .atime_ns = random_int(random),
        .mtime_ns = random_int(random),
        .ctime_ns = random_int(random),
        .btime_ns = random_int(random),
        .rdev = random_uint(random),
        .expires_ns = random_int(random),
        .leased = chance_below(&random->chance, 2),
    };
}

static inline void random_map(struct random_message *random, struct kv_reply *reply)
{
    uint64_t section = 0;
    for (size_t i = 0; i < reply->count; i++) {
        section += chance_below(&random->chance, 2);
        snprintf(random->names[i], sizeof random->names[i], section % 3 ? "section%d.field%zu" : "%.0dfield%zu",
                 section % 3 ? (int)section : 0, i);
        random->fields[i] = (struct kv_field){.name = random->names[i]};
        if (chance_below(&random->chance, 2))
            random->fields[i].text = random_bytes(random);
        else
            random->fields[i].number = random_uint(random);
    }
    reply->fields = random->fields;
}

static inline void random_entries(struct random_message *random, struct kv_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++) {
        bool present = reply->kind != KV_REPLY_VALUES || chance_below(&random->chance, 4);
        random->entries[i] = (struct kv_entry){.present = present};
        if (present)
            random->entries[i].name = random_bytes(random);
        if (reply->shape == KV_ENTRY_COOKIE_ATTR)
            random->entries[i].cookie = random_uint(random);
        if (reply->shape != KV_ENTRY_NAME)
            random->entries[i].attr = random_attr(random);
    }
    reply->entries = random->entries;
}

static inline void random_pieces(struct random_message *random, struct kv_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++) {
        random->values[i] = random_bytes(random);
        reply->bytes += random->values[i].len;
    }
    reply->pieces = random->values;
}

/* A reply as the server would give to `op` with `options`; one in eight is an error. */
static inline void random_reply(struct random_message *random, enum kv_op op, uint32_t options,
                                struct kv_reply *ret_reply)
{
    struct kv_reply reply = {.kind = kv_op_info(op)->reply};
    if (chance_below(&random->chance, 8) == 0) {
        kv_reply_fail(&reply, chance_below(&random->chance, 2) ? -ENOENT : KV_MOVED, "the number %d",
                      (int)random_int(random));
        reply.leased = chance_below(&random->chance, 2);
        *ret_reply = reply;
        return;
    }
    size_t count = chance_below(&random->chance, RANDOM_ITEMS_MAX + 1);
    switch (reply.kind) {
    case KV_REPLY_NIL:
        break;
    case KV_REPLY_BOOL:
        reply.uint = chance_below(&random->chance, 2);
        break;
    case KV_REPLY_UINT:
        reply.uint = random_uint(random);
        break;
    case KV_REPLY_INT:
        reply.integer = random_int(random);
        break;
    case KV_REPLY_ATTR:
        reply.attr = random_attr(random);
        break;
    case KV_REPLY_TEXT:
    case KV_REPLY_BYTES:
        reply.count = count;
        random_pieces(random, &reply);
        break;
    case KV_REPLY_ENTRIES:
    case KV_REPLY_VALUES:
        reply.count = count;
        if (op == KV_OP_READDIR)
            reply.shape = KV_ENTRY_COOKIE_ATTR;
        else if (options & KV_OPT_LONG)
            reply.shape = KV_ENTRY_ATTR;
        random_entries(random, &reply);
        break;
    case KV_REPLY_MAP:
        reply.count = count;
        random_map(random, &reply);
        break;
    }
    *ret_reply = reply;
}

static inline bool same_pieces(const struct kv_reply *sent, const struct kv_reply *got)
{
    const char *at = kv_reply_bytes(got).data;
    for (size_t i = 0; i < sent->count; i++) {
        if (memcmp(at, sent->pieces[i].data, sent->pieces[i].len) != 0)
            return false;
        at += sent->pieces[i].len;
    }
    return got->count == 1 && got->bytes == sent->bytes && kv_reply_bytes(got).len == sent->bytes;
}

static inline bool same_attr(const struct kv_attr *a, const struct kv_attr *b)
{
    return memcmp(a, b, offsetof(struct kv_attr, leased)) == 0 && a->leased == b->leased;
}

static inline bool same_entries(const struct kv_reply *sent, const struct kv_reply *got)
{
    bool same = sent->count == got->count;
    for (size_t i = 0; same && i < sent->count; i++) {
        const struct kv_entry *a = &sent->entries[i], *b = &got->entries[i];
        same = a->present == b->present && bytes_equal(a->name, b->name) && a->cookie == b->cookie &&
               (sent->shape == KV_ENTRY_NAME || same_attr(&a->attr, &b->attr));
    }
    return same;
}

static inline bool same_fields(const struct kv_reply *sent, const struct kv_reply *got)
{
    bool same = sent->count == got->count;
    for (size_t i = 0; same && i < sent->count; i++) {
        const struct kv_field *a = &sent->fields[i], *b = &got->fields[i];
        same = strcmp(a->name, b->name) == 0 && a->number == b->number && !a->text.data == !b->text.data &&
               bytes_equal(a->text, b->text);
    }
    return same;
}

static inline bool same_reply(const struct kv_reply *sent, const struct kv_reply *got)
{
    if (sent->error || got->error)
        return sent->error == got->error && sent->leased == got->leased && strcmp(sent->text, got->text) == 0;
    if (sent->kind != got->kind || sent->shape != got->shape)
        return false;
    switch (sent->kind) {
    case KV_REPLY_NIL:
        return true;
    case KV_REPLY_BOOL:
    case KV_REPLY_UINT:
    case KV_REPLY_INT:
        return sent->uint == got->uint;
    case KV_REPLY_ATTR:
        return same_attr(&sent->attr, &got->attr);
    case KV_REPLY_TEXT:
    case KV_REPLY_BYTES:
        return same_pieces(sent, got);
    case KV_REPLY_ENTRIES:
    case KV_REPLY_VALUES:
        return same_entries(sent, got);
    case KV_REPLY_MAP:
        return same_fields(sent, got);
    }
    return false;
}

#endif
