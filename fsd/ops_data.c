/* Operations on a file's bytes. */
#include "fsd/fs.h"

#include "kvcore/base/error.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READ_PIECES_MAX = 512 };

/* The longest a file may be. */
static const off_t MAX_OFFSET = VALUE_BYTES_MAX;

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
    if (own_read(req, ino, size, offset))
        return;
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
    if (!append && offset < MAX_OFFSET && size > (size_t)(MAX_OFFSET - offset))
        size = (size_t)(MAX_OFFSET - offset); /* write(2): as much as there is room for */
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
    if (file->flags & (O_SYNC | O_DSYNC)) { /* also of one pwritev2(2) with RWF_SYNC or RWF_DSYNC */
        request.options |= KV_OPT_DURABILITY;
        request.durability = bytes_of("synced");
    }
    fs_submit(call, &request);
}

/* fallocate: err. The kernel grows what it believes the size to be. */
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *file)
{
    (void)file;
    struct kv_request request = {.op = KV_OP_FALLOCATE,
                                 .node = kv_ref_id(id_of_ino(ino)),
                                 .offset = (uint64_t)offset,
                                 .length = (uint64_t)length};
    switch (mode) {
    case 0:
        break;
    case FALLOC_FL_KEEP_SIZE:
        request.options = KV_OPT_KEEP_SIZE;
        break;
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
        request.options = KV_OPT_HOLE;
        break;
    case FALLOC_FL_ZERO_RANGE:
        request.options = KV_OPT_ZERO;
        break;
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
        request.options = KV_OPT_ZERO | KV_OPT_KEEP_SIZE;
        break;
    default:
        fuse_reply_err(req, EOPNOTSUPP);
        return;
    }
    fs_run(req, finish_none, id_of_ino(ino), &request);
}

/* lseek: lseek, or err. Only SEEK_DATA and SEEK_HOLE come here. */
static const struct kv_request *finish_lseek(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error)
        fuse_reply_err(call->req, fs_errno(call, reply->error));
    else
        fuse_reply_lseek(call->req, (off_t)reply->uint);
    return NULL;
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *file)
{
    (void)file;
    if (whence != SEEK_DATA && whence != SEEK_HOLE) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    struct kv_request request = {.op = KV_OP_SEEK, .node = kv_ref_id(id_of_ino(ino)), .offset = (uint64_t)offset};
    if (whence == SEEK_HOLE)
        request.options = KV_OPT_HOLE;
    fs_run(req, finish_lseek, id_of_ino(ino), &request);
}

/* copy_file_range: write, or err */
static const struct kv_request *finish_copy(struct fs_call *call, const struct kv_reply *reply)
{
    if (reply->error)
        fuse_reply_err(call->req, fs_errno(call, reply->error));
    else
        fuse_reply_write(call->req, (size_t)reply->uint);
    return NULL;
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t offset, struct fuse_file_info *file, fuse_ino_t target,
                        off_t target_offset, struct fuse_file_info *target_file, size_t length, int flags)
{
    (void)file;
    (void)target_file;
    if (flags) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    struct kv_request request = {.op = KV_OP_COPY,
                                 .node = kv_ref_id(id_of_ino(ino)),
                                 .offset = (uint64_t)offset,
                                 .target = kv_ref_id(id_of_ino(target)),
                                 .target_offset = (uint64_t)target_offset,
                                 .length = length};
    fs_run(req, finish_copy, id_of_ino(target), &request);
}

/* fsync, fsyncdir: err. All that the store has changed is on disk then, so there is nothing less for fdatasync. */
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *file)
{
    (void)datasync;
    (void)file;
    struct kv_request request = {.op = KV_OP_SYNC, .node = kv_ref_id(id_of_ino(ino))};
    fs_run(req, finish_none, id_of_ino(ino), &request);
}
