/* A connection to one node that keeps itself up: it resolves, connects, greets, and after a failure or a break waits a
 * little and begins again, for ever.
 *
 *                    +------------------ the wait is over -------------------+
 *                    v                                                       |
 *   (start) --> RESOLVING --> CONNECTING --> GREETING --> READY              |
 *                    | none      | next address |refused    | broken         |
 *                    |           | until none   |           |                |
 *                    +-----------+--------------+-----------+--> BACKING_OFF-+      any --> CLOSING
 *
 * An attempt (resolve, connect, `hello`) takes at most CLIENT_CONNECT_MS. The wait doubles from
 * CLIENT_BACKOFF_FIRST_MS to CLIENT_BACKOFF_LAST_MS, with jitter so that the clients of a restarted server do not come
 * back in step. It starts small again when the peer has answered a request, not when it has let us in: a request that
 * kills its server is then tried ever more slowly.
 *
 * `hello` goes first, with the name and the password, and nothing else goes before its answer. The host name is
 * resolved anew in every attempt, since a failover may move it.
 */
#ifndef KV_CLIENT_UPLINK_H
#define KV_CLIENT_UPLINK_H

#include "kvcore/rpc/address.h"
#include "kvcore/rpc/conn.h"

enum uplink_state {
    UPLINK_RESOLVING,
    UPLINK_CONNECTING,
    UPLINK_GREETING,
    UPLINK_READY,
    UPLINK_BACKING_OFF,
    UPLINK_CLOSING,
};

struct uplink;
struct line;

struct uplink_events {
    /* The peer has let us in: uplink_conn takes requests. */
    void (*on_up)(struct uplink *uplink);
    /* An answer, or anything else that the peer sends once it has let us in. */
    void (*on_message)(struct uplink *uplink, const struct message *message);
    /* An attempt failed, or the connection is gone (`was_up`). uplink->why says it for people. `refused`: trying again
     * will hardly help (wrong password, not our protocol); it is tried all the same. */
    void (*on_down)(struct uplink *uplink, int code, bool was_up, bool refused);
    /* After uplink_close: nothing of it is left in the loop. */
    void (*on_closed)(struct uplink *uplink);
};

struct uplink {
    uv_loop_t *loop;
    const struct uplink_events *events;
    void *owner;
    char why[ERROR_TEXT_BYTES]; /* of the last failure: "connection refused" */
    unsigned failures;          /* attempts since it was last up */
    bool while_loading;         /* the owner's to set after uplink_start: a peer that loads its data will do */
    bool wants_lease;           /* to be set after uplink_start: hello asks for leases */
    int64_t lease_ms;           /* the term that the peer gave; 0: none */
    int64_t hello_sent_ms;
    /* The rest is private. */
    struct address address;
    char *name;
    enum uplink_state state;
    struct conn_hub hub;
    struct line *line; /* the connection in use or in the making */
    uv_timer_t timer;  /* ends an attempt, or the wait between two */
    uv_getaddrinfo_t resolver;
    struct addrinfo *found; /* the resolver's */
    struct addrinfo *next;  /* the address to try next */
    unsigned backoff_ms;
    unsigned open; /* lines, timer and resolver still in the loop */
};

/* Begins to connect; on_up or on_down follow, not inside this call. `address` (TCP or Unix) and `name` (may be NULL)
 * are copied. -ENOMEM, or libuv's error. */
int uplink_start(struct uplink *uplink, uv_loop_t *loop, const struct address *address, const char *name,
                 const struct uplink_events *events, void *owner);

/* Where to append requests; only while it is up. */
struct conn *uplink_conn(struct uplink *uplink);

static inline bool uplink_is_up(const struct uplink *uplink) { return uplink->state == UPLINK_READY; }

/* The peer has answered a request: it is well. */
static inline void uplink_proved(struct uplink *uplink) { uplink->backoff_ms = CLIENT_BACKOFF_FIRST_MS; }

/* Breaks the connection over what the peer sent; on_down is called before this returns. */
void uplink_break(struct uplink *uplink, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Ends it; on_closed follows. */
void uplink_close(struct uplink *uplink);

#endif
