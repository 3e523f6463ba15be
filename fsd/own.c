#include "fsd/own.h"

#include "fsd/fs.h"
#include "fsd/recalls.h"
#include "fsd/statx.h"
#include "kvcore/base/clock.h"
#include "kvcore/base/error.h"

#include <linux/fuse.h>
#include <stdlib.h>
#include <unistd.h>

enum { INO_DIR = 2, INO_STATS = 3, INO_CONFIG = 4, INO_SNAPSHOT = 16 };

static const char *const opcode_names[OWN_OPCODES] = {
    [FUSE_LOOKUP] = "lookup",
    [FUSE_FORGET] = "forget",
    [FUSE_GETATTR] = "getattr",
    [FUSE_SETATTR] = "setattr",
    [FUSE_READLINK] = "readlink",
    [FUSE_SYMLINK] = "symlink",
    [FUSE_MKNOD] = "mknod",
    [FUSE_MKDIR] = "mkdir",
    [FUSE_UNLINK] = "unlink",
    [FUSE_RMDIR] = "rmdir",
    [FUSE_RENAME] = "rename",
    [FUSE_LINK] = "link",
    [FUSE_OPEN] = "open",
    [FUSE_READ] = "read",
    [FUSE_WRITE] = "write",
    [FUSE_STATFS] = "statfs",
    [FUSE_RELEASE] = "release",
    [FUSE_FSYNC] = "fsync",
    [FUSE_SETXATTR] = "setxattr",
    [FUSE_GETXATTR] = "getxattr",
    [FUSE_LISTXATTR] = "listxattr",
    [FUSE_REMOVEXATTR] = "removexattr",
    [FUSE_FLUSH] = "flush",
    [FUSE_INIT] = "init",
    [FUSE_OPENDIR] = "opendir",
    [FUSE_READDIR] = "readdir",
    [FUSE_RELEASEDIR] = "releasedir",
    [FUSE_FSYNCDIR] = "fsyncdir",
    [FUSE_CREATE] = "create",
    [FUSE_INTERRUPT] = "interrupt",
    [FUSE_DESTROY] = "destroy",
    [FUSE_BATCH_FORGET] = "batch_forget",
    [FUSE_FALLOCATE] = "fallocate",
    [FUSE_READDIRPLUS] = "readdirplus",
    [FUSE_RENAME2] = "rename2",
    [FUSE_LSEEK] = "lseek",
    [FUSE_COPY_FILE_RANGE] = "copy_file_range",
    [STATX_OPCODE] = "statx",
};

void own_close(struct own *own)
{
    for (size_t i = 0; i < OWN_SNAPSHOTS_MAX; i++)
        free(own->snapshots[i].text);
    free(own->config);
}

void own_count(struct own *own, unsigned opcode, size_t bytes)
{
    own->calls[opcode < OWN_OPCODES ? opcode : 0]++;
    own->bytes_in += bytes;
}

static bool is_own_ref(const struct kv_ref *ref)
{
    if (ref->kind == KV_REF_KEY)
        return false;
    if (ref->kind == KV_REF_NAME && ref->id == FUSE_ROOT_ID && bytes_equal(ref->name, bytes_of(OWN_NAME)))
        return true;
    return own_is(ino_of_id(ref->id));
}

bool own_concerns(const struct kv_request *request)
{
    return is_own_ref(&request->node) || is_own_ref(&request->target);
}

/* --- the texts --- */

static const char *timeout_text(const struct fs *fs)
{
    if (!fs->backend->shared)
        return "unlimited";
    return !fs->leased ? "none" : fs->keeps_entries ? "leased" : "leased, names not";
}

static int write_stats(struct fs *fs, struct buf *text)
{
    const struct own *own = &fs->own;
    uint64_t total = 0;
    int rc = 0;
    for (unsigned i = 0; i < OWN_OPCODES; i++)
        total += own->calls[i];
    rc = buf_printf(text, "store: %s\nconnected: %s\ncalls.total: %llu\n", fs->backend->shared ? "server" : "embedded",
                    backend_connected(fs->backend) ? "yes" : "no", (unsigned long long)total);
    for (unsigned i = 0; i < OWN_OPCODES && rc == 0; i++)
        if (own->calls[i])
            rc = buf_printf(text, "calls.%s: %llu\n", opcode_names[i] ? opcode_names[i] : "other",
                            (unsigned long long)own->calls[i]);
    if (rc == 0)
        rc = buf_printf(text,
                        "bytes.from_kernel: %llu\nbytes.to_kernel: %llu\ncache.inodes: %zu\n"
                        "cache.timeout: %s\nrequests.allocated: %zu\n",
                        (unsigned long long)own->bytes_in, (unsigned long long)own->bytes_out, fs->inodes.count,
                        timeout_text(fs), fs->call_count);
    if (rc == 0 && fs->recalled)
        rc = buf_printf(text, "recalls.received: %llu\nrecalls.stuck: %llu\nleases.lost: %llu\n",
                        (unsigned long long)fs->recalled->told, (unsigned long long)fs->recalled->stuck,
                        (unsigned long long)fs->recalled->lost);
    return rc;
}

static int snapshot_new(struct fs *fs, bool config, fuse_ino_t *ret_ino)
{
    struct own *own = &fs->own;
    for (unsigned tries = 0; tries < OWN_SNAPSHOTS_MAX; tries++) {
        unsigned at = own->next++ % OWN_SNAPSHOTS_MAX;
        struct own_snapshot *snapshot = &own->snapshots[at];
        if (snapshot->text)
            continue;
        struct buf text = {0};
        int rc = config ? buf_printf(&text, "%s", own->config ? own->config : "") : write_stats(fs, &text);
        if (rc == 0)
            rc = buf_append(&text, "", 1); /* never NULL */
        if (rc < 0) {
            buf_close(&text);
            return rc;
        }
        *snapshot = (struct own_snapshot){text.data, text.len - 1, 0, clock_real_ns(clock_system()), config};
        *ret_ino = INO_SNAPSHOT + at;
        return 0;
    }
    return -ENFILE;
}

