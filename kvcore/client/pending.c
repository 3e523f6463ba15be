#include "kvcore/client/pending.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/rpc/message.h"

#include <stdlib.h>

enum {
    SLOT_BITS = 16,
    SLOT_MASK = (1 << SLOT_BITS) - 1,
    FRAME_KEEP_BYTES = 1024, /* a slot's buffer up to here stays for its next request */
};

static_assert(CLIENT_REQUESTS_MAX <= 1 << SLOT_BITS, "an id holds every slot");
static_assert(CLIENT_INFLIGHT_MAX <= CLIENT_REQUESTS_MAX, "what is in flight is in the table");

void pending_init(struct pending_table *table)
{
    *table = (struct pending_table){0};
    TAILQ_INIT(&table->free);
    TAILQ_INIT(&table->waiting);
    TAILQ_INIT(&table->sent);
    TAILQ_INIT(&table->deadlines);
    TAILQ_INIT(&table->ending);
}

void pending_close(struct pending_table *table)
{
    CHECK(TAILQ_EMPTY(&table->waiting) && TAILQ_EMPTY(&table->sent) && TAILQ_EMPTY(&table->ending));
    for (size_t i = 0; i < table->slot_count; i++) {
        buf_close(&table->slots[i]->frame);
        free(table->slots[i]);
    }
    free(table->slots);
    *table = (struct pending_table){0};
}

static int slots_grow(struct pending_table *table)
{
    if (table->slot_count == CLIENT_REQUESTS_MAX)
        return KV_BUSY;
    if (table->slot_count == table->slot_capacity) {
        size_t capacity = table->slot_capacity ? table->slot_capacity * 2 : 16;
        struct pending **slots = realloc(table->slots, capacity * sizeof *slots);
        if (!slots)
            return -ENOMEM;
        table->slots = slots;
        table->slot_capacity = capacity;
    }
    struct pending *pending = calloc(1, sizeof *pending);
    if (!pending)
        return -ENOMEM;
    pending->id = 1u << SLOT_BITS | (uint32_t)table->slot_count;
    table->slots[table->slot_count++] = pending;
    TAILQ_INSERT_HEAD(&table->free, pending, queue);
    return 0;
}

static void frame_release(struct pending_table *table, struct pending *pending)
{
    table->held_bytes -= pending->frame.len;
    pending->frame.len = 0;
    if (pending->frame.capacity > FRAME_KEEP_BYTES)
        buf_close(&pending->frame);
}

int pending_add(struct pending_table *table, const struct kv_request *request, struct kv_call *call,
                int64_t deadline_ms, struct pending **ret_pending)
{
    if (TAILQ_EMPTY(&table->free)) {
        int rc = slots_grow(table);
        if (rc < 0)
            return rc;
    }
    struct pending *pending = TAILQ_FIRST(&table->free);
    int rc = encode_request(&pending->frame, pending->id, request);
    if (rc < 0)
        return rc;
    table->held_bytes += pending->frame.len;
    if (table->held_bytes > CLIENT_HELD_BYTES_MAX) {
        frame_release(table, pending);
        return KV_BUSY;
    }
    pending->op = request->op;
    pending->options = request->options;
    pending->call = call;
    pending->deadline_ms = deadline_ms;
    pending->was_sent = false;
    pending->place = PENDING_WAITING;
    TAILQ_REMOVE(&table->free, pending, queue);
    TAILQ_INSERT_TAIL(&table->waiting, pending, queue);
    if (deadline_ms)
        TAILQ_INSERT_TAIL(&table->deadlines, pending, by_deadline);
    *ret_pending = pending;
    return 0;
}

struct pending *pending_find(const struct pending_table *table, uint32_t id)
{
    uint32_t slot = id & SLOT_MASK;
    if (slot >= table->slot_count)
        return NULL;
    struct pending *pending = table->slots[slot];
    return pending->id == id && pending->place == PENDING_SENT ? pending : NULL;
}

