/* MessagePack-RPC messages: structs to bytes and back (https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md).
 *
 *   request       [0, msgid, method, params]
 *   response      [1, msgid, error, result]      error: nil, or [code, text, detail]
 *   notification  [2, method, params]
 *
 * Decoding is in two steps. `frame_scan` walks the raw bytes and finds where a message ends, checking every
 * length, depth and count against limits.h before anything is allocated; it can stop and go on as bytes arrive,
 * so a long message is walked once. Then msgpack-c unpacks the whole message, pointing into the bytes, and
 * message_decode fills the struct. Names of operations, their arguments and options come from op_list.h.
 */
#ifndef KV_RPC_MESSAGE_H
#define KV_RPC_MESSAGE_H

#include "kvcore/base/buf.h"
#include "kvcore/rpc/recall.h"
#include "kvcore/rpc/request.h"

/* Where a scan stands. A zeroed struct is before a message. */
struct frame_scan {
    size_t at;                        /* bytes walked */
    uint32_t items;                   /* objects promised by the containers so far */
    uint32_t depth;                   /* containers open */
    uint32_t left[MESSAGE_DEPTH_MAX]; /* objects still to come in each open container */
    uint64_t need;                    /* bytes that the message is known to have at least, by what it claims */
};

/* Walks on through `data`, which begins with the message's first byte, as before but longer. 1: the message is
 * whole and scan->at bytes long; 0: more is needed; -EPROTO: not MessagePack, or not allowed here; -E2BIG: past a
 * limit. */
int frame_scan(struct frame_scan *scan, const char *data, size_t len);

/* Memory that a decoded message points to: reused from message to message. */
struct decoder;
struct decoder *decoder_new(void);          /* NULL: out of memory */
void decoder_free(struct decoder *decoder); /* accepts NULL */

/* Ends the validity of all it decoded and gives back what a huge message took. Cheap: after each batch. */
void decoder_trim(struct decoder *decoder);

enum message_type { MESSAGE_REQUEST = 0, MESSAGE_RESPONSE = 1, MESSAGE_NOTIFICATION = 2 };

struct message {
    enum message_type type;
    uint32_t id;                 /* requests and responses */
    struct kv_request request;   /* requests and notifications */
    bool is_recall;              /* a notification that is no request but ... */
    struct kv_recall recall;     /* ... this */
    int error;                   /* a request that cannot be taken: -ENOSYS (unknown), -EINVAL, ...; to be answered */
    char text[ERROR_TEXT_BYTES]; /* why */
};

/* Decodes one whole message that frame_scan accepted. 0: *ret_message is filled (its `error` may tell what to answer);
 * -EPROTO: not MessagePack-RPC at all, the connection is beyond repair; -ENOMEM. Pointers lead into `frame` and the
 * decoder, until its next use. A response's result waits for decode_result, since only its request says what shape it
 * has. Of a request with an error, only type, id, error and text count. */
int message_decode(struct decoder *decoder, struct bytes frame, struct message *ret_message);

/* Of the response that message_decode saw last: the reply to a request of `op` with `options`. 0; or -EPROTO (another
 * shape), -ENOMEM, and what is in *ret_reply means nothing. */
int decode_result(struct decoder *decoder, enum kv_op op, uint32_t options, struct kv_reply *ret_reply);

/* Appends a message. -ENOMEM, -E2BIG (past MESSAGE_BYTES_MAX); nothing is appended then. */
int encode_request(struct buf *out, uint32_t id, const struct kv_request *request);
int encode_notification(struct buf *out, const struct kv_request *request);
int encode_reply(struct buf *out, uint32_t id, const struct kv_reply *reply);

#endif
