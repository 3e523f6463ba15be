#include "kvcore/client/uplink.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/un.h>

/* hello's message id: it is alone on the connection, so any will do. */
enum { HELLO_ID = 0 };

/* One connection: an attempt at first. It outlives its place in uplink->line until libuv has let go of it. */
struct line {
    struct conn conn;
    struct uplink *uplink;
    uv_connect_t connect;
};

static void attempt_begin(struct uplink *uplink);
static void attempt_next(struct uplink *uplink);
static void on_line_message(struct conn *conn, const struct message *message);
static void on_line_close(struct conn *conn, int error);

static const struct conn_handler line_handler = {.on_message = on_line_message, .on_close = on_line_close};

/* --- failure and the wait after it --------------------------------------------------------------------------- */

static void opened(struct uplink *uplink) { uplink->open++; }

static void closed(struct uplink *uplink)
{
    CHECK(uplink->open > 0);
    if (--uplink->open > 0)
        return;
    conn_hub_close(&uplink->hub);
    free(uplink->name);
    uplink->events->on_closed(uplink);
}

/* Lets go of the connection in use; what is still in the loop of it reports to nobody. */
static void line_drop(struct uplink *uplink, int code)
{
    struct line *line = uplink->line;
    uplink->line = NULL;
    if (line)
        conn_close(&line->conn, code);
}

static void found_drop(struct uplink *uplink)
{
    if (uplink->found)
        freeaddrinfo(uplink->found);
    uplink->found = uplink->next = NULL;
}

/* Between a half and the whole of the current wait. */
static uint64_t backoff_take(struct uplink *uplink)
{
    uint32_t chance = 0;
    if (getrandom(&chance, sizeof chance, GRND_NONBLOCK) < 0)
        chance = (uint32_t)uv_hrtime();
    unsigned half = uplink->backoff_ms / 2;
    uint64_t wait_ms = half + chance % (half + 1);
    uplink->backoff_ms *= 2;
    if (uplink->backoff_ms > CLIENT_BACKOFF_LAST_MS)
        uplink->backoff_ms = CLIENT_BACKOFF_LAST_MS;
    return wait_ms;
}

static void on_backed_off(uv_timer_t *timer) { attempt_begin(timer->data); }

static void fail(struct uplink *uplink, int code, bool refused)
{
    bool was_up = uplink->state == UPLINK_READY;
    line_drop(uplink, code);
    found_drop(uplink);
    if (!was_up)
        uplink->failures++;
    uplink->state = UPLINK_BACKING_OFF;
    uv_timer_start(&uplink->timer, on_backed_off, backoff_take(uplink), 0);
    uplink->events->on_down(uplink, code, was_up, refused);
}

static void why_set(struct uplink *uplink, const char *why) { snprintf(uplink->why, sizeof uplink->why, "%s", why); }

/* An address did not work: on to the next, or back off when it was the last. Whatever it was (no such socket, no
 * permission, no route), the code says that nobody could be reached: ENOENT and its like keep to keys. */
static void fail_address(struct uplink *uplink, const char *why)
{
    why_set(uplink, why);
    line_drop(uplink, -ECONNREFUSED);
    if (uplink->next)
        attempt_next(uplink);
    else
        fail(uplink, -ECONNREFUSED, false);
}

static void on_attempt_timeout(uv_timer_t *timer)
{
    struct uplink *uplink = timer->data;
    static const char *const waited_for[] = {
        [UPLINK_RESOLVING] = "no answer from the name service",
        [UPLINK_CONNECTING] = "no answer to the connection request",
        [UPLINK_GREETING] = "connected, but no answer to our hello",
    };
    snprintf(uplink->why, sizeof uplink->why, "%s within %d s", waited_for[uplink->state], CLIENT_CONNECT_MS / 1000);
    fail(uplink, -ECONNREFUSED, false);
}

/* --- connect ----------------------------------------------------------------------------------------------- */

/* A machine that vanished without a word is found out by the kernel: it probes an idle connection and gives up one
 * whose data stay unacknowledged. */
