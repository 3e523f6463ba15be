/* The answers of one connection that may not leave yet, because what they acknowledge is not safe enough on disk.
 *
 *   written   The answer is encoded where it will leave from; it is only noted where it stands ("promised"). The hub
 * sends nothing before it has asked (conn.h, gathers): then the journal writes, and the notes are dropped. Where the
 *             write fails, each promised answer is replaced by an error.
 *   synced    The encoded answer is parked in the journal's gate, and appended when the gate opens.
 */
#ifndef KV_SERVER_WAITING_H
#define KV_SERVER_WAITING_H

#include "kvcore/rpc/conn.h"
#include "kvcore/server/journal.h"

struct parked;

/* What the connections of a server share. */
struct waiting_room {
    struct journal *journal; /* NULL: nothing ever waits */
    struct waiting *promised;
};

/* One connection's. */
struct waiting {
    struct waiting_room *room;
    struct conn *conn;
    struct buf promises;          /* struct promise */
    struct waiting *next, **link; /* in room->promised; link is NULL outside it */
    struct parked *parked;
};

/* The hub's before_flush is to call waiting_settle. Takes no memory. */
void waiting_init(struct waiting *waiting, struct waiting_room *room, struct conn *conn);
/* Forgets all that waits. */
void waiting_close(struct waiting *waiting);

/* Encodes an answer, to leave when `wait` is fulfilled. Negative: the connection is to be closed. */
int waiting_answer(struct waiting *waiting, uint32_t id, struct kv_reply *reply, const struct store_wait *wait);

/* The same in two steps, for an answer that waits for something else in between: it is encoded into `out`, and taken
 * from there. */
int waiting_encode(struct buf *out, uint32_t id, struct kv_reply *reply);
int waiting_take(struct waiting *waiting, uint32_t id, struct bytes answer, const struct store_wait *wait);

/* Writes what was recorded, and keeps or takes back what was promised: before answers leave. */
void waiting_settle(struct waiting_room *room);

#endif
