/* limit: a FUSE file system that does as little as one can: the yardstick that `make bench` holds kvfs against.
 *
 * One thread, plain libfuse, everything in memory, answers cached by the kernel for ever, no message for open,
 * opendir and flush. It checks no permission, keeps no link count, and never frees a node (only its bytes), so it is
 * faster than any honest file system can be through the same kernel interface: what separates kvfs from it is kvfs's
 * own work. Like kvfs it lets the kernel choose between readdir and readdirplus: plus for all would make its listings
 * slow, and would answer the first stat of each file beforehand.
 *
 *   limit MOUNTPOINT      stays in the foreground until unmounted
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { TABLE = 1 << 18, NAME_MAX_BYTES = 40 };

/* A node and its one name. Directories list their children by walking `sibling`; of one that was removed it still leads
 * back among them, for the listing that was there. */
struct thing {
    struct stat st;
    char *bytes;
    size_t room;
    struct thing *dir, *chain, *child, *sibling, *elder;
    char name[NAME_MAX_BYTES];
};

static struct thing *table[TABLE], top;

static struct thing *at(fuse_ino_t ino) { return ino == FUSE_ROOT_ID ? &top : (struct thing *)ino; }

static struct thing **slot(const struct thing *dir, const char *name)
{
    size_t hash = (size_t)dir;
    for (; *name; name++)
        hash = hash * 131 + (unsigned char)*name;
    return &table[(hash * 0x9e3779b97f4a7c15u) >> 46];
}

static struct thing *seek(const struct thing *dir, const char *name)
{
    struct thing *thing = *slot(dir, name);
    while (thing && (thing->dir != dir || strcmp(thing->name, name)))
        thing = thing->chain;
    return thing;
}

static void enter(struct thing *thing, struct thing *dir, const char *name)
{
    strncpy(thing->name, name, sizeof thing->name - 1);
    struct thing **first = slot(dir, thing->name);
    thing->dir = dir;
    thing->chain = *first;
    *first = thing;
    thing->elder = NULL;
    thing->sibling = dir->child;
    if (dir->child)
        dir->child->elder = thing;
    dir->child = thing;
}

static void leave(struct thing *thing)
{
    struct thing **link = slot(thing->dir, thing->name);
    while (*link != thing)
        link = &(*link)->chain;
    *link = thing->chain;
    *(thing->elder ? &thing->elder->sibling : &thing->dir->child) = thing->sibling;
    if (thing->sibling)
        thing->sibling->elder = thing->elder;
    thing->dir = NULL;
}

static struct fuse_entry_param entry(const struct thing *thing)
{
    return (struct fuse_entry_param){(fuse_ino_t)thing, 0, thing->st, 1e9, 1e9};
}

static struct thing *make(fuse_ino_t dir, const char *name, mode_t mode)
{
    struct thing *thing = calloc(1, sizeof *thing);
    thing->st = (struct stat){.st_ino = (ino_t)thing, .st_mode = mode, .st_nlink = 1};
    clock_gettime(CLOCK_REALTIME, &thing->st.st_mtim);
    enter(thing, at(dir), name);
    return thing;
}

static void on_init(void *user, struct fuse_conn_info *conn)
{
    (void)user;
    conn->want |= conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_PARALLEL_DIROPS);
    conn->max_write = 1 << 20;
}

static void on_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
    struct thing *thing = seek(at(dir), name);
    struct fuse_entry_param found = thing ? entry(thing) : (struct fuse_entry_param){.entry_timeout = 1e9};
    fuse_reply_entry(req, &found);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    (void)file;
    fuse_reply_attr(req, &at(ino)->st, 1e9);
}

static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int set, struct fuse_file_info *file)
{
    if (set & FUSE_SET_ATTR_SIZE)
        at(ino)->st.st_size = st->st_size;
    on_getattr(req, ino, file);
}

static void on_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode, struct fuse_file_info *file)
{
    struct fuse_entry_param made = entry(make(dir, name, S_IFREG | mode));
    file->keep_cache = file->noflush = 1;
    fuse_reply_create(req, &made, file);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
    struct fuse_entry_param made = entry(make(dir, name, S_IFDIR | mode));
    fuse_reply_entry(req, &made);
}