void pending_mark_sent(struct pending_table *table, struct pending *pending)
{
    CHECK(pending->place == PENDING_WAITING);
    TAILQ_REMOVE(&table->waiting, pending, queue);
    TAILQ_INSERT_TAIL(&table->sent, pending, queue);
    pending->place = PENDING_SENT;
    table->sent_count++;
    if (!(kv_op_info(pending->op)->flags & KV_OP_I))
        frame_release(table, pending);
}

/* Out of the waiting or the sent. */
static void leave_place(struct pending_table *table, struct pending *pending)
{
    if (pending->place == PENDING_SENT) {
        TAILQ_REMOVE(&table->sent, pending, queue);
        table->sent_count--;
    } else if (pending->place == PENDING_WAITING) {
        TAILQ_REMOVE(&table->waiting, pending, queue);
    }
    pending->place = PENDING_NOWHERE;
}

/* Frees the slot when neither an answer is to come nor a call is to be told. */
static void release_if_done(struct pending_table *table, struct pending *pending)
{
    if (pending->place != PENDING_NOWHERE || pending->ending)
        return;
    CHECK(!pending->call);
    frame_release(table, pending);
    uint32_t generation = (pending->id >> SLOT_BITS) + 1;
    if (generation >> (32 - SLOT_BITS))
        generation = 1;
    pending->id = generation << SLOT_BITS | (pending->id & SLOT_MASK);
    TAILQ_INSERT_HEAD(&table->free, pending, queue);
}

static void deadline_drop(struct pending_table *table, struct pending *pending)
{
    if (pending->deadline_ms)
        TAILQ_REMOVE(&table->deadlines, pending, by_deadline);
    pending->deadline_ms = 0;
}

struct kv_call *pending_take_answered(struct pending_table *table, struct pending *pending)
{
    struct kv_call *call = pending->ending ? NULL : pending->call;
    leave_place(table, pending);
    if (call) {
        deadline_drop(table, pending);
        pending->call = NULL;
    }
    release_if_done(table, pending);
    return call;
}

void pending_end(struct pending_table *table, struct pending *pending, int code)
{
    if (pending->ending || !pending->call)
        return;
    deadline_drop(table, pending);
    pending->ending = true;
    pending->code = code;
    pending->was_sent = pending->place == PENDING_SENT;
    frame_release(table, pending);
    if (pending->place == PENDING_WAITING)
        leave_place(table, pending);
    TAILQ_INSERT_TAIL(&table->ending, pending, by_ending);
}

struct kv_call *pending_take_ended(struct pending_table *table, struct pending *ret_ended)
{
    struct pending *pending = TAILQ_FIRST(&table->ending);
    if (!pending)
        return NULL;
    TAILQ_REMOVE(&table->ending, pending, by_ending);
    *ret_ended = *pending;
    pending->ending = false;
    pending->call = NULL;
    release_if_done(table, pending);
    return ret_ended->call;
}

void pending_connection_lost(struct pending_table *table, int resend_code)
{
    struct pending_list again = TAILQ_HEAD_INITIALIZER(again);
    struct pending *pending;
    while ((pending = TAILQ_FIRST(&table->sent))) {
        bool may_resend = kv_op_info(pending->op)->flags & KV_OP_I;
        if (!may_resend || resend_code)
            pending_end(table, pending, may_resend ? resend_code : KV_UNCERTAIN);
        leave_place(table, pending);
        if (pending->call && !pending->ending) {
            pending->place = PENDING_WAITING;
            TAILQ_INSERT_TAIL(&again, pending, queue);
        } else {
            release_if_done(table, pending);
        }
    }
    TAILQ_CONCAT(&again, &table->waiting, queue);
    TAILQ_CONCAT(&table->waiting, &again, queue);
}

void pending_end_waiting(struct pending_table *table, int code)
{
    struct pending *pending;
    while ((pending = TAILQ_FIRST(&table->waiting)))
        pending_end(table, pending, code);
}

void pending_end_all(struct pending_table *table, int code)
{
    struct pending *pending;
    pending_end_waiting(table, code);
    TAILQ_FOREACH(pending, &table->sent, queue)
    pending_end(table, pending, code);
    pending_connection_lost(table, code);
}
