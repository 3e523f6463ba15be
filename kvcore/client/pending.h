/* The requests of one client from submit to reply: which wait, which are in flight, which are over.
 *
 * A request gets its message id when it is submitted and keeps it when it is sent again over a new connection, so
 * that a server can know it for the same one. The id is the request's slot in a table, below a generation that
 * counts the slot's uses: finding an answer's request is one look, and an answer to an earlier use is not mistaken.
 *
 *    id:  [ generation, 16 bits, never 0 | slot, 16 bits ]
 *
 * A request that was given up (deadline, cancel) after it was sent stays in the table without its call until its
 * answer or the end of the connection: the answer is still to come, and must not be taken for an invention.
 *
 * The encoded bytes are kept from submit until they are sent, and until the answer where they may be sent again
 * (flag I). Slots are never given back, but their bytes are; at the bounds CLIENT_REQUESTS_MAX and
 * CLIENT_HELD_BYTES_MAX a request is refused with KV_BUSY.
 */
#ifndef KV_CLIENT_PENDING_H
#define KV_CLIENT_PENDING_H

#include "kvcore/base/buf.h"
#include "kvcore/rpc/backend.h"

#include <sys/queue.h>

enum pending_place {
    PENDING_NOWHERE, /* answered, or given up before it was sent */
    PENDING_WAITING, /* to be sent */
    PENDING_SENT,    /* the answer is to come */
};

struct pending {
    uint32_t id;
    uint32_t options;
    enum kv_op op;
    enum pending_place place;
    bool ending;          /* the call is to end with `code` */
    bool was_sent;        /* at the time it was ended */
    int code;             /* with `ending` */
    struct kv_call *call; /* NULL: given up and told */
    int64_t deadline_ms;  /* 0: none */
    struct buf frame;
    TAILQ_ENTRY(pending) queue; /* free, waiting or sent */
    TAILQ_ENTRY(pending) by_deadline;
    TAILQ_ENTRY(pending) by_ending;
};

TAILQ_HEAD(pending_list, pending);

struct pending_table {
    struct pending **slots;
    size_t slot_count, slot_capacity;
    struct pending_list free, waiting, sent;
    struct pending_list deadlines; /* in order of submission, which is the order of deadlines: all have one timeout */
    struct pending_list ending;
    size_t sent_count;
    uint64_t held_bytes;
};

void pending_init(struct pending_table *table);

/* No request may be left. */
void pending_close(struct pending_table *table);

/* Takes in a request, encoded, as waiting. KV_BUSY, -ENOMEM, -E2BIG. */
int pending_add(struct pending_table *table, const struct kv_request *request, struct kv_call *call,
                int64_t deadline_ms, struct pending **ret_pending);

/* The request in flight that an answer belongs to, or NULL. */
struct pending *pending_find(const struct pending_table *table, uint32_t id);

/* waiting -> sent. The bytes are let go where they will not be needed again. */
void pending_mark_sent(struct pending_table *table, struct pending *pending);

/* The answer has come: takes the request out. Returns the call to tell, NULL when it was given up. */
struct kv_call *pending_take_answered(struct pending_table *table, struct pending *pending);

/* The call is to end with `code`; once, a second ending changes nothing. */
void pending_end(struct pending_table *table, struct pending *pending, int code);

/* The next call to end, NULL when there is none. Takes it out; the code and what else to say are in *ret_ended. */
struct kv_call *pending_take_ended(struct pending_table *table, struct pending *ret_ended);

/* The connection broke. What may be sent again waits again, in the order it was in, before all others; what may not
 * ends with KV_UNCERTAIN. With resend_code other than 0 nothing is sent again: it ends with that code. */
void pending_connection_lost(struct pending_table *table, int resend_code);

/* Ends everything that waits, or everything. */
void pending_end_waiting(struct pending_table *table, int code);
void pending_end_all(struct pending_table *table, int code);

#endif
