/* The tree below a key, out of a store.
 *
 * Depth first. Of each page of a directory first all that is no directory, then one directory after the other; so the
 * values and the names of the xattrs of a whole page are asked for at once (calls.h), and what waits is bounded by one
 * page of short values at each level. Nodes are read by id: what others rename meanwhile is still copied once or not at
 * all, never half.
 */
#include "kvcore/tools/copy.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/calls.h"
#include "kvcore/tools/id_paths.h"
#include "kvcore/tools/listing.h"

#include <stdlib.h>
#include <sys/stat.h>

enum {
    PAGE_ENTRIES = 128,
    PAGE_VALUE_BYTES = 65536, /* a value up to here comes with its page */
    PIECE_BYTES = 1 << 20,
    EXTENTS_MAX = 65536, /* holes behind so many pieces of data are read as zeros */
};

/* A directory that is being read, and the page of it at hand. */
struct level {
    struct level *outer;
    struct listing listing;
    struct calls calls; /* of each entry of the page: value or target, names of xattrs */
    size_t count;       /* entries of the page */
    size_t at;          /* in the page */
    bool dirs;          /* all but the directories have been given */
    size_t path_len;    /* of the directory */
};

struct source_store {
    struct source source; /* first */
    struct tool *tool;
    const char *key;
    struct level *level; /* the innermost; NULL: not begun, or done */
    bool begun;
    char path[KEY_BYTES_MAX + 1];
    struct kv_attr attr; /* of the current item */
    char target[SYMLINK_BYTES_MAX + 1];
    const struct kv_reply *value, *names; /* of the current item, where they came with the page */
    struct id_paths links;
    struct item_xattr *xattrs;
    size_t xattr_count;
    struct item_extent *extents;
    size_t extent_count, extent_capacity;
    size_t extent; /* being read, and how far */
    uint64_t offset;
};

enum { SLOT_VALUE, SLOT_NAMES, SLOTS_PER_ENTRY };

/* --- levels --- */

static void level_free(struct level *level)
{
    listing_end(&level->listing);
    calls_close(&level->calls);
    free(level);
}

static int level_enter(struct source_store *store, struct kv_ref dir, size_t path_len)
{
    struct level *level = calloc(1, sizeof *level);
    if (!level || calls_init(&level->calls, store->tool, PAGE_ENTRIES * SLOTS_PER_ENTRY) < 0) {
        free(level);
        return -ENOMEM;
    }
    listing_begin(&level->listing, store->tool, dir, true);
    level->listing.limit = PAGE_ENTRIES;
    level->path_len = path_len;
    level->outer = store->level;
    store->level = level;
    return 0;
}

static void level_leave(struct source_store *store)
{
    struct level *level = store->level;
    store->level = level->outer;
    level_free(level);
}

static void fetch_page(struct level *level)
{
    const struct kv_entry *entries = level->listing.page.reply.entries;
    for (size_t i = 0; i < level->count; i++) {
        const struct kv_attr *attr = &entries[i].attr;
        struct kv_request value = {.op = KV_OP_READ, .node = kv_ref_id(attr->id), .length = PAGE_VALUE_BYTES};
        struct kv_request names = {.op = KV_OP_LISTXATTR, .node = kv_ref_id(attr->id)};
        if (S_ISLNK(attr->mode))
            value.op = KV_OP_READLINK;
        if (S_ISLNK(attr->mode) || (S_ISREG(attr->mode) && attr->size && attr->size <= PAGE_VALUE_BYTES))
            calls_submit(&level->calls, i * SLOTS_PER_ENTRY + SLOT_VALUE, &value);
        calls_submit(&level->calls, i * SLOTS_PER_ENTRY + SLOT_NAMES, &names);
    }
    calls_wait(&level->calls);
}

/* The next entry of the innermost directory: 1, 0 (no more), negative. */
static int level_next(struct level *level, size_t *ret_at)
{
    for (;;) {
        const struct kv_reply *page = &level->listing.page.reply;
        for (; level->at < level->count; level->at++)
            if (S_ISDIR(page->entries[level->at].attr.mode) == level->dirs) {
                *ret_at = level->at++;
                return 1;
            }
        if (level->count && !level->dirs) {
            level->dirs = true;
            level->at = 0;
            continue;
        }
        const struct kv_entry *first;
        listing_skip_page(&level->listing);
        int rc = listing_peek(&level->listing, &first);
        if (rc <= 0)
            return rc;
        level->count = level->listing.page.reply.count;
        level->at = 0;
        level->dirs = false;
        fetch_page(level);
    }
}

/* --- items --- */

