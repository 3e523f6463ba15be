/* Life and output of a connection; conn_read.c is its input. */
#include "kvcore/rpc/conn_parts.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <signal.h>
#include <stdlib.h>

enum { SPARE_BYTES_MAX = 2 << 20 }; /* an answer of 1 MiB, the most that a mount asks for, needs no new one */

static void on_flusher(uv_idle_t *flusher);
static void on_flusher_closed(uv_handle_t *handle) { free(handle); }

/* Accepts NULL. */
static void ahead_free(struct conn_ahead *ahead)
{
    for (int i = 0; ahead && i < CONN_AHEAD; i++)
        decoder_free(ahead[i].decoder);
    free(ahead);
}

static struct conn_ahead *ahead_new(void)
{
    struct conn_ahead *ahead = calloc(CONN_AHEAD, sizeof *ahead);
    for (int i = 0; ahead && i < CONN_AHEAD; i++) {
        ahead[i].decoder = decoder_new();
        if (!ahead[i].decoder) {
            ahead_free(ahead);
            return NULL;
        }
    }
    return ahead;
}

int conn_hub_init(struct conn_hub *hub, uv_loop_t *loop)
{
    *hub = (struct conn_hub){
        .loop = loop, .input_bytes_max = INPUT_TOTAL_BYTES_DEFAULT, .output_bytes_max = OUTPUT_TOTAL_BYTES_DEFAULT};
    hub->decoder = decoder_new();
    hub->ahead = ahead_new();
    hub->read_buffer = malloc(CONN_READ_BYTES);
    hub->flusher = malloc(sizeof *hub->flusher);
    int rc = -ENOMEM;
    if (!hub->decoder || !hub->ahead || !hub->read_buffer || !hub->flusher)
        goto err;
    rc = uv_idle_init(loop, hub->flusher);
    if (rc < 0)
        goto err;
    hub->flusher->data = hub;
    signal(SIGPIPE, SIG_IGN);
    return 0;

err:
    free(hub->flusher);
    free(hub->read_buffer);
    ahead_free(hub->ahead);
    decoder_free(hub->decoder);
    *hub = (struct conn_hub){0};
    return rc;
}

void conn_hub_close(struct conn_hub *hub)
{
    CHECK(!hub->dirty);
    if (hub->flusher)
        uv_close((uv_handle_t *)hub->flusher, on_flusher_closed);
    free(hub->read_buffer);
    ahead_free(hub->ahead);
    decoder_free(hub->decoder);
    buf_close(&hub->spare);
    *hub = (struct conn_hub){0};
}

int conn_init(struct conn *conn, struct conn_hub *hub, bool unix_socket, const struct conn_handler *handler,
              void *owner)
{
    int rc = unix_socket ? uv_pipe_init(hub->loop, &conn->pipe, 0) : uv_tcp_init(hub->loop, &conn->tcp);
    if (rc < 0)
        return rc;
    conn->hub = hub;
    conn->handler = handler;
    conn->owner = owner;
    conn->handle.data = conn;
    conn->write.data = conn;
    return 0;
}

int conn_start(struct conn *conn)
{
    CHECK(!conn->started && !conn->closing);
    if (conn->handle.type == UV_TCP) {
        int rc = uv_tcp_nodelay(&conn->tcp, 1);
        if (rc < 0)
            return rc;
    }
    conn->started = true;
    int rc = conn_read_start(conn);
    if (rc < 0)
        return rc;
    if (conn->out.len)
        conn_flush_soon(conn);
    return 0;
}

/* --- output --- */

static void dirty_remove(struct conn *conn)
{
    if (!conn->dirty_link)
        return;
    *conn->dirty_link = conn->dirty_next;
    if (conn->dirty_next)
        conn->dirty_next->dirty_link = conn->dirty_link;
    conn->dirty_next = NULL;
    conn->dirty_link = NULL;
}

static void dirty_add(struct conn *conn)
{
    struct conn_hub *hub = conn->hub;
    if (!hub->dirty)
        uv_idle_start(hub->flusher, on_flusher);
    conn->dirty_next = hub->dirty;
    conn->dirty_link = &hub->dirty;
    if (hub->dirty)
        hub->dirty->dirty_link = &conn->dirty_next;
    hub->dirty = conn;
}

/* An idle handle and not a prepare handle: should someone turn dirty between this phase and the wait, the loop does
 * not wait, since an idle handle is active. */
void conn_flush_soon(struct conn *conn)
{
    if (!conn->dirty_link && !conn->in_batch && !conn->closing)
        dirty_add(conn);
}

static bool may_resume(const struct conn *conn)
{
    return conn->paused && !conn->closing && !conn->hub->corked && conn_output_bytes(conn) <= CONN_OUTPUT_PAUSE_BYTES;
}

/* The connections that are dirty now; those that become so from now on are not among them. */
static void dirty_take(struct conn_hub *hub, struct conn **ret_list)
{
    *ret_list = hub->dirty;
    hub->dirty = NULL;
    if (*ret_list)
        (*ret_list)->dirty_link = ret_list;
}

/* What has to be done before answers leave. */
static void settle(struct conn_hub *hub)
{
    if (hub->gathers)
        hub->before_flush(hub);
    CHECK(!hub->gathers);
}

