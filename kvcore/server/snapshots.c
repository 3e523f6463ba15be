#include "kvcore/server/snapshots.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/log.h"
#include "kvcore/server/fields.h"

#include <stdlib.h>

enum { SLICE_BYTES = 16384, SLICE_BYTES_INLINE = 1 << 20 };

static int64_t now_ms(const struct snapshots *snapshots) { return (int64_t)uv_now(snapshots->loop); }

static const char *reason_text(enum snapshot_reason reason)
{
    static const char *const texts[] = {"", "asked for", "to mend the log", "by rule", "as the log has grown"};
    return texts[reason];
}

/* --- what is not needed any more --------------------------------------------------------------------------------- */

struct names {
    uint64_t *index;
    size_t count, capacity;
};

static void on_name(const char *name, void *user)
{
    struct names *names = user;
    uint64_t index;
    if (!snapshot_index_of(name, &index))
        return;
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? 2 * names->capacity : 16;
        uint64_t *grown = realloc(names->index, capacity * sizeof *grown);
        if (!grown)
            return; /* it stays for once */
        names->index = grown;
        names->capacity = capacity;
    }
    names->index[names->count++] = index;
}

static int newest_first(const void *a, const void *b)
{
    const uint64_t *left = a, *right = b;
    return (*left < *right) - (*left > *right);
}

/* In the pool. The log goes first: a snapshot without it is of use, the other way round is not. */
static void work_remove(uv_work_t *work)
{
    struct snapshots *snapshots = work->data;
    struct names names = {0};
    int rc = disk_list(snapshots->disk, on_name, &names);
    if (rc == 0 && names.count > 0) {
        qsort(names.index, names.count, sizeof *names.index, newest_first);
        size_t keep = names.count < snapshots->keep ? names.count : snapshots->keep;
        if (snapshots->journal)
            rc = aof_remove_until(snapshots->journal->aof, names.index[keep - 1]);
        for (size_t i = names.count; rc == 0 && i-- > keep;) {
            char name[LOG_NAME_BYTES];
            snapshot_name(names.index[i], name);
            rc = disk_remove(snapshots->disk, name);
        }
    }
    free(names.index);
    snapshots->work_rc = rc;
}

/* --- one snapshot ------------------------------------------------------------------------------------------------- */

static void handle_closed(struct snapshots *snapshots);
static void on_walker(uv_idle_t *walker);

static void on_removed(uv_work_t *work, int status)
{
    (void)status;
    struct snapshots *snapshots = work->data;
    snapshots->working = false;
    if (snapshots->work_rc < 0)
        log_warning("old snapshots and log segments cannot be removed: %s; it is tried again after the next snapshot",
                    error_text(snapshots->work_rc));
    if (snapshots->on_closed)
        handle_closed(snapshots);
}

static void finish_failed(struct snapshots *snapshots, int error)
{
    log_error("the snapshot of index %llu (%s) failed: %s; what is on disk stays as it was",
              (unsigned long long)snapshots->info.index, reason_text(snapshots->reason), error_text(error));
    snapshots->failed++;
    snapshots->last_error = error;
    snapshots->state.failed_ms = now_ms(snapshots);
}

/* It is safely on disk. */
static void finish_good(struct snapshots *snapshots)
{
    const struct snapshot_info *result = snapshot_result(snapshots->current);
    struct snapshots_state *state = &snapshots->state;
    state->last_index = result->index;
    state->last_bytes = result->bytes;
    state->last_ms = snapshots->begun_ms;
    state->failed_ms = 0;
    state->asked = state->asked && state->wanted_index > result->index;
    snapshots->taken++;
    snapshots->took_ms = now_ms(snapshots) - snapshots->begun_ms;
    log_info("snapshot of index %llu (%s): %llu nodes, %llu bytes, %lld ms", (unsigned long long)result->index,
             reason_text(snapshots->reason), (unsigned long long)result->nodes, (unsigned long long)result->bytes,
             (long long)snapshots->took_ms);
    snapshots->log_bytes_then = snapshots->log_bytes_begun;
    /* Where there is no room, writing goes before having an older one to fall back to. */
    snapshots->keep = snapshots->journal && snapshots->journal->full ? 1 : snapshots->policy.keep;
    if (snapshots->journal)
        snapshots->journal->full = false;
    int rc = snapshots->journal ? journal_mend(snapshots->journal, result->index) : 0;
    if (rc < 0) {
        log_error("the log cannot be mended: %s; it is tried again in %d s", error_text(rc), SNAPSHOTS_RETRY_MS / 1000);
        state->failed_ms = now_ms(snapshots);
    }
}

