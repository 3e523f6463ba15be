/* Input of a connection: from the socket to whole messages (conn.h tells where the bytes lie meanwhile).
 *
 * Between two reads this holds: `in` is empty, or it begins with a message of which more must come (scan.need >
 * in.len), or the connection is paused and `in` may hold anything.
 */
#include "kvcore/rpc/conn_parts.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <stdlib.h>

enum {
    COPY_BACK_BYTES_MAX = 16384, /* a rest up to here goes back to the front of the shared buffer */
    INPUT_STEP_BYTES = 256,
    CLAIM_BYTES_MAX = 2 << 20, /* a mount's reads and writes, with what is around them */
};

static_assert(COPY_BACK_BYTES_MAX < CONN_READ_BYTES, "there is room for news behind what was copied back");

static void input_resize(struct conn *conn, char *data, size_t capacity)
{
    conn->hub->input_bytes += capacity - conn->in.capacity;
    conn->in.data = data;
    conn->in.capacity = capacity;
}

void conn_input_release(struct conn *conn)
{
    free(conn->in.data);
    input_resize(conn, NULL, 0);
    conn->in.len = 0;
}

/* KV_BUSY past the hub's limit, -ENOMEM; the contents are untouched then. */
static int input_reserve(struct conn *conn, size_t capacity)
{
    if (capacity <= conn->in.capacity)
        return 0;
    capacity = (capacity + INPUT_STEP_BYTES - 1) & ~(size_t)(INPUT_STEP_BYTES - 1);
    if (capacity - conn->in.capacity > conn->hub->input_bytes_max ||
        conn->hub->input_bytes > conn->hub->input_bytes_max - (capacity - conn->in.capacity))
        return KV_BUSY;
    char *data = realloc(conn->in.data, capacity);
    if (!data)
        return -ENOMEM;
    input_resize(conn, data, capacity);
    return 0;
}

static int input_append(struct conn *conn, const char *data, size_t len)
{
    int rc = input_reserve(conn, conn->in.len + len);
    if (rc < 0)
        return rc;
    memcpy(conn->in.data + conn->in.len, data, len);
    conn->in.len += len;
    return 0;
}

static bool reads_in_place(const struct conn *conn) { return conn->in.len > COPY_BACK_BYTES_MAX; }

/* How much room the rest of a message is given at once. What the message claims is believed where that is moderate and
 * memory plenty: a write of 1 MiB then comes in two or three reads and is not copied again and again as its buffer
 * grows. Otherwise the room doubles, so that nobody can make us hold more than twice what was really sent. */
static size_t room_for_rest(const struct conn *conn)
{
    const struct conn_hub *hub = conn->hub;
    uint64_t claimed = conn->scan.need, doubled = 2 * conn->in.len;
    bool believed = claimed <= CLAIM_BYTES_MAX && hub->input_bytes + claimed <= hub->input_bytes_max / 2;
    return believed || claimed < doubled ? claimed : doubled;
}

/* Of `data` the first `taken` bytes have been handled: keeps the others in `in`. `data` is `in` itself, or the shared
 * buffer with a copy of `in` at its front. */
static int keep_rest(struct conn *conn, const char *data, size_t len, size_t taken)
{
    int rc = 0;
    if (taken == len) {
        conn_input_release(conn);
        return 0;
    }
    if (data == conn->in.data) {
        if (taken > 0)
            buf_consume(&conn->in, taken);
    } else {
        conn->in.len = 0;
        rc = input_append(conn, data + taken, len - taken);
    }
    if (rc == 0 && reads_in_place(conn) && !conn->paused) {
        CHECK(conn->scan.need > conn->in.len);
        rc = input_reserve(conn, room_for_rest(conn));
    }
    return rc;
}

/* Decodes the message that data begins with, which holds part of it at least. Its length, 0 where it is not whole yet,
 * or an error that ends the connection. */
static int64_t decode_one(struct conn *conn, struct decoder *decoder, const char *data, size_t len,
                          struct message *ret_message)
{
    int rc = frame_scan(&conn->scan, data, len);
    if (rc <= 0)
        return rc;
    size_t frame_bytes = conn->scan.at;
    conn->scan = (struct frame_scan){0};
    rc = message_decode(decoder, bytes_make(data, frame_bytes), ret_message);
    return rc < 0 ? rc : (int64_t)frame_bytes;
}

static bool goes_on(const struct conn *conn) { return !conn->closing && !conn->paused; }

static void handle(struct conn *conn, const struct message *message)
{
    conn->handler->on_message(conn, message);
    if (conn_output_bytes(conn) > CONN_OUTPUT_PAUSE_BYTES)
        conn_flush(conn); /* which pauses the connection if the socket does not take it */
}

