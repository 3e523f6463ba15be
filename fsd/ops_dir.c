/* Listing a directory.
 *
 * A position (d_off) is the store's cookie, which stays valid whatever others insert and delete; "." and ".." have 1
 * and 2, which the store never gives. Each message of the kernel is one page of the store, as many entries of it as
 * fit. Entries of equal cookie are not parted: who goes on behind the cookie would miss the rest.
 */
#include "fsd/fs.h"

#include "kvcore/base/error.h"

enum {
    COOKIE_DOT = 1,
    COOKIE_DOT_DOT = 2,
    ENTRY_BYTES_MIN = 32,  /* of a struct fuse_dirent with a short name */
    PLUS_BYTES_MIN = 160,  /* of a struct fuse_direntplus */
    PAGE_ENTRIES_MIN = 64, /* what the store wants to be asked for at least */
    INO_UNKNOWN = -1,      /* as libfuse shows it */
};

/* The answer while it is filled. */
struct listing {
    fuse_req_t req;
    char *data;
    size_t len, size;
    bool plus;
};

/* True: it fitted. */
static bool add(struct listing *listing, const char *name, const struct fuse_entry_param *entry, uint64_t cookie)
{
    char *end = listing->data + listing->len;
    size_t room = listing->size - listing->len;
    size_t need = listing->plus ? fuse_add_direntry_plus(listing->req, end, room, name, entry, (off_t)cookie)
                                : fuse_add_direntry(listing->req, end, room, name, &entry->attr, (off_t)cookie);
    if (need > room)
        return false;
    listing->len += need;
    return true;
}

/* These two carry no inode for the kernel to remember. */
static void add_dots(struct listing *listing, uint64_t id, uint64_t after)
{
    struct fuse_entry_param entry = {.attr.st_ino = id, .attr.st_mode = S_IFDIR};
    if (after < COOKIE_DOT)
        add(listing, ".", &entry, COOKIE_DOT);
    entry.attr.st_ino = id == FUSE_ROOT_ID ? FUSE_ROOT_ID : (ino_t)(uint32_t)INO_UNKNOWN;
    if (after < COOKIE_DOT_DOT)
        add(listing, "..", &entry, COOKIE_DOT_DOT);
}

/* As many of the entries as fit, not parting equal cookies. Returns how many; -ENOMEM. The kernel's lookups are
 * counted for those. */
static ssize_t add_entries(struct fs_call *call, struct listing *listing, const struct kv_entry *entries, size_t count)
{
    struct fs *fs = call->fs;
    size_t fitted = 0, whole = 0, whole_len = listing->len;
    for (; fitted < count; fitted++) {
        const struct kv_entry *entry = &entries[fitted];
        char name[NAME_BYTES_MAX + 1];
        size_t name_len = entry->name.len < NAME_BYTES_MAX ? entry->name.len : NAME_BYTES_MAX;
        memcpy(name, entry->name.data, name_len);
        name[name_len] = '\0';
        if (fitted && entries[fitted - 1].cookie != entry->cookie) {
            whole = fitted;
            whole_len = listing->len;
        }
        struct fuse_entry_param shown = {.attr.st_ino = entry->attr.id, .attr.st_mode = entry->attr.mode};
        if (listing->plus && fs_entry(call, &entry->attr, &shown) < 0)
            break;
        if (!add(listing, name, &shown, entry->cookie)) {
            if (listing->plus)
                fs_forget(fs, entry->attr.id, 1);
            break;
        }
    }
    if (fitted == count || !whole) /* all of them; or one run that is too long for any buffer, which then is parted */
        return (ssize_t)fitted;
    for (size_t i = whole; i < fitted && listing->plus; i++)
        fs_forget(fs, entries[i].attr.id, 1);
    listing->len = whole_len;
    return (ssize_t)whole;
}

/* readdir, readdirplus: buf, or err */
static const struct kv_request *finish_readdir(struct fs_call *call, const struct kv_reply *reply)
{
    struct fs *fs = call->fs;
    fs->scratch.len = 0;
    int rc = reply->error ? reply->error : buf_reserve(&fs->scratch, call->size);
    if (rc < 0) {
        fuse_reply_err(call->req, fs_errno(call, rc));
        return NULL;
    }
    struct listing listing = {call->req, fs->scratch.data, 0, call->size, call->flags};
    add_dots(&listing, call->id, call->offset);
    ssize_t shown = add_entries(call, &listing, reply->entries, reply->count);
    if (!listing.len && reply->count)
        fuse_reply_err(call->req, ENOMEM); /* an empty answer would mean the end */
    else if (fuse_reply_buf(call->req, listing.data, listing.len) < 0 && listing.plus)
        for (ssize_t i = 0; i < shown; i++)
            fs_forget(fs, reply->entries[i].attr.id, 1);
    return NULL;
}

static void run_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
    if (own_readdir(req, ino, size, offset, plus))
        return;
    struct fs_call *call = fs_call(req, finish_readdir);
    if (!call)
        return;
    call->id = id_of_ino(ino);
    call->offset = (uint64_t)offset;
    call->size = size;
    call->flags = plus;
    size_t limit = size / (plus ? PLUS_BYTES_MIN : ENTRY_BYTES_MIN) + 1;
    if (limit < PAGE_ENTRIES_MIN)
        limit = PAGE_ENTRIES_MIN;
    struct kv_request request = {
        .op = KV_OP_READDIR,
        .options = KV_OPT_LIMIT,
        .node = kv_ref_id(id_of_ino(ino)),
        .cookie = call->offset,
        .limit = limit < LISTING_MAX ? (uint32_t)limit : LISTING_MAX,
    };
    if (plus && call->fs->leased)
        request.options |= KV_OPT_LEASE;
    fs_submit(call, &request);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)file;
    run_readdir(req, ino, size, offset, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *file)
{
    (void)file;
    run_readdir(req, ino, size, offset, true);
}
