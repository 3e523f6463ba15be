#include "kvcore/tree/image.h"

#include "kvcore/base/limits.h"

static uint64_t count_names(const struct node *node)
{
    if (node_is_dir(node)) /* its nlink says something else */
        return node_ext(node)->links ? 1 : 0;
    return node_nlink(node);
}

static const struct dentry *first_name(const struct node *node)
{
    return node->flags & NODE_LINKED ? &node_ext(node)->links->dentry : &node->dentry;
}

void image_of(const struct node *node, struct image *ret_image)
{
    const struct node_ext *ext = node_ext(node);
    struct image image = {.id = node->id, .version = node->version, .mode = node->mode};
    image.uid = node->uid;
    image.gid = node->gid;
    image.mtime_ns = node->mtime_ns;
    image.btime_ns = node->btime_ns;
    image.ctime_ns = node_ctime_ns(node);
    image.atime_ns = node_atime_ns(node);
    image.expires_ns = node_expires_ns(node);
    image.holds = ext ? ext->holds : 0;
    image.has_xattrs = ext && ext->xattrs;
    image.is_unnamed = node->flags & NODE_UNNAMED;
    image.names = count_names(node);
    if (image.names == 1) {
        const struct dentry *dentry = first_name(node);
        image.dir = dentry->dir->id;
        image.name = dentry_name(dentry);
    }
    if (node->flags & NODE_ROPE) {
        image.is_rope = true;
        image.size = ext->rope.size;
    } else if (image_has_value(node->mode)) {
        image.value = bytes_make(node_inline(node), node->inline_len);
    } else if (image_has_rdev(node->mode)) {
        image.rdev = ext->rdev;
    }
    *ret_image = image;
}
