/* A store in a libuv loop: the store itself, its data directory, and the timer that removes what has expired. kvcored
 * and the embedded mount both are an engine with something that asks it.
 */
#ifndef KV_SERVER_ENGINE_H
#define KV_SERVER_ENGINE_H

#include "kvcore/server/datadir.h"
#include "kvcore/server/store.h"

#include <uv.h>

struct engine {
    uv_loop_t *loop;
    struct store store;
    struct datadir datadir;
    struct coherence coherence; /* where leases are given */
    uv_timer_t expiry_timer;    /* runs while anything has an expiry */
    struct store_sink expiry_sink;
    void (*on_closed)(void *user);
    void *user;
};

struct engine_options {
    const char *dir;           /* data directory; NULL: none */
    uint64_t memory_bytes_max; /* 0: three quarters of the machine's memory */
    enum evict_policy eviction;
    const char *password; /* NULL: none; borrowed */
    const char *mode;     /* for info: "server", "embedded" */
    uint32_t lease_ms;    /* term of leases; 0: none are given */
};

/* Opens the directory, makes the store. Negative with a sentence in `why`. */
int engine_open(struct engine *engine, uv_loop_t *loop, const struct engine_options *options, char *why,
                size_t why_bytes);

/* on_closed fires when nothing of it is left in the loop. */
void engine_close(struct engine *engine, void (*on_closed)(void *user), void *user);

#endif
