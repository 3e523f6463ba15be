/* A server for the tests of clients: it listens in the test's own loop, lets everybody in, and keeps each request
 * until the test says how it is answered. */
#ifndef TESTS_UNIT_PEER_H
#define TESTS_UNIT_PEER_H

#include "kvcore/base/error.h"
#include "kvcore/rpc/address.h"
#include "kvcore/rpc/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

enum { PEER_REQUESTS_MAX = 70000, PEER_VALUE_BYTES = 64 };

struct peer_request {
    struct conn *from; /* NULL: the connection has gone */
    uint32_t id;
    enum kv_op op;
    uint64_t tag; /* the node's id */
    bool answered;
};

struct peer {
    uv_loop_t *loop;
    uv_tcp_t *listener;
    struct conn_hub hub;
    int port;
    struct conn *conns[16];
    int conn_count;
    unsigned accepted;
    int hello_error;                 /* how it greets; 0: well */
    const char *hello_garbage;       /* it greets with these bytes instead */
    bool hello_silent;               /* or not at all */
    char password[PEER_VALUE_BYTES]; /* of the last hello */
    char name[PEER_VALUE_BYTES];
    bool before_hello; /* a request came before hello was answered */
    bool greeted;
    struct peer_request *requests; /* all since the start */
    size_t count;
    void (*on_request)(struct peer *peer, struct peer_request *request); /* may be NULL: it is kept */
};

static void peer_send(struct peer_request *request, const struct kv_reply *reply)
{
    request->answered = true;
    if (!request->from)
        return;
    assert_int_equal(encode_reply(&request->from->out, request->id, reply), 0);
    conn_flush_soon(request->from);
}

/* Answers as the operation would: a get with its node's id in decimal, anything else with a number or a done. */
static inline void peer_answer(struct peer_request *request)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)request->tag);
    struct bytes piece = bytes_of(text);
    struct kv_reply reply = {.kind = kv_op_info(request->op)->reply};
    if (reply.kind == KV_REPLY_BYTES || reply.kind == KV_REPLY_TEXT) {
        reply.pieces = &piece;
        reply.count = 1;
        reply.bytes = piece.len;
    } else {
        reply.uint = request->tag;
    }
    peer_send(request, &reply);
}

static inline void peer_greet(struct peer *peer, struct conn *conn, const struct message *message)
{
    struct kv_reply reply = {.kind = KV_REPLY_MAP};
    snprintf(peer->password, sizeof peer->password, "%.*s", (int)message->request.value.len,
             message->request.value.data);
    snprintf(peer->name, sizeof peer->name, "%.*s", (int)message->request.name.len, message->request.name.data);
    if (peer->hello_silent)
        return;
    if (peer->hello_garbage) {
        buf_append(&conn->out, peer->hello_garbage, strlen(peer->hello_garbage));
        return;
    }
    if (peer->hello_error)
        kv_reply_fail(&reply, peer->hello_error, "no entry");
    else
        peer->greeted = true;
    assert_int_equal(encode_reply(&conn->out, message->id, &reply), 0);
}

static inline void peer_on_message(struct conn *conn, const struct message *message)
{
    struct peer *peer = conn->owner;
    assert_int_equal(message->type, MESSAGE_REQUEST);
    if (message->request.op == KV_OP_HELLO) {
        peer_greet(peer, conn, message);
        return;
    }
    peer->before_hello |= !peer->greeted;
    assert_true(peer->count < PEER_REQUESTS_MAX);
    struct peer_request *request = &peer->requests[peer->count++];
    *request = (struct peer_request){conn, message->id, message->request.op, message->request.node.id, false};
    if (peer->on_request)
        peer->on_request(peer, request);
}

static inline void peer_on_close(struct conn *conn, int error)
{
    struct peer *peer = conn->owner;
    (void)error;
    for (size_t i = 0; i < peer->count; i++)
        if (peer->requests[i].from == conn)
            peer->requests[i].from = NULL;
    for (int i = 0; i < peer->conn_count; i++)
        if (peer->conns[i] == conn)
            peer->conns[i] = peer->conns[--peer->conn_count];
    free(conn);
}

static const struct conn_handler peer_handler = {.on_message = peer_on_message, .on_close = peer_on_close};

static inline void peer_on_connection(uv_stream_t *listener, int status)
{
    struct peer *peer = listener->data;
    struct conn *conn = calloc(1, sizeof *conn);
    assert_int_equal(status, 0);
    assert_true(peer->conn_count < 16);
    assert_int_equal(conn_init(conn, &peer->hub, false, &peer_handler, peer), 0);
    peer->conns[peer->conn_count++] = conn;
    peer->accepted++;
    peer->greeted = false;
    assert_int_equal(uv_accept(listener, &conn->stream), 0);
    assert_int_equal(conn_start(conn), 0);
}

/* Listens, the second time on the same port. */
static inline void peer_listen(struct peer *peer)
{
    struct sockaddr_in name;
    int len = sizeof name;
    peer->listener = calloc(1, sizeof *peer->listener);
    uv_tcp_init(peer->loop, peer->listener);
    peer->listener->data = peer;
    uv_ip4_addr("127.0.0.1", peer->port, &name);
    assert_int_equal(uv_tcp_bind(peer->listener, (struct sockaddr *)&name, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)peer->listener, 16, peer_on_connection), 0);
    uv_tcp_getsockname(peer->listener, (struct sockaddr *)&name, &len);
    peer->port = ntohs(name.sin_port);
}

static inline void peer_on_listener_closed(uv_handle_t *handle) { free(handle); }

/* Nobody can connect any more. */
static inline void peer_deafen(struct peer *peer)
{
    if (peer->listener)
        uv_close((uv_handle_t *)peer->listener, peer_on_listener_closed);
    peer->listener = NULL;
}

/* Breaks all connections. */
static inline void peer_drop(struct peer *peer)
{
    for (int i = 0; i < peer->conn_count; i++)
        conn_close(peer->conns[i], -ECANCELED);
}

static inline void peer_start(struct peer *peer, uv_loop_t *loop)
{
    *peer = (struct peer){.loop = loop};
    peer->requests = calloc(PEER_REQUESTS_MAX, sizeof *peer->requests);
    assert_int_equal(conn_hub_init(&peer->hub, loop), 0);
    peer_listen(peer);
}

/* The loop must turn until it is empty before and after peer_end. */
static inline void peer_stop(struct peer *peer)
{
    peer_deafen(peer);
    peer_drop(peer);
}

static inline void peer_end(struct peer *peer)
{
    conn_hub_close(&peer->hub);
    free(peer->requests);
}

static inline struct address peer_address(const struct peer *peer)
{
    struct address address;
    char text[64], why[ERROR_TEXT_BYTES];
    snprintf(text, sizeof text, "kv://127.0.0.1:%d", peer->port);
    assert_int_equal(address_parse(text, &address, why, sizeof why), 0);
    return address;
}

#endif