static int fill_item(struct source_store *store, struct item *item)
{
    const struct kv_attr *attr = &store->attr;
    *item = (struct item){
        .path = store->path,
        .mode = attr->mode,
        .uid = attr->uid,
        .gid = attr->gid,
        .size = S_ISREG(attr->mode) ? attr->size : 0,
        .rdev = attr->rdev,
        .atime_ns = attr->atime_ns,
        .mtime_ns = attr->mtime_ns,
        .expires_ns = attr->expires_ns,
    };
    if (S_ISLNK(attr->mode)) {
        if (store->value->error)
            return store->value->error;
        struct bytes target = kv_reply_bytes(store->value);
        memcpy(store->target, target.data, target.len);
        store->target[target.len] = '\0';
        item->target = store->target;
    }
    if (!S_ISDIR(attr->mode) && attr->nlink > 1)
        item->link = id_paths_meet(&store->links, 0, attr->id, store->path);
    return 0;
}

static int first_item(struct source_store *store, struct copy *copy, struct item *ret_item)
{
    struct kv_request stat = {.op = KV_OP_STAT, .node = tool_ref(store->key), .options = KV_OPT_FOLLOW};
    const struct kv_reply *reply = tool_call(store->tool, &stat);
    store->begun = true;
    if (!reply->error && !S_ISDIR(reply->attr.mode)) {
        tool_complain(store->tool, "%s is no directory; `kv get` copies a single value", store->key);
        return -ENOTDIR;
    }
    if (reply->error) {
        int rc = reply->error;
        progress_clear(&copy->progress);
        tool_check(store->tool, store->key, reply);
        return rc;
    }
    store->attr = reply->attr;
    store->value = store->names = NULL;
    int rc = level_enter(store, kv_ref_id(store->attr.id), 0);
    if (rc == 0)
        rc = fill_item(store, ret_item);
    return rc < 0 ? rc : 1;
}

/* Sets the path to that of an entry. False: it is longer than keys can be (a rename made it so). */
static bool path_set(struct source_store *store, size_t dir_len, struct bytes name)
{
    size_t slash = dir_len > 0;
    if (dir_len + slash + name.len >= sizeof store->path)
        return false;
    if (slash)
        store->path[dir_len] = '/';
    memcpy(store->path + dir_len + slash, name.data, name.len);
    store->path[dir_len + slash + name.len] = '\0';
    return true;
}

static int take_entry(struct source_store *store, struct copy *copy, size_t at, struct item *ret_item)
{
    struct level *level = store->level;
    const struct kv_entry *entry = &level->listing.page.reply.entries[at];
    size_t dir_len = level->path_len;
    if (!path_set(store, dir_len, entry->name)) {
        copy_complain(copy, store->path, -ENAMETOOLONG, "something in this directory has a key that is too long");
        return 0;
    }
    store->attr = entry->attr;
    store->value = calls_reply(&level->calls, at * SLOTS_PER_ENTRY + SLOT_VALUE);
    store->names = calls_reply(&level->calls, at * SLOTS_PER_ENTRY + SLOT_NAMES);
    int rc = fill_item(store, ret_item);
    if (rc == 0 && S_ISDIR(store->attr.mode))
        rc = level_enter(store, kv_ref_id(store->attr.id), strlen(store->path));
    if (rc == -ENOMEM)
        return rc;
    if (rc < 0) {
        copy_complain(copy, store->path, rc, NULL);
        return 0;
    }
    return 1;
}

static bool is_gone(int code) { return code == -ENOENT || code == -ESTALE; }

static int store_next(struct source *source, struct copy *copy, struct item *ret_item)
{
    struct source_store *store = (struct source_store *)source;
    if (!store->begun)
        return first_item(store, copy, ret_item);
    while (store->level) {
        size_t at;
        int rc = level_next(store->level, &at);
        if (rc > 0) {
            rc = take_entry(store, copy, at, ret_item);
            if (rc != 0)
                return rc;
            continue;
        }
        store->path[store->level->path_len] = '\0';
        if (rc < 0 && !is_gone(rc)) {
            copy_complain(copy, store->path, rc, store->level->listing.page.reply.text);
            if (rc == -ECONNREFUSED || rc == -ETIMEDOUT)
                return rc;
        }
        level_leave(store);
    }
    return 0;
}

/* --- xattrs --- */

static void xattrs_clear(struct source_store *store)
{
    for (size_t i = 0; i < store->xattr_count; i++) {
        free((char *)store->xattrs[i].name.data);
        free((char *)store->xattrs[i].value.data);
    }
    free(store->xattrs);
    store->xattrs = NULL;
    store->xattr_count = 0;
}

static struct bytes bytes_copy(struct bytes bytes)
{
    char *copy = malloc(bytes.len + 1);
    CHECK(copy);
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    return bytes_make(copy, bytes.len);
}

