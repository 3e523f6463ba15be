/* The client library: one connection to one store node, many requests on it.
 *
 * A client is a struct backend. Requests are encoded at once and pipelined; answers come in any order. When the
 * connection breaks it is made again, with a back-off that doubles from CLIENT_BACKOFF_FIRST_MS to
 * CLIENT_BACKOFF_LAST_MS (with jitter); requests wait for it. What was in flight is sent again if its operation bears
 * the flag I; otherwise it ends with KV_UNCERTAIN, since nobody can know whether it was carried out. A connection that
 * we broke ourselves, over an answer that makes no sense, sends nothing again: what was in flight ends with -EPROTO or
 * KV_UNCERTAIN.
 *
 * A request ends by its deadline (timeout_ms; 0: it waits for as long as it takes) with -ETIMEDOUT and a text that
 * says what was tried: "kv://127.0.0.1:7400: no answer within 5 s; connected 4 times in vain, last: connection
 * refused". Some refusals end everything at once: a wrong password (KV_NOAUTH), something that does not speak our
 * protocol. They hold for new requests too, which submit answers at once, until a later attempt gets through.
 *
 * Bounds: CLIENT_INFLIGHT_MAX requests are in flight, CLIENT_OUTPUT_BYTES of them not yet sent; the next wait for their
 * turn; past CLIENT_REQUESTS_MAX, or past CLIENT_HELD_BYTES_MAX of encoded requests, submit answers KV_BUSY.
 *
 * Leases: with on_lease and on_recall the client asks for them, and renews them by pings. Recalls and answers come in
 * the server's order: an answer before a recall was given before the change, and the recall is about it too.
 *
 * One thread: all calls and callbacks are on the loop's.
 */
#ifndef KV_CLIENT_CLIENT_H
#define KV_CLIENT_CLIENT_H

#include "kvcore/rpc/address.h"
#include "kvcore/rpc/backend.h"
#include "kvcore/rpc/recall.h"

#include <uv.h>

struct client;

struct client_options {
    const char *name;    /* shown by the server; NULL: none */
    uint32_t timeout_ms; /* of each request; 0: for ever */
    bool fail_fast;      /* a first connection that is refused ends all waiting requests at once (tools), rather than at
                            their deadline */
    bool while_loading; /* talk also to a server that is still loading its data: it refuses most (KV_LOADING). Else such
                           a one is waited for like one that is away */
    /* Told of each change between connected and not, a first attempt's failure included, with a sentence for a log; may
     * be NULL. */
    void (*on_state)(void *user, bool connected, const char *why);
    /* NULL: no leases are wanted. What the server marks as leased may be kept from now on (true), or all that was kept
     * is to be dropped and nothing more kept (false): the connection is gone, or the server has been silent for too
     * long. */
    void (*on_lease)(void *user, bool held);
    /* These are to be dropped, and then client_recalled to be called. Borrowed for the call. */
    void (*on_recall)(void *user, const struct kv_recall *recall);
    void *user;
};

/* Makes a client and begins to connect; `address` (TCP or Unix) is copied. -ENOMEM, or libuv's error. */
int client_new(uv_loop_t *loop, const struct address *address, const struct client_options *options,
               struct client **ret_client);

/* Ends all requests with -ECANCELED, then frees itself; on_closed (may be NULL) fires when nothing of it is left in the
 * loop. */
void client_free(struct client *client, void (*on_closed)(void *user), void *user);

/* All that the recalls up to this ticket named has been dropped. */
void client_recalled(struct client *client, uint64_t ticket);

struct backend *client_backend(struct client *client);

/* Runs the loop until it is known what becomes of the first attempt to connect, for at most timeout_ms. 0: connected.
 * -ECONNREFUSED or -ETIMEDOUT: out of reach, or not known yet; it goes on trying. Otherwise the refusal: trying again
 * will hardly help. All but 0 with a sentence in ret_why. For a daemon's start; not from inside a callback. */
int client_await(struct client *client, uint32_t timeout_ms, char *ret_why, size_t why_bytes);

/* Runs the loop until this one request is answered. The reply is borrowed until the client's next use. For tools; not
 * from inside a callback. */
const struct kv_reply *client_call(struct client *client, const struct kv_request *request);

#endif
