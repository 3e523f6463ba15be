#include "kvcore/server/waiting.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <stdlib.h>

/* An answer in conn->out. */
struct promise {
    size_t start, end;
    uint32_t id;
};

/* An answer outside it. */
struct parked {
    struct gate_wait wait; /* first: what the gate hands back */
    struct waiting *waiting;
    struct parked *next, **link;
    uint32_t id;
    size_t len;
    char bytes[];
};

void waiting_init(struct waiting *waiting, struct waiting_room *room, struct conn *conn)
{
    *waiting = (struct waiting){.room = room, .conn = conn};
}

int waiting_encode(struct buf *out, uint32_t id, struct kv_reply *reply)
{
    int rc = encode_reply(out, id, reply);
    if (rc != -E2BIG)
        return rc;
    kv_reply_fail(reply, -E2BIG, "the answer is longer than a message may be (%u bytes); ask for less at a time",
                  MESSAGE_BYTES_MAX);
    return encode_reply(out, id, reply);
}

/* The answer instead of one that did not come true. */
static int encode_failure(struct buf *out, uint32_t id, int error)
{
    struct kv_reply reply;
    char text[ERROR_TEXT_BYTES];
    journal_explain(error, text, sizeof text);
    kv_reply_fail(&reply, error == -ENOSPC || error == -EDQUOT ? error : -EIO, "%s", text);
    return encode_reply(out, id, &reply);
}

/* --- promised --- */

static void unlist(struct waiting *waiting)
{
    if (!waiting->link)
        return;
    *waiting->link = waiting->next;
    if (waiting->next)
        waiting->next->link = waiting->link;
    waiting->link = NULL;
}

static int promise(struct waiting *waiting, uint32_t id, size_t start)
{
    struct promise note = {start, waiting->conn->out.len, id};
    int rc = buf_append(&waiting->promises, &note, sizeof note);
    if (rc < 0)
        return rc;
    waiting->conn->hub->gathers = true;
    if (waiting->link)
        return 0;
    struct waiting_room *room = waiting->room;
    waiting->next = room->promised;
    waiting->link = &room->promised;
    if (waiting->next)
        waiting->next->link = &waiting->next;
    room->promised = waiting;
    return 0;
}

/* `out` anew, with errors in the place of what was promised. */
static int take_back(struct waiting *waiting, int error)
{
    const struct buf *out = &waiting->conn->out;
    const struct promise *notes = (const struct promise *)(const void *)waiting->promises.data;
    size_t count = waiting->promises.len / sizeof *notes, at = 0;
    struct buf instead = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; at = notes[i++].end) {
        rc = buf_append(&instead, out->data + at, notes[i].start - at);
        if (rc == 0)
            rc = encode_failure(&instead, notes[i].id, error);
    }
    if (rc == 0)
        rc = buf_append(&instead, out->data + at, out->len - at);
    if (rc < 0) {
        buf_close(&instead);
        return rc;
    }
    buf_close(&waiting->conn->out);
    waiting->conn->out = instead;
    return 0;
}

void waiting_settle(struct waiting_room *room)
{
    int error = room->journal ? journal_write(room->journal) : 0;
    CHECK(error < 0 || !room->journal || aof_written(room->journal->aof) == aof_appended(room->journal->aof));
    for (struct waiting *waiting; (waiting = room->promised);) {
        int rc = error < 0 ? take_back(waiting, error) : 0;
        waiting->promises.len = 0;
        unlist(waiting);
        if (rc < 0)
            conn_close(waiting->conn, rc);
    }
}

/* --- parked --- */

static void parked_free(struct parked *parked)
{
    *parked->link = parked->next;
    if (parked->next)
        parked->next->link = parked->link;
    parked->waiting->conn->parked_bytes -= parked->len;
    free(parked);
}

static void on_open(struct gate_wait *wait, int error)
{
    struct parked *parked = (struct parked *)wait;
    struct conn *conn = parked->waiting->conn;
    int rc =
        error < 0 ? encode_failure(&conn->out, parked->id, error) : buf_append(&conn->out, parked->bytes, parked->len);
    parked_free(parked);
    if (rc < 0)
        conn_close(conn, rc);
    else
        conn_flush_soon(conn);
}

/* Takes the answer that ends conn->out away from there. */
static int park(struct waiting *waiting, uint32_t id, size_t start, const struct store_wait *wait)
{
    struct conn *conn = waiting->conn;
    size_t len = conn->out.len - start;
    struct parked *parked = malloc(sizeof *parked + len);
    if (!parked)
        return -ENOMEM;
    *parked = (struct parked){.wait.on_open = on_open, .waiting = waiting, .id = id, .len = len};
    memcpy(parked->bytes, conn->out.data + start, len);
    conn->out.len = start;
    conn->parked_bytes += len;
    parked->next = waiting->parked;
    parked->link = &waiting->parked;
    if (parked->next)
        parked->next->link = &parked->next;
    waiting->parked = parked;
    conn->hub->gathers = true; /* nobody is told of the change before it is written at least */
    journal_await(waiting->room->journal, wait, &parked->wait);
    return 0;
}

/* --- both --- */

/* Of the answer that ends conn->out. */
static int hold(struct waiting *waiting, uint32_t id, size_t start, const struct store_wait *wait)
{
    const struct journal *journal = waiting->room->journal;
    if (!journal || wait->level == DURABILITY_MEMORY)
        return 0;
    switch (journal_judge(journal, wait)) {
    case JOURNAL_WRITES:
        return promise(waiting, id, start);
    case JOURNAL_SYNCS:
        return park(waiting, id, start, wait);
    case JOURNAL_LEAVES:
        break;
    }
    return 0;
}

int waiting_answer(struct waiting *waiting, uint32_t id, struct kv_reply *reply, const struct store_wait *wait)
{
    size_t start = waiting->conn->out.len;
    int rc = waiting_encode(&waiting->conn->out, id, reply);
    return rc < 0 ? rc : hold(waiting, id, start, wait);
}

int waiting_take(struct waiting *waiting, uint32_t id, struct bytes answer, const struct store_wait *wait)
{
    size_t start = waiting->conn->out.len;
    int rc = buf_append(&waiting->conn->out, answer.data, answer.len);
    return rc < 0 ? rc : hold(waiting, id, start, wait);
}

void waiting_close(struct waiting *waiting)
{
    while (waiting->parked) {
        journal_leave(waiting->room->journal, &waiting->parked->wait);
        parked_free(waiting->parked);
    }
    unlist(waiting);
    buf_close(&waiting->promises);
}
