/* The FUSE device, served from the libuv loop: whenever it is readable, requests are read and run until there are
 * none, at most DEVICE_TURN_MAX at a time so that the connection to the server gets its turn.
 *
 *   device_mount -> on_ready (the kernel has begun) -> on_end (unmounted, or broken) -> device_close
 *
 * Unmounting from inside must not be done by the thread that serves the mount: the kernel may want pages written or
 * inodes forgotten first. So a child process does it, lazily, while the loop goes on serving; what keeps the mount busy
 * has DEVICE_UNMOUNT_MS, after which the connection is cut and everything that still waits on it fails.
 */
#ifndef KV_FSD_DEVICE_H
#define KV_FSD_DEVICE_H

#include "fsd/fs.h"

enum {
    DEVICE_TURN_MAX = 64,
    DEVICE_LONELY_TURNS = 8,
    DEVICE_UNMOUNT_MS = 2000,
    DEVICE_IO_BYTES = 1 << 20, /* of one read or write; the most the kernel does */
    DEVICE_BACKGROUND_MAX = 64 /* reads ahead and direct I/O at once */
};

struct device {
    struct fs *fs;
    struct fuse_session *session;
    struct fuse_buf buffer; /* one request */
    uv_poll_t poll;
    uv_timer_t timer; /* unmounting has taken long enough */
    bool polling;
    bool ending;                  /* on_end was called */
    bool answered;                /* the kernel's first request, INIT */
    bool ready;                   /* and on_ready was called */
    unsigned turns, lonely_turns; /* see tries_again */
    pid_t unmounter;              /* the child that unmounts; 0: none yet */
    char mountpoint[4096];
    void (*on_ready)(struct device *device);
    /* Unmounted (0), or broken; or it has taken too long, then requests are still served until device_close. */
    void (*on_end)(struct device *device, int error);
    void *user;
};

/* Mounts and begins to serve. `name` is what mount(8) shows as the source; `options` are for libfuse, each with a comma
 * before it. on_ready, on_end and user are set by the caller. -EIO with a sentence in ret_why. */
int device_mount(struct device *device, uv_loop_t *loop, struct fs *fs, const char *mountpoint, const char *name,
                 const char *options, bool debug, char *ret_why, size_t why_bytes);

/* Begins to unmount; on_end follows. May be called again. */
void device_unmount(struct device *device);

/* Stops serving; unmounts what still is mounted. The session lives on until device_free, since requests that wait for
 * the store still have it. */
void device_close(struct device *device);
void device_free(struct device *device);

#endif
