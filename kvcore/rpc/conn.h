/* A connection that speaks MessagePack-RPC over a libuv stream (TCP or Unix socket): both ends use it.
 *
 * IN. The loop shares one read buffer. Whole messages are handled right in it; the rest of a message that has not
 * fully come is copied to a buffer of the connection's own, and the next read lands behind it: a short rest goes back
 * to the front of the shared buffer for that, behind a long one it is read in place, into room for what the message
 * claims if that is moderate, else into room that grows with what has really come. So an idle connection holds no
 * buffer, and 10,000 of them hold none.
 * AHEAD. With on_ahead, up to CONN_AHEAD messages of a batch are decoded before the first of them is handled, and the
 * handler is told of each three times as it comes nearer: it can begin to fetch from memory what it will touch. Nothing
 * else changes: they are handled one after the other, and where the connection pauses or ends, those behind are
 * decoded again or dropped.
 * OUT. Answers are appended to `out` and leave together: once at the end of each batch of messages read, or when
 * the loop comes round (conn_flush_soon), so that a pipeline of N requests costs one read and one write. A buffer
 * that has been sent goes to the next connection that answers.
 * BEFORE ANSWERS LEAVE something may have to be done once for all of them: put what they acknowledge on disk. While
 * `hub->gathers` is set, the answers of all connections are gathered for this turn of the loop, and before_flush is
 * called before the first of them leaves.
 * A PEER THAT DOES NOT READ. While more than CONN_OUTPUT_PAUSE_BYTES wait to be sent, nothing is read from it and
 * nothing more of what was read is handled: what it can make us hold is that and one answer. It costs the others
 * nothing. Answers to requests that were under way before may still come on top; past CONN_OUTPUT_BYTES_MAX the
 * connection is closed with KV_BUSY.
 * LIMITS. All half-received messages of a hub together take at most input_bytes_max; the connection that would go
 * past it is closed with KV_BUSY; so is the one whose answers would make all that wait to be sent more than
 * output_bytes_max. The owner logs why a connection ended.
 *
 * Life: conn_init -> conn_start -> on_message* -> on_close exactly once, after which the owner may free it.
 */
#ifndef KV_RPC_CONN_H
#define KV_RPC_CONN_H

#include "kvcore/base/buf.h"
#include "kvcore/rpc/message.h"

#include <uv.h>

struct conn;

#define CONN_OUTPUT_BYTES_MAX (1u << 30)

/* What the connections of one loop share. */
struct conn_hub {
    uv_loop_t *loop;
    struct decoder *decoder;
    uint64_t input_bytes; /* held in half-received messages now */
    uint64_t input_bytes_max;
    uint64_t output_bytes; /* held in answers that wait to be sent now */
    uint64_t output_bytes_max;
    uint64_t bytes_in, bytes_out, reads, writes; /* counters, for `info` */
    /* Set by the owner where the answers now in `out` of any connection must not leave before before_flush, which
     * clears it. It may change what is in `out`. */
    bool gathers;
    void (*before_flush)(struct conn_hub *hub);
    void *owner; /* before_flush's */
    /* The rest is private. */
    char *read_buffer;        /* CONN_READ_BYTES */
    struct buf spare;         /* an output buffer that nobody uses */
    struct conn_ahead *ahead; /* CONN_AHEAD of them */
    struct conn *dirty;       /* connections to flush before the loop waits */
    uv_idle_t *flusher;       /* active while there are any; on the heap, since it closes after the hub */
    bool corked;
};

/* -ENOMEM and libuv's errors. Makes the process ignore SIGPIPE, which libuv's writes to a closed socket would raise. */
int conn_hub_init(struct conn_hub *hub, uv_loop_t *loop);

/* While corked, answers stay here: something that they imply has yet to come true elsewhere (a kernel has to forget
 * what changed). A connection that has something to say meanwhile gets one more batch of messages handled, then waits,
 * which bounds what there is to come true. Uncorked, all answers leave, and then every connection that waited gets its
 * turn. */
void conn_hub_cork(struct conn_hub *hub, bool corked);

/* After the last on_close. The loop must turn once more before it is closed. */
void conn_hub_close(struct conn_hub *hub);

struct conn_handler {
    /* One message has come, borrowed for the call. May append to conn->out; may call conn_close. */
    void (*on_message)(struct conn *conn, const struct message *message);
    /* A message that has come and will be handled when `steps_left` others (3, 2, 1) have been; may be NULL. Must
     * change nothing. */
    void (*on_ahead)(struct conn *conn, const struct message *message, unsigned steps_left);
    /* Some messages have been handled and no more will be for now; may be NULL. Called before the answers are flushed,
     * and also where one of the messages, or a wrong one behind them, ends the connection. */
    void (*on_batch_end)(struct conn *conn);
    /* The connection is gone: `error` as given to conn_close, or why it broke (-ECONNRESET, -EPROTO, -E2BIG, ...;
     * 0: the peer closed it). Fires exactly once. */
    void (*on_close)(struct conn *conn, int error);
};

struct conn {
    struct conn_hub *hub;
    const struct conn_handler *handler;
    void *owner;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    struct buf out; /* append encoded messages here, then let the batch end or call conn_flush_soon */
    /* Set before conn_start by the end that asks: it goes on reading however much waits to be sent, since two ends that
     * both stop until the other reads would wait for ever. What it asks for bounds what it can be sent. */
    bool reads_always;
    uint64_t
        parked_bytes; /* answers that the owner keeps elsewhere until they may leave: part of what waits to be sent */
    /* The rest is private. */
    struct buf in; /* what has come of a message; while paused also whole ones */
    struct frame_scan scan;
    struct buf sending; /* what a uv_write owns */
    uv_write_t write;
    struct conn *dirty_next, **dirty_link; /* in hub->dirty; dirty_link is NULL outside it */
    uint64_t owed_bytes;                   /* its part of hub->output_bytes */
    int error;
    bool started, reading, paused, writing, closing, in_batch;
};

/* Prepares a zeroed conn and its handle: uv_tcp_init (TCP_NODELAY is set when it is started) or uv_pipe_init. The
 * caller then accepts or connects on conn->stream, and calls conn_start. -ENOMEM and libuv's errors. */
int conn_init(struct conn *conn, struct conn_hub *hub, bool unix_socket, const struct conn_handler *handler,
              void *owner);

/* Begins to read. On an error the connection must still be closed. */
int conn_start(struct conn *conn);

/* Sends what is in `out` as far as the socket takes it now; the rest follows by itself. Never fails: a broken
 * connection reports through on_close. */
void conn_flush(struct conn *conn);

/* Flushes before the loop next waits: for answers made outside a batch. Cheap to call often. */
void conn_flush_soon(struct conn *conn);

/* Closes; on_close follows, not inside this call. May be called more than once; the first error counts. With error 0,
 * `out` is flushed first as far as the socket takes it. */
void conn_close(struct conn *conn, int error);

#endif
