/* The mounted file system while it runs: what it knows, and how one request of the kernel becomes one or more of the
 * store's.
 *
 * Every operation (ops_*.c) fills a struct kv_request from its arguments and gives it to fs_submit with a finish
 * function, which turns the store's reply into FUSE's:
 *
 *   kernel -> op_X -> fs_submit -> backend -+-> finish_X -> fuse_reply_*      the embedded store answers at once
 *                                           |        \-> the next request     (a few operations take two)
 *                                           +-> ... later: on_reply -> finish_X
 *
 * A request at once and one that waits take the same way; only that one that waits can be interrupted. Calls come from
 * a free list, so an operation allocates nothing.
 *
 * INTERRUPTS. A signal that a program handles makes the kernel ask for the end of its request, too: a Go program or one
 * with a profiling timer would see EINTR from unlink(2) all the time if we obeyed at once. So while the server is
 * there an interrupted call has FS_GRACE_MS to finish; if it is away the call ends at once.
 *
 * SERVER AWAY. Requests wait in the backend, but the attributes of the mount point are always answered: from what was
 * last known, if the server does not say within FS_GRACE_MS. So stat(2) of the mount point and umount(8) never hang.
 */
#ifndef KV_FSD_FS_H
#define KV_FSD_FS_H

#include "fsd/attr.h"
#include "fsd/inodes.h"
#include "fsd/notifier.h"
#include "fsd/own.h"
#include "fsd/release.h"
#include "kvcore/base/buf.h"
#include "kvcore/rpc/backend.h"

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312
#endif
#include <fuse_lowlevel.h>
#include <uv.h>

enum {
    FS_GRACE_MS = 1000,
    FS_CALLS_MAX = 65536, /* requests of the kernel that wait for the store; past that they fail with EAGAIN */
};

struct device;
struct recalls;
struct fs_call;

/* Replies to call->req and returns NULL, or returns the next request of the same operation. */
typedef const struct kv_request *fs_finish(struct fs_call *call, const struct kv_reply *reply);

/* One request of the kernel under way. */
struct fs_call {
    struct kv_call call; /* first: what the backend hands back */
    struct fs *fs;
    fuse_req_t req;
    fs_finish *finish;
    uint64_t id;              /* of the node that the operation names by id, 0: by name */
    uint64_t offset;          /* readdir: the position; write: the kernel's */
    size_t size;              /* of the buffer to fill, or the bytes written */
    uint64_t recalls;         /* fs.recalls when the store was asked */
    bool asks_birth;          /* getattr: see struct fs */
    int flags;                /* create: open(2)'s; readdir: whether with attributes */
    struct kv_request second; /* what an operation of two steps asks for next */
    int end_code;             /* what it is cancelled with at its deadline */
    int64_t deadline_ms;
    struct fs_call *next, *previous; /* in the list of deadlines, or (next) in the free list */
};

struct fs {
    struct backend *backend;      /* borrowed */
    struct fuse_session *session; /* set by the device that serves it */
    struct device *device;
    struct notifier *notifier; /* borrowed; NULL where the kernel keeps nothing anyway */
    bool leased;               /* what a server's answer marks as leased may be kept, until it is recalled */
    bool keeps_entries;        /* ... entries too (recalls.h) */
    uint64_t recalls;          /* so far, and leases lost or got: an answer across one is not kept */
    struct recalls *recalled;  /* for the stats; NULL: an embedded store */
    struct attr_view view;
    struct own own;
    bool asks_birth;   /* the request that is being run is a getattr that wants the time of birth too (statx.h) */
    bool asks_unnamed; /* it is a create of a file that is to have no name (O_TMPFILE) */
    struct inodes inodes;
    struct releases releases;
    struct kv_attr root; /* as last known */
    struct buf scratch;  /* listings and xattr names */
    struct fs_call *free_calls;
    size_t call_count;            /* made so far, each either waiting or in the free list */
    struct fs_call *first, *last; /* with a deadline, the earliest first */
    uv_timer_t timer;             /* for the first deadline */
};

/* Borrows the backend. libuv's error. */
int fs_init(struct fs *fs, uv_loop_t *loop, struct backend *backend, const struct attr_view *view);

/* No call may wait any more (the backend was closed). The loop must run once more afterwards. */
void fs_close(struct fs *fs);

/* The table of operations, for fuse_session_new; its user data is the struct fs. */
extern const struct fuse_lowlevel_ops fs_ops;

/* After a batch of requests from the kernel: sends what was gathered. */
void fs_turn_end(struct fs *fs);

static inline struct fs *fs_of(fuse_req_t req) { return fuse_req_userdata(req); }

/* submit.c */

/* Takes a call for `req`; NULL: replied with an error, there are too many. */
struct fs_call *fs_call(fuse_req_t req, fs_finish *finish);
/* Hands it the first request. True: it waits for the store. The request's bytes are borrowed until then. */
bool fs_submit(struct fs_call *call, const struct kv_request *request);
/* Of a call that waits: end it with `code` unless it is answered within FS_GRACE_MS. */
void fs_set_deadline(struct fs_call *call, int code);

/* The usual case: one request, no state. `id`: see struct fs_call. */
void fs_run(fuse_req_t req, fs_finish *finish, uint64_t id, const struct kv_request *request);

/* reply.c: answers to the kernel, and the finish functions that only answer */

/* The positive errno for a reply's error. A node that is asked for by id and is not there is ESTALE, upon which the
 * kernel looks the path up again (open_by_handle_at(2), NFS). */
int fs_errno(const struct fs_call *call, int error);

/* Does who asks belong to the group, as the file system sees it? Slow where it is none of the first. */
bool fs_in_group(fuse_req_t req, gid_t gid);

/* entry or err; counts the lookup. */
void fs_reply_entry(struct fs_call *call, const struct kv_attr *attr);
void fs_reply_attr(struct fs_call *call, const struct kv_attr *attr);
/* The answer to a getattr, with the time of birth if that was asked for. */
void fs_reply_stat(fuse_req_t req, bool asks_birth, const struct kv_attr *attr, double timeout_s);
/* May the kernel keep what this answer says? */
bool fs_may_keep(const struct fs_call *call, bool leased);
/* Counts a lookup and fills what the kernel is told. -ENOMEM. */
int fs_entry(struct fs_call *call, const struct kv_attr *attr, struct fuse_entry_param *ret_entry);
/* The kernel was not told after all, or has forgotten. */
void fs_forget(struct fs *fs, uint64_t id, uint64_t lookups);

fs_finish finish_none;  /* err only, also for success */
fs_finish finish_entry; /* entry or err */
fs_finish finish_attr;  /* attr or err */

/* The operations */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
               unsigned flags);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int valid, struct fuse_file_info *file);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *file);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *file);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *file);
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t offset, struct fuse_file_info *file, fuse_ino_t target,
                        off_t target_offset, struct fuse_file_info *target_file, size_t length, int flags);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *file);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif
