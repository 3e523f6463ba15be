#include "kvcore/server/server.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/log.h"
#include "kvcore/server/endpoint.h"
#include "kvcore/server/fields.h"
#include "kvcore/server/waiting.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
    LISTEN_BACKLOG = 1024,
    REFUSED_LOG_MS = 10000,
    HELD_ANSWER_BYTES = 256, /* what there is around one that waits for recalls */
};

union stream {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

/* One socket that is listened on. libuv takes no further connection from it before the last has been accepted, so one
 * that there is no memory for is accepted on `spare`, and closed. */
struct listener {
    union stream socket;
    union stream spare;
    struct server *server;
    struct listener *next;
    bool unix_socket;
    bool spare_open;
    bool has_next; /* one more came while the spare was still closing */
    bool closed;   /* itself; freed when the spare is too */
};

/* One connection and its session. */
struct peer {
    struct conn conn;
    struct session session;
    struct waiting waiting;
    struct wait *waits; /* its answers that wait for recalls */
    struct server *server;
    struct peer *next, *previous;
};

struct server {
    uv_loop_t *loop;
    struct store *store;
    struct server_options options;
    struct conn_hub hub;
    struct waiting_room waiting_room;
    struct listener *listeners;
    struct peer *peers;
    uint32_t peer_count;
    uint64_t accepted, refused;
    uint64_t refused_logged;    /* of them, and when last */
    uint64_t refused_logged_ms; /* 0: never */
    struct store_info_source info;
    struct kv_reply reply; /* scratch: replies are encoded as soon as they are made */
    uint32_t open_handles; /* listeners and peers not closed yet */
    bool closing;
    uv_timer_t lease_timer; /* looks for lost sessions; in the loop where leases are given */
    void (*on_closed)(void *user);
    void *user;
};

static void add_info(struct store_info_source *source, struct kv_fields *fields)
{
    const struct server *server = (struct server *)((char *)source - offsetof(struct server, info));
    fields_number(fields, "clients.connections", server->peer_count);
    fields_number(fields, "clients.connections_max", server->options.connections_max);
    fields_number(fields, "clients.accepted", server->accepted);
    fields_number(fields, "clients.refused", server->refused);
    fields_number(fields, "net.bytes_in", server->hub.bytes_in);
    fields_number(fields, "net.bytes_out", server->hub.bytes_out);
    fields_number(fields, "net.reads", server->hub.reads);
    fields_number(fields, "net.writes", server->hub.writes);
    fields_number(fields, "net.input_bytes", server->hub.input_bytes);
    fields_number(fields, "net.output_bytes", server->hub.output_bytes);
}

static void before_flush(struct conn_hub *hub)
{
    struct server *server = hub->owner;
    hub->gathers = false;
    waiting_settle(&server->waiting_room);
}

static void on_lease_timer(uv_timer_t *timer);

int server_new(uv_loop_t *loop, struct store *store, const struct server_options *options, struct server **ret_server)
{
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return -ENOMEM;
    int rc = conn_hub_init(&server->hub, loop);
    if (rc < 0) {
        free(server);
        return rc;
    }
    server->loop = loop;
    server->store = store;
    server->options = *options;
    server->hub.before_flush = before_flush;
    server->hub.owner = server;
    server->hub.input_bytes_max = options->input_bytes_max;
    server->info.add = add_info;
    if (store->coherence) {
        uv_timer_init(loop, &server->lease_timer);
        server->lease_timer.data = server;
        uint64_t period_ms = (uint64_t)coherence_period_ms(store->coherence);
        uv_timer_start(&server->lease_timer, on_lease_timer, period_ms, period_ms);
        server->open_handles++;
    }
    store_add_info_source(store, &server->info);
    *ret_server = server;
    return 0;
}

/* --- closing --- */

static void finish_if_closed(struct server *server)
{
    if (!server->closing || server->open_handles)
        return;
    void (*on_closed)(void *user) = server->on_closed;
    void *user = server->user;
    store_remove_info_source(server->store, &server->info);
    conn_hub_close(&server->hub);
    free(server);
    if (on_closed)
        on_closed(user);
}

static void listener_free_if_closed(struct listener *listener)
{
    struct server *server = listener->server;
    if (!listener->closed || listener->spare_open)
        return;
    free(listener);
    server->open_handles--;
    finish_if_closed(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    listener->closed = true;
    listener_free_if_closed(listener);
}

static void on_lease_timer_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    server->open_handles--;
    finish_if_closed(server);
}

void server_free(struct server *server, void (*on_closed)(void *user), void *user)
{
    server->closing = true;
    server->on_closed = on_closed;
    server->user = user;
    for (struct listener *listener = server->listeners, *next; listener; listener = next) {
        next = listener->next;
        uv_close(&listener->socket.handle, on_listener_closed);
    }
    server->listeners = NULL;
    for (struct peer *peer = server->peers; peer; peer = peer->next)
        conn_close(&peer->conn, 0);
    if (server->store->coherence)
        uv_close((uv_handle_t *)&server->lease_timer, on_lease_timer_closed);
    finish_if_closed(server);
}

/* --- messages --- */

void server_use_journal(struct server *server, struct journal *journal) { server->waiting_room.journal = journal; }

static void answer(struct peer *peer, uint32_t id, struct kv_reply *reply, const struct store_wait *wait)
{
    int rc = waiting_answer(&peer->waiting, id, reply, wait);
    if (rc < 0)
        conn_close(&peer->conn, rc);
}

/* What an answer that waits for recalls counts of what its connection may be owed. Not one of a mount: it must be read
 * on from, since what it sends may be what others wait for. */
static uint64_t held_bytes(const struct peer *peer, const struct wait *wait)
{
    return peer->session.member.joined ? 0 : wait->answer.len + HELD_ANSWER_BYTES;
}

/* First until every cache has let go of the old, then until it is safe on disk. */
static void answer_when_recalled(struct peer *peer, uint32_t id, struct kv_reply *reply, struct wait *wait,
                                 const struct store_wait *safe)
{
    wait->id = id;
    wait->safe = *safe;
    wait_own(wait, peer, &peer->waits);
    int rc = waiting_encode(&wait->answer, id, reply);
    if (rc < 0)
        conn_close(&peer->conn, rc);
    peer->conn.parked_bytes += held_bytes(peer, wait);
}

static void answer_recalled(const struct wait *wait)
{
    struct peer *peer = wait->owner;
    peer->conn.parked_bytes -= held_bytes(peer, wait);
    int rc = waiting_take(&peer->waiting, wait->id, buf_bytes(&wait->answer), &wait->safe);
    if (rc < 0)
        conn_close(&peer->conn, rc);
    else
        conn_flush_soon(&peer->conn);
}

void server_hold_answers(struct server *server, bool held) { conn_hub_cork(&server->hub, held); }

/* Whatever becomes of its own answer, nobody is told of a change before it is written. */
static void gather_unwritten(struct server *server)
{
    const struct journal *journal = server->waiting_room.journal;
    if (journal && aof_written(journal->aof) < aof_appended(journal->aof))
        server->hub.gathers = true;
}

static void on_message(struct conn *conn, const struct message *message)
{
    struct peer *peer = conn->owner;
    struct server *server = peer->server;
    struct store_wait safe = {0};
    struct wait *wait = NULL;
    if (message->type == MESSAGE_RESPONSE || message->is_recall) {
        conn_close(conn, -EPROTO);
        return;
    }
    if (peer->session.member.joined)
        coherence_heard(server->store->coherence, &peer->session.member);
    if (message->error) {
        server->reply.leased = false;
        kv_reply_fail(&server->reply, message->error, "%s", message->text);
    } else {
        store_execute(server->store, &peer->session, &message->request, &server->reply);
        safe = server->store->wait;
        wait = server->store->wait_recall;
        gather_unwritten(server);
    }
    if (message->type != MESSAGE_REQUEST)
        return;
    if (wait)
        answer_when_recalled(peer, message->id, &server->reply, wait, &safe);
    else
        answer(peer, message->id, &server->reply, &safe);
}

/* --- recalls --- */

static struct peer *peer_of_member(struct member *member)
{
    struct session *session = (struct session *)((char *)member - offsetof(struct session, member));
    return (struct peer *)((char *)session - offsetof(struct peer, session));
}

static void append(struct peer *peer, const struct buf *bytes)
{
    int rc = buf_append(&peer->conn.out, bytes->data, bytes->len);
    if (rc < 0)
        conn_close(&peer->conn, rc);
    else
        conn_flush_soon(&peer->conn);
}

/* Sends the recalls that there are, and the answers that need not wait any more. */
static void send_coherence(struct server *server)
{
    struct coherence *coherence = server->store->coherence;
    struct member *member;
    struct wait *wait;
    struct buf messages;
    if (!coherence)
        return;
    while ((member = coherence_next_to_tell(coherence, &messages))) {
        append(peer_of_member(member), &messages);
        buf_close(&messages);
    }
    while ((wait = waits_next_ready(&coherence->waits))) {
        if (wait->owner)
            answer_recalled(wait);
        wait_free(wait);
    }
}

static void on_batch_end(struct conn *conn) { send_coherence(((struct peer *)conn->owner)->server); }

/* A session that is lost leaves at once, so that nobody waits for it; its connection closes when the loop comes to it,
 * from which the client learns. */
static void on_lease_timer(uv_timer_t *timer)
{
    struct server *server = timer->data;
    struct member *member;
    while ((member = coherence_next_lost(server->store->coherence))) {
        struct peer *peer = peer_of_member(member);
        coherence_leave(server->store->coherence, member);
        conn_close(&peer->conn, -ETIMEDOUT);
    }
    send_coherence(server);
}

static void on_ahead(struct conn *conn, const struct message *message, unsigned steps_left)
{
    const struct peer *peer = conn->owner;
    if (message->type != MESSAGE_RESPONSE && message->error == 0)
        store_fetch(peer->server->store, &message->request, steps_left);
}

static void on_peer_closed(struct conn *conn, int error)
{
    struct peer *peer = conn->owner;
    struct server *server = peer->server;
    if (error && error != -ECONNRESET && error != -EPIPE && error != KV_BUSY)
        log_warning("connection of session %llu%s%s closed: %s (%s)", (unsigned long long)peer->session.id,
                    peer->session.client[0] ? " " : "", peer->session.client, error_text(error), error_name(error));
    waiting_close(&peer->waiting);
    store_session_end(server->store, &peer->session);
    wait_disown_all(&peer->waits);
    send_coherence(server);
    if (peer->previous)
        peer->previous->next = peer->next;
    else
        server->peers = peer->next;
    if (peer->next)
        peer->next->previous = peer->previous;
    free(peer);
    server->peer_count--;
    server->open_handles--;
    finish_if_closed(server);
}

static const struct conn_handler peer_handler = {
    .on_message = on_message, .on_ahead = on_ahead, .on_batch_end = on_batch_end, .on_close = on_peer_closed};

static struct peer *peer_new(struct server *server, bool unix_socket)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    if (conn_init(&peer->conn, &server->hub, unix_socket, &peer_handler, peer) < 0) {
        free(peer);
        return NULL;
    }
    peer->server = server;
    waiting_init(&peer->waiting, &server->waiting_room, &peer->conn);
    store_session_begin(server->store, &peer->session);
    peer->next = server->peers;
    if (peer->next)
        peer->next->previous = peer;
    server->peers = peer;
    server->peer_count++;
    server->open_handles++;
    return peer;
}

