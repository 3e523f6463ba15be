/* node.conf: what a node must not forget, beside its data. docs/formats.md has the bytes. */
#ifndef KV_LOG_NODECONF_H
#define KV_LOG_NODECONF_H

#include "kvcore/base/disk.h"

#define NODECONF_NAME "node.conf"

enum { NODECONF_VERSION = 1, NODECONF_BYTES = 48 };

struct nodeconf {
    uint64_t node_id;        /* random, never 0 */
    uint64_t promised_epoch; /* never decreases */
};

/* -ENOENT: the directory has none yet; -EBADMSG: it is damaged; KV_VERSION: a newer kvfs wrote it, and the data may be
 * in a form that this one does not know; -errno. The text says which, for a person. */
int nodeconf_load(struct disk *disk, struct nodeconf *ret_conf, char *why, size_t why_bytes);

/* Safely on disk when it returns; on failure the one before is still there, or this one. -errno. */
int nodeconf_save(struct disk *disk, const struct nodeconf *conf);

#endif
