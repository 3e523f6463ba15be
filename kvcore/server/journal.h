/* The journal: puts what the store changes into the log, and says when an answer may leave.
 *
 *   store ──on_effect*, on_end──> one record ──aof_append──> [memory]
 *   once a turn of the loop, before answers leave: aof_write, one write(2)   ──> written
 *   in libuv's pool, one at a time: aof_sync                                 ──> synced ──> the gate opens
 *
 * A TURN. Whoever sends answers calls journal_write first; where nobody does, the journal's own idle handle does before
 * the loop waits. So a pipeline of many requests, or one request from each of many connections, is one write(2).
 *
 * GROUP COMMIT. A sync covers all that was written when it began. What comes meanwhile waits for the next, which begins
 * as soon as the first has ended; so the disk is never idle while anybody waits, and never has more than one to do.
 * Where nobody waits, one sync a second bounds what a power loss takes.
 *
 * FAILURE. A disk that is full refuses the request before it runs (journal_room keeps JOURNAL_RESERVE_BYTES back for
 * those that make the store smaller). A write or sync that fails breaks the log: the answers that wait for it become
 * errors, all further writes are refused, reads go on. A snapshot mends it: when one is safely on disk, journal_mend
 * begins a new segment behind it.
 */
#ifndef KV_SERVER_JOURNAL_H
#define KV_SERVER_JOURNAL_H

#include "kvcore/log/aof.h"
#include "kvcore/server/gate.h"
#include "kvcore/server/store.h"

#include <uv.h>

enum { JOURNAL_RESERVE_BYTES = 1 << 20, JOURNAL_SYNC_PERIOD_MS = 1000 };

struct journal {
    uv_loop_t *loop;
    struct store *store;
    struct aof *aof;
    uint64_t epoch;
    uint64_t writes, syncs, bytes; /* so far: of records, for bytes */
    int last_error;                /* 0: none so far */
    uint64_t errors;
    bool full; /* somebody was refused for want of room on the disk */
    /* The rest is private. */
    struct store_sink sink;
    struct gate gate;
    struct buf record; /* the one being built, at its front */
    bool recording;
    bool lost; /* there was no memory for a part of it */
    bool told; /* that the log is broken */
    uv_idle_t turn;
    uv_timer_t timer;
    uv_work_t work;
    bool syncing;
    int sync_error;
    uint64_t sync_index;
    int open_handles;
    void (*on_closed)(void *user);
    void *user;
};

/* Registers as a sink of the store: whatever it changes from now on is recorded. Takes the aof, which stands where the
 * store does. */
void journal_open(struct journal *journal, uv_loop_t *loop, struct store *store, struct aof *aof, uint64_t epoch);

/* Writes and syncs all; the store must not change any more. on_closed fires when nothing of it is left in the loop; who
 * still waits is told -ECANCELED before. */
void journal_close(struct journal *journal, void (*on_closed)(void *user), void *user);

/* Is there room on the disk for a record of so many bytes? 0, or negative with a text in the reply (may be NULL). */
int journal_room(struct journal *journal, uint64_t bytes, bool shrinks, struct kv_reply *reply);

/* Writes all that was recorded. 0, or why not, upon which what waits for `written` is an error. Costs nothing when
 * there is nothing to write. */
int journal_write(struct journal *journal);

/* May this answer leave as it is? */
enum journal_answer {
    JOURNAL_LEAVES, /* now */
    JOURNAL_WRITES, /* when journal_write has returned 0 */
    JOURNAL_SYNCS,  /* when the gate opens (journal_await) */
};
enum journal_answer journal_judge(const struct journal *journal, const struct store_wait *wait);

/* on_open fires when it is safe, or will not be. The caller sets wait->on_open alone. */
void journal_await(struct journal *journal, const struct store_wait *what, struct gate_wait *wait);
void journal_leave(struct journal *journal, struct gate_wait *wait);

void journal_add_info(const struct journal *journal, struct kv_fields *fields);

/* Why writes are refused; 0: they are not. */
int journal_error(const struct journal *journal);
/* A text for who is refused. */
void journal_explain(int error, char *text, size_t text_bytes);
/* A snapshot of this index is safely on disk: goes on, if the log was broken and the snapshot has all that it lost. */
int journal_mend(struct journal *journal, uint64_t snapshot_index);

#endif