static int stream_init(uv_loop_t *loop, union stream *stream, bool unix_socket)
{
    return unix_socket ? uv_pipe_init(loop, &stream->pipe, 0) : uv_tcp_init(loop, &stream->tcp);
}

static void turn_away(struct listener *listener);

static void on_spare_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    bool goes_on = listener->has_next && !uv_is_closing(&listener->socket.handle);
    listener->spare_open = listener->has_next = false;
    if (goes_on)
        turn_away(listener);
    else
        listener_free_if_closed(listener);
}

/* Takes the connection that waits, and closes it. */
static void turn_away(struct listener *listener)
{
    listener->has_next = listener->spare_open;
    if (listener->spare_open || stream_init(listener->server->loop, &listener->spare, listener->unix_socket) < 0)
        return;
    listener->spare_open = true;
    listener->spare.handle.data = listener;
    uv_accept(&listener->socket.stream, &listener->spare.stream);
    uv_close(&listener->spare.handle, on_spare_closed);
}

/* Clients that are refused come again and again: one line for all that came since the last. */
static void log_refused(struct server *server)
{
    uint64_t now_ms = uv_now(server->loop);
    if (server->refused_logged_ms && now_ms - server->refused_logged_ms < REFUSED_LOG_MS)
        return;
    log_warning("connections refused, as max-connections (%u) has been reached: %llu since the last line like this",
                server->options.connections_max, (unsigned long long)(server->refused - server->refused_logged));
    server->refused_logged = server->refused;
    server->refused_logged_ms = now_ms;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;
    struct server *server = listener->server;
    if (status < 0) {
        log_warning("cannot accept a connection: %s", uv_strerror(status));
        return;
    }
    struct peer *peer = peer_new(server, listener->unix_socket);
    if (!peer) {
        log_error("cannot accept a connection: out of memory");
        turn_away(listener);
        return;
    }
    int rc = uv_accept(stream, &peer->conn.stream);
    if (rc == 0 && server->peer_count > server->options.connections_max) {
        server->refused++;
        log_refused(server);
        rc = KV_BUSY;
    }
    if (rc == 0) {
        server->accepted++;
        rc = conn_start(&peer->conn);
    }
    if (rc < 0)
        conn_close(&peer->conn, rc);
}

