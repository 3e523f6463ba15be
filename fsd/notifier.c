#define FUSE_USE_VERSION 312
#include "fsd/notifier.h"

#include "fsd/inodes.h"
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/base/log.h"

#include <fuse_lowlevel.h>

/* As it lies in the buffer; the name follows, with a terminator. */
struct notice {
    uint64_t id;
    uint32_t name_bytes; /* with the terminator; 0: it is about the inode */
    uint32_t data;
};

/* An inode or a name that the kernel does not know is no error: there is nothing to drop. */
static void tell(struct notifier *notifier, const struct notice *notice, const char *name)
{
    struct fuse_session *session = notifier->session;
    if (notice->name_bytes)
        fuse_lowlevel_notify_inval_entry(session, ino_of_id(notice->id), name, notice->name_bytes - 1);
    else if (fuse_lowlevel_notify_inval_inode(session, ino_of_id(notice->id), notice->data ? 0 : -1, 0) == -ENOENT)
        notifier->missed = true;
}

static void tell_all(struct notifier *notifier, const struct buf *told)
{
    struct notice notice;
    for (size_t at = 0; at < told->len && !notifier->stopping; at += sizeof notice + notice.name_bytes) {
        memcpy(&notice, told->data + at, sizeof notice);
        tell(notifier, &notice, told->data + at + sizeof notice);
    }
}

static void run(void *user)
{
    struct notifier *notifier = user;
    struct buf told = {0};
    uv_mutex_lock(&notifier->mutex);
    while (!notifier->stopping) {
        if (!notifier->waiting.len) {
            uv_cond_wait(&notifier->work, &notifier->mutex);
            continue;
        }
        struct buf emptied = told;
        told = notifier->waiting;
        notifier->waiting = emptied;
        notifier->telling = true;
        uv_mutex_unlock(&notifier->mutex);
        tell_all(notifier, &told);
        told.len = 0;
        uv_mutex_lock(&notifier->mutex);
        notifier->telling = false;
        if (!notifier->waiting.len)
            uv_async_send(&notifier->told);
    }
    notifier->ended = true;
    uv_async_send(&notifier->told);
    uv_mutex_unlock(&notifier->mutex);
    buf_close(&told);
}

static void on_told_closed(uv_handle_t *handle)
{
    struct notifier *notifier = handle->data;
    uv_cond_destroy(&notifier->work);
    uv_mutex_destroy(&notifier->mutex);
    buf_close(&notifier->waiting);
    notifier->on_stopped(notifier->user);
}

static void on_async(uv_async_t *async)
{
    struct notifier *notifier = async->data;
    uv_mutex_lock(&notifier->mutex);
    bool all = !notifier->telling && !notifier->waiting.len, ended = notifier->ended;
    uv_mutex_unlock(&notifier->mutex);
    if (ended) {
        uv_thread_join(&notifier->thread);
        uv_close((uv_handle_t *)&notifier->told, on_told_closed);
    } else if (all && !notifier->stopping) {
        notifier->on_told(notifier->user);
    }
}

bool notifier_missed(struct notifier *notifier) { return atomic_exchange(&notifier->missed, false); }

static bool add(struct notifier *notifier, const struct notice *notice, struct bytes name)
{
    if (!notifier->started || notifier->stopping)
        return false;
    uv_mutex_lock(&notifier->mutex);
    struct buf *waiting = &notifier->waiting;
    size_t need = sizeof *notice + notice->name_bytes;
    bool fits = waiting->len + need <= NOTIFIER_BYTES_MAX && buf_reserve(waiting, need) == 0;
    if (fits) {
        CHECK(buf_append(waiting, notice, sizeof *notice) == 0);
        if (notice->name_bytes)
            CHECK(buf_append(waiting, name.data, name.len) == 0 && buf_append(waiting, "", 1) == 0);
        uv_cond_signal(&notifier->work);
    }
    uv_mutex_unlock(&notifier->mutex);
    if (!fits)
        log_error("too many changes for the kernel to take notice of: the mount may show old data");
    return fits;
}

bool notifier_inode(struct notifier *notifier, uint64_t id, bool data)
{
    return add(notifier, &(struct notice){.id = id, .data = data}, (struct bytes){0});
}

bool notifier_entry(struct notifier *notifier, uint64_t dir, struct bytes name)
{
    return add(notifier, &(struct notice){.id = dir, .name_bytes = (uint32_t)name.len + 1}, name);
}

int notifier_start(struct notifier *notifier, uv_loop_t *loop, struct fuse_session *session,
                   void (*on_told)(void *user), void *user)
{
    *notifier = (struct notifier){.session = session, .on_told = on_told, .user = user};
    int rc = uv_mutex_init(&notifier->mutex);
    if (rc < 0)
        return rc;
    if ((rc = uv_cond_init(&notifier->work)) < 0)
        goto err_mutex;
    if ((rc = uv_async_init(loop, &notifier->told, on_async)) < 0)
        goto err_work;
    notifier->told.data = notifier;
    if ((rc = uv_thread_create(&notifier->thread, run, notifier)) < 0)
        goto err_told;
    notifier->started = true;
    return 0;

err_told:
    uv_close((uv_handle_t *)&notifier->told, NULL);
err_work:
    uv_cond_destroy(&notifier->work);
err_mutex:
    uv_mutex_destroy(&notifier->mutex);
    return rc;
}

bool notifier_stop(struct notifier *notifier, void (*on_stopped)(void *user))
{
    if (!notifier->started)
        return false;
    uv_mutex_lock(&notifier->mutex);
    notifier->on_stopped = on_stopped;
    notifier->stopping = true;
    uv_cond_signal(&notifier->work);
    uv_mutex_unlock(&notifier->mutex);
    return true;
}
