/* POSIX access control lists (acl(5)) as the xattrs system.posix_acl_access and system.posix_acl_default hold them.
 * Pure. The kernel enforces them; what is left to a file system is that mode and access ACL stay two views of one
 * thing, and that what is made in a directory with a default ACL inherits it.
 */
#ifndef KV_TREE_ACL_H
#define KV_TREE_ACL_H

#include "kvcore/base/bytes.h"

/* Is it one: entries in order, none missing, none twice? -EINVAL; -E2BIG past ACL_BYTES_MAX. The functions below take
 * only what passed here. */
int acl_check(struct bytes acl);

/* What it says as permission bits (0777). */
uint32_t acl_mode(struct bytes acl);

/* Does it say more than permission bits can? */
bool acl_is_extended(struct bytes acl);

/* Makes it say what chmod(2) to `mode` means. */
void acl_chmod(char *acl, size_t len, uint32_t mode);

/* Makes a copy of a directory's default ACL the access ACL of a node that is created with `mode`. Returns the mode that
 * the node has then; bits beyond 0777 are kept. */
uint32_t acl_inherit(char *acl, size_t len, uint32_t mode);

#endif