/* --- listening --- */

static struct listener *listener_new(struct server *server, bool unix_socket)
{
    struct listener *listener = calloc(1, sizeof *listener);
    if (!listener)
        return NULL;
    int rc = stream_init(server->loop, &listener->socket, unix_socket);
    if (rc < 0) {
        free(listener);
        return NULL;
    }
    listener->socket.handle.data = listener;
    listener->server = server;
    listener->unix_socket = unix_socket;
    server->open_handles++;
    return listener;
}

static int listener_start(struct server *server, struct listener *listener, int rc)
{
    if (rc == 0)
        rc = uv_listen(&listener->socket.stream, LISTEN_BACKLOG, on_connection);
    if (rc < 0) {
        uv_close(&listener->socket.handle, on_listener_closed);
        return rc;
    }
    listener->next = server->listeners;
    server->listeners = listener;
    return 0;
}

static int port_of(const uv_tcp_t *tcp)
{
    struct sockaddr_storage bound;
    int len = sizeof bound;
    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&bound, &len) < 0)
        return 0;
    return ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                             : ((struct sockaddr_in *)&bound)->sin_port);
}

int server_listen_tcp(struct server *server, const struct address *address, int *ret_port, char *why, size_t why_bytes)
{
    struct sockaddr_storage socket_address;
    int rc = endpoint_resolve(address, &socket_address, why, why_bytes);
    if (rc < 0)
        return rc;
    struct listener *listener = listener_new(server, false);
    if (!listener)
        return -ENOMEM;
    rc = listener_start(server, listener, uv_tcp_bind(&listener->socket.tcp, (struct sockaddr *)&socket_address, 0));
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot listen on %s:%d: %s%s", address->host, address->port, uv_strerror(rc),
                 rc == UV_EADDRINUSE ? "; another node may be running there: stop it, or choose another port" : "");
        return rc;
    }
    if (ret_port)
        *ret_port = port_of(&listener->socket.tcp);
    return 0;
}

int server_listen_unix(struct server *server, const char *path, char *why, size_t why_bytes)
{
    int rc = endpoint_clear(path, why, why_bytes);
    if (rc < 0)
        return rc;
    struct listener *listener = listener_new(server, true);
    if (!listener)
        return -ENOMEM;
    mode_t mask = umask(0177); /* only this user may connect: there may be no password */
    rc = uv_pipe_bind(&listener->socket.pipe, path);
    umask(mask);
    rc = listener_start(server, listener, rc);
    if (rc < 0)
        snprintf(why, why_bytes, "cannot listen on '%s': %s", path, uv_strerror(rc));
    return rc;
}
