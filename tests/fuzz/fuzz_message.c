/* Messages from any bytes: nothing is read outside them, and what is taken for valid is the same message after it
 * has been encoded and decoded again.
 */
#include "kvcore/base/check.h"
#include "kvcore/rpc/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct decoder *decoder;
static volatile char sink;

static void touch(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        sink = bytes.data[i];
}

static void touch_request(const struct kv_request *request)
{
    touch(request->node.name);
    touch(request->target.name);
    touch(request->value);
    touch(request->name);
    touch(request->after);
    for (size_t i = 0; i < request->node_count; i++) {
        touch(request->nodes[i].name);
        if (request->values)
            touch(request->values[i]);
    }
}

/* May the reply be sent again as it is? A map's names can become too long in another division into sections. */
static bool touch_reply(const struct kv_reply *reply)
{
    bool again = true;
    for (size_t i = 0; i < reply->count; i++) {
        if (reply->pieces)
            touch(reply->pieces[i]);
        if (reply->entries && reply->entries[i].present)
            touch(reply->entries[i].name);
        if (reply->fields) {
            touch(reply->fields[i].text);
            again = again && strlen(reply->fields[i].name) <= NAME_BYTES_MAX;
        }
    }
    return again && !(reply->kind == KV_REPLY_ENTRIES && reply->shape != KV_ENTRY_NAME && reply->count > LISTING_MAX);
}

static void decode_whole(const struct buf *buf, struct message *ret_message)
{
    struct frame_scan scan = {0};
    CHECK(frame_scan(&scan, buf->data, buf->len) == 1 && scan.at == buf->len);
    CHECK(message_decode(decoder, buf_bytes(buf), ret_message) == 0);
}

static void request_again(const struct message *message)
{
    struct buf first = {0}, second = {0};
    struct message again;
    CHECK(encode_request(&first, message->id, &message->request) == 0);
    decode_whole(&first, &again);
    CHECK(again.error == 0 && again.id == message->id && again.request.op == message->request.op);
    CHECK(encode_request(&second, again.id, &again.request) == 0);
    CHECK(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    buf_close(&first);
    buf_close(&second);
}

static void reply_again(const struct message *message, const struct kv_reply *reply, enum kv_op op, uint32_t options)
{
    struct buf first = {0}, second = {0};
    struct message again;
    struct kv_reply reply_again;
    CHECK(encode_reply(&first, message->id, reply) == 0);
    decode_whole(&first, &again);
    CHECK(decode_result(decoder, op, options, &reply_again) == 0);
    CHECK(encode_reply(&second, again.id, &reply_again) == 0);
    CHECK(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    buf_close(&first);
    buf_close(&second);
}

/* The first byte says to which operation a response would belong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!decoder)
        decoder = decoder_new();
    if (size == 0)
        return 0;
    enum kv_op op = (enum kv_op)(data[0] % KV_OP_COUNT);
    uint32_t options = kv_op_info(op)->options;
    const char *bytes = (const char *)data + 1;
    struct frame_scan scan = {0};
    struct message message;
    struct kv_reply reply;
    if (frame_scan(&scan, bytes, size - 1) != 1 || message_decode(decoder, bytes_make(bytes, scan.at), &message) != 0)
        return 0;
    CHECK(message.error <= 0 && strlen(message.text) < ERROR_TEXT_BYTES);
    if (message.type == MESSAGE_RESPONSE) {
        if (decode_result(decoder, op, options, &reply) == 0 && touch_reply(&reply))
            reply_again(&message, &reply, op, options);
    } else if (message.error == 0) {
        touch_request(&message.request);
        request_again(&message);
    }
    decoder_trim(decoder);
    return 0;
}
