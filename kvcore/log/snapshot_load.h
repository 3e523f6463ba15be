/* What the blocks of a snapshot say, told to a build (kvcore/tree/build.h) or only looked at. */
#ifndef KV_LOG_SNAPSHOT_LOAD_H
#define KV_LOG_SNAPSHOT_LOAD_H

#include "kvcore/log/snapshot_format.h"
#include "kvcore/tree/build.h"

struct load {
    struct build *build; /* NULL: only look */
    struct snapshot_counts counts;
    const char *wrong; /* static */
};

/* What a block of BLOCK_NODES holds. -EBADMSG and `wrong`; -ENOMEM. */
int load_nodes(struct load *load, struct bytes payload);
/* That of BLOCK_END: is all there? -EBADMSG and `wrong`. */
int load_counts(struct load *load, struct bytes payload);

#endif
