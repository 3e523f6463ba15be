#include "kvcore/server/engine.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/log.h"
#include "kvcore/server/fields.h"

#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

/* How jemalloc is to keep the memory of a store (jemalloc(3); MALLOC_CONF in the environment goes before): chunks of a
 * removed file serve the next one although they have grown together meanwhile. By default they would be too large to be
 * cut, so that new memory would be taken, and each rewrite of a large file would make the process larger for a while.
 *
 * Not thp:always: it takes a third off the time of long writes, but now and then the kernel moves memory for seconds
 * before it has huge pages to give. */
extern const char *malloc_conf;
const char *malloc_conf = "lg_extent_max_active_fit:16";

enum {
    EXPIRY_PERIOD_MS = 100,
    EXPIRY_SLICE = 100,
    EXPIRY_BUDGET_NS = 5000000,
    LOAD_LOOK_MS = 50,
    SEGMENT_BYTES = 64 << 20, /* of the log: what recovery reads and removal frees at a time */
};

static void on_expiry_timer(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    uint64_t start = uv_hrtime(); /* a million keys may go at once: most of the time is still for clients */
    while (store_expire(&engine->store, EXPIRY_SLICE) == EXPIRY_SLICE && uv_hrtime() - start < EXPIRY_BUDGET_NS)
        continue;
    if (uv_hrtime() - start >= EXPIRY_BUDGET_NS)
        uv_timer_start(timer, on_expiry_timer, EXPIRY_BUDGET_NS / 1000000, EXPIRY_PERIOD_MS);
    if (engine->store.tree->expiry.count == 0)
        uv_timer_stop(timer);
}

/* Something got an expiry: from now on the timer looks. */
static void on_effect(struct store_sink *sink, const struct session *from, const struct effect *effect)
{
    (void)from;
    struct engine *engine = (struct engine *)((char *)sink - offsetof(struct engine, expiry_sink));
    if (effect->kind == EFFECT_EXPIRE && !engine->closing && !uv_is_active((uv_handle_t *)&engine->expiry_timer))
        uv_timer_start(&engine->expiry_timer, on_expiry_timer, EXPIRY_PERIOD_MS, EXPIRY_PERIOD_MS);
}

static uint64_t memory_of_machine(void) { return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE); }

static int make_store(struct engine *engine, const struct engine_options *options)
{
    struct store_options store = {
        .memory_bytes_max = options->memory_bytes_max ? options->memory_bytes_max : memory_of_machine() / 4 * 3,
        .eviction = options->eviction,
        .password = options->password,
        .root_uid = getuid(),
        .root_gid = getgid(),
        .root_mode = 0755,
        .clock = clock_system(),
        .mode = options->mode,
        .durability = persistence_logs(engine->keeping.persistence) ? engine->keeping.durability : DURABILITY_MEMORY,
    };
    if (getrandom(&store.hash_seed, sizeof store.hash_seed, 0) != sizeof store.hash_seed)
        return -EIO;
    uint64_t seed = store.hash_seed ^ 0x6c65617365ull; /* so that no name's hash tells its place in a directory */
    int rc = store_init(&engine->store, &store);
    if (rc < 0 || !options->lease_ms)
        return rc;
    rc = coherence_init(&engine->coherence, options->lease_ms, seed, store.clock);
    if (rc < 0)
        store_close(&engine->store);
    else
        engine->store.coherence = &engine->coherence;
    return rc;
}

/* --- what stands behind it on disk ------------------------------------------------------------------------------- */

static struct engine *engine_of(struct store_backing *backing)
{
    return (struct engine *)((char *)backing - offsetof(struct engine, backing));
}

static int admit(struct store_backing *backing, uint64_t bytes, bool shrinks, struct kv_reply *reply)
{
    struct engine *engine = engine_of(backing);
    return engine->has_journal ? journal_room(&engine->journal, bytes, shrinks, reply) : 0;
}

static int ask_snapshot(struct store_backing *backing, struct kv_reply *reply, uint64_t *ret_index)
{
    (void)reply;
    *ret_index = snapshots_ask(&engine_of(backing)->snapshots);
    return 0;
}

