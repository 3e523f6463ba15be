#include "kvcore/server/journal.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/log.h"
#include "kvcore/log/record.h"
#include "kvcore/server/fields.h"

#include <stdio.h>

enum { RECORD_KEPT_BYTES_MAX = 1 << 20 };

static void on_turn(uv_idle_t *turn);

/* --- records --------------------------------------------------------------------------------------------------- */

static struct journal *journal_of(struct store_sink *sink)
{
    return (struct journal *)((char *)sink - offsetof(struct journal, sink));
}

static void on_effect(struct store_sink *sink, const struct session *from, const struct effect *effect)
{
    struct journal *journal = journal_of(sink);
    size_t start = 0;
    int rc = 0;
    if (!journal->recording) {
        struct record_head head = {.epoch = journal->epoch,
                                   .index = effect->version,
                                   .time_ns = effect->time_ns,
                                   .session = from ? from->id : 0};
        journal->record.len = 0;
        journal->recording = true;
        rc = record_begin(&journal->record, &head, &start);
    }
    if (rc == 0 && !journal->lost)
        rc = record_add(&journal->record, 0, effect);
    journal->lost |= rc < 0;
}

static void on_end(struct store_sink *sink, uint64_t index)
{
    struct journal *journal = journal_of(sink);
    CHECK(journal->recording);
    if (!journal->lost && record_end(&journal->record, 0, (struct bytes){0}) < 0)
        journal->lost = true;
    aof_append(journal->aof, index, journal->lost ? (struct bytes){0} : buf_bytes(&journal->record));
    journal->bytes += journal->record.len;
    journal->recording = journal->lost = false;
    if (journal->record.capacity > RECORD_KEPT_BYTES_MAX)
        buf_close(&journal->record);
    if (!uv_is_active((uv_handle_t *)&journal->turn))
        uv_idle_start(&journal->turn, on_turn);
}

/* --- failure --------------------------------------------------------------------------------------------------- */

int journal_error(const struct journal *journal) { return aof_error(journal->aof); }

static bool is_no_room(int error) { return error == -ENOSPC || error == -EDQUOT; }

void journal_explain(int error, char *text, size_t text_bytes)
{
    if (is_no_room(error))
        snprintf(
            text, text_bytes,
            "there is no room on the disk for the log (%s); make room there: deletes still work, and writes go on as "
            "soon as there is",
            error_text(error));
    else
        snprintf(
            text, text_bytes,
            "the log on disk is broken (%s); nothing is written until a snapshot has mended it, which is being tried; "
            "see `kv info persistence`",
            error_text(error));
}

/* Who waits learns it now, a person from the log of the daemon. */
static void fail(struct journal *journal, int error)
{
    journal->last_error = error;
    journal->errors++;
    if (!journal->told)
        log_error("the log cannot be %s: %s; %s", is_no_room(error) ? "extended" : "written", error_text(error),
                  is_no_room(error) ? "make room on the disk" : "writes are refused until a snapshot has mended it");
    journal->told = true;
    gate_fail(&journal->gate, error);
}

int journal_room(struct journal *journal, uint64_t bytes, bool shrinks, struct kv_reply *reply)
{
    char text[ERROR_TEXT_BYTES];
    int rc = aof_room(journal->aof, shrinks ? bytes : bytes + JOURNAL_RESERVE_BYTES);
    if (rc == 0)
        return 0;
    journal->last_error = rc;
    journal->full |= is_no_room(rc);
    journal_explain(rc, text, sizeof text);
    rc = is_no_room(rc) ? rc : -EIO;
    return reply ? kv_reply_fail(reply, rc, "%s", text) : rc;
}

int journal_mend(struct journal *journal, uint64_t snapshot_index)
{
    if (journal_error(journal) == 0 || snapshot_index < aof_appended(journal->aof))
        return 0;
    int rc = aof_mend(journal->aof);
    if (rc < 0)
        return rc;
    journal->told = false;
    gate_open(&journal->gate, aof_synced(journal->aof));
    log_info("the log is mended: it goes on behind record %llu", (unsigned long long)aof_appended(journal->aof));
    return 0;
}

void journal_add_info(const struct journal *journal, struct kv_fields *fields)
{
    int error = journal_error(journal);
    fields_number(fields, "persistence.appended_index", aof_appended(journal->aof));
    fields_number(fields, "persistence.written_index", aof_written(journal->aof));
    fields_number(fields, "persistence.synced_index", aof_synced(journal->aof));
    fields_number(fields, "persistence.log_bytes", aof_bytes(journal->aof));
    fields_number(fields, "persistence.log_writes", journal->writes);
    fields_number(fields, "persistence.log_syncs", journal->syncs);
    fields_number(fields, "persistence.log_waiting", journal->gate.count);
    fields_number(fields, "persistence.log_errors", journal->errors);
    fields_text(fields, "persistence.log_state", "%s", error ? error_text(error) : "ok");
    fields_text(fields, "persistence.log_last_error", "%s",
                journal->last_error ? error_text(journal->last_error) : "none");
}

/* --- writing and syncing --------------------------------------------------------------------------------------- */

static bool is_dirty(const struct journal *journal)
{
    return aof_synced(journal->aof) < aof_appended(journal->aof) && journal_error(journal) == 0;
}

