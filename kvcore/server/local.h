/* The embedded store: an engine in this process, offered as a backend, and to `kv` through the Unix socket in its data
 * directory.
 *
 * Requests through the backend are answered at once, unless the answer has to wait for the disk to sync: then it comes
 * later. What only has to be written is written inside the call, a write(2) each: it takes less time than what the
 * kernel needs to bring the request. Other clients may come over the socket while they run; what they change is told
 * through local_watch, so that the owner can drop what it has cached and keep what it has open.
 */
#ifndef KV_SERVER_LOCAL_H
#define KV_SERVER_LOCAL_H

#include "kvcore/rpc/backend.h"
#include "kvcore/server/changes.h"
#include "kvcore/server/engine.h"

#include <uv.h>

struct local;

/* Takes the data directory (created if missing) and loads what it holds, with a progress bar on a terminal. Negative
 * with a sentence in `why`. */
int local_open(uv_loop_t *loop, const char *dir, const struct keeping *keeping, struct local **ret_local, char *why,
               size_t why_bytes);

/* The store as a backend; valid until local_close. */
struct backend *local_backend(struct local *local);

/* Who caches what the backend told, and has files open in it. */
struct local_watcher {
    /* Somebody else has changed the store, or time has: these are to be forgotten. */
    void (*on_change)(struct local_watcher *watcher, const struct change *changes, size_t count);
    /* Somebody else is about to take a node's last name away. True: it is in use here; it is then held for the
     * backend's session, as if the backend had unlinked it with the option `hold`, and to be released like that. */
    bool (*wants)(struct local_watcher *watcher, uint64_t id);
};

/* Borrows the watcher until local_close. */
void local_watch(struct local *local, struct local_watcher *watcher);

/* While held, clients at the socket get no answers: what they changed or would see is not yet so for everybody, as long
 * as the owner has caches to drop. Requests through the backend go on. */
void local_hold_answers(struct local *local, bool held);

/* Stops listening and frees itself; on_closed (may be NULL) fires when nothing of it is left in the loop. */
void local_close(struct local *local, void (*on_closed)(void *user), void *user);

#endif