static void add_info(struct store_info_source *source, struct kv_fields *fields)
{
    const struct engine *engine = (struct engine *)((char *)source - offsetof(struct engine, info));
    const struct recovery *recovery = &engine->loading.recovery;
    bool loading = engine->store.loading;
    fields_text(fields, "persistence.mode", "%s", persistence_name(engine->keeping.persistence));
    fields_text(fields, "persistence.durability", "%s", durability_name(engine->store.options.durability));
    fields_text(fields, "persistence.node", "%016llx", (unsigned long long)engine->loading.conf.node_id);
    fields_number(fields, "persistence.loading", loading);
    fields_number(fields, "persistence.loaded_percent", loading ? engine->store.loaded_percent : 100);
    fields_number(fields, "persistence.loaded_records", loading ? 0 : recovery->records);
    fields_number(fields, "persistence.torn_bytes", loading ? 0 : recovery->torn_bytes);
    if (engine->has_journal)
        journal_add_info(&engine->journal, fields);
    if (engine->has_snapshots)
        snapshots_add_info(&engine->snapshots, fields);
}

/* --- loading ------------------------------------------------------------------------------------------------------ */

static unsigned percent_of(const struct engine_loading *loading)
{
    uint64_t total = atomic_load(&loading->total), done = atomic_load(&loading->done);
    return total ? (unsigned)(done < total ? (double)done / (double)total * 100 : 100) : 0;
}

/* From recovery's thread. */
static void on_progress(struct log_progress *progress, uint64_t done_bytes, uint64_t total_bytes)
{
    struct engine_loading *loading = (struct engine_loading *)progress;
    atomic_store(&loading->total, total_bytes);
    atomic_store(&loading->done, done_bytes);
}

/* Who this node is, and whether a newer kvfs was here. A directory that has no node.conf gets one when all else is
 * read.
 */
static int identify(struct engine *engine, bool *ret_new)
{
    struct engine_loading *loading = &engine->loading;
    int rc = nodeconf_load(engine->disk, &loading->conf, loading->why, sizeof loading->why);
    *ret_new = rc == -ENOENT;
    if (rc != -ENOENT)
        return rc;
    loading->conf = (struct nodeconf){0};
    loading->why[0] = '\0';
    while (loading->conf.node_id == 0)
        if (getrandom(&loading->conf.node_id, sizeof loading->conf.node_id, 0) != sizeof loading->conf.node_id)
            return -EIO;
    return 0;
}

static void recover(struct engine *engine)
{
    const struct store_options *store = &engine->store.options;
    struct engine_loading *loading = &engine->loading;
    struct recovery_options options = {
        .log = true, /* also where none is kept any more: nothing that is there is passed over */
        .snapshots = true,
        .hash_seed = store->hash_seed,
        .root_uid = store->root_uid,
        .root_gid = store->root_gid,
        .root_mode = store->root_mode,
        .time_ns = clock_real_ns(store->clock),
    };
    bool is_new;
    loading->rc = identify(engine, &is_new);
    if (loading->rc < 0)
        return;
    loading->rc = recovery_run(engine->disk, &options, &loading->progress, NULL, &loading->recovery, loading->why,
                               sizeof loading->why);
    if (loading->rc < 0 || !is_new)
        return;
    loading->rc = nodeconf_save(engine->disk, &loading->conf);
    if (loading->rc < 0)
        snprintf(loading->why, sizeof loading->why, "cannot write %s in the data directory: %s", NODECONF_NAME,
                 error_text(loading->rc));
}

static int open_log(struct engine *engine, char *why, size_t why_bytes)
{
    const struct recovery *recovery = &engine->loading.recovery;
    struct aof_options options = {.segment_bytes = SEGMENT_BYTES, .epoch = recovery->epoch};
    struct aof *aof;
    int rc = aof_open(engine->disk, &options, recovery->index, recovery->segment[0] ? recovery->segment : NULL,
                      recovery->segment_bytes, &aof);
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot open the log for writing: %s", error_text(rc));
        return rc;
    }
    journal_open(&engine->journal, engine->loop, &engine->store, aof, recovery->epoch);
    engine->has_journal = true;
    return 0;
}