static void on_enosys(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
    (void)ino, (void)file;
    fuse_reply_err(req, ENOSYS);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    (void)ino, (void)name, (void)size;
    fuse_reply_err(req, ENOSYS);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t len, off_t offset,
                     struct fuse_file_info *file)
{
    (void)file;
    struct thing *thing = at(ino);
    size_t end = (size_t)offset + len;
    if (end > thing->room) {
        thing->room = end > 2 * thing->room ? end : 2 * thing->room;
        thing->bytes = realloc(thing->bytes, thing->room);
    }
    memcpy(thing->bytes + offset, data, len);
    if ((off_t)end > thing->st.st_size)
        thing->st.st_size = (off_t)end;
    fuse_reply_write(req, len);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t offset, struct fuse_file_info *file)
{
    (void)file;
    const struct thing *thing = at(ino);
    off_t left = offset < thing->st.st_size ? thing->st.st_size - offset : 0;
    fuse_reply_buf(req, thing->bytes + offset, (off_t)len < left ? len : (size_t)left);
}

static void on_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
    struct thing *thing = seek(at(dir), name);
    fuse_reply_err(req, thing ? 0 : ENOENT);
    if (!thing)
        return;
    leave(thing);
    free(thing->bytes);
    thing->bytes = NULL;
    thing->room = 0;
    thing->st.st_size = 0;
}

static void on_rename(fuse_req_t req, fuse_ino_t from, const char *name, fuse_ino_t to, const char *new_name,
                      unsigned flags)
{
    (void)flags;
    struct thing *thing = seek(at(from), name);
    if (thing) {
        leave(thing);
        enter(thing, at(to), new_name);
    }
    fuse_reply_err(req, thing ? 0 : ENOENT);
}

/* An offset is the address of the entry last given. */
static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, int plus)
{
    char *page = malloc(size);
    size_t used = 0;
    for (struct thing *thing = offset ? ((struct thing *)offset)->sibling : at(ino)->child; thing;
         thing = thing->sibling) {
        struct fuse_entry_param found = entry(thing);
        char *end = page + used;
        size_t left = size - used;
        size_t need = plus ? fuse_add_direntry_plus(req, end, left, thing->name, &found, (off_t)thing)
                           : fuse_add_direntry(req, end, left, thing->name, &found.attr, (off_t)thing);
        if (need > left)
            break;
        used += need;
    }
    fuse_reply_buf(req, page, used);
    free(page);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)file;
    list(req, ino, size, offset, 0);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)file;
    list(req, ino, size, offset, 1);
}

static const struct fuse_lowlevel_ops operations = {
    .init = on_init,
    .lookup = on_lookup,
    .getattr = on_getattr,
    .setattr = on_setattr,
    .create = on_create,
    .mkdir = on_mkdir,
    .open = on_enosys,
    .opendir = on_enosys,
    .flush = on_enosys,
    .getxattr = on_getxattr,
    .write = on_write,
    .read = on_read,
    .unlink = on_unlink,
    .rmdir = on_unlink,
    .rename = on_rename,
    .readdir = on_readdir,
    .readdirplus = on_readdirplus,
};

int main(int argc, char **argv)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    if (argc != 2)
        return fprintf(stderr, "usage: limit MOUNTPOINT\n"), 2;
    fuse_opt_add_arg(&args, argv[0]);
    fuse_opt_add_arg(&args, "-odefault_permissions");
    top.st = (struct stat){.st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR | 0755, .st_nlink = 2};
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, NULL);
    if (!session || fuse_session_mount(session, argv[1]))
        return 1;
    fuse_set_signal_handlers(session);
    int fd = fuse_session_fd(session);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    for (struct fuse_buf request = {0}; !fuse_session_exited(session);) {
        int len = fuse_session_receive_buf(session, &request);
        if (len > 0)
            fuse_session_process_buf(session, &request);
        else if (len == -EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
        else if (len != -EINTR)
            break;
    }
    fuse_session_unmount(session);
    return 0;
}
