#define FUSE_USE_VERSION 312
#include "fsd/notifier.h"

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
static void tell(struct fuse_session *session, const struct notice *notice, const char *name)
{
    if (notice->name_bytes)
        fuse_lowlevel_notify_inval_entry(session, notice->id, name, notice->name_bytes - 1);
    else
        fuse_lowlevel_notify_inval_inode(session, notice->id, notice->data ? 0 : -1, 0);
}

static void tell_all(struct fuse_session *session, const struct buf *told)
{
    struct notice notice;
    for (size_t at = 0; at < told->len; at += sizeof notice + notice.name_bytes) {
        memcpy(&notice, told->data + at, sizeof notice);
        tell(session, &notice, told->data + at + sizeof notice);
    }
}

static void run(void *user)
{
    struct notifier *notifier = user;
    struct buf told = {0};
    uv_mutex_lock(&notifier->mutex);
    while (!notifier->stopping) {
        if (!notifier->waiting.len) {
            notifier->busy = false;
            uv_cond_signal(&notifier->idle);
            uv_cond_wait(&notifier->work, &notifier->mutex);
            continue;
        }
        struct buf emptied = told;
        told = notifier->waiting;
        notifier->waiting = emptied;
        uv_mutex_unlock(&notifier->mutex);
        tell_all(notifier->session, &told);
        told.len = 0;
        uv_mutex_lock(&notifier->mutex);
    }
    notifier->busy = false;
    uv_cond_signal(&notifier->idle);
    uv_mutex_unlock(&notifier->mutex);
    buf_close(&told);
}

static void add(struct notifier *notifier, const struct notice *notice, struct bytes name)
{
    if (!notifier->started)
        return;
    uv_mutex_lock(&notifier->mutex);
    struct buf *waiting = &notifier->waiting;
    size_t need = sizeof *notice + notice->name_bytes;
    if (waiting->len + need > NOTIFIER_BYTES_MAX || buf_reserve(waiting, need) < 0) {
        log_error("the kernel takes no notice of changes: the mount may show old data");
    } else {
        CHECK(buf_append(waiting, notice, sizeof *notice) == 0);
        if (notice->name_bytes)
            CHECK(buf_append(waiting, name.data, name.len) == 0 && buf_append(waiting, "", 1) == 0);
        notifier->busy = true;
        uv_cond_signal(&notifier->work);
    }
    uv_mutex_unlock(&notifier->mutex);
}

void notifier_inode(struct notifier *notifier, uint64_t id, bool data)
{
    add(notifier, &(struct notice){.id = id, .data = data}, (struct bytes){0});
}

void notifier_entry(struct notifier *notifier, uint64_t dir, struct bytes name)
{
    add(notifier, &(struct notice){.id = dir, .name_bytes = (uint32_t)name.len + 1}, name);
}

void notifier_wait(struct notifier *notifier)
{
    if (!notifier->started)
        return;
    uint64_t now = uv_hrtime(), end = now + NOTIFIER_WAIT_MS * 1000000ull;
    uv_mutex_lock(&notifier->mutex);
    for (; notifier->busy && now < end; now = uv_hrtime())
        uv_cond_timedwait(&notifier->idle, &notifier->mutex, end - now);
    uv_mutex_unlock(&notifier->mutex);
}

int notifier_start(struct notifier *notifier, struct fuse_session *session)
{
    *notifier = (struct notifier){.session = session};
    int rc = uv_mutex_init(&notifier->mutex);
    if (rc < 0)
        return rc;
    if ((rc = uv_cond_init(&notifier->work)) < 0)
        goto err_mutex;
    if ((rc = uv_cond_init(&notifier->idle)) < 0)
        goto err_work;
    if ((rc = uv_thread_create(&notifier->thread, run, notifier)) < 0)
        goto err_idle;
    notifier->started = true;
    return 0;

err_idle:
    uv_cond_destroy(&notifier->idle);
err_work:
    uv_cond_destroy(&notifier->work);
err_mutex:
    uv_mutex_destroy(&notifier->mutex);
    return rc;
}

void notifier_stop(struct notifier *notifier)
{
    if (!notifier->started)
        return;
    uv_mutex_lock(&notifier->mutex);
    notifier->stopping = true;
    uv_cond_signal(&notifier->work);
    uv_mutex_unlock(&notifier->mutex);
    uv_thread_join(&notifier->thread);
    uv_cond_destroy(&notifier->idle);
    uv_cond_destroy(&notifier->work);
    uv_mutex_destroy(&notifier->mutex);
    buf_close(&notifier->waiting);
    notifier->started = false;
}
