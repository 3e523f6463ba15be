/* A tree into a store.
 *
 * Requests go by key and are pipelined on one connection, which the server executes in order: so a directory is made
 * before what is in it comes, and nobody waits for an answer in between. What waits for an answer is bounded by
 * PUTS_MAX requests and PUT_BYTES_MAX of values.
 *
 * A short file is one `set`. A longer one, or one with holes, is written under a temporary name beside its own and then
 * renamed, so nobody ever reads half of it. Times come last of all, so that what bears the right time is whole.
 *
 * WHAT IS THERE ALREADY. Items in order of their names (a directory of the machine is read so) are held against the
 * store's own listings in the same order: one request for a page, none for what is below a directory that we have just
 * made. Items in any order are asked for one by one.
 */
#include "kvcore/tools/copy.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PUTS_MAX = 512,
    PUT_BYTES_MAX = 32 << 20,
    TEMPORARY_BYTES = 64,
};

/* A request under way. */
struct put {
    struct kv_call call; /* first */
    struct sink_store *store;
    size_t bytes;
    int forgiven; /* the error that is none here */
    char path[];
};

/* A directory that is being filled, and what the store has in it. */
struct there {
    struct there *outer;
    struct listing listing;
    bool fresh; /* we have made it: nothing is in it */
    char *key;
    size_t path_len;
};

struct sink_store {
    struct sink sink; /* first */
    struct tool *tool;
    struct copy *copy;
    const char *top; /* the key */
    bool empty, sorted;
    unsigned temporary;   /* so many were made */
    bool is_temporary;    /* the current file stands under `name` */
    bool is_set;          /* the current file is whole, by one set */
    bool is_there;        /* something has the current item's name, with ... */
    struct kv_attr there; /* ... these attributes */
    struct there *dirs;
    size_t puts, put_bytes;
    char key[KEY_BYTES_MAX + 1];                /* of the current item */
    char name[KEY_BYTES_MAX + TEMPORARY_BYTES]; /* where the current file is written */
};

/* --- requests under way --- */

static void on_put(struct kv_call *call, const struct kv_reply *reply)
{
    struct put *put = (struct put *)call;
    put->store->puts--;
    put->store->put_bytes -= put->bytes;
    if (reply->error && reply->error != put->forgiven)
        copy_complain(put->store->copy, put->path, reply->error, reply->text);
    free(put);
}

static void wait_for(struct sink_store *store, size_t puts, size_t bytes)
{
    while (store->puts > puts || store->put_bytes > bytes)
        uv_run(store->tool->loop, UV_RUN_ONCE);
}

/* Sends a request that concerns the item of this path. `forgiven`: an error that may come, or 0. */
static int put(struct sink_store *store, const char *path, const struct kv_request *request, int forgiven)
{
    struct put *put = calloc(1, sizeof *put + strlen(path) + 1);
    if (!put)
        return -ENOMEM;
    put->call.on_reply = on_put;
    put->store = store;
    put->bytes = request->value.len;
    put->forgiven = forgiven;
    strcpy(put->path, path);
    wait_for(store, PUTS_MAX - 1, PUT_BYTES_MAX);
    store->puts++;
    store->put_bytes += put->bytes;
    const struct kv_reply *reply = backend_submit(client_backend(store->tool->client), request, &put->call);
    if (reply)
        on_put(&put->call, reply);
    return 0;
}

/* --- what is there --- */

static int set_key(struct sink_store *store, const char *path)
{
    const char *slash = *store->top && *path ? "/" : "";
    int len = snprintf(store->key, sizeof store->key, "%s%s%s", store->top, slash, path);
    return len < 0 || (size_t)len >= sizeof store->key ? -ENAMETOOLONG : 0;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* In the listing of the directory at hand, which is passed over up to the name. */
static bool find_in_listing(struct there *dir, const char *name, struct kv_attr *ret_attr)
{
    const struct kv_entry *entry;
    if (dir->fresh)
        return false;
    while (listing_peek(&dir->listing, &entry) > 0) {
        int order = bytes_compare(entry->name, bytes_of(name));
        if (order > 0)
            return false;
        if (order == 0) {
            *ret_attr = entry->attr;
            return true;
        }
        listing_next(&dir->listing, &entry);
    }
    return false;
}

static void find_there(struct sink_store *store, const struct item *item)
{
    store->is_there = false;
    if (store->empty && *item->path)
        return;
    if (store->sorted && store->dirs)
        store->is_there = find_in_listing(store->dirs, last_name(item->path), &store->there);
    else
        store->is_there = tool_stat(store->tool, store->key, 0, &store->there) == 0;
}

static int dir_enter(struct sink_store *store, const struct item *item, bool fresh)
{
    struct there *dir = calloc(1, sizeof *dir);
    char *key = strdup(store->key);
    if (!dir || !key) {
        free(dir);
        free(key);
        return -ENOMEM;
    }
    dir->key = key;
    dir->fresh = fresh;
    dir->path_len = strlen(item->path);
    listing_begin(&dir->listing, store->tool, tool_ref(key), true);
    dir->outer = store->dirs;
    store->dirs = dir;
    return 0;
}

static void dir_leave(struct sink_store *store)
{
    struct there *dir = store->dirs;
    store->dirs = dir->outer;
    listing_end(&dir->listing);
    free(dir->key);
    free(dir);
}

/* --- the sink --- */

static bool store_has(struct sink *sink, struct copy *copy, const struct item *item)
{
    struct sink_store *store = (struct sink_store *)sink;
    const struct kv_attr *attr = &store->there;
    store->copy = copy;
    if (set_key(store, item->path) < 0)
        return false; /* make says so */
    find_there(store, item);
    if (!store->is_there || (attr->mode ^ item->mode) & S_IFMT || attr->mtime_ns != item->mtime_ns)
        return false;
    if (item->link && attr->nlink < 2)
        return false;
    return !S_ISREG(item->mode) || attr->size == item->size;
}

/* The time to live that is left; at least 1 ms. */
static int64_t left_ms(int64_t expires_ns)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t left = (expires_ns - now.tv_sec * 1000000000 - now.tv_nsec) / 1000000;
    return left > 0 ? left : 1;
}

