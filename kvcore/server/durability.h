/* How safe a change is before its answer leaves: the levels of the node and of a request, and the ways to persist. */
#ifndef KV_SERVER_DURABILITY_H
#define KV_SERVER_DURABILITY_H

#include "kvcore/base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

/* Each holds what those before it hold. */
enum durability {
    DURABILITY_MEMORY,  /* the change is in memory: the log follows as soon as the loop comes round */
    DURABILITY_WRITTEN, /* write(2) of its record has returned: survives the process */
    DURABILITY_SYNCED,  /* so has fdatasync(2): survives the machine */
};

/* What the answer to a request has to wait for: this level of this index (0: nothing). */
struct store_wait {
    uint64_t index;
    enum durability level;
    bool reads; /* it waits for what it saw of others, having changed nothing */
};

/* What there is in the data directory. */
enum persistence {
    PERSISTENCE_BOTH,      /* a log, and snapshots by rules: recovery is quick, and loses nothing */
    PERSISTENCE_LOG,       /* snapshots only where the log has grown too long, or somebody asks for one */
    PERSISTENCE_SNAPSHOTS, /* what came behind the last one is lost */
    PERSISTENCE_NONE,      /* nothing is read and nothing written */
};

/* "memory", "written", "synced"; NULL where there is no such level. */
const char *durability_name(enum durability level);
bool durability_of(struct bytes name, enum durability *ret_level);

/* "log+snapshots", "log", "snapshots", "none"; NULL where there is no such way. */
const char *persistence_name(enum persistence persistence);
bool persistence_of(struct bytes name, enum persistence *ret_persistence);

static inline bool persistence_logs(enum persistence persistence)
{
    return persistence == PERSISTENCE_BOTH || persistence == PERSISTENCE_LOG;
}

#endif
