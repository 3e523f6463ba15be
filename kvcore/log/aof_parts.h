/* What aof.c, aof_open.c and aof_sync.c share. */
#ifndef KV_LOG_AOF_PARTS_H
#define KV_LOG_AOF_PARTS_H

#include "kvcore/log/aof.h"

#include <pthread.h>
#include <stdatomic.h>

#define AOF_NEXT_NAME "log-next.tmp" /* made ahead by aof_prepare */
#define AOF_NOW_NAME  "log-now.tmp"  /* where there was none */

enum { AOF_ROOM_STEP_BYTES = 4 << 20 };

/* A file that is or was written to. */
struct part {
    struct part *next; /* retired before it */
    struct disk_file *file;
    uint64_t first_index;
    uint64_t end;   /* of what was written, once it is retired */
    bool abandoned; /* of a broken log: not to be synced */
};

struct known {
    uint64_t first_index;
    uint64_t bytes; /* of the last one: not kept up to date */
};

struct aof {
    struct disk *disk;
    struct aof_options options;

    /* of the store's thread */
    struct buf pending;
    uint64_t marked;    /* the last mark says so much */
    uint64_t rotate_at; /* where the current segment ends, or another try is made */
    int stuck;          /* why the last write did not go through but may yet; 0 */

    /* published */
    atomic_uint_least64_t appended, written, synced;
    atomic_uint_least64_t end, room_end; /* of the current segment: what was written, what is allocated */
    atomic_uint_least64_t closed_bytes;  /* of all segments before it */
    atomic_int error;

    pthread_mutex_t lock; /* for all that follows */
    struct part *current, *retired;
    struct disk_file *next;
    uint64_t next_room;
    struct known *known; /* all segments, oldest first; the last is the current one */
    size_t known_count, known_capacity;
    unsigned generation; /* how often it was mended */
    bool names_changed;
};

/* Makes `rc` the log's error, if it has none yet; returns what it has. */
int aof_set_broken(struct aof *aof, int rc);

/* Room for one more in the list of segments; then, under the lock, one more. */
int aof_reserve_known(struct aof *aof);
void aof_know(struct aof *aof, uint64_t first_index, uint64_t bytes);

/* Begins the segment behind what was appended. When it cannot, nothing has changed. */
int aof_begin_segment(struct aof *aof, uint64_t synced_index, bool abandon);

/* Writes all that waits, and a mark before it if there is something new to say; leaves the segment as it is. */
int aof_write_pending(struct aof *aof);

int aof_remove_segment(struct disk *disk, uint64_t first_index);
void aof_free_parts(struct part *part);

#endif