/* Xattrs, owner, mode, times, expiry of what bears this key now. */
static int put_attributes(struct sink_store *store, const struct item *item, const char *key)
{
    struct kv_request request = {.op = KV_OP_SETATTR,
                                 .node = tool_ref(key),
                                 .options = KV_OWNER_OPTIONS | KV_OPT_ATIME | KV_OPT_MTIME,
                                 .mode = item->mode & 07777,
                                 .uid = item->uid,
                                 .gid = item->gid,
                                 .atime_ns = item->atime_ns,
                                 .mtime_ns = item->mtime_ns};
    int rc = 0;
    if (S_ISLNK(item->mode))
        request.options &= ~(uint32_t)KV_OPT_MODE;
    for (size_t i = 0; rc == 0 && i < item->xattr_count; i++) {
        struct kv_request set = {
            .op = KV_OP_SETXATTR, .node = tool_ref(key), .name = item->xattrs[i].name, .value = item->xattrs[i].value};
        rc = put(store, item->path, &set, 0);
    }
    if (rc == 0)
        rc = put(store, item->path, &request, 0);
    if (rc == 0 && item->expires_ns && !S_ISDIR(item->mode)) {
        struct kv_request expire = {.op = KV_OP_EXPIRE, .node = tool_ref(key), .ttl_ms = left_ms(item->expires_ns)};
        rc = put(store, item->path, &expire, 0);
    }
    return rc;
}

static int put_unlink(struct sink_store *store, const struct item *item, const char *key)
{
    struct kv_request unlink = {.op = KV_OP_UNLINK, .node = tool_ref(key)};
    return put(store, item->path, &unlink, -ENOENT);
}

static int make_dir(struct sink_store *store, const struct item *item)
{
    struct kv_request mkdir = {.op = KV_OP_MKDIR, .node = tool_ref(store->key), .options = KV_OPT_MODE, .mode = 0700};
    bool fresh = !store->is_there;
    if (store->is_there && !S_ISDIR(store->there.mode))
        return -EEXIST;
    mkdir.options |= *item->path ? 0 : KV_OPT_PARENTS; /* the top's own parents */
    int rc = fresh && *store->key ? put(store, item->path, &mkdir, 0) : 0;
    return rc < 0 ? rc : dir_enter(store, item, fresh);
}

static int make_link(struct sink_store *store, const struct item *item)
{
    char first[KEY_BYTES_MAX + 1];
    const char *slash = *store->top ? "/" : "";
    int len = snprintf(first, sizeof first, "%s%s%s", store->top, slash, item->link);
    if (len < 0 || (size_t)len >= sizeof first)
        return -ENAMETOOLONG;
    struct kv_request link = {.op = KV_OP_LINK, .node = tool_ref(first), .target = tool_ref(store->key)};
    return put(store, item->path, &link, 0);
}

static int make_other(struct sink_store *store, const struct item *item)
{
    struct kv_request make = {.op = KV_OP_MKNOD,
                              .node = tool_ref(store->key),
                              .options = KV_OPT_MODE | KV_OPT_RDEV,
                              .mode = item->mode,
                              .rdev = item->rdev};
    if (S_ISLNK(item->mode)) {
        make = (struct kv_request){.op = KV_OP_SYMLINK, .node = tool_ref(store->key), .value = bytes_of(item->target)};
    }
    int rc = put(store, item->path, &make, 0);
    return rc < 0 ? rc : put_attributes(store, item, store->key);
}