static void watch_peer(uv_tcp_t *tcp)
{
    uv_os_fd_t fd;
    int dead_ms = CLIENT_DEAD_PEER_MS;
    uv_tcp_keepalive(tcp, 1, CLIENT_DEAD_PEER_MS / 2000);
    if (uv_fileno((uv_handle_t *)tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof dead_ms);
}

static int greet(struct line *line)
{
    struct uplink *uplink = line->uplink;
    struct kv_request hello = {.op = KV_OP_HELLO};
    if (uplink->name) {
        hello.options |= KV_OPT_CLIENT;
        hello.name = bytes_of(uplink->name);
    }
    if (uplink->address.password[0]) {
        hello.options |= KV_OPT_PASSWORD;
        hello.value = bytes_of(uplink->address.password);
    }
    if (uplink->wants_lease)
        hello.options |= KV_OPT_LEASE;
    uplink->hello_sent_ms = (int64_t)uv_now(uplink->loop);
    int rc = encode_request(&line->conn.out, HELLO_ID, &hello);
    if (rc < 0)
        return rc;
    conn_flush(&line->conn);
    return 0;
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct line *line = connect->data;
    struct uplink *uplink = line->uplink;
    if (uplink->line != line)
        return;
    if (status == 0 && uplink->address.kind == ADDRESS_TCP)
        watch_peer(&line->conn.tcp);
    uplink->state = UPLINK_GREETING;
    if (status == 0)
        status = conn_start(&line->conn);
    if (status == 0)
        status = greet(line);
    if (status < 0)
        fail_address(uplink, uv_strerror(status));
}

static int line_new(struct uplink *uplink, struct line **ret_line)
{
    struct line *line = calloc(1, sizeof *line);
    if (!line)
        return -ENOMEM;
    int rc = conn_init(&line->conn, &uplink->hub, uplink->address.kind == ADDRESS_UNIX, &line_handler, line);
    if (rc < 0) {
        free(line);
        return rc;
    }
    line->conn.reads_always = true;
    line->uplink = uplink;
    line->connect.data = line;
    opened(uplink);
    *ret_line = line;
    return 0;
}

/* Tries one address: uplink->next of those found, or the socket's path. */
static void attempt_next(struct uplink *uplink)
{
    struct line *line;
    uplink->state = UPLINK_CONNECTING;
    int rc = line_new(uplink, &line);
    if (rc < 0) {
        why_set(uplink, uv_strerror(rc));
        fail(uplink, -ECONNREFUSED, false);
        return;
    }
    uplink->line = line;
    if (uplink->address.kind == ADDRESS_UNIX) {
        uv_pipe_connect(&line->connect, &line->conn.pipe, uplink->address.path, on_connect);
        return;
    }
    struct addrinfo *address = uplink->next;
    uplink->next = address->ai_next;
    rc = uv_tcp_connect(&line->connect, &line->conn.tcp, address->ai_addr, on_connect);
    if (rc < 0)
        fail_address(uplink, uv_strerror(rc));
}

static void on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *found)
{
    struct uplink *uplink = resolver->data;
    bool wanted = uplink->state == UPLINK_RESOLVING && !uplink->found;
    if (!wanted) {
        uv_freeaddrinfo(found);
    } else if (status < 0) {
        snprintf(uplink->why, sizeof uplink->why, "the host name cannot be resolved: %s", uv_strerror(status));
        fail(uplink, -ECONNREFUSED, false);
    } else {
        uplink->found = uplink->next = found;
        attempt_next(uplink);
    }
    resolver->data = NULL;
    closed(uplink);
}

static void attempt_begin(struct uplink *uplink)
{
    uv_timer_start(&uplink->timer, on_attempt_timeout, CLIENT_CONNECT_MS, 0);
    if (uplink->address.kind == ADDRESS_UNIX) {
        attempt_next(uplink);
        return;
    }
    uplink->state = UPLINK_RESOLVING;
    /* The last attempt's question may still be out, past its time: it serves this one too. */
    if (uplink->resolver.data)
        return;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | AI_NUMERICHOST};
    char port[16];
    snprintf(port, sizeof port, "%d", uplink->address.port);
    /* A numeric address needs no name service, and no thread to wait for it. */
    if (getaddrinfo(uplink->address.host, port, &hints, &uplink->found) == 0) {
        uplink->next = uplink->found;
        attempt_next(uplink);
        return;
    }
    hints.ai_flags = AI_NUMERICSERV;
    int rc = uv_getaddrinfo(uplink->loop, &uplink->resolver, on_resolved, uplink->address.host, port, &hints);
    if (rc < 0) {
        why_set(uplink, uv_strerror(rc));
        fail(uplink, -ECONNREFUSED, false);
        return;
    }
    uplink->resolver.data = uplink;
    opened(uplink);
}

/* --- talk -------------------------------------------------------------------------------------------------- */

/* The answer to hello says so, with how much is done; else NULL. */
static const struct kv_field *loading_of(const struct kv_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++)
        if (strcmp(reply->fields[i].name, "loading") == 0)
            return &reply->fields[i];
    return NULL;
}

static int64_t number_of(const struct kv_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->count; i++)
        if (strcmp(reply->fields[i].name, name) == 0 && reply->fields[i].number <= LEASE_TERM_MS_MAX)
            return (int64_t)reply->fields[i].number;
    return 0;
}

