/* What a setattr of the kernel asks of the store. Pure.
 *
 * The mount tells the kernel that it takes S_ISUID and S_ISGID off by itself where chown(2), truncate(2) and write(2)
 * have to (FUSE_HANDLE_KILLPRIV_V2); otherwise the kernel would ask for the xattr security.capability before each
 * single write. What it leaves to us:
 *   chown      always
 *   truncate   unless the caller has CAP_FSETID, for which uid 0 stands here
 *   write      the kernel sends a setattr that sets nothing, before the write, when the bits have to go
 */
#ifndef KV_FSD_SETATTR_H
#define KV_FSD_SETATTR_H

#include "kvcore/rpc/request.h"

#include <sys/stat.h>

/* `valid`: FUSE_SET_ATTR_*. None set is chown(2) to nobody, which moves the ctime alone. */
struct kv_request setattr_request(uint64_t id, const struct stat *attr, int valid);

/* Does S_ISUID have to go from a file that has it? */
bool setattr_strips_setid(int valid, uid_t uid);

#endif