/* In the pool. */
static void work_sync(uv_work_t *work)
{
    struct journal *journal = work->data;
    journal->sync_error = aof_sync(journal->aof, &journal->sync_index);
    aof_prepare(journal->aof);
}

static void handle_closed(struct journal *journal);
static void on_synced(uv_work_t *work, int status);

static void sync_begin(struct journal *journal)
{
    if (journal->syncing || journal->on_closed || journal_error(journal) < 0)
        return;
    journal->syncing = uv_queue_work(journal->loop, &journal->work, work_sync, on_synced) == 0;
}

static void on_synced(uv_work_t *work, int status)
{
    (void)status;
    struct journal *journal = work->data;
    journal->syncing = false;
    journal->syncs++;
    if (journal->sync_error < 0)
        fail(journal, journal->sync_error);
    else
        gate_open(&journal->gate, journal->sync_index);
    if (journal->on_closed)
        handle_closed(journal);
    else if (journal->gate.first && journal_write(journal) == 0)
        sync_begin(journal);
    else if (!journal->gate.first)
        journal_write(journal); /* the mark that this is synced */
}

int journal_write(struct journal *journal)
{
    uint64_t before = aof_written(journal->aof), wanted = aof_appended(journal->aof);
    int rc = aof_write(journal->aof);
    journal->writes += before != wanted;
    bool matters = before != wanted || journal_error(journal) < 0; /* else it was a mark that found no room */
    if (rc < 0 && matters && (!journal->told || journal->gate.first))
        fail(journal, rc);
    else if (rc == 0 && journal_error(journal) == 0)
        journal->told = false;
    return rc;
}

/* The loop is about to wait. */
static void on_turn(uv_idle_t *turn)
{
    struct journal *journal = (struct journal *)((char *)turn - offsetof(struct journal, turn));
    uv_idle_stop(turn);
    journal_write(journal);
    if (journal->gate.first)
        sync_begin(journal);
    if (is_dirty(journal) && !uv_is_active((uv_handle_t *)&journal->timer))
        uv_timer_again(&journal->timer);
}

/* Once a second while there is something to sync, or to write where there was no room. */
static void on_timer(uv_timer_t *timer)
{
    struct journal *journal = timer->data;
    journal_write(journal);
    if (is_dirty(journal))
        sync_begin(journal);
    else
        uv_timer_stop(timer);
}

/* --- answers --------------------------------------------------------------------------------------------------- */

enum journal_answer journal_judge(const struct journal *journal, const struct store_wait *wait)
{
    if (wait->level == DURABILITY_MEMORY || wait->index == 0)
        return JOURNAL_LEAVES;
    if (wait->reads && journal_error(journal) < 0)
        return JOURNAL_LEAVES; /* gate.h */
    if (wait->level == DURABILITY_SYNCED)
        return wait->index <= aof_synced(journal->aof) ? JOURNAL_LEAVES : JOURNAL_SYNCS;
    return wait->index <= aof_written(journal->aof) ? JOURNAL_LEAVES : JOURNAL_WRITES;
}

void journal_await(struct journal *journal, const struct store_wait *what, struct gate_wait *wait)
{
    wait->index = what->index;
    wait->reads = what->reads;
    gate_park(&journal->gate, wait);
    if (!uv_is_active((uv_handle_t *)&journal->turn))
        uv_idle_start(&journal->turn, on_turn);
}

void journal_leave(struct journal *journal, struct gate_wait *wait) { gate_leave(&journal->gate, wait); }

/* --- life ------------------------------------------------------------------------------------------------------ */

void journal_open(struct journal *journal, uv_loop_t *loop, struct store *store, struct aof *aof, uint64_t epoch)
{
    *journal = (struct journal){.loop = loop, .store = store, .aof = aof, .epoch = epoch};
    uv_idle_init(loop, &journal->turn);
    uv_timer_init(loop, &journal->timer);
    uv_unref((uv_handle_t *)&journal->timer);
    uv_timer_start(&journal->timer, on_timer, JOURNAL_SYNC_PERIOD_MS, JOURNAL_SYNC_PERIOD_MS);
    journal->timer.data = journal->work.data = journal;
    journal->sink.on_effect = on_effect;
    journal->sink.on_end = on_end;
    store_add_sink(store, &journal->sink);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct journal *journal = handle->type == UV_TIMER
                                  ? (struct journal *)((char *)handle - offsetof(struct journal, timer))
                                  : (struct journal *)((char *)handle - offsetof(struct journal, turn));
    if (--journal->open_handles == 0 && !journal->syncing)
        handle_closed(journal);
}

/* The last of handles and sync is gone. */
static void handle_closed(struct journal *journal)
{
    if (journal->syncing || journal->open_handles)
        return;
    int rc = journal_error(journal);
    if (rc == 0)
        rc = aof_write(journal->aof);
    if (rc < 0)
        log_error("the log ends without its last records: %s", error_text(rc));
    aof_close(journal->aof);
    buf_close(&journal->record);
    journal->on_closed(journal->user);
}

void journal_close(struct journal *journal, void (*on_closed)(void *user), void *user)
{
    CHECK(!journal->recording);
    journal->on_closed = on_closed;
    journal->user = user;
    gate_fail(&journal->gate, -ECANCELED);
    journal->open_handles = 2;
    uv_close((uv_handle_t *)&journal->turn, on_handle_closed);
    uv_close((uv_handle_t *)&journal->timer, on_handle_closed);
}
