/* Nodes with several names: under which path each was met first. */
#ifndef KV_TOOLS_ID_PATHS_H
#define KV_TOOLS_ID_PATHS_H

#include <stdint.h>

struct id_paths {
    void *root; /* tsearch(3) */
};

/* The path under which this node (on this device) was noted, or NULL: then `path` is noted, a copy of it. Where there
 * is no memory it is not, and the node's names become files of their own. */
const char *id_paths_meet(struct id_paths *paths, uint64_t device, uint64_t id, const char *path);
void id_paths_close(struct id_paths *paths);

#endif
