#include "fsd/recalls.h"

#include "kvcore/base/error.h"

#include <linux/fuse.h>
#include <unistd.h>

enum { NOTIFY_INC_EPOCH = 8 }; /* enum fuse_notify_code of Linux 6.16 */

/* False: the kernel knows no epochs. */
static bool epoch_begins(struct fs *fs)
{
    struct fuse_out_header header = {.len = sizeof header, .error = NOTIFY_INC_EPOCH};
    return write(fuse_session_fd(fs->session), &header, sizeof header) == sizeof header;
}

static void attributes_expire(struct fs *fs, uint64_t id)
{
    fuse_lowlevel_notify_inval_inode(fs->session, ino_of_id(id), -1, 0);
}

static bool kernel_knows(const struct fs *fs, uint64_t id)
{
    return id == FUSE_ROOT_ID || inodes_lookups(&fs->inodes, id);
}

static void forget_waiting(struct recalls *recalls)
{
    uv_timer_stop(&recalls->timer);
    recalls->nodes.len = 0;
    recalls->entries = false;
}

static void acknowledge(struct recalls *recalls)
{
    uint64_t ticket = recalls->ticket;
    recalls->ticket = 0;
    forget_waiting(recalls);
    if (ticket)
        recalls->acknowledge(recalls->user, ticket);
}

void recalls_init(struct recalls *recalls, uv_loop_t *loop, struct fs *fs, struct notifier *notifier,
                  void (*on_done)(void *user, uint64_t ticket), void *user)
{
    *recalls = (struct recalls){.fs = fs, .notifier = notifier, .acknowledge = on_done, .user = user};
    uv_timer_init(loop, &recalls->timer);
    recalls->timer.data = recalls;
}

void recalls_start(struct recalls *recalls, bool notifies)
{
    struct fs *fs = recalls->fs;
    recalls->started = notifies;
    fs->keeps_entries = notifies && epoch_begins(fs);
    fs->leased = notifies && recalls->held;
}

void recalls_close(struct recalls *recalls)
{
    recalls->started = false;
    acknowledge(recalls);
    buf_close(&recalls->nodes);
    uv_close((uv_handle_t *)&recalls->timer, NULL);
}

/* Without a lock: nothing that the waiting notices are about is valid any more. */
static void expire_waiting(struct recalls *recalls)
{
    struct fs *fs = recalls->fs;
    uint64_t id;
    if (recalls->entries && fs->keeps_entries)
        epoch_begins(fs);
    for (size_t at = 0; at < recalls->nodes.len; at += sizeof id) {
        memcpy(&id, recalls->nodes.data + at, sizeof id);
        attributes_expire(fs, id);
    }
    recalls->stuck++;
}

static void expire_all(struct recalls *recalls)
{
    struct fs *fs = recalls->fs;
    if (fs->keeps_entries)
        epoch_begins(fs);
    attributes_expire(fs, FUSE_ROOT_ID);
    for (size_t i = 0; i < fs->inodes.capacity; i++)
        if (fs->inodes.slots[i].id)
            attributes_expire(fs, fs->inodes.slots[i].id);
}

void recalls_held(struct recalls *recalls, bool held)
{
    struct fs *fs = recalls->fs;
    recalls->held = held;
    fs->leased = held && recalls->started;
    fs->recalls++;
    if (held)
        return;
    recalls->lost++;
    if (recalls->started)
        expire_all(recalls);
    acknowledge(recalls); /* should the session live: nothing old is shown any more */
}

static void on_stuck(uv_timer_t *timer)
{
    struct recalls *recalls = timer->data;
    expire_waiting(recalls);
    acknowledge(recalls);
}

/* False: there is no room for the notice, or for its id. */
static bool give_notice(struct recalls *recalls, const struct kv_change *change)
{
    struct fs *fs = recalls->fs;
    bool entry = change->kind == KV_CHANGE_ENTRY;
    if (entry && !fs->keeps_entries)
        return true;
    if (entry || change->kind == KV_CHANGE_ALL)
        recalls->entries = true;
    if (!entry && buf_append(&recalls->nodes, &change->id, sizeof change->id) < 0) {
        attributes_expire(fs, change->id);
        return false;
    }
    return entry ? notifier_entry(recalls->notifier, change->id, change->name)
                 : notifier_inode(recalls->notifier, change->id, change->kind != KV_CHANGE_ATTR);
}

void recalls_take(struct recalls *recalls, const struct kv_recall *recall)
{
    bool noticed = false, fits = true, whole = false;
    recalls->fs->recalls++;
    recalls->ticket = recall->ticket;
    recalls->told += recall->count;
    for (size_t i = 0; i < recall->count && recalls->started; i++) {
        const struct kv_change *change = &recall->changes[i];
        if (!kernel_knows(recalls->fs, change->id))
            continue;
        noticed = true;
        whole |= change->kind == KV_CHANGE_ALL;
        fits &= give_notice(recalls, change);
    }
    if (!fits || whole) { /* of a whole directory only an epoch reaches every entry */
        expire_waiting(recalls);
        acknowledge(recalls);
    } else if (!noticed && !uv_is_active((uv_handle_t *)&recalls->timer)) {
        acknowledge(recalls);
    } else if (!uv_is_active((uv_handle_t *)&recalls->timer)) {
        uv_timer_start(&recalls->timer, on_stuck, RECALLS_STUCK_MS, 0);
    }
}

/* An inode that the kernel did not know it may just be making, from an answer that it has and has not taken in: under a
 * new epoch the name leads nowhere until it is looked up again. */
void recalls_told(struct recalls *recalls)
{
    if (notifier_missed(recalls->notifier) && recalls->fs->keeps_entries)
        epoch_begins(recalls->fs);
    acknowledge(recalls);
}
