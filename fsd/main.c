/* kvfs: mounts a store as a file system. Reads its options, goes to the background, opens the store or connects to it,
 * mounts, and runs the loop until it is unmounted or told to stop (SIGTERM, SIGINT, SIGHUP), which unmounts.
 *
 *   options -> background -> loop -> store -> mount ... device_close -> the store's calls end -> free
 *
 * Exit status: 0 unmounted; 1 could not start, or the device broke; 2 usage. In the background, status 0 of the command
 * says that the mount is usable.
 */
#include "fsd/background.h"
#include "fsd/device.h"
#include "fsd/mountpoint.h"
#include "fsd/notifier.h"
#include "fsd/options.h"
#include "fsd/recalls.h"
#include "kvcore/base/error.h"
#include "kvcore/base/log.h"
#include "kvcore/base/version.h"
#include "kvcore/client/client.h"
#include "kvcore/server/local.h"
#include "kvcore/tree/node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

static const int end_signals[] = {SIGTERM, SIGINT, SIGHUP};
enum { END_SIGNALS = sizeof end_signals / sizeof end_signals[0], FIRST_ATTEMPT_MS = 1000 };

struct kvfs {
    struct options options;
    struct background background;
    uv_loop_t loop;
    uv_signal_t signals[END_SIGNALS];
    struct local *local;   /* either this */
    struct client *client; /* or that */
    struct fs fs;
    struct device device;
    struct notifier notifier;
    struct recalls recalls; /* of a server */
    struct local_watcher watcher;
    bool answers_held; /* to clients of the embedded store */
    int exit_code;
};

static const char usage[] =
    "Usage: kvfs [STORE] MOUNTPOINT [-o option,...] [-f] [-d] [-h] [-V]\n"
    "       mount -t kvfs STORE MOUNTPOINT [-o option,...]\n"
    "Mounts a key-value store as a file system: a directory is a key prefix, a file is a value.\n"
    "\n"
    "STORE is kv://HOST[:PORT], kv+unix://PATH, or a directory, whose store then runs in kvfs itself\n"
    "(default: $XDG_DATA_HOME/kvfs or ~/.local/share/kvfs).\n"
    "\n"
    "  -f                 stay in the foreground, log to stderr\n"
    "  -d                 the same, and show every message of the kernel\n"
    "  -h, --help         this text\n"
    "  -V, --version      the version\n"
    "  -o hard            wait for a server that is away; a signal ends the wait (default)\n"
    "  -o soft            fail with \"Connection timed out\" after timeo seconds instead\n"
    "  -o timeo=SECONDS   for soft (default 5)\n"
    "  -o uid=N, gid=N    show every file as this user's, this group's\n"
    "  -o umask=OCTAL     show every file with these permissions taken away from 0777\n"
    "  -o durability=LEVEL, persistence=MODE, save=RULES, keep-snapshots=N, snapshot-at-exit=yes|no\n"
    "                     of a directory: how its data is kept, as in kvcored(8) (default: written, log+snapshots)\n"
    "  -o allow_other     let other users in (a user needs user_allow_other in /etc/fuse.conf for it)\n"
    "  -o nonempty        mount over a directory that is not empty\n"
    "  -o auto_unmount    unmount should kvfs be killed\n"
    "  -o ro, dev, suid, noexec, noatime, sync, dirsync and their opposites, as in mount(8)\n"
    "\n"
    "umount MOUNTPOINT (or fusermount3 -u MOUNTPOINT) ends it. See kvfs(8).\n";

