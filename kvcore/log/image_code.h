/* Images of nodes as the blocks of a snapshot have them: records, one behind the other.
 *
 * A node is written as what differs from the one before it in its block (its id is the next, its mode and owner are the
 * same, ...), which makes most of them a dozen bytes longer than their name and value. A value that is a rope follows
 * in records of its own, one for each chunk, which may lie anywhere behind; further names follow at once.
 */
#ifndef KV_LOG_IMAGE_CODE_H
#define KV_LOG_IMAGE_CODE_H

#include "kvcore/base/limits.h"
#include "kvcore/log/code.h"
#include "kvcore/tree/image.h"

enum image_record {
    IMAGE_NODE = 1,
    IMAGE_NAMES = 2, /* more names of the node before */
    IMAGE_CHUNK = 3,
};

enum {
    IMAGE_NAMES_MAX = 64, /* in one record */
    IMAGE_NAME_BYTES_MAX = 2 * VARINT_BYTES_MAX + 2 + NAME_BYTES_MAX,
    IMAGE_CHUNK_HEAD_MAX = 1 + 4 * VARINT_BYTES_MAX,
};

/* What a node is compared with; all zero at the beginning of a block. */
struct image_base {
    uint64_t id, version, dir;
    int64_t mtime_ns;
    uint32_t mode, uid, gid;
};

/* The most that image_put writes. */
size_t image_bytes_max(const struct node *node);
/* The node, with up to IMAGE_NAMES_MAX names; *ret_next is the first that is left. Returns where the next byte goes. */
char *image_put(char *at, struct image_base *base, const struct node *node, const struct image *image,
                const struct link **ret_next);
/* Up to IMAGE_NAMES_MAX more from *next on, IMAGE_NAME_BYTES_MAX for each and 2. */
char *image_put_names(char *at, const struct link **next);
/* What stands before the bytes of a chunk: IMAGE_CHUNK_HEAD_MAX. */
char *image_put_chunk_head(char *at, uint64_t id, uint64_t number, size_t length);

struct image_chunk {
    uint64_t id, number;
    struct bytes data;
};

/* Reading: image_get_kind (0: that was the last), then what belongs to it. decode.bad says that it is none. */
unsigned image_get_kind(struct decode *decode);
/* Next come its names, where it has not exactly one: min(names, IMAGE_NAMES_MAX). Then with has_xattrs their count
 * (image_get_count) and they. The name and value of the image are borrowed. */
void image_get_node(struct decode *decode, struct image_base *base, struct image *ret_image);
void image_get_name(struct decode *decode, uint64_t *ret_dir, struct bytes *ret_name);
uint64_t image_get_count(struct decode *decode, uint64_t max);
void image_get_xattr(struct decode *decode, struct bytes *ret_name, struct bytes *ret_value);
void image_get_chunk(struct decode *decode, struct image_chunk *ret_chunk);

#endif
