/* Tells the kernel to drop what it has cached of something that changed behind its back: an embedded store is open to
 * `kv` and drops expired keys by itself, while the kernel keeps what it was told without a limit.
 *
 * The kernel may let such a notification wait for a request that this daemon has yet to answer (it takes the
 * directory's lock, or waits for a page that is being read). So a thread of its own writes it, while the loop goes on
 * serving. Order is kept. Whoever made the change is to have no answer before on_told says that all has been told.
 */
#ifndef KV_FSD_NOTIFIER_H
#define KV_FSD_NOTIFIER_H

#include "kvcore/base/buf.h"

#include <stdatomic.h>
#include <uv.h>

enum { NOTIFIER_BYTES_MAX = 64 << 20 /* of notices that wait; at it, one is dropped and the log says so */ };

struct fuse_session;

struct notifier {
    struct fuse_session *session;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t work; /* there is something to tell, or it is time to end */
    struct buf waiting;
    bool telling;       /* the thread is at it */
    atomic_bool missed; /* the kernel did not know an inode */
    bool started;
    bool ended; /* the thread is about to return */
    atomic_bool stopping;
    uv_async_t told; /* from the thread to the loop */
    void (*on_told)(void *user);
    void (*on_stopped)(void *user);
    void *user;
};

/* Borrows the session. on_told fires in the loop whenever all notices so far have been told. libuv's error. */
int notifier_start(struct notifier *notifier, uv_loop_t *loop, struct fuse_session *session,
                   void (*on_told)(void *user), void *user);
/* Begins to stop: what is waiting is dropped, and on_told does not fire any more. True: on_stopped follows, from the
 * loop, as soon as the kernel lets go of the notice that is being told; it may wait for an answer of this daemon, so
 * requests must be served until then. False: there is nothing to stop, it never started. */
bool notifier_stop(struct notifier *notifier, void (*on_stopped)(void *user));

/* The node's attributes have changed, and with `data` its bytes. False: nothing will be told (not started, or the bound
 * is reached). */
bool notifier_inode(struct notifier *notifier, uint64_t id, bool data);
/* Has the kernel not known an inode that it was told of, since this was asked last? */
bool notifier_missed(struct notifier *notifier);
/* What the name in this directory leads to has changed, and so has the directory. */
bool notifier_entry(struct notifier *notifier, uint64_t dir, struct bytes name);

#endif
