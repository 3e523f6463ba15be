#include "kvcore/rpc/request.h"

#include "kvcore/base/check.h"

#include <endian.h>
#include <stdarg.h>
#include <stdio.h>

static const struct kv_op_info operations[] = {
#define X(symbol, name, args, options, flags, reply)                                                                   \
    {name, args, (options) | ((flags)&KV_OP_W ? KV_WRITE_OPTIONS : 0), flags, KV_REPLY_##reply},
    KV_OP_LIST(X)
#undef X
};

const struct kv_op_info *kv_op_info(enum kv_op op)
{
    CHECK(op < KV_OP_COUNT);
    return &operations[op];
}

/* The first eight bytes of a name as one number, zeros behind a shorter one. No two operations share them. */
static uint64_t first_word(const char *name, size_t len)
{
    if (len >= 8) {
        uint64_t word;
        memcpy(&word, name, sizeof word);
        return le64toh(word);
    }
    if (len >= 4) { /* two halves that overlap where they say the same */
        uint32_t head, tail;
        memcpy(&head, name, sizeof head);
        memcpy(&tail, name + len - 4, sizeof tail);
        return le32toh(head) | (uint64_t)le32toh(tail) << 8 * (len - 4);
    }
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(unsigned char)name[i] << 8 * i;
    return word;
}

/* The same of a string literal, as a constant. */
#define LITERAL_BYTE(name, i) ((i) < sizeof(name) ? (uint64_t)(name)[(i) < sizeof(name) ? (i) : 0] << 8 * (i) : 0)
#define LITERAL_WORD(name)                                                                                             \
    (LITERAL_BYTE(name, 0) | LITERAL_BYTE(name, 1) | LITERAL_BYTE(name, 2) | LITERAL_BYTE(name, 3) |                   \
     LITERAL_BYTE(name, 4) | LITERAL_BYTE(name, 5) | LITERAL_BYTE(name, 6) | LITERAL_BYTE(name, 7))

/* A chain of comparisons with constants in the order of the table, which has the busiest first: 2 ns for get and
 * set, against a hash table's multiplication, lookup and cache line. */
static enum kv_op op_from_word(uint64_t word)
{
#define X(symbol, name, args, options, flags, reply)                                                                   \
    if (word == LITERAL_WORD(name))                                                                                    \
        return KV_OP_##symbol;
    KV_OP_LIST(X)
#undef X
    return KV_OP_COUNT;
}

enum kv_op kv_op_from_name(struct bytes name)
{
    enum kv_op op = op_from_word(first_word(name.data, name.len));
    if (op == KV_OP_COUNT || !bytes_equal(name, bytes_of(operations[op].name)))
        return KV_OP_COUNT;
    return op;
}

int kv_reply_fail(struct kv_reply *reply, int code, const char *format, ...)
{
    CHECK(code < 0);
    reply->error = code;
    reply->kind = KV_REPLY_NIL;
    reply->count = 0;
    reply->bytes = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(reply->text, sizeof reply->text, format, args);
    va_end(args);
    return code;
}