static int __attribute__((format(printf, 2, 3))) fail(int exit_code, const char *format, ...)
{
    va_list args;
    fputs("kvfs: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return exit_code;
}

/* --- what is told from below --- */

static bool kernel_knows(const struct kvfs *kvfs, uint64_t id)
{
    return id == FUSE_ROOT_ID || inodes_lookups(&kvfs->fs.inodes, id);
}

/* Who made the change gets no answer before the kernel has dropped the old. */
static void hold_answers(struct kvfs *kvfs, bool told)
{
    if (told && !kvfs->answers_held)
        local_hold_answers(kvfs->local, true);
    kvfs->answers_held |= told;
}

static void on_told(void *user)
{
    struct kvfs *kvfs = user;
    if (!kvfs->local) {
        recalls_told(&kvfs->recalls);
        return;
    }
    if (kvfs->answers_held)
        local_hold_answers(kvfs->local, false);
    kvfs->answers_held = false;
}

/* Somebody else changed the embedded store, `kv` or time. */
static void on_change(struct local_watcher *watcher, const struct change *changes, size_t count)
{
    struct kvfs *kvfs = (struct kvfs *)((char *)watcher - offsetof(struct kvfs, watcher));
    for (size_t i = 0; i < count; i++) {
        const struct change *change = &changes[i];
        if (kernel_knows(kvfs, change->id))
            hold_answers(kvfs, change->name.data ? notifier_entry(&kvfs->notifier, change->id, change->name)
                                                 : notifier_inode(&kvfs->notifier, change->id, change->data));
    }
}

/* A file that programs may have open outlives its name, whoever takes it: it goes when the kernel forgets it. */
static bool wants(struct local_watcher *watcher, uint64_t id)
{
    struct kvfs *kvfs = (struct kvfs *)((char *)watcher - offsetof(struct kvfs, watcher));
    return inodes_hold(&kvfs->fs.inodes, id);
}

static void acknowledge(void *user, uint64_t ticket)
{
    struct kvfs *kvfs = user;
    client_recalled(kvfs->client, ticket);
}

static void on_lease(void *user, bool held)
{
    struct kvfs *kvfs = user;
    recalls_held(&kvfs->recalls, held);
}

static void on_recall(void *user, const struct kv_recall *recall)
{
    struct kvfs *kvfs = user;
    recalls_take(&kvfs->recalls, recall);
}

static void on_server_state(void *user, bool connected, const char *why)
{
    const struct kvfs *kvfs = user;
    if (!kvfs->client)
        return; /* connect_store waits for the first attempt, and says how it went */
    if (connected)
        log_info("%s", why);
    else
        log_warning("%s; requests %s", why, kvfs->options.timeout_ms ? "fail until it is back" : "wait for it");
}

static void on_ready(struct device *device)
{
    struct kvfs *kvfs = device->user;
    bool notifies = notifier_start(&kvfs->notifier, &kvfs->loop, device->session, on_told, kvfs) == 0;
    if (!notifies)
        kvfs->fs.backend->shared = true; /* no thread for notices: then the kernel has to ask again each time */
    if (kvfs->client)
        recalls_start(&kvfs->recalls, notifies);
    if (kvfs->options.foreground)
        return;
    background_ready(&kvfs->background);
    log_to_syslog();
}

/* --- the end --- */

static void on_store_closed(void *user)
{
    struct kvfs *kvfs = user;
    device_free(&kvfs->device);
    fs_close(&kvfs->fs);
}

/* The device first: what waits for the store has nobody to answer to any more. */
static void on_notifier_stopped(void *user)
{
    struct kvfs *kvfs = user;
    device_close(&kvfs->device);
    if (kvfs->local)
        on_told(kvfs); /* there is no kernel any more that could show old data */
    else
        recalls_close(&kvfs->recalls);
    for (int i = 0; i < END_SIGNALS; i++)
        uv_close((uv_handle_t *)&kvfs->signals[i], NULL);
    if (kvfs->local)
        local_close(kvfs->local, on_store_closed, kvfs);
    else
        client_free(kvfs->client, on_store_closed, kvfs);
}

/* Before all else the notifier: a notice may wait in the kernel for an answer of ours, so we go on serving until then.
 */
static void on_end(struct device *device, int error)
{
    struct kvfs *kvfs = device->user;
    if (error)
        log_error("%s: the FUSE device broke: %s", device->mountpoint, error_text(error));
    kvfs->exit_code = error ? 1 : 0;
    if (!notifier_stop(&kvfs->notifier, on_notifier_stopped))
        on_notifier_stopped(kvfs);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    struct kvfs *kvfs = signal->data;
    device_unmount(&kvfs->device);
}

/* --- the beginning --- */

/* A server that is out of reach is waited for by the mount; one that refuses us is an error, as long as the user is
 * there to read it. */
static int connect_store(struct kvfs *kvfs, struct backend **ret_backend)
{
    const struct options *options = &kvfs->options;
    struct client_options client_options = {
        .name = "kvfs",
        .timeout_ms = options->timeout_ms,
        .on_state = on_server_state,
        .on_lease = on_lease,
        .on_recall = on_recall,
        .user = kvfs,
    };
    struct client *client;
    char why[ERROR_TEXT_BYTES * 2];
    recalls_init(&kvfs->recalls, &kvfs->loop, &kvfs->fs, &kvfs->notifier, acknowledge, kvfs);
    int rc = client_new(&kvfs->loop, &options->store, &client_options, &client);
    if (rc < 0) {
        fail(1, "%s: %s", options->store.text, error_text(rc));
        recalls_close(&kvfs->recalls);
        return rc;
    }
    rc = client_await(client, FIRST_ATTEMPT_MS, why, sizeof why);
    if (rc < 0 && rc != -ECONNREFUSED && rc != -ETIMEDOUT && rc != KV_LOADING) {
        fail(1, "%s%s", why, rc == KV_NOAUTH ? "; it is given as kv://:PASSWORD@HOST" : "");
        recalls_close(&kvfs->recalls);
        client_free(client, NULL, NULL);
        return rc;
    }
    if (rc < 0)
        fail(1, "warning: %s; requests %s", why, options->timeout_ms ? "fail until it is there" : "wait for it");
    kvfs->client = client;
    *ret_backend = client_backend(client);
    return 0;
}

/* How an embedded store is kept. */
static int read_keeping(const struct options *options, struct keeping *ret_keeping, char *why, size_t why_bytes)
{
    char word[64];
    int rc = 0;
    keeping_init(ret_keeping);
    for (size_t at = 0; rc == 0 && at < options->keeping.len; at += strlen(options->keeping.data + at) + 1) {
        const char *option = options->keeping.data + at, *equals = strchr(option, '=');
        snprintf(word, sizeof word, "%.*s", (int)(equals - option), option);
        rc = keeping_set(ret_keeping, word, equals + 1, why, why_bytes);
    }
    return rc;
}

static int open_store(struct kvfs *kvfs, struct backend **ret_backend)
{
    struct options *options = &kvfs->options;
    char why[1024] = "out of memory";
    int rc;
    if (options->store.kind == ADDRESS_DIRECTORY) {
        struct keeping keeping;
        rc = read_keeping(options, &keeping, why, sizeof why);
        if (rc == 0)
            rc = local_open(&kvfs->loop, options->store.path, &keeping, &kvfs->local, why, sizeof why);
        if (rc < 0) {
            fail(1, "%s", why);
            return rc;
        }
        kvfs->watcher = (struct local_watcher){on_change, wants};
        local_watch(kvfs->local, &kvfs->watcher);
        *ret_backend = local_backend(kvfs->local);
        return 0;
    }
    return connect_store(kvfs, ret_backend);
}

static void close_store(struct kvfs *kvfs)
{
    if (kvfs->local)
        local_close(kvfs->local, NULL, NULL);
    if (kvfs->client) {
        recalls_close(&kvfs->recalls);
        client_free(kvfs->client, NULL, NULL);
    }
}

static int mount_store(struct kvfs *kvfs)
{
    struct options *options = &kvfs->options;
    struct backend *backend;
    char why[1024];
    int rc = open_store(kvfs, &backend);
    if (rc < 0)
        return rc;
    rc = fs_init(&kvfs->fs, &kvfs->loop, backend, &options->view);
    if (rc < 0)
        goto err_store;
    kvfs->fs.recalled = kvfs->client ? &kvfs->recalls : NULL;
    kvfs->fs.own.config = options_text(options);
    kvfs->fs.notifier = kvfs->local ? &kvfs->notifier : NULL;
    kvfs->device.on_ready = on_ready;
    kvfs->device.on_end = on_end;
    kvfs->device.user = kvfs;
    rc = device_mount(&kvfs->device, &kvfs->loop, &kvfs->fs, options->mountpoint, options->store.text,
                      options->mount_options.data ? options->mount_options.data : "", options->debug, why, sizeof why);
    if (rc < 0) {
        fail(1, "%s", why);
        goto err_fs;
    }
    for (int i = 0; i < END_SIGNALS; i++) {
        uv_signal_init(&kvfs->loop, &kvfs->signals[i]);
        kvfs->signals[i].data = kvfs;
        uv_signal_start(&kvfs->signals[i], on_signal, end_signals[i]);
    }
    return 0;

err_fs:
    fs_close(&kvfs->fs);
err_store:
    close_store(kvfs);
    return rc;
}

static int run(struct kvfs *kvfs)
{
    int rc = uv_loop_init(&kvfs->loop);
    if (rc < 0)
        return fail(1, "no event loop: %s", error_text(rc));
    kvfs->exit_code = mount_store(kvfs) < 0;
    uv_run(&kvfs->loop, UV_RUN_DEFAULT);
    uv_loop_close(&kvfs->loop);
    return kvfs->exit_code;
}

/* Would the mount lie over the data directory of its own store? */
static bool covers_itself(const struct options *options)
{
    struct stat dir, mountpoint;
    return options->store.kind == ADDRESS_DIRECTORY && stat(options->store.path, &dir) == 0 &&
           stat(options->mountpoint, &mountpoint) == 0 && dir.st_dev == mountpoint.st_dev &&
           dir.st_ino == mountpoint.st_ino;
}

static int start(struct kvfs *kvfs)
{
    struct options *options = &kvfs->options;
    char why[1024];
    if (options->help)
        return fputs(usage, stdout) < 0;
    if (options->version)
        return printf("kvfs %s, FUSE library %s\n", KVFS_VERSION, fuse_pkgversion()) < 0;
    if (mountpoint_check(options->mountpoint, options->nonempty, options->mountpoint, sizeof options->mountpoint, why,
                         sizeof why) < 0)
        return fail(1, "%s", why);
    if (covers_itself(options))
        return fail(1,
                    "%s is the data directory: mounted there, the store would hide its own files; name another place",
                    options->mountpoint);
    if (options->fake)
        return 0;
    if (!options->foreground) {
        int rc = background_begin(&kvfs->background);
        if (rc < 0)
            return fail(1, "cannot go to the background: %s", error_text(rc));
    }
    log_open("kvfs", options->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    signal(SIGPIPE, SIG_IGN);
    umask(0); /* the kernel has applied the caller's */
    if (chdir("/") != 0)
        return fail(1, "cannot go to /: %s", strerror(errno));
    return run(kvfs);
}

int main(int argc, char **argv)
{
    struct kvfs *kvfs = calloc(1, sizeof *kvfs);
    char why[1024];
    if (!kvfs)
        return fail(1, "out of memory");
    kvfs->background.ready_fd = -1;
    int rc = options_parse(argc, argv, &kvfs->options, why, sizeof why);
    int exit_code = 2;
    if (rc < 0)
        fail(2, "%s", why);
    else
        exit_code = start(kvfs);
    options_close(&kvfs->options);
    free(kvfs);
    return exit_code;
}
