#include "kvcore/rpc/reply_copy.h"

#include "kvcore/base/error.h"

#include <stdlib.h>

/* All bytes go into one buffer that is made large enough first, so that it does not move under what points to it. */
static size_t reply_bytes_total(const struct kv_reply *reply)
{
    size_t total = 0;
    switch (reply->kind) {
    case KV_REPLY_TEXT:
    case KV_REPLY_BYTES:
        for (size_t i = 0; i < reply->count; i++)
            total += reply->pieces[i].len;
        break;
    case KV_REPLY_ENTRIES:
    case KV_REPLY_VALUES:
        for (size_t i = 0; i < reply->count; i++)
            total += reply->entries[i].name.len;
        break;
    case KV_REPLY_MAP:
        for (size_t i = 0; i < reply->count; i++)
            total += strlen(reply->fields[i].name) + 1 + reply->fields[i].text.len;
        break;
    default:
        break;
    }
    return total;
}

static struct bytes keep(struct buf *buf, struct bytes bytes)
{
    char *at = buf->data + buf->len;
    if (bytes.len)
        memcpy(at, bytes.data, bytes.len);
    buf->len += bytes.len;
    return bytes_make(at, bytes.len);
}

static void copy_pieces(struct reply_copy *copy, const struct kv_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        keep(&copy->bytes, reply->pieces[i]);
    copy->piece = buf_bytes(&copy->bytes);
    copy->reply.pieces = &copy->piece;
    copy->reply.count = 1;
    copy->reply.bytes = copy->piece.len;
}

static void copy_entries(struct reply_copy *copy, const struct kv_reply *reply)
{
    struct kv_entry *entries = copy->items;
    for (size_t i = 0; i < reply->count; i++) {
        entries[i] = reply->entries[i];
        entries[i].name = keep(&copy->bytes, reply->entries[i].name);
    }
    copy->reply.entries = entries;
}

static void copy_fields(struct reply_copy *copy, const struct kv_reply *reply)
{
    struct kv_field *fields = copy->items;
    for (size_t i = 0; i < reply->count; i++) {
        const struct kv_field *field = &reply->fields[i];
        fields[i] = *field;
        fields[i].name = keep(&copy->bytes, bytes_make(field->name, strlen(field->name) + 1)).data;
        if (field->text.data)
            fields[i].text = keep(&copy->bytes, field->text);
    }
    copy->reply.fields = fields;
}

/* Room for everything, before anything is copied. */
static int copy_reserve(struct reply_copy *copy, const struct kv_reply *reply)
{
    size_t item_bytes = reply->kind == KV_REPLY_MAP                                         ? sizeof(struct kv_field)
                        : reply->kind == KV_REPLY_ENTRIES || reply->kind == KV_REPLY_VALUES ? sizeof(struct kv_entry)
                                                                                            : 0;
    if (item_bytes && reply->count) {
        copy->items = calloc(reply->count, item_bytes);
        if (!copy->items)
            return -ENOMEM;
    }
    return buf_reserve(&copy->bytes, reply_bytes_total(reply) + 1);
}

int reply_copy_set(struct reply_copy *copy, const struct kv_reply *reply)
{
    reply_copy_close(copy);
    if (reply->error) {
        copy->reply = *reply;
        return 0;
    }
    int rc = copy_reserve(copy, reply);
    if (rc < 0) {
        reply_copy_close(copy);
        return kv_reply_fail(&copy->reply, rc, "no memory for the answer");
    }
    copy->reply = *reply;
    switch (reply->kind) {
    case KV_REPLY_TEXT:
    case KV_REPLY_BYTES:
        copy_pieces(copy, reply);
        break;
    case KV_REPLY_ENTRIES:
    case KV_REPLY_VALUES:
        copy_entries(copy, reply);
        break;
    case KV_REPLY_MAP:
        copy_fields(copy, reply);
        break;
    default:
        break;
    }
    return 0;
}

void reply_copy_close(struct reply_copy *copy)
{
    free(copy->items);
    buf_close(&copy->bytes);
    *copy = (struct reply_copy){0};
}