/* NULL: the kernel has forgotten it, or there never was one. */
static struct own_snapshot *snapshot_of(struct fs *fs, fuse_ino_t ino)
{
    if (ino < INO_SNAPSHOT || ino >= INO_SNAPSHOT + OWN_SNAPSHOTS_MAX)
        return NULL;
    struct own_snapshot *snapshot = &fs->own.snapshots[ino - INO_SNAPSHOT];
    return snapshot->text ? snapshot : NULL;
}

/* --- answers --- */

static struct kv_attr attr_of(struct fs *fs, fuse_ino_t ino)
{
    const struct own_snapshot *snapshot = snapshot_of(fs, ino);
    struct kv_attr attr = attr_unknown_root(snapshot ? snapshot->time_ns : fs->root.btime_ns);
    attr.id = id_of_ino(snapshot ? (snapshot->config ? INO_CONFIG : INO_STATS) : INO_DIR);
    attr.mode = snapshot ? S_IFREG | 0444 : S_IFDIR | 0555;
    attr.nlink = snapshot ? 1 : 2;
    attr.size = snapshot ? snapshot->len : 0;
    return attr;
}

bool own_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs *fs = fs_of(req);
    struct fuse_entry_param entry = {.ino = INO_DIR};
    int rc = 0;
    if (parent == FUSE_ROOT_ID && strcmp(name, OWN_NAME) == 0)
        rc = 0;
    else if (parent == INO_DIR && (strcmp(name, "stats") == 0 || strcmp(name, "config") == 0))
        rc = snapshot_new(fs, name[0] == 'c', &entry.ino);
    else if (own_is(parent) && strcmp(name, ".") == 0)
        entry.ino = parent;
    else if (own_is(parent))
        rc = -ENOENT;
    else
        return false;
    struct own_snapshot *snapshot = snapshot_of(fs, entry.ino);
    if (entry.ino != INO_DIR && !snapshot && rc == 0)
        rc = -ESTALE;
    if (rc < 0) {
        fuse_reply_err(req, -rc);
        return true;
    }
    struct kv_attr attr = attr_of(fs, entry.ino);
    entry.attr = attr_to_stat(&attr, &fs->view);
    if (snapshot)
        snapshot->lookups++;
    if (fuse_reply_entry(req, &entry) < 0)
        own_forget(req, entry.ino, 1);
    return true;
}

bool own_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
    if (!own_is(ino))
        return false;
    struct own_snapshot *snapshot = snapshot_of(fs_of(req), ino);
    if (!snapshot)
        return true;
    snapshot->lookups -= lookups < snapshot->lookups ? lookups : snapshot->lookups;
    if (!snapshot->lookups) {
        free(snapshot->text);
        *snapshot = (struct own_snapshot){0};
    }
    return true;
}

bool own_getattr(fuse_req_t req, fuse_ino_t ino)
{
    if (!own_is(ino))
        return false;
    if (ino != INO_DIR && !snapshot_of(fs_of(req), ino)) {
        fuse_reply_err(req, ESTALE);
        return true;
    }
    struct kv_attr attr = attr_of(fs_of(req), ino);
    fs_reply_stat(req, fs_of(req)->asks_birth, &attr, 0);
    return true;
}

bool own_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset)
{
    if (!own_is(ino))
        return false;
    const struct own_snapshot *snapshot = snapshot_of(fs_of(req), ino);
    if (!snapshot) {
        fuse_reply_err(req, ESTALE);
        return true;
    }
    size_t from = (size_t)offset < snapshot->len ? (size_t)offset : snapshot->len, left = snapshot->len - from;
    fuse_reply_buf(req, snapshot->text + from, left < size ? left : size);
    return true;
}

/* With attributes or without: the kernel looks each name up either way. */
bool own_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
    static const struct {
        const char *name;
        fuse_ino_t ino;
        mode_t mode;
    } entries[] = {{".", INO_DIR, S_IFDIR},
                   {"..", FUSE_ROOT_ID, S_IFDIR},
                   {"stats", INO_STATS, S_IFREG},
                   {"config", INO_CONFIG, S_IFREG}};
    if (!own_is(ino))
        return false;
    char data[1024];
    size_t len = 0, room = size < sizeof data ? size : sizeof data;
    for (size_t i = (size_t)offset; i < sizeof entries / sizeof entries[0]; i++) {
        struct fuse_entry_param entry = {.attr = {.st_ino = id_of_ino(entries[i].ino), .st_mode = entries[i].mode}};
        size_t need = plus ? fuse_add_direntry_plus(req, data + len, room - len, entries[i].name, &entry, (off_t)i + 1)
                           : fuse_add_direntry(req, data + len, room - len, entries[i].name, &entry.attr, (off_t)i + 1);
        if (need > room - len)
            break;
        len += need;
    }
    fuse_reply_buf(req, data, len);
    return true;
}

bool own_getxattr(fuse_req_t req, fuse_ino_t ino)
{
    if (!own_is(ino))
        return false;
    fuse_reply_err(req, ENODATA);
    return true;
}

bool own_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    if (!own_is(ino))
        return false;
    if (size)
        fuse_reply_buf(req, NULL, 0);
    else
        fuse_reply_xattr(req, 0);
    return true;
}
