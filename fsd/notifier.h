/* Tells the kernel to drop what it has cached of something that changed behind its back: an embedded store is open to
 * `kv` and drops expired keys by itself, while the kernel keeps what it was told without a limit.
 *
 * The kernel may let such a notification wait for a request that this daemon has yet to answer (it takes the
 * directory's lock, or waits for a page that is being read). So a thread of its own writes it, while the loop goes on
 * serving. notifier_wait gives the usual case, in which nothing is in the way, the time to be done before whoever made
 * the change has an answer; NOTIFIER_WAIT_MS bounds what the other case costs. Order is kept.
 */
#ifndef KV_FSD_NOTIFIER_H
#define KV_FSD_NOTIFIER_H

#include "kvcore/base/buf.h"

#include <uv.h>

enum {
    NOTIFIER_WAIT_MS = 2,
    NOTIFIER_BYTES_MAX = 64 << 20, /* of notices that wait; at it, one is dropped and the log says so */
};

struct fuse_session;

struct notifier {
    struct fuse_session *session;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t work; /* there is something to tell, or it is time to end */
    uv_cond_t idle; /* all has been told */
    struct buf waiting;
    bool busy;
    bool stopping;
    bool started;
};

/* Borrows the session. libuv's error. */
int notifier_start(struct notifier *notifier, struct fuse_session *session);
/* The session must be closed to the kernel already, or this may wait for it. Accepts one that never started. */
void notifier_stop(struct notifier *notifier);

/* The node's attributes have changed, and with `data` its bytes. */
void notifier_inode(struct notifier *notifier, uint64_t id, bool data);
/* What the name in this directory leads to has changed, and so has the directory. */
void notifier_entry(struct notifier *notifier, uint64_t dir, struct bytes name);

/* Until everything has been told, but not for long. */
void notifier_wait(struct notifier *notifier);

#endif
