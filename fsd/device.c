#include "fsd/device.h"

#include "fsd/mountpoint.h"
#include "fsd/recalls.h"
#include "fsd/statx.h"
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/log.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What libfuse said last: it tells its log only, and fuse_session_mount's caller needs the reason. The log function has
 * no user data, hence the global. */
static char fuse_said[512];

static void on_fuse_log(enum fuse_log_level level, const char *format, va_list args)
{
    char line[sizeof fuse_said];
    vsnprintf(line, sizeof line, format, args);
    line[strcspn(line, "\n")] = '\0';
    if (level == FUSE_LOG_DEBUG)
        log_debug("%s", line);
    else
        snprintf(fuse_said, sizeof fuse_said, "%s", line);
}

/* The kernel begins. What we want of it, and why not the rest:
 *   ATOMIC_O_TRUNC   no: with opens that need no message nobody would truncate; without it the kernel sends a setattr
 *   HANDLE_KILLPRIV  no: version 2 is asked for, see on_writev
 *   AUTO_INVAL_DATA  where others can change the store: cached pages go when mtime or size turn out to differ;
 *                    alone on the store, the pages of one's own writes are kept (EXPLICIT_INVAL_DATA)
 *   POSIX_ACL        the kernel enforces ACLs, the store keeps them; DONT_MASK with it, since what is made in a
 *                    directory with a default ACL has no umask taken off, and only the store knows (KV_OPT_UMASK)
 *   READDIRPLUS      only where the kernel may keep what it is told; if not, it would ask for each entry again
 *   splice           no: the bytes are in our memory either way
 */
static void on_init(void *user, struct fuse_conn_info *conn)
{
    struct fs *fs = user;
    conn->max_write = DEVICE_IO_BYTES;
    conn->max_read = DEVICE_IO_BYTES;
    conn->max_background = DEVICE_BACKGROUND_MAX;
    conn->congestion_threshold = DEVICE_BACKGROUND_MAX / 4 * 3;
    conn->want |=
        conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_CACHE_SYMLINKS |
                         FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_DONT_MASK | FUSE_CAP_POSIX_ACL);
    conn->want &=
        ~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_AUTO_INVAL_DATA |
                    FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS);
    unsigned caching = fs->backend->shared ? FUSE_CAP_AUTO_INVAL_DATA : FUSE_CAP_EXPLICIT_INVAL_DATA;
    if (!fs->backend->shared || (fs->recalled && fs->recalled->held))
        caching |= FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO;
    conn->want |= conn->capable & caching;
}

static ssize_t on_read(int fd, void *data, size_t len, void *user)
{
    (void)user;
    return read(fd, data, len);
}

/* The answer to INIT passes here, and gets the one flag that libfuse 3.14 does not know: without
 * FUSE_HANDLE_KILLPRIV_V2 the kernel asks for security.capability before each write (see fsd/setattr.h). A kernel that
 * does not know the flag passes over it. */
static ssize_t write_init(int fd, struct iovec *iov, int count)
{
    struct fuse_init_out answer;
    if (count != 2 || iov[1].iov_len < offsetof(struct fuse_init_out, max_background) || iov[1].iov_len > sizeof answer)
        return writev(fd, iov, count); /* an error */
    memcpy(&answer, iov[1].iov_base, iov[1].iov_len);
    answer.flags |= FUSE_HANDLE_KILLPRIV_V2;
    struct iovec patched[2] = {iov[0], {&answer, iov[1].iov_len}};
    return writev(fd, patched, 2);
}

static ssize_t on_writev(int fd, struct iovec *iov, int count, void *user)
{
    struct fs *fs = user;
    struct device *device = fs->device;
    if (device->answered) {
        ssize_t len = writev(fd, iov, count);
        if (len > 0)
            atomic_fetch_add_explicit(&fs->own.bytes_out, (size_t)len, memory_order_relaxed);
        return len;
    }
    device->answered = true;
    return write_init(fd, iov, count);
}

