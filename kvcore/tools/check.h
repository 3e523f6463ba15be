/* What `kv check` finds in the files of a data directory, and the copy that it makes of them. */
#ifndef KV_TOOLS_CHECK_H
#define KV_TOOLS_CHECK_H

#include "kvcore/base/disk.h"
#include "kvcore/log/damage.h"

enum check_kind { CHECK_OTHER, CHECK_SEGMENT, CHECK_SNAPSHOT, CHECK_NODECONF };

/* One file. */
struct check_file {
    enum check_kind kind;
    uint64_t bytes;
    uint64_t epoch;
    uint64_t first_index, last_index; /* of a segment, records; of a snapshot, the last that it holds */
    uint64_t count;                   /* records or nodes */
    uint64_t node_id;                 /* of node.conf */
    uint64_t good_bytes;              /* of a segment: where its last good frame ends */
    bool torn;                        /* of a segment: it ends badly, and nothing in it says that more was there */
    struct log_damage damage;         /* with text: it is torn or damaged */
};

/* 0: sound or torn; -EBADMSG: damaged; KV_VERSION: of a newer format; -errno, -ENOMEM. */
int check_file(struct disk *disk, const char *name, struct log_progress *progress, struct check_file *ret_file);

/* Copies the first `length` bytes of a file, and syncs the copy. -errno, -ENOMEM. */
int check_copy(struct disk *from, const char *name, struct disk *to, const char *to_name, uint64_t length);

/* Copies what a store can start from: the newest sound snapshot, the log behind it up to where it is damaged,
 * node.conf. -ENODATA: there is nothing; -errno, -ENOMEM. */
int check_repair(struct disk *from, struct disk *to);

#endif
