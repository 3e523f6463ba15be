/* A node's attributes as the kernel is shown them. */
#ifndef KV_FSD_ATTR_H
#define KV_FSD_ATTR_H

#include "kvcore/rpc/request.h"

#include <sys/stat.h>

/* What the user had us show instead of what the store says (-o uid=, gid=, umask=). */
struct attr_view {
    bool has_uid, has_gid, has_umask;
    uid_t uid;
    gid_t gid;
    mode_t umask;
};

/* Rounds down, also before 1970. */
struct timespec attr_to_timespec(int64_t ns);
struct stat attr_to_stat(const struct kv_attr *attr, const struct attr_view *view);

/* A node whose S_ISUID or S_ISGID a chown, or a write by somebody else, has to take off. */
static inline bool attr_is_setid(const struct kv_attr *attr)
{
    return !S_ISDIR(attr->mode) && !S_ISLNK(attr->mode) && attr->mode & (S_ISUID | S_ISGID);
}

/* The mode without what a write, truncate or chown takes away: S_ISUID, and S_ISGID where the group may execute
 * (without that it once meant mandatory locking; inode(7)). */
uint32_t attr_mode_without_setid(uint32_t mode);

/* For how many seconds the kernel may keep attributes and entry: not at all while others can change the store,
 * otherwise without end, or until the node expires. */
double attr_timeout(const struct kv_attr *attr, bool shared, int64_t now_ns);

/* A directory to show for the root while no server has ever answered. */
struct kv_attr attr_unknown_root(int64_t now_ns);

#endif