/* Here and nowhere else a paused connection goes on: to handle its messages inside whatever call has sent its output
 * might be inside the handling of another's. First all are flushed, then each that was paused gets one turn, also when
 * the turn of one before it has corked the hub again: so nobody keeps the others waiting. */
static void on_flusher(uv_idle_t *flusher)
{
    struct conn_hub *hub = flusher->data;
    struct conn *list;
    if (!hub->corked) {
        settle(hub);
        for (dirty_take(hub, &list); list;)
            conn_flush(list); /* takes it off the list; where it may go on, it is dirty again */
        for (dirty_take(hub, &list); list;) {
            struct conn *conn = list;
            dirty_remove(conn);
            conn_resume(conn);
        }
    }
    if (!hub->dirty || hub->corked)
        uv_idle_stop(flusher);
}

void conn_hub_cork(struct conn_hub *hub, bool corked)
{
    hub->corked = corked;
    if (!corked && hub->dirty)
        uv_idle_start(hub->flusher, on_flusher);
}

/* The buffer has been sent: the hub keeps one of a common size, the allocator the others. */
static void recycle(struct conn_hub *hub, struct buf *buf)
{
    if (!hub->spare.data && buf->capacity <= SPARE_BYTES_MAX) {
        hub->spare = (struct buf){.data = buf->data, .capacity = buf->capacity};
        *buf = (struct buf){0};
    } else {
        buf_close(buf);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct conn *conn = write->data;
    conn->writing = false;
    recycle(conn->hub, &conn->sending);
    if (conn->closing)
        return;
    if (status < 0) {
        conn_close(conn, status);
        return;
    }
    conn_flush(conn);
}

/* The socket took `sent` bytes and no more: libuv sends the rest when it can. */
static int send_rest(struct conn *conn, size_t sent)
{
    conn->sending = conn->out;
    conn->out = (struct buf){0};
    uv_buf_t rest = uv_buf_init(conn->sending.data + sent, (unsigned)(conn->sending.len - sent));
    int rc = uv_write(&conn->write, &conn->stream, &rest, 1, on_written);
    if (rc < 0)
        buf_close(&conn->sending);
    else
        conn->writing = true;
    return rc;
}

static int send_out(struct conn *conn)
{
    CHECK(!conn->hub->gathers);
    if (conn->out.len > CONN_OUTPUT_BYTES_MAX)
        return KV_BUSY;
    uv_buf_t all = uv_buf_init(conn->out.data, (unsigned)conn->out.len);
    int sent = uv_try_write(&conn->stream, &all, 1);
    if (sent < 0 && sent != UV_EAGAIN)
        return sent;
    conn->hub->writes++;
    conn->hub->bytes_out += conn->out.len;
    if (sent >= 0 && (size_t)sent == conn->out.len) {
        recycle(conn->hub, &conn->out);
        return 0;
    }
    return send_rest(conn, sent < 0 ? 0 : (size_t)sent);
}

/* What all connections together have yet to send. */
static void count_output(struct conn *conn)
{
    uint64_t owed = conn->closing ? 0 : conn_output_bytes(conn);
    conn->hub->output_bytes += owed - conn->owed_bytes;
    conn->owed_bytes = owed;
}

void conn_flush(struct conn *conn)
{
    dirty_remove(conn);
    if (conn->closing || !conn->started)
        return;
    int rc = 0;
    if (conn->hub->gathers && conn->out.len > CONN_OUTPUT_PAUSE_BYTES)
        settle(conn->hub); /* no more is gathered for one connection */
    if (conn->writing)
        rc = conn->out.len > CONN_OUTPUT_BYTES_MAX ? KV_BUSY : 0;
    else if (conn->out.len > 0 && (conn->hub->corked || conn->hub->gathers))
        dirty_add(conn);
    else if (conn->out.len > 0)
        rc = send_out(conn);
    else if (conn->out.data)
        recycle(conn->hub, &conn->out);
    count_output(conn);
    if (rc == 0 && conn->hub->output_bytes > conn->hub->output_bytes_max)
        rc = KV_BUSY;
    if (rc < 0) {
        conn_close(conn, rc);
        return;
    }
    if (!conn->reads_always && (conn->hub->corked || conn_output_bytes(conn) > CONN_OUTPUT_PAUSE_BYTES)) {
        conn->paused = true;
        conn_read_stop(conn);
    }
    if ((may_resume(conn) || (conn->paused && conn->hub->corked)) && !conn->dirty_link)
        dirty_add(conn);
}

/* --- end --- */

static void on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    CHECK(!conn->writing && !conn->dirty_link);
    conn_input_release(conn);
    buf_close(&conn->out);
    conn->handler->on_close(conn, conn->error); /* last: the owner may free it */
}

void conn_close(struct conn *conn, int error)
{
    if (!conn->closing && error == 0) {
        settle(conn->hub);
        conn_flush(conn); /* which may close it with an error */
    }
    if (conn->closing)
        return;
    dirty_remove(conn);
    conn->closing = true;
    conn->error = error;
    count_output(conn);
    uv_close(&conn->handle, on_closed);
}
