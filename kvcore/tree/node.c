#include "kvcore/tree/node.h"

#include "kvcore/base/check.h"
#include "kvcore/base/limits.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/xattr.h"

#include <malloc.h>

static_assert(offsetof(struct node, dentry) == 44, "a small file's fixed part: docs/architecture.md counts on it");
static_assert(offsetof(struct dentry, name) == 10, "a dentry's fixed part");

/* What ls shows for a directory: a block, as most file systems say. */
enum { DIR_SIZE_BYTES = 4096 };

uint64_t node_size(const struct node *node)
{
    if (node_is_dir(node))
        return DIR_SIZE_BYTES;
    return node->flags & NODE_ROPE ? node_ext(node)->rope.size : node->inline_len;
}

uint64_t node_stored_bytes(const struct node *node)
{
    if (node_is_dir(node))
        return DIR_SIZE_BYTES;
    return node->flags & NODE_ROPE ? rope_stored_bytes(&node_ext(node)->rope) : node->inline_len;
}

int64_t node_ctime_ns(const struct node *node)
{
    return node->flags & NODE_EXT ? node_ext(node)->ctime_ns : node->mtime_ns;
}

int64_t node_atime_ns(const struct node *node)
{
    return node->flags & NODE_EXT ? node_ext(node)->atime_ns : node->btime_ns;
}

uint32_t node_nlink(const struct node *node) { return node->flags & NODE_EXT ? node_ext(node)->nlink : 1; }

int64_t node_expires_ns(const struct node *node)
{
    return node->flags & NODE_EXPIRES ? node_ext(node)->expires_ns : INT64_MAX;
}

struct dentry *node_dir_dentry(const struct node *node)
{
    CHECK(node_is_dir(node));
    struct link *link = node_ext(node)->links;
    return link ? &link->dentry : NULL;
}

static size_t node_bytes(size_t name_len, bool ext, size_t inline_len)
{
    size_t bytes = offsetof(struct node, dentry) + offsetof(struct dentry, name) + name_len +
                   (ext ? sizeof(struct node_ext *) : 0) + inline_len;
    return bytes > sizeof(struct node) ? bytes : sizeof(struct node); /* the struct may end in padding */
}

struct node *node_new(struct mem *mem, uint64_t id, uint16_t mode, struct bytes name, size_t inline_len)
{
    CHECK(name.len <= NAME_BYTES_MAX && inline_len <= INLINE_BYTES_MAX);
    struct node *node = mem_alloc(mem, node_bytes(name.len, false, inline_len));
    if (!node)
        return NULL;
    *node = (struct node){.id = id, .mode = mode, .inline_len = (uint8_t)inline_len};
    node->dentry.name_len = (uint8_t)name.len;
    node->dentry.kind = DENTRY_INSIDE;
    if (name.len)
        memcpy(node->dentry.name, name.data, name.len);
    return node;
}

void node_free(struct node *node, struct mem *mem)
{
    struct node_ext *ext = node_ext(node);
    if (ext) {
        CHECK(!ext->links);
        if (node_is_dir(node))
            dir_free(ext->dir, mem);
        else if (node->flags & NODE_ROPE)
            rope_close(&ext->rope, mem);
        xattrs_free(ext->xattrs, mem);
        mem_free(mem, ext);
    }
    mem_free(mem, node);
}

/* A block to hold `bytes`: the old one when it fits without waste. */
static bool fits(const struct node *node, size_t bytes)
{
    size_t usable = malloc_usable_size((void *)node);
    return bytes <= usable && bytes > usable / 2;
}

/* Lays `node` out again as `into` (which may be the same block): another name, ext or not, another inline length. */
static void lay_out(struct node *into, const struct node *node, struct bytes name, struct node_ext *ext,
                    size_t inline_len)
{
    char value[INLINE_BYTES_MAX];
    size_t keep = inline_len < node->inline_len ? inline_len : node->inline_len;
    memcpy(value, node_inline(node), keep);
    if (into != node)
        memcpy(into, node, offsetof(struct node, dentry) + offsetof(struct dentry, name));
    if (name.len)
        memmove(into->dentry.name, name.data, name.len);
    into->dentry.name_len = (uint8_t)name.len;
    into->inline_len = (uint8_t)inline_len;
    if (ext) {
        into->flags |= NODE_EXT;
        memcpy(into->dentry.name + name.len, &ext, sizeof ext);
    }
    memcpy(node_inline(into), value, keep);
}

static struct node *relay(struct node *node, struct mem *mem, struct bytes name, struct node_ext *ext,
                          size_t inline_len)
{
    size_t bytes = node_bytes(name.len, ext, inline_len);
    struct node *into = fits(node, bytes) ? node : mem_alloc(mem, bytes);
    if (!into)
        return NULL;
    lay_out(into, node, name, ext, inline_len);
    if (into != node)
        mem_free(mem, node);
    return into;
}

struct node *node_reshape(struct node *node, struct mem *mem, struct bytes name, size_t inline_len)
{
    CHECK(name.len <= NAME_BYTES_MAX && inline_len <= INLINE_BYTES_MAX);
    if (name.len == node->dentry.name_len && inline_len == node->inline_len) {
        if (name.len)
            memmove(node->dentry.name, name.data, name.len);
        return node;
    }
    return relay(node, mem, name, node_ext(node), inline_len);
}

struct node *node_extend(struct node *node, struct mem *mem)
{
    if (node->flags & NODE_EXT)
        return node;
    struct node_ext *ext = mem_calloc(mem, sizeof *ext);
    if (!ext)
        return NULL;
    ext->ctime_ns = node_ctime_ns(node);
    ext->atime_ns = node_atime_ns(node);
    ext->nlink = node_nlink(node);
    struct node *moved = relay(node, mem, dentry_name(&node->dentry), ext, node->inline_len);
    if (!moved)
        mem_free(mem, ext);
    return moved;
}

struct node *node_copy(const struct node *node, struct mem *mem, struct node *dir, struct bytes name)
{
    struct node_ext *ext = node_ext(node);
    struct node *copy = mem_alloc(mem, node_bytes(name.len, ext, node->inline_len));
    if (!copy)
        return NULL;
    lay_out(copy, node, name, ext, node->inline_len);
    copy->dentry.dir = dir;
    return copy;
}

struct link *link_new(struct mem *mem, struct node *node, struct node *dir, struct bytes name)
{
    CHECK(name.len <= NAME_BYTES_MAX);
    size_t bytes = offsetof(struct link, dentry) + offsetof(struct dentry, name) + name.len;
    struct link *link = mem_alloc(mem, bytes > sizeof *link ? bytes : sizeof *link);
    if (!link)
        return NULL;
    *link = (struct link){.node = node};
    link->dentry.dir = dir;
    link->dentry.name_len = (uint8_t)name.len;
    link->dentry.kind = DENTRY_LINK;
    memcpy(link->dentry.name, name.data, name.len);
    return link;
}