static void finish(struct snapshots *snapshots, int rc)
{
    uv_idle_stop(&snapshots->walker);
    if (rc < 0)
        finish_failed(snapshots, rc);
    else
        finish_good(snapshots);
    snapshot_end(snapshots->current);
    snapshots->current = NULL;
    if (rc < 0 || snapshots->on_closed)
        return;
    snapshots->working = uv_queue_work(snapshots->loop, &snapshots->work, work_remove, on_removed) == 0;
}

static void work_write(uv_work_t *work)
{
    struct snapshots *snapshots = work->data;
    snapshots->work_rc = snapshot_write(snapshots->current);
}

static void on_written(uv_work_t *work, int status);

static void write_begin(struct snapshots *snapshots)
{
    if (!snapshots->working)
        snapshots->working = uv_queue_work(snapshots->loop, &snapshots->work, work_write, on_written) == 0;
}

static void on_written(uv_work_t *work, int status)
{
    (void)status;
    struct snapshots *snapshots = work->data;
    snapshots->working = false;
    if (snapshots->on_closed) {
        handle_closed(snapshots);
        return;
    }
    if (snapshots->work_rc != 0 || snapshots->walk < 0) {
        finish(snapshots, snapshots->walk < 0 ? snapshots->walk : snapshots->work_rc);
        return;
    }
    if (snapshots->walk == SNAPSHOT_WALKED)
        write_begin(snapshots);
    else
        uv_idle_start(&snapshots->walker, on_walker);
}

static void on_walker(uv_idle_t *walker)
{
    struct snapshots *snapshots = walker->data;
    uint64_t end = uv_hrtime() + SNAPSHOTS_SLICE_US * 1000ull;
    do
        snapshots->walk = snapshot_slice(snapshots->current, SLICE_BYTES);
    while (snapshots->walk == SNAPSHOT_WALKING && uv_hrtime() < end);
    if (snapshots->walk != SNAPSHOT_WALKING)
        uv_idle_stop(walker);
    if (snapshots->walk < 0 && !snapshots->working)
        finish(snapshots, snapshots->walk);
    else
        write_begin(snapshots);
}

/* The instant. The log begins a segment, so that all before is unneeded later; where that fails the snapshot is as
 * good.
 */
static int begin(struct snapshots *snapshots, enum snapshot_reason reason)
{
    struct store *store = snapshots->store;
    struct journal *journal = snapshots->journal;
    snapshots->info = (struct snapshot_info){
        .epoch = journal ? journal->epoch : 0, .index = store->index, .time_ns = store->last_time_ns};
    snapshots->reason = reason;
    snapshots->begun_ms = now_ms(snapshots);
    if (journal && journal_write(journal) == 0)
        (void)aof_rotate(journal->aof);
    snapshots->log_bytes_begun = journal ? journal->bytes : 0;
    return snapshot_start(store->tree, snapshots->disk, &snapshots->info, &snapshots->current);
}

/* --- when --------------------------------------------------------------------------------------------------------- */

static const struct snapshots_state *state_now(struct snapshots *snapshots)
{
    struct snapshots_state *state = &snapshots->state;
    state->index = snapshots->store->index;
    state->log_broken = snapshots->journal && journal_error(snapshots->journal) < 0;
    state->log_full = snapshots->journal && snapshots->journal->full;
    state->log_bytes = snapshots->journal ? snapshots->journal->bytes - snapshots->log_bytes_then : 0;
    return state;
}

static void on_timer(uv_timer_t *timer)
{
    struct snapshots *snapshots = timer->data;
    if (snapshots->current || snapshots->working)
        return;
    enum snapshot_reason reason = snapshots_due(&snapshots->policy, state_now(snapshots), now_ms(snapshots));
    if (reason == SNAPSHOT_NOT_DUE)
        return;
    int rc = begin(snapshots, reason);
    if (rc < 0)
        finish_failed(snapshots, rc);
    else
        uv_idle_start(&snapshots->walker, on_walker);
}

