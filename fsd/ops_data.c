/* Operations on a file's bytes. */
#include "fsd/fs.h"

#include "kvcore/base/error.h"

#include <fcntl.h>
#include <sys/uio.h>

enum { READ_PIECES_MAX = 512 };

/* open, opendir, flush: err. ENOSYS here means yes, and the kernel never asks again. */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    (void)ino;
    (void)file;
    fuse_reply_err(req, ENOSYS);
}

/* The pieces in one buffer, where there are more than one writev(2) takes. */
static void reply_gathered(struct fs_call *call, const struct kv_reply *reply)
{
    struct buf *all = &call->fs->scratch;
    all->len = 0;
    int rc = 0;
    for (size_t i = 0; i < reply->count && rc == 0; i++)
        rc = buf_append(all, reply->pieces[i].data, reply->pieces[i].len);
    if (rc < 0)
        fuse_reply_err(call->req, -rc);
    else
        fuse_reply_buf(call->req, all->data, all->len);
}

/* read: buf, iov, or err. The bytes go from the store's memory to the kernel's. */
static const struct kv_request *finish_read(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error) {
        fuse_reply_err(call->req, fs_errno(call, reply->error));
    } else if (reply->count <= 1) {
        struct bytes all = kv_reply_bytes(reply);
        fuse_reply_buf(call->req, all.data, all.len);
    } else if (reply->count <= READ_PIECES_MAX) {
        struct iovec pieces[READ_PIECES_MAX];
        for (size_t i = 0; i < reply->count; i++)
            pieces[i] = (struct iovec){(void *)(uintptr_t)reply->pieces[i].data, reply->pieces[i].len};
        fuse_reply_iov(call->req, pieces, (int)reply->count);
    } else {
        reply_gathered(call, reply);
    }
    return NULL;
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)file;
    struct kv_request request = {
        .op = KV_OP_READ, .node = kv_ref_id(id_of_ino(ino)), .offset = (uint64_t)offset, .length = size};
    fs_run(req, finish_read, id_of_ino(ino), &request);
}

/* write: write, or err */
static const struct kv_request *finish_write(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error)
        fuse_reply_err(call->req, fs_errno(call, reply->error));
    else
        fuse_reply_write(call->req, call->size);
    return NULL;
}

/* The kernel has put the bytes into its cache where it believed the end to be. Where that was wrong, it has to forget
 * them; if others share the server, it finds out by itself (FUSE_CAP_AUTO_INVAL_DATA). */
static const struct kv_request *finish_append(struct fs_call *call, const struct kv_reply *reply)
{
    struct notifier *notifier = call->fs->notifier;
    if (!reply->error && reply->uint != call->offset + call->size && notifier)
        notifier_inode(notifier, call->id, true);
    return finish_write(call, reply);
}

/* What is written with O_APPEND goes to where the end is now, which the kernel cannot know: others append too. Not so
 * what the kernel writes from a mapping. */
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *file)
{
    bool append = file->flags & O_APPEND && !file->writepage;
    struct fs_call *call = fs_call(req, append ? finish_append : finish_write);
    if (!call)
        return;
    call->id = id_of_ino(ino);
    call->offset = (uint64_t)offset;
    call->size = size;
    struct kv_request request = {
        .op = append ? KV_OP_APPEND : KV_OP_WRITE, .node = kv_ref_id(id_of_ino(ino)), .value = bytes_make(data, size)};
    if (!append)
        request.offset = call->offset;
    fs_submit(call, &request);
}

/* fsync, fsyncdir: err */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *file)
{
    (void)datasync;
    (void)file;
    struct kv_request request = {.op = KV_OP_SYNC, .node = kv_ref_id(id_of_ino(ino))};
    fs_run(req, finish_none, id_of_ino(ino), &request);
}
