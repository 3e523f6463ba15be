#include "kvcore/log/snapshot_load.h"

#include "kvcore/base/error.h"
#include "kvcore/log/image_code.h"
#include "kvcore/log/snapshot.h"
#include "kvcore/log/snapshot_reader.h"

static int wrong(struct load *load, const char *why)
{
    load->wrong = why;
    return -EBADMSG;
}

static int judged(struct load *load, int rc) { return rc == -EBADMSG ? wrong(load, load->build->wrong) : rc; }

static int load_names(struct load *load, struct decode *decode, uint64_t count)
{
    uint64_t dir;
    struct bytes name;
    int rc = 0;
    for (; count && rc == 0 && !decode->bad; count--) {
        image_get_name(decode, &dir, &name);
        load->counts.names++;
        if (load->build && !decode->bad)
            rc = build_name(load->build, dir, name);
    }
    return judged(load, rc);
}

static int load_xattrs(struct load *load, struct decode *decode)
{
    struct bytes name, value;
    int rc = 0;
    uint64_t count = image_get_count(decode, XATTR_TOTAL_BYTES_MAX);
    for (; count && rc == 0 && !decode->bad; count--) {
        image_get_xattr(decode, &name, &value);
        if (load->build && !decode->bad)
            rc = build_xattr(load->build, name, value);
    }
    return judged(load, rc);
}

static int load_node(struct load *load, struct decode *decode, struct image_base *base)
{
    struct image image;
    image_get_node(decode, base, &image);
    if (decode->bad)
        return 0;
    load->counts.nodes++;
    int rc = load->build ? judged(load, build_node(load->build, &image)) : 0;
    if (image.names == 1)
        load->counts.names++;
    else if (rc == 0)
        rc = load_names(load, decode, image.names < IMAGE_NAMES_MAX ? image.names : IMAGE_NAMES_MAX);
    return rc == 0 && image.has_xattrs ? load_xattrs(load, decode) : rc;
}

static int load_chunk(struct load *load, struct decode *decode)
{
    struct image_chunk chunk;
    image_get_chunk(decode, &chunk);
    load->counts.chunks++;
    if (!load->build || decode->bad)
        return 0;
    return judged(load, build_chunk(load->build, chunk.id, chunk.number, chunk.data));
}

int load_nodes(struct load *load, struct bytes payload)
{
    struct decode decode = {payload.data, payload.data + payload.len, false};
    struct image_base base = {0};
    unsigned kind;
    int rc = 0;
    while (rc == 0 && (kind = image_get_kind(&decode))) {
        if (kind == IMAGE_NODE)
            rc = load_node(load, &decode, &base);
        else if (kind == IMAGE_NAMES)
            rc = load_names(load, &decode, image_get_count(&decode, IMAGE_NAMES_MAX));
        else
            rc = load_chunk(load, &decode);
    }
    return rc == 0 && decode.bad ? wrong(load, "what stands in this block is none of what belongs there") : rc;
}

int load_counts(struct load *load, struct bytes payload)
{
    struct snapshot_counts counts;
    if (payload.len != COUNTS_BYTES)
        return wrong(load, "the last block has a length that it cannot have");
    counts_decode(payload.data, &counts);
    if (counts.nodes != load->counts.nodes || counts.names != load->counts.names ||
        counts.chunks != load->counts.chunks)
        return wrong(load, "there are more or fewer nodes, names or chunks than the last block says");
    return load->build ? judged(load, build_end(load->build)) : 0;
}

static int load_block(struct load *load, struct tree *tree, enum block_kind kind, struct bytes payload)
{
    switch (kind) {
    case BLOCK_SLOTS:
        return slots_decode(payload, tree) < 0 ? wrong(load, "the slots' sequences are none") : 0;
    case BLOCK_NODES:
        return load_nodes(load, payload);
    case BLOCK_END:
        return load_counts(load, payload);
    }
    return -EBADMSG;
}

/* All blocks, one after the other. */
static int load_blocks(struct load *load, struct tree *tree, struct snapshot_reader *reader,
                       struct log_progress *progress)
{
    struct block_head head;
    struct bytes payload;
    int rc;
    while ((rc = snapshot_reader_next(reader, &head, &payload)) > 0) {
        rc = load_block(load, tree, head.kind, payload);
        if (rc == -EBADMSG)
            return snapshot_reader_refuse(reader, load->wrong);
        if (rc < 0)
            return rc;
        if (progress)
            progress->on_progress(progress, reader->offset + reader->at, reader->size);
    }
    return rc;
}

static struct snapshot_info info_of(const struct snapshot_reader *reader, const struct load *load)
{
    const struct snapshot_header *header = &reader->header;
    return (struct snapshot_info){header->epoch, header->index, header->time_ns, load->counts.nodes, reader->size};
}

int snapshot_load(struct disk *disk, const char *name, struct log_progress *progress, struct tree **ret_tree,
                  struct snapshot_info *ret_info, struct log_damage *ret_damage)
{
    struct snapshot_reader reader;
    struct build build = {0};
    struct load load = {.build = &build};
    int rc = snapshot_reader_open(&reader, disk, name, ret_damage);
    if (rc < 0)
        return rc;
    struct tree *tree = tree_new(reader.header.hash_seed, 0, 0, 0, 0);
    rc = tree ? build_begin(&build, tree) : -ENOMEM;
    if (rc == 0)
        rc = load_blocks(&load, tree, &reader, progress);
    build_close(&build);
    if (rc == 0) {
        *ret_info = info_of(&reader, &load);
        *ret_tree = tree;
    } else {
        tree_free(tree);
    }
    snapshot_reader_close(&reader);
    return rc;
}

int snapshot_check(struct disk *disk, const char *name, struct log_progress *progress, struct snapshot_info *ret_info,
                   struct log_damage *ret_damage)
{
    struct snapshot_reader reader;
    struct load load = {0};
    int rc = snapshot_reader_open(&reader, disk, name, ret_damage);
    if (rc < 0)
        return rc;
    rc = load_blocks(&load, NULL, &reader, progress);
    if (rc == 0)
        *ret_info = info_of(&reader, &load);
    snapshot_reader_close(&reader);
    return rc;
}
