#include "kvcore/server/engine.h"

#include "kvcore/base/error.h"

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

enum { EXPIRY_PERIOD_MS = 100, EXPIRY_SLICE = 100, EXPIRY_BUDGET_NS = 5000000 };

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
    if (effect->kind == EFFECT_EXPIRE && !uv_is_active((uv_handle_t *)&engine->expiry_timer))
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

int engine_open(struct engine *engine, uv_loop_t *loop, const struct engine_options *options, char *why,
                size_t why_bytes)
{
    *engine = (struct engine){.loop = loop, .datadir = {-1}};
    int rc = options->dir ? datadir_open(&engine->datadir, options->dir, why, why_bytes) : 0;
    if (rc < 0)
        return rc;
    rc = make_store(engine, options);
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot make the store: %s", error_text(rc));
        datadir_close(&engine->datadir);
        return rc;
    }
    uv_timer_init(loop, &engine->expiry_timer);
    uv_unref((uv_handle_t *)&engine->expiry_timer); /* it alone keeps no loop alive */
    engine->expiry_timer.data = engine;
    engine->expiry_sink.on_effect = on_effect;
    store_add_sink(&engine->store, &engine->expiry_sink);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct engine *engine = handle->data;
    if (engine->store.coherence)
        coherence_close(&engine->coherence);
    store_close(&engine->store);
    datadir_close(&engine->datadir);
    if (engine->on_closed)
        engine->on_closed(engine->user);
}

void engine_close(struct engine *engine, void (*on_closed)(void *user), void *user)
{
    engine->on_closed = on_closed;
    engine->user = user;
    uv_close((uv_handle_t *)&engine->expiry_timer, on_timer_closed);
}