static int store_make(struct sink *sink, struct copy *copy, const struct item *item)
{
    struct sink_store *store = (struct sink_store *)sink;
    store->copy = copy;
    store->is_temporary = store->is_set = false;
    int rc = set_key(store, item->path);
    if (rc < 0)
        return rc;
    if (S_ISDIR(item->mode)) { /* nobody has looked for it */
        find_there(store, item);
        return make_dir(store, item);
    }
    if (store->is_there && S_ISDIR(store->there.mode))
        return -EISDIR;
    if (store->is_there && (item->link || !S_ISREG(item->mode) || !S_ISREG(store->there.mode)))
        rc = put_unlink(store, item, store->key);
    if (rc < 0)
        return rc;
    if (item->link)
        return make_link(store, item);
    return S_ISREG(item->mode) ? 0 : make_other(store, item);
}

/* Begins the current file under a temporary name in the same directory. */
static int begin_temporary(struct sink_store *store, const struct item *item)
{
    size_t dir_len = (size_t)(last_name(store->key) - store->key);
    snprintf(store->name, sizeof store->name, "%.*s.kv-%ld-%u", (int)dir_len, store->key, (long)getpid(),
             store->temporary++);
    struct kv_request create = {
        .op = KV_OP_CREATE, .node = tool_ref(store->name), .options = KV_OPT_MODE | KV_OPT_NX, .mode = 0600};
    int rc = put(store, item->path, &create, 0);
    store->is_temporary = rc == 0;
    return rc;
}

static int store_write(struct sink *sink, struct copy *copy, const struct item *item, uint64_t offset,
                       struct bytes piece)
{
    struct sink_store *store = (struct sink_store *)sink;
    (void)copy;
    if (offset == 0 && piece.len == item->size) {
        struct kv_request set = {.op = KV_OP_SET, .node = tool_ref(store->key), .value = piece};
        store->is_set = true;
        return put(store, item->path, &set, 0);
    }
    int rc = store->is_temporary ? 0 : begin_temporary(store, item);
    struct kv_request write = {.op = KV_OP_WRITE, .node = tool_ref(store->name), .offset = offset, .value = piece};
    return rc < 0 ? rc : put(store, item->path, &write, 0);
}

static int end_temporary(struct sink_store *store, const struct item *item)
{
    struct kv_request size = {
        .op = KV_OP_SETATTR, .node = tool_ref(store->name), .options = KV_OPT_SIZE, .size = item->size};
    struct kv_request rename = {.op = KV_OP_RENAME, .node = tool_ref(store->name), .target = tool_ref(store->key)};
    int rc = put(store, item->path, &size, 0);
    if (rc == 0)
        rc = put_attributes(store, item, store->name);
    return rc < 0 ? rc : put(store, item->path, &rename, 0);
}

static int store_end(struct sink *sink, struct copy *copy, const struct item *item, int rc)
{
    struct sink_store *store = (struct sink_store *)sink;
    (void)copy;
    if (rc < 0) {
        if (store->is_temporary)
            put_unlink(store, item, store->name);
        return rc;
    }
    if (!store->is_set && !store->is_temporary && item->size == 0) {
        struct kv_request set = {.op = KV_OP_SET, .node = tool_ref(store->key), .value = bytes_of("")};
        rc = put(store, item->path, &set, 0);
        store->is_set = true;
    }
    if (rc == 0 && store->is_set)
        return put_attributes(store, item, store->key);
    if (rc == 0 && !store->is_temporary) /* nothing but a hole */
        rc = begin_temporary(store, item);
    return rc < 0 ? rc : end_temporary(store, item);
}

static int store_leave(struct sink *sink, struct copy *copy, const struct item *item)
{
    struct sink_store *store = (struct sink_store *)sink;
    (void)copy;
    CHECK(store->dirs && store->dirs->path_len == strlen(item->path));
    int rc = put_attributes(store, item, store->dirs->key);
    dir_leave(store);
    return rc;
}

static int store_finish(struct sink *sink, struct copy *copy)
{
    (void)copy;
    wait_for((struct sink_store *)sink, 0, 0);
    return 0;
}

static void store_close(struct sink *sink)
{
    struct sink_store *store = (struct sink_store *)sink;
    wait_for(store, 0, 0);
    while (store->dirs)
        dir_leave(store);
    free(store);
}

struct sink *sink_store_new(struct tool *tool, const char *key, bool empty, bool sorted)
{
    struct sink_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->sink = (struct sink){.has = store_has,
                                .make = store_make,
                                .write = store_write,
                                .end = store_end,
                                .leave = store_leave,
                                .finish = store_finish,
                                .close = store_close};
    store->tool = tool;
    store->top = key;
    store->empty = empty;
    store->sorted = sorted;
    return &store->sink;
}
