/* The network side of a store node: listens, and turns each message of each connection into store_execute and its
 * reply.
 *
 * One session per connection. A connection that breaks the protocol is closed with a log line; everything else that a
 * client does wrong gets an error as its answer. Past connections_max a new one is closed at once.
 */
#ifndef KV_SERVER_SERVER_H
#define KV_SERVER_SERVER_H

#include "kvcore/rpc/address.h"
#include "kvcore/rpc/conn.h"
#include "kvcore/server/journal.h"
#include "kvcore/server/store.h"

struct server;

struct server_options {
    uint32_t connections_max;
    uint64_t input_bytes_max; /* half-received requests of all connections together */
};

/* -ENOMEM. The store is borrowed and must outlive the server. */
int server_new(uv_loop_t *loop, struct store *store, const struct server_options *options, struct server **ret_server);

/* From now on answers wait for the disk as the store says. The journal is borrowed until the server is freed. */
void server_use_journal(struct server *server, struct journal *journal);

/* Listens on HOST:PORT (port 0: the system's choice; *ret_port (may be NULL) is what it became) or on a Unix socket
 * that only this user may open; a socket file that nobody listens on any more is replaced. Negative with a sentence in
 * `why`. */
int server_listen_tcp(struct server *server, const struct address *address, int *ret_port, char *why, size_t why_bytes);
int server_listen_unix(struct server *server, const char *path, char *why, size_t why_bytes);

/* While held, requests are executed but their answers stay here (conn_hub_cork). */
void server_hold_answers(struct server *server, bool held);

/* Stops listening, closes every connection (answers already made are sent as far as the sockets take them), then frees
 * itself; on_closed fires when nothing of it is left in the loop. */
void server_free(struct server *server, void (*on_closed)(void *user), void *user);

#endif
