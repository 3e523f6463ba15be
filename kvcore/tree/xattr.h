/* The extended attributes of one node: a short list sorted by name, in one allocation. Names carry their
 * namespace prefix ("user.color"); limits as in xattr(7). */
#ifndef KV_TREE_XATTR_H
#define KV_TREE_XATTR_H

#include "kvcore/base/bytes.h"
#include "kvcore/base/mem.h"

struct xattrs; /* NULL is the empty list */

/* xattrs may be NULL in all of these. */
void xattrs_free(struct xattrs *xattrs, struct mem *mem);
/* False when there is none of that name. The value is borrowed until the list changes. */
bool xattrs_get(const struct xattrs *xattrs, struct bytes name, struct bytes *ret_value);
/* Adds or replaces. -ENOMEM, -ENOSPC past XATTR_TOTAL_BYTES_MAX (unchanged then). */
int xattrs_set(struct xattrs **xattrs, struct mem *mem, struct bytes name, struct bytes value);
/* -ENODATA when there is none. */
int xattrs_remove(struct xattrs **xattrs, struct mem *mem, struct bytes name);
/* Walks in name order: *at starts at 0. False at the end. */
bool xattrs_next(const struct xattrs *xattrs, size_t *at, struct bytes *ret_name, struct bytes *ret_value);

#endif