uint64_t snapshots_ask(struct snapshots *snapshots)
{
    struct snapshots_state *state = &snapshots->state;
    state->asked = true;
    state->wanted_index = snapshots->store->index;
    state->failed_ms = 0; /* a person asks: now, whatever there was */
    return state->wanted_index;
}

void snapshots_add_info(const struct snapshots *snapshots, struct kv_fields *fields)
{
    uint64_t done = 0, total = 0;
    if (snapshots->current)
        snapshot_progress(snapshots->current, &done, &total);
    fields_number(fields, "persistence.snapshot_index", snapshots->state.last_index);
    fields_number(fields, "persistence.snapshot_bytes", snapshots->state.last_bytes);
    fields_number(fields, "persistence.snapshot_ms", (uint64_t)snapshots->took_ms);
    fields_number(fields, "persistence.snapshot_running", snapshots->current != NULL);
    fields_number(fields, "persistence.snapshot_done", done);
    fields_number(fields, "persistence.snapshot_total", total);
    fields_number(fields, "persistence.snapshots_taken", snapshots->taken);
    fields_number(fields, "persistence.snapshots_failed", snapshots->failed);
    fields_text(fields, "persistence.snapshot_error", "%s",
                snapshots->last_error ? error_text(snapshots->last_error) : "none");
}

/* --- life --------------------------------------------------------------------------------------------------------- */

void snapshots_open(struct snapshots *snapshots, uv_loop_t *loop, struct store *store, struct disk *disk,
                    struct journal *journal, const struct snapshot_policy *policy, const struct snapshot_info *last,
                    uint64_t log_bytes)
{
    *snapshots = (struct snapshots){.loop = loop, .store = store, .disk = disk, .journal = journal, .policy = *policy};
    snapshots->state.last_index = last->index;
    snapshots->state.last_bytes = last->bytes;
    snapshots->state.last_ms = (int64_t)uv_now(loop);
    if (journal)
        snapshots->log_bytes_then = journal->bytes - log_bytes;
    uv_idle_init(loop, &snapshots->walker);
    uv_timer_init(loop, &snapshots->timer);
    uv_unref((uv_handle_t *)&snapshots->timer);
    snapshots->walker.data = snapshots->timer.data = snapshots->work.data = snapshots;
    uv_timer_start(&snapshots->timer, on_timer, SNAPSHOTS_PERIOD_MS, SNAPSHOTS_PERIOD_MS);
}

/* Nobody is served any more. */
static void take_last(struct snapshots *snapshots)
{
    int rc = begin(snapshots, SNAPSHOT_ASKED);
    int walk = SNAPSHOT_WALKING;
    while (rc == 0) {
        if (walk != SNAPSHOT_WALKED)
            walk = snapshot_slice(snapshots->current, SLICE_BYTES_INLINE);
        rc = walk < 0 ? walk : snapshot_write(snapshots->current);
    }
    if (rc < 0)
        finish_failed(snapshots, rc);
    else
        finish_good(snapshots);
    snapshot_end(snapshots->current);
    snapshots->current = NULL;
    if (rc > 0)
        work_remove(&snapshots->work);
}

static void handle_closed(struct snapshots *snapshots)
{
    if (snapshots->open_handles || snapshots->working)
        return;
    snapshot_end(snapshots->current);
    snapshots->current = NULL;
    if (snapshots->policy.at_exit && snapshots->store->index != snapshots->state.last_index)
        take_last(snapshots);
    snapshots->on_closed(snapshots->user);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct snapshots *snapshots = handle->data;
    snapshots->open_handles--;
    handle_closed(snapshots);
}

void snapshots_close(struct snapshots *snapshots, void (*on_closed)(void *user), void *user)
{
    snapshots->on_closed = on_closed;
    snapshots->user = user;
    snapshots->open_handles = 2;
    uv_close((uv_handle_t *)&snapshots->walker, on_handle_closed);
    uv_close((uv_handle_t *)&snapshots->timer, on_handle_closed);
}
