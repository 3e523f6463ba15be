/* Blocks of a snapshot on their way from the store's thread, which fills them, to the one that writes the file.
 *
 *   open ──full──> ready ──taken──> (being written) ──> used ──> empty again
 *   store's thread   | lock |       writer's thread     | lock |  store's thread
 *
 * A chunk of a long value is not copied into its block: the block holds a reference, and the writer reads the bytes,
 * which nobody changes while they are shared. References are given back by the store's thread, since their counts are
 * its own.
 */
#ifndef KV_LOG_SNAPSHOT_BLOCKS_H
#define KV_LOG_SNAPSHOT_BLOCKS_H

#include "kvcore/log/image_code.h"
#include "kvcore/log/snapshot_format.h"
#include "kvcore/tree/chunk.h"

#include <pthread.h>

enum {
    REFERENCE_BYTES = 4096,      /* a chunk as long as this is not copied */
    WAITING_BYTES_MAX = 4 << 20, /* blocks that wait: beyond, the walk waits for the writer */
    BLOCKS_A_RECYCLE = 2,        /* as many are emptied at a time, so that freeing is no pause */
};

/* The bytes of a chunk belong in front of `at` of the block's own. */
struct piece {
    size_t at;
    struct chunk *chunk;
};

struct block {
    struct block *next;
    enum block_kind kind;
    char *bytes; /* behind the head, without the chunks */
    size_t len, capacity;
    struct piece *pieces;
    size_t piece_count, piece_capacity;
    uint64_t length; /* with all: what it is on disk */
};

struct block_list {
    struct block *first, **end;
};

struct blocks {
    struct mem *mem;
    /* the store's thread */
    struct block *open;
    struct image_base base; /* of the open one */
    struct block *empty;
    unsigned empty_count;
    struct snapshot_counts counts;
    uint64_t bytes; /* put so far, as they will be on disk */
    int error;      /* it has failed, and takes nothing any more */
    /* both */
    pthread_mutex_t lock;
    struct block_list ready, used;
    uint64_t waiting_bytes; /* of those that are ready */
    bool complete;          /* none will follow those that are ready */
    int verdict;            /* the snapshot has failed, on either side */
};

void blocks_init(struct blocks *blocks, struct mem *mem);
/* Gives everything back. The writer must be out of it. */
void blocks_close(struct blocks *blocks);

/* The store's thread. -ENOMEM; whatever fails stays so (blocks->error). */
int blocks_put_slots(struct blocks *blocks, const uint64_t next_sequence[SLOTS]);
/* A node with its names; the chunks of a rope are the caller's to put. */
int blocks_put_node(struct blocks *blocks, const struct node *node);
/* Takes a reference of its own. */
int blocks_put_chunk(struct blocks *blocks, uint64_t id, uint64_t number, struct chunk *chunk);
/* Closes the last block and puts the end behind it. */
int blocks_finish(struct blocks *blocks);
/* Does so much wait that the walk should, too? Also empties some blocks that are used. */
bool blocks_are_full(struct blocks *blocks);

/* All that was put, in bytes of the file. */
uint64_t blocks_bytes(const struct blocks *blocks);
/* blocks_fail, from the store's thread. Returns what counts. */
int blocks_break(struct blocks *blocks, int rc);

/* Either thread: what has gone wrong, 0 if nothing has; blocks_fail says so to both, the first time counts. */
void blocks_fail(struct blocks *blocks, int rc);
int blocks_verdict(struct blocks *blocks);
uint64_t blocks_waiting(struct blocks *blocks);

/* The writer's thread. The next block, or NULL; then *ret_complete says whether that was the last. */
struct block *blocks_take(struct blocks *blocks, bool *ret_complete);
/* Its bytes, block->length of them, as they are to be on disk, without what block_seal fills in. */
void block_copy(const struct block *block, char *out);
void blocks_give_back(struct blocks *blocks, struct block *block);

#endif