/* The snapshot that recovery began with. */
static struct snapshot_info last_snapshot(const struct engine *engine)
{
    const struct recovery *recovery = &engine->loading.recovery;
    struct snapshot_info info = {.epoch = recovery->epoch};
    struct disk_file *file;
    if (!recovery->snapshot[0] || !snapshot_index_of(recovery->snapshot, &info.index))
        return (struct snapshot_info){0};
    if (disk_open(engine->disk, recovery->snapshot, 0, &file) == 0) {
        (void)disk_size(file, &info.bytes);
        disk_close(file);
    }
    return info;
}

static void tell_loaded(const struct engine *engine)
{
    const struct recovery *recovery = &engine->loading.recovery;
    if (recovery->report[0])
        log_warning("%s", recovery->report);
    if (recovery->index)
        log_info("loaded up to index %llu: %s%s, %llu records of the log", (unsigned long long)recovery->index,
                 recovery->snapshot[0] ? "snapshot " : "no snapshot", recovery->snapshot,
                 (unsigned long long)recovery->records);
}

/* What recovery found becomes the store's. */
static int take_over(struct engine *engine, char *why, size_t why_bytes)
{
    struct engine_loading *loading = &engine->loading;
    if (loading->rc < 0) {
        snprintf(why, why_bytes, "%s", loading->why[0] ? loading->why : error_text(loading->rc));
        return loading->rc;
    }
    store_adopt(&engine->store, loading->recovery.tree, loading->recovery.index, loading->recovery.time_ns);
    loading->recovery.tree = NULL;
    tell_loaded(engine);
    int rc = persistence_logs(engine->keeping.persistence) ? open_log(engine, why, why_bytes) : 0;
    if (rc < 0)
        return rc;
    struct snapshot_info last = last_snapshot(engine);
    snapshots_open(&engine->snapshots, engine->loop, &engine->store, engine->disk,
                   engine->has_journal ? &engine->journal : NULL, &engine->keeping.snapshots, &last,
                   engine->has_journal ? aof_bytes(engine->journal.aof) : 0);
    engine->has_snapshots = true;
    engine->backing = (struct store_backing){admit, ask_snapshot};
    engine->store.backing = &engine->backing;
    engine->store.loading = false;
    size_t orphans = store_release_orphans(&engine->store);
    if (orphans)
        log_info("%zu files without a name are let go: nobody has them open any more", orphans);
    if (engine->store.tree->expiry.count)
        uv_timer_start(&engine->expiry_timer, on_expiry_timer, EXPIRY_PERIOD_MS, EXPIRY_PERIOD_MS);
    return 0;
}

static void on_load_timer(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    engine->store.loaded_percent = percent_of(&engine->loading);
    progress_show_part(&engine->bar, atomic_load(&engine->loading.done), atomic_load(&engine->loading.total));
}

static void work_load(uv_work_t *work) { recover(work->data); }

static void on_load_end(uv_work_t *work, int status)
{
    (void)status;
    struct engine *engine = work->data;
    char why[sizeof engine->loading.why] = "";
    uv_timer_stop(&engine->load_timer);
    progress_clear(&engine->bar);
    int rc = take_over(engine, why, sizeof why);
    engine->on_loaded(engine->loaded_user, rc, why);
}

bool engine_load(struct engine *engine, void (*on_loaded)(void *user, int rc, const char *why), void *user)
{
    if (!engine->store.loading)
        return false;
    engine->on_loaded = on_loaded;
    engine->loaded_user = user;
    progress_begin(&engine->bar, "loading", false);
    uv_timer_start(&engine->load_timer, on_load_timer, LOAD_LOOK_MS, LOAD_LOOK_MS);
    CHECK(uv_queue_work(engine->loop, &engine->load_work, work_load, on_load_end) == 0);
    return true;
}

