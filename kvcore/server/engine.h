/* A store in a libuv loop: the store itself, its data directory with log and snapshots, and the timer that removes what
 * has expired. kvcored and the embedded mount both are an engine with something that asks it.
 *
 *   engine_open ──> loading: recovery in libuv's pool ──> on_loaded ──> journal, snapshots ... engine_close
 *                   (store->loading: nothing but what works then is answered)
 *
 * Without a data directory, or with persistence none, the store is ready at once and keeps nothing.
 */
#ifndef KV_SERVER_ENGINE_H
#define KV_SERVER_ENGINE_H

#include "kvcore/base/progress.h"
#include "kvcore/log/nodeconf.h"
#include "kvcore/log/recovery.h"
#include "kvcore/server/datadir.h"
#include "kvcore/server/journal.h"
#include "kvcore/server/keeping.h"
#include "kvcore/server/store.h"

#include <stdatomic.h>
#include <uv.h>

struct engine_options {
    const char *dir;           /* data directory; NULL: none */
    uint64_t memory_bytes_max; /* 0: three quarters of the machine's memory */
    enum evict_policy eviction;
    const char *password; /* NULL: none; borrowed */
    const char *mode;     /* for info: "server", "embedded" */
    struct keeping keeping;
    uint32_t lease_ms; /* term of leases; 0: none are given */
};

/* What recovery tells from its thread. */
struct engine_loading {
    struct log_progress progress; /* first: it is cast back */
    _Atomic uint64_t done, total;
    struct nodeconf conf;
    struct recovery recovery;
    char why[512];
    int rc;
};

struct engine {
    uv_loop_t *loop;
    struct store store;
    struct datadir datadir;
    struct keeping keeping;
    struct disk *disk;      /* NULL: nothing is kept */
    struct journal journal; /* with has_journal */
    struct snapshots snapshots;
    bool has_journal, has_snapshots, closing;
    struct coherence coherence; /* where leases are given */
    struct store_backing backing;
    struct store_info_source info;
    uv_timer_t expiry_timer; /* runs while anything has an expiry */
    struct store_sink expiry_sink;
    struct engine_loading loading;
    uv_work_t load_work;
    uv_timer_t load_timer; /* looks how far it is */
    struct progress bar;
    void (*on_loaded)(void *user, int rc, const char *why);
    void *loaded_user;
    void (*on_closed)(void *user);
    void *user;
};

/* Opens the directory, makes the store. Negative with a sentence in `why`. */
int engine_open(struct engine *engine, uv_loop_t *loop, const struct engine_options *options, char *why,
                size_t why_bytes);

/* Begins to load what the directory holds. True: on_loaded fires later, with a sentence in `why` if rc is negative;
 * then the engine can only be closed. False: there is nothing to load. */
bool engine_load(struct engine *engine, void (*on_loaded)(void *user, int rc, const char *why), void *user);
/* The same, and returns when it is done. Negative with a sentence in `why`. */
int engine_load_now(struct engine *engine, char *why, size_t why_bytes);
bool engine_is_loading(const struct engine *engine);

/* What answers have to wait for; NULL: nothing. Once it is loaded. */
struct journal *engine_journal(struct engine *engine);

/* Writes and syncs all. on_closed fires when nothing of it is left in the loop. Not while it is loading. */
void engine_close(struct engine *engine, void (*on_closed)(void *user), void *user);

#endif