static void stop_polling(struct device *device)
{
    if (device->polling)
        uv_poll_stop(&device->poll);
    device->polling = false;
}

static void end(struct device *device, int error)
{
    if (device->ending)
        return;
    device->ending = true;
    uv_timer_stop(&device->timer);
    device->on_end(device, error);
}

/* Two messages that libfuse 3.14 does not know are laid out as older ones, which it takes them for. */
static void translate(struct fs *fs, struct fuse_in_header *header)
{
    fs->asks_birth = header->opcode == STATX_OPCODE;
    fs->asks_unnamed = header->opcode == FUSE_TMPFILE;
    if (fs->asks_birth)
        header->opcode = FUSE_GETATTR;
    else if (fs->asks_unnamed)
        header->opcode = FUSE_CREATE;
}

/* Reads and runs one request. False: there is none, or the session is over. */
static bool serve_one(struct device *device, int *ret_error)
{
    int len = fuse_session_receive_buf(device->session, &device->buffer);
    if (len > 0) {
        struct fuse_in_header *header = device->buffer.mem;
        own_count(&device->fs->own, header->opcode, (size_t)len);
        translate(device->fs, header);
        fuse_session_process_buf(device->session, &device->buffer);
    } else if (len != -EINTR && len != -EAGAIN) {
        *ret_error = len; /* 0: unmounted */
    }
    return len > 0 || len == -EINTR;
}

/* Is it worth asking whether there is another request? A process that waits for each answer before it asks again never
 * has one ready, and the vain read(2) would be a quarter of our system calls; several processes often do. What the
 * last turns found tells which it is, and every so often it is tried anyway. */
static bool tries_again(struct device *device)
{
    return device->lonely_turns < DEVICE_LONELY_TURNS || ++device->turns % DEVICE_LONELY_TURNS == 0;
}

static void serve_turn(struct device *device, int *ret_error)
{
    bool more = serve_one(device, ret_error) && tries_again(device);
    if (!more)
        return;
    int served = 1;
    while (served < DEVICE_TURN_MAX && serve_one(device, ret_error))
        served++;
    device->lonely_turns = served > 1 ? 0 : device->lonely_turns + 1;
}