/* Draws from the only thread there is. */
static void on_progress_now(struct log_progress *progress, uint64_t done_bytes, uint64_t total_bytes)
{
    struct engine *engine = (struct engine *)((char *)progress - offsetof(struct engine, loading.progress));
    progress_show_part(&engine->bar, done_bytes, total_bytes);
}

int engine_load_now(struct engine *engine, char *why, size_t why_bytes)
{
    if (!engine->store.loading)
        return 0;
    progress_begin(&engine->bar, "loading", false);
    engine->loading.progress.on_progress = on_progress_now;
    recover(engine);
    progress_clear(&engine->bar);
    return take_over(engine, why, why_bytes);
}

bool engine_is_loading(const struct engine *engine) { return engine->store.loading; }

struct journal *engine_journal(struct engine *engine) { return engine->has_journal ? &engine->journal : NULL; }

/* --- life --------------------------------------------------------------------------------------------------------- */

static int open_directory(struct engine *engine, const char *dir, char *why, size_t why_bytes)
{
    int rc = datadir_open(&engine->datadir, dir, why, why_bytes);
    if (rc < 0 || engine->keeping.persistence == PERSISTENCE_NONE)
        return rc;
    rc = disk_system(dir, &engine->disk);
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot open the data directory '%s': %s", dir, error_text(rc));
        datadir_close(&engine->datadir);
    }
    return rc;
}

int engine_open(struct engine *engine, uv_loop_t *loop, const struct engine_options *options, char *why,
                size_t why_bytes)
{
    *engine = (struct engine){.loop = loop, .datadir = {-1}, .keeping = options->keeping};
    if (!options->dir)
        engine->keeping.persistence = PERSISTENCE_NONE;
    keeping_settle(&engine->keeping);
    int rc = options->dir ? open_directory(engine, options->dir, why, why_bytes) : 0;
    if (rc < 0)
        return rc;
    rc = make_store(engine, options);
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot make the store: %s", error_text(rc));
        disk_free(engine->disk);
        datadir_close(&engine->datadir);
        return rc;
    }
    uv_timer_init(loop, &engine->expiry_timer);
    uv_timer_init(loop, &engine->load_timer);
    uv_unref((uv_handle_t *)&engine->expiry_timer); /* it alone keeps no loop alive */
    engine->expiry_timer.data = engine->load_timer.data = engine->load_work.data = engine;
    engine->loading.progress.on_progress = on_progress;
    engine->store.loading = engine->disk != NULL;
    engine->info.add = add_info;
    store_add_info_source(&engine->store, &engine->info);
    engine->expiry_sink.on_effect = on_effect;
    store_add_sink(&engine->store, &engine->expiry_sink);
    return 0;
}

static void on_expiry_timer_closed(uv_handle_t *handle)
{
    struct engine *engine = handle->data;
    if (engine->store.coherence)
        coherence_close(&engine->coherence);
    store_close(&engine->store);
    disk_free(engine->disk);
    datadir_close(&engine->datadir);
    if (engine->on_closed)
        engine->on_closed(engine->user);
}

static void on_load_timer_closed(uv_handle_t *handle)
{
    struct engine *engine = handle->data;
    uv_close((uv_handle_t *)&engine->expiry_timer, on_expiry_timer_closed);
}

static void on_journal_closed(void *user)
{
    struct engine *engine = user;
    engine->has_journal = false;
    engine->store.backing = NULL;
    uv_close((uv_handle_t *)&engine->load_timer, on_load_timer_closed);
}

static void on_snapshots_closed(void *user)
{
    struct engine *engine = user;
    if (engine->has_journal)
        journal_close(&engine->journal, on_journal_closed, engine);
    else
        on_journal_closed(engine);
}

/* Snapshots first, since a last one may be taken, which begins a segment of the log. */
void engine_close(struct engine *engine, void (*on_closed)(void *user), void *user)
{
    engine->on_closed = on_closed;
    engine->user = user;
    engine->closing = true; /* from here on time changes nothing any more: the log is about to end */
    uv_timer_stop(&engine->expiry_timer);
    if (engine->has_snapshots)
        snapshots_close(&engine->snapshots, on_snapshots_closed, engine);
    else
        on_snapshots_closed(engine);
}