/* One after the other. Returns how many bytes that took; *ret_error is what ends the connection, or 0. */
static size_t handle_singly(struct conn *conn, const char *data, size_t len, int *ret_error)
{
    struct message message;
    size_t taken = 0;
    while (taken < len && goes_on(conn)) {
        int64_t rc = decode_one(conn, conn->hub->decoder, data + taken, len - taken, &message);
        if (rc <= 0) {
            *ret_error = (int)rc;
            break;
        }
        taken += (size_t)rc;
        handle(conn, &message);
    }
    return taken;
}

/* The same, with on_ahead: a ring of messages decoded and not handled yet. */
static size_t handle_ahead(struct conn *conn, const char *data, size_t len, int *ret_error)
{
    struct conn_ahead *ring = conn->hub->ahead;
    size_t taken = 0, seen = 0;
    unsigned first = 0, count = 0;
    int64_t rc = 1;
    while (goes_on(conn)) {
        while (count < CONN_AHEAD && rc > 0 && seen < len) {
            struct conn_ahead *next = &ring[(first + count) % CONN_AHEAD];
            rc = decode_one(conn, next->decoder, data + seen, len - seen, &next->message);
            if (rc <= 0)
                break;
            next->frame_bytes = (size_t)rc;
            seen += (size_t)rc;
            count++;
        }
        if (count == 0)
            break;
        for (unsigned i = count - 1; i > 0; i--)
            conn->handler->on_ahead(conn, &ring[(first + i) % CONN_AHEAD].message, i);
        taken += ring[first].frame_bytes;
        handle(conn, &ring[first].message);
        first = (first + 1) % CONN_AHEAD;
        count--;
    }
    if (count > 0) /* they are decoded again when the connection goes on */
        conn->scan = (struct frame_scan){0};
    else
        *ret_error = rc < 0 ? (int)rc : 0;
    return taken;
}

/* Gives back what a huge message took. */
static void trim(struct conn *conn)
{
    decoder_trim(conn->hub->decoder);
    for (int i = 0; conn->handler->on_ahead && i < CONN_AHEAD; i++)
        decoder_trim(conn->hub->ahead[i].decoder);
}

/* Handles the whole messages in data, then sends the answers. Returns how many bytes that took. */
static size_t handle_batch(struct conn *conn, const char *data, size_t len)
{
    int error = 0;
    conn->in_batch = true;
    if (!conn->out.data) {
        conn->out = conn->hub->spare;
        conn->hub->spare = (struct buf){0};
    }
    size_t taken =
        conn->handler->on_ahead ? handle_ahead(conn, data, len, &error) : handle_singly(conn, data, len, &error);
    conn->in_batch = false;
    if (taken > 0 && conn->handler->on_batch_end)
        conn->handler->on_batch_end(conn);
    conn_flush(conn);
    trim(conn);
    if (error < 0)
        conn_close(conn, error);
    return taken;
}

static void take(struct conn *conn, const char *data, size_t len)
{
    size_t taken = handle_batch(conn, data, len);
    if (conn->closing)
        return;
    int rc = keep_rest(conn, data, len, taken);
    if (rc < 0)
        conn_close(conn, rc);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct conn *conn = handle->data;
    struct buf *in = &conn->in;
    if (reads_in_place(conn)) {
        *ret_buf = uv_buf_init(in->data + in->len, (unsigned)(in->capacity - in->len));
        return;
    }
    if (in->len)
        memcpy(conn->hub->read_buffer, in->data, in->len);
    *ret_buf = uv_buf_init(conn->hub->read_buffer + in->len, (unsigned)(CONN_READ_BYTES - in->len));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    (void)buf;
    struct conn *conn = stream->data;
    if (count == 0) /* EAGAIN */
        return;
    if (count < 0) {
        conn_close(conn, count == UV_EOF ? 0 : (int)count);
        return;
    }
    conn->hub->reads++;
    conn->hub->bytes_in += (uint64_t)count;
    if (reads_in_place(conn)) {
        conn->in.len += (size_t)count;
        take(conn, conn->in.data, conn->in.len);
    } else {
        take(conn, conn->hub->read_buffer, conn->in.len + (size_t)count);
    }
}

int conn_read_start(struct conn *conn)
{
    if (conn->reading || conn->paused || conn->closing)
        return 0;
    int rc = uv_read_start(&conn->stream, on_alloc, on_read);
    conn->reading = rc == 0;
    return rc;
}

void conn_read_stop(struct conn *conn)
{
    if (conn->reading)
        uv_read_stop(&conn->stream);
    conn->reading = false;
}

void conn_resume(struct conn *conn)
{
    conn->paused = false;
    if (conn->in.len)
        take(conn, conn->in.data, conn->in.len);
    int rc = conn_read_start(conn);
    if (rc < 0)
        conn_close(conn, rc);
}