static void on_hello_answer(struct uplink *uplink, const struct message *message)
{
    struct kv_reply reply;
    int rc = -EPROTO;
    if (message->type == MESSAGE_RESPONSE && message->id == HELLO_ID)
        rc = decode_result(uplink->hub.decoder, KV_OP_HELLO, 0, &reply);
    if (rc < 0) {
        why_set(uplink, "what answers there is no kvfs store");
        fail(uplink, -EPROTO, true);
        return;
    }
    if (reply.error) {
        const char *text = reply.text[0] ? reply.text : error_text(reply.error);
        why_set(uplink, strncmp(text, "hello: ", 7) == 0 ? text + 7 : text); /* nobody asked for a hello */
        fail(uplink, reply.error, reply.error != KV_LOADING && reply.error != KV_BUSY);
        return;
    }
    const struct kv_field *loading = uplink->while_loading ? NULL : loading_of(&reply);
    if (loading) {
        snprintf(uplink->why, sizeof uplink->why, "the server is loading its data, %u %% are done",
                 (unsigned)loading->number);
        uplink->backoff_ms = CLIENT_BACKOFF_FIRST_MS * 2; /* it is well, only not there yet */
        fail(uplink, KV_LOADING, false);
        return;
    }
    uv_timer_stop(&uplink->timer);
    found_drop(uplink);
    uplink->state = UPLINK_READY;
    uplink->failures = 0;
    uplink->lease_ms = uplink->wants_lease ? number_of(&reply, "lease_ms") : 0;
    uplink->events->on_up(uplink);
}

static void on_line_message(struct conn *conn, const struct message *message)
{
    struct line *line = conn->owner;
    struct uplink *uplink = line->uplink;
    CHECK(uplink->line == line); /* a closed connection hands up no more messages */
    if (uplink->state == UPLINK_READY)
        uplink->events->on_message(uplink, message);
    else
        on_hello_answer(uplink, message);
}

static void on_line_close(struct conn *conn, int error)
{
    struct line *line = conn->owner;
    struct uplink *uplink = line->uplink;
    bool broke = uplink->line == line;
    bool nonsense = error == -EPROTO || error == -E2BIG;
    bool greeting = uplink->state == UPLINK_GREETING;
    free(line);
    if (broke) {
        uplink->line = NULL;
        if (nonsense)
            why_set(uplink, greeting ? "what answers there is no kvfs store" : "it sent what is no MessagePack-RPC");
        else
            why_set(uplink, error ? uv_strerror(error) : "the server closed the connection");
        fail(uplink, nonsense ? -EPROTO : -ECONNRESET, nonsense && greeting);
    }
    closed(uplink);
}

/* --- public ------------------------------------------------------------------------------------------------ */

static void on_start(uv_timer_t *timer) { attempt_begin(timer->data); }

int uplink_start(struct uplink *uplink, uv_loop_t *loop, const struct address *address, const char *name,
                 const struct uplink_events *events, void *owner)
{
    CHECK(address->kind == ADDRESS_TCP || address->kind == ADDRESS_UNIX);
    *uplink = (struct uplink){.loop = loop, .events = events, .owner = owner, .address = *address};
    if (address->kind == ADDRESS_UNIX && strlen(address->path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return -ENAMETOOLONG;
    uplink->backoff_ms = CLIENT_BACKOFF_FIRST_MS;
    uplink->name = name ? strdup(name) : NULL;
    if (name && !uplink->name)
        return -ENOMEM;
    int rc = conn_hub_init(&uplink->hub, loop);
    if (rc < 0) {
        free(uplink->name);
        return rc;
    }
    uv_timer_init(loop, &uplink->timer);
    uplink->timer.data = uplink;
    opened(uplink);
    uplink->state = UPLINK_BACKING_OFF;
    uv_timer_start(&uplink->timer, on_start, 0, 0);
    return 0;
}

struct conn *uplink_conn(struct uplink *uplink)
{
    CHECK(uplink->state == UPLINK_READY);
    return &uplink->line->conn;
}

void uplink_break(struct uplink *uplink, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(uplink->why, sizeof uplink->why, format, args);
    va_end(args);
    fail(uplink, code, false);
}

static void on_timer_closed(uv_handle_t *handle) { closed(handle->data); }

void uplink_close(struct uplink *uplink)
{
    CHECK(uplink->state != UPLINK_CLOSING);
    uplink->state = UPLINK_CLOSING;
    line_drop(uplink, 0);
    found_drop(uplink);
    if (uplink->resolver.data)
        uv_cancel((uv_req_t *)&uplink->resolver);
    uv_close((uv_handle_t *)&uplink->timer, on_timer_closed);
}
