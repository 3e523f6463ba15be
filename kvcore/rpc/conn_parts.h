/* What conn.c and conn_read.c know of each other. */
#ifndef KV_RPC_CONN_PARTS_H
#define KV_RPC_CONN_PARTS_H

#include "kvcore/rpc/conn.h"

enum { CONN_AHEAD = 4 };

/* A message that was decoded before its turn. */
struct conn_ahead {
    struct decoder *decoder;
    struct message message;
    size_t frame_bytes;
};

/* What waits to be sent. */
static inline uint64_t conn_output_bytes(const struct conn *conn)
{
    return conn->out.len + conn->parked_bytes + (conn->writing ? uv_stream_get_write_queue_size(&conn->stream) : 0);
}

/* Lets libuv read, unless the connection is paused or closing. 0 or libuv's error. */
int conn_read_start(struct conn *conn);
void conn_read_stop(struct conn *conn);

/* Handles what was left over when the connection was paused, then reads on. */
void conn_resume(struct conn *conn);

/* Frees what was half received. */
void conn_input_release(struct conn *conn);

#endif