static int find_xattrs(struct source_store *store)
{
    struct kv_request list = {.op = KV_OP_LISTXATTR, .node = kv_ref_id(store->attr.id)};
    struct reply_copy own = {0};
    const struct kv_reply *names = store->names;
    xattrs_clear(store);
    if (!names) {
        reply_copy_set(&own, tool_call(store->tool, &list));
        names = &own.reply;
    }
    int rc = names->error;
    store->xattrs = calloc(names->count + 1, sizeof *store->xattrs);
    CHECK(store->xattrs);
    for (size_t i = 0; rc == 0 && i < names->count; i++) {
        struct kv_request get = {
            .op = KV_OP_GETXATTR, .node = kv_ref_id(store->attr.id), .name = names->entries[i].name};
        const struct kv_reply *reply = tool_call(store->tool, &get);
        if (reply->error == -ENODATA)
            continue;
        rc = reply->error;
        if (rc == 0)
            store->xattrs[store->xattr_count++] =
                (struct item_xattr){bytes_copy(names->entries[i].name), bytes_copy(kv_reply_bytes(reply))};
    }
    reply_copy_close(&own);
    return rc;
}

/* --- data --- */

static int add_extent(struct source_store *store, uint64_t offset, uint64_t length)
{
    if (store->extent_count == store->extent_capacity) {
        size_t capacity = store->extent_capacity ? 2 * store->extent_capacity : 8;
        struct item_extent *extents = realloc(store->extents, capacity * sizeof *extents);
        if (!extents)
            return -ENOMEM;
        store->extents = extents;
        store->extent_capacity = capacity;
    }
    store->extents[store->extent_count++] = (struct item_extent){offset, length};
    return 0;
}

static int seek(struct source_store *store, uint64_t offset, bool hole, uint64_t *ret_offset)
{
    struct kv_request request = {
        .op = KV_OP_SEEK, .node = kv_ref_id(store->attr.id), .offset = offset, .options = hole ? KV_OPT_HOLE : 0};
    const struct kv_reply *reply = tool_call(store->tool, &request);
    if (reply->error == 0)
        *ret_offset = reply->uint;
    return reply->error;
}

static int find_extents(struct source_store *store)
{
    uint64_t size = store->attr.size, data = 0, hole;
    store->extent_count = store->extent = 0;
    store->offset = 0;
    if (size == 0)
        return 0;
    if (store->attr.stored >= size)
        return add_extent(store, 0, size);
    while (data < size) {
        int rc = seek(store, data, false, &data);
        if (rc == -ENXIO) /* nothing but a hole from here on */
            return 0;
        hole = size;
        if (rc == 0 && store->extent_count < EXTENTS_MAX - 1)
            rc = seek(store, data, true, &hole);
        if (rc < 0)
            return rc;
        hole = hole < size ? hole : size;
        if (data >= hole)
            return 0;
        rc = add_extent(store, data, hole - data);
        if (rc < 0)
            return rc;
        data = hole;
    }
    return 0;
}

static int store_open(struct source *source, struct copy *copy, struct item *item)
{
    struct source_store *store = (struct source_store *)source;
    (void)copy;
    int rc = find_xattrs(store);
    if (rc == 0 && S_ISREG(item->mode))
        rc = find_extents(store);
    item->xattrs = store->xattrs;
    item->xattr_count = store->xattr_count;
    item->extents = store->extents;
    item->extent_count = S_ISREG(item->mode) ? store->extent_count : 0;
    return rc;
}

/* The part of a value that came with its page. */
static struct bytes piece_at_hand(const struct source_store *store, uint64_t length)
{
    struct bytes value = kv_reply_bytes(store->value);
    if (store->offset >= value.len)
        return (struct bytes){0};
    uint64_t left = value.len - store->offset;
    return bytes_make(value.data + store->offset, length < left ? length : left);
}

static int store_read(struct source *source, const struct item *item, uint64_t *ret_offset, struct bytes *ret_piece)
{
    struct source_store *store = (struct source_store *)source;
    while (store->extent < store->extent_count) {
        const struct item_extent *extent = &store->extents[store->extent];
        uint64_t end = extent->offset + extent->length;
        if (store->offset < extent->offset)
            store->offset = extent->offset;
        uint64_t length = end - store->offset < PIECE_BYTES ? end - store->offset : PIECE_BYTES;
        struct bytes piece = {0};
        if (length && item->size <= PAGE_VALUE_BYTES) {
            if (store->value->error)
                return store->value->error;
            piece = piece_at_hand(store, length);
        } else if (length) {
            struct kv_request read = {
                .op = KV_OP_READ, .node = kv_ref_id(store->attr.id), .offset = store->offset, .length = length};
            const struct kv_reply *reply = tool_call(store->tool, &read);
            if (reply->error)
                return reply->error;
            piece = kv_reply_bytes(reply);
        }
        if (piece.len) {
            *ret_offset = store->offset;
            *ret_piece = piece;
            store->offset += piece.len;
            return 1;
        }
        store->extent++; /* done, or somebody has cut the file meanwhile */
    }
    return 0;
}

static void store_close(struct source *source)
{
    struct source_store *store = (struct source_store *)source;
    while (store->level)
        level_leave(store);
    xattrs_clear(store);
    id_paths_close(&store->links);
    free(store->extents);
    free(store);
}

struct source *source_store_new(struct tool *tool, const char *key)
{
    struct source_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->source = (struct source){.next = store_next, .open = store_open, .read = store_read, .close = store_close};
    store->tool = tool;
    store->key = key;
    return &store->source;
}