/* Where the device is gone, libuv says so by `status`, and the read that follows says why. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct device *device = poll->data;
    int error = -EAGAIN;
    serve_turn(device, &error);
    fs_turn_end(device->fs);
    if (error != -EAGAIN || fuse_session_exited(device->session)) {
        stop_polling(device);
        end(device, error == -EAGAIN ? 0 : error);
    } else if (device->answered && !device->ready) {
        device->ready = true;
        mountpoint_read_ahead(device->mountpoint, DEVICE_IO_BYTES / 1024);
        device->on_ready(device);
    }
}

static struct fuse_session *session_new(struct fs *fs, const char *name, const char *options, bool debug)
{
    static const char always[] = "default_permissions,subtype=kvfs,max_read=1048576";
    static_assert(DEVICE_IO_BYTES == 1048576, "max_read above says the same");
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_session *session = NULL;
    struct fuse_lowlevel_ops ops = fs_ops;
    char *fsname = NULL, *joined = NULL;
    ops.init = on_init;
    if (asprintf(&fsname, "fsname=%s", name) >= 0 && asprintf(&joined, "-o%s%s", always, options) >= 0) {
        char *escaped = NULL;
        if (fuse_opt_add_opt_escaped(&escaped, fsname) == 0 && fuse_opt_add_arg(&args, "kvfs") == 0 &&
            fuse_opt_add_arg(&args, joined) == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
            fuse_opt_add_arg(&args, escaped) == 0 && (!debug || fuse_opt_add_arg(&args, "-d") == 0))
            session = fuse_session_new(&args, &ops, sizeof ops, fs);
        free(escaped);
    }
    free(joined);
    free(fsname);
    fuse_opt_free_args(&args);
    return session;
}

int device_mount(struct device *device, uv_loop_t *loop, struct fs *fs, const char *mountpoint, const char *name,
                 const char *options, bool debug, char *ret_why, size_t why_bytes)
{
    static const struct fuse_custom_io io = {.writev = on_writev, .read = on_read};
    device->fs = fs;
    fs->device = device;
    snprintf(device->mountpoint, sizeof device->mountpoint, "%s", mountpoint);
    fuse_set_log_func(on_fuse_log);
    device->session = session_new(fs, name, options, debug);
    if (!device->session || fuse_session_mount(device->session, mountpoint) != 0)
        goto err;
    fs->session = device->session;
    device->poll.data = device->timer.data = device;
    if (fuse_session_custom_io(device->session, &io, fuse_session_fd(device->session)) != 0 ||
        uv_timer_init(loop, &device->timer) != 0 ||
        uv_poll_init(loop, &device->poll, fuse_session_fd(device->session)) != 0)
        goto err_mount;
    CHECK(uv_poll_start(&device->poll, UV_READABLE, on_poll) == 0);
    device->polling = true;
    return 0;

err_mount:
    fuse_session_unmount(device->session);
err:
    snprintf(ret_why, why_bytes, "cannot mount on %s: %s", mountpoint,
             fuse_said[0] ? fuse_said : "fusermount3 refuses, see the line above");
    if (device->session)
        fuse_session_destroy(device->session);
    device->session = NULL;
    return -EIO;
}

/* In the child. fusermount3 is who may unmount for a user that is not root. */
static void __attribute__((noreturn)) unmount_and_exit(const char *mountpoint)
{
    if (umount2(mountpoint, MNT_DETACH) == 0)
        _exit(0);
    execlp("fusermount3", "fusermount3", "-u", "-q", "-z", "--", mountpoint, (char *)NULL);
    _exit(1);
}

static void on_unmount_timeout(uv_timer_t *timer)
{
    struct device *device = timer->data;
    log_warning("%s is busy: what still uses it is cut off", device->mountpoint);
    end(device, 0);
}

void device_unmount(struct device *device)
{
    if (device->ending || device->unmounter > 0)
        return;
    device->unmounter = fork();
    if (device->unmounter == 0) {
        close(fuse_session_fd(device->session)); /* or the connection would live as long as the child */
        unmount_and_exit(device->mountpoint);
    }
    if (device->unmounter < 0)
        end(device, 0);
    else
        uv_timer_start(&device->timer, on_unmount_timeout, DEVICE_UNMOUNT_MS, 0);
}

/* Puts in place of the device a pipe whose reader is gone. The device is closed thereby: the kernel ends what still
 * waits for us. And fuse_session_unmount, which is to free the rest, sees a connection that is broken already, so that
 * it keeps its hands off the mount point, which may be somebody else's by now. */
static void cut_off(struct device *device)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    close(ends[0]);
    dup2(ends[1], fuse_session_fd(device->session));
    close(ends[1]);
}

void device_close(struct device *device)
{
    if (!device->session)
        return;
    device->polling = false;
    uv_close((uv_handle_t *)&device->poll, NULL);
    uv_close((uv_handle_t *)&device->timer, NULL);
    int status = 1;
    if (device->unmounter > 0 && waitpid(device->unmounter, &status, WNOHANG) == 0) {
        cut_off(device); /* which the child waits for */
        waitpid(device->unmounter, &status, 0);
    } else if (device->unmounter > 0 && status == 0) {
        cut_off(device);
    }
    fuse_session_exit(device->session);
    fuse_session_unmount(device->session);
}

void device_free(struct device *device)
{
    if (device->session)
        fuse_session_destroy(device->session);
    free(device->buffer.mem);
    device->session = NULL;
    device->buffer.mem = NULL;
}
