/* What a snapshot file is made of: a header, then blocks, numbered from 0, each with a checksum. The first block has
 * the slots' sequences, the last one counts what was there; between them lie nodes (image_code.h). docs/formats.md has
 * the bytes.
 *
 * The checksum of a block begins with that of the header, so that a block of another snapshot is not taken for one of
 * this.
 */
#ifndef KV_LOG_SNAPSHOT_FORMAT_H
#define KV_LOG_SNAPSHOT_FORMAT_H

#include "kvcore/base/bytes.h"
#include "kvcore/log/damage.h"
#include "kvcore/tree/tree.h"

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_HEADER_BYTES = 64,
    BLOCK_HEAD_BYTES = 16,
    BLOCK_BYTES = 128 << 10,   /* a block is closed when it has so many */
    BLOCK_BYTES_MAX = 1 << 20, /* and never has more than this: one node's image may be long */
    COUNTS_BYTES = 24,
};

enum block_kind {
    BLOCK_SLOTS = 1, /* next_sequence of the slots that have had nodes */
    BLOCK_NODES = 2,
    BLOCK_END = 3, /* struct snapshot_counts */
};

struct snapshot_header {
    uint64_t epoch, index;
    int64_t time_ns;
    uint64_t hash_seed;
    uint64_t nodes; /* when it was begun: what a progress bar counts against */
};

/* What the nodes' blocks hold together. */
struct snapshot_counts {
    uint64_t nodes, names, chunks;
};

struct block_head {
    uint32_t length; /* of the whole block */
    uint32_t number;
    enum block_kind kind;
};

void snapshot_header_encode(const struct snapshot_header *header, char out[SNAPSHOT_HEADER_BYTES]);
/* *ret_seed is what the blocks' checksums begin with. -ENODATA: it is not all there; -EBADMSG; KV_VERSION: it is of a
 * newer format. */
int snapshot_header_decode(struct bytes bytes, struct snapshot_header *ret_header, uint32_t *ret_seed);
/* Puts its checksum right. */
void snapshot_header_seal(char header[SNAPSHOT_HEADER_BYTES]);
/* The seed that an encoded header gives. */
uint32_t snapshot_seed(const char header[SNAPSHOT_HEADER_BYTES]);

/* Fills in the first BLOCK_HEAD_BYTES of a whole block. */
void block_seal(char *block, const struct block_head *head, uint32_t seed);
/* The block at the front of `bytes`. -ENODATA: the bytes end before it does; -EBADMSG. */
int block_check(struct bytes bytes, uint32_t seed, struct block_head *ret_head);
/* Can this be a block's head, for all that its first BLOCK_HEAD_BYTES say? */
bool block_is_plausible(const char *head, struct block_head *ret_head);

void counts_encode(const struct snapshot_counts *counts, char out[COUNTS_BYTES]);
void counts_decode(const char bytes[COUNTS_BYTES], struct snapshot_counts *ret_counts);

/* The sequences as BLOCK_SLOTS has them; SLOTS_BYTES_MAX are enough. Returns how many bytes. */
enum { SLOTS_BYTES_MAX = 3 + SLOTS * 13 };
size_t slots_encode(const uint64_t next_sequence[SLOTS], char *out);
/* Sets those of the tree; NULL: only looks. -EBADMSG. */
int slots_decode(struct bytes bytes, struct tree *tree);

#endif
