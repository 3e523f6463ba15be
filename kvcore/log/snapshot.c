/* WHO DOES WHAT
 *
 *   store's thread    walk (snapshot_walk.h) ──> blocks (snapshot_blocks.h) ──> file (snapshot_file.h)    writer's
 * thread
 *
 * FAILURE. Whatever fails first, on either side, is the snapshot's verdict, and both sides end with it: memory for a
 * block, a write, the disk's room. Requests go on: a node that could not be saved spoils the snapshot, not its change.
 * The writer, which waits for disks anyway, also removes what it has written so far.
 */
#include "kvcore/log/snapshot.h"

#include "kvcore/base/error.h"
#include "kvcore/log/snapshot_file.h"
#include "kvcore/log/snapshot_walk.h"

struct snapshot {
    struct tree *tree;
    struct snapshot_info info;
    struct blocks blocks;
    struct snapshot_file file;
    bool walked;
    bool written;     /* the writer's: it is done, one way or the other */
    struct walk walk; /* large: last */
};

int snapshot_start(struct tree *tree, struct disk *disk, const struct snapshot_info *info,
                   struct snapshot **ret_snapshot)
{
    if (tree->watcher)
        return -EBUSY;
    struct snapshot *snapshot = mem_calloc(&tree->mem, sizeof *snapshot);
    if (!snapshot)
        return -ENOMEM;
    snapshot->tree = tree;
    snapshot->info = *info;
    snapshot->info.nodes = tree->node_count;
    snapshot->info.bytes = 0;
    const struct snapshot_header header = {info->epoch, info->index, info->time_ns, tree->hash_seed, tree->node_count};
    blocks_init(&snapshot->blocks, &tree->mem);
    int rc = snapshot_file_init(&snapshot->file, disk, &tree->mem, &header);
    if (rc == 0)
        rc = walk_start(&snapshot->walk, tree, &snapshot->blocks);
    if (rc < 0) {
        snapshot_end(snapshot);
        return rc;
    }
    *ret_snapshot = snapshot;
    return 0;
}

int snapshot_slice(struct snapshot *snapshot, uint64_t bytes)
{
    struct blocks *blocks = &snapshot->blocks;
    int rc = blocks_verdict(blocks);
    if (snapshot->walked || rc < 0) {
        blocks_are_full(blocks); /* what the writer has done with is given back */
        return rc < 0 ? blocks_break(blocks, rc) : SNAPSHOT_WALKED;
    }
    rc = walk_slice(&snapshot->walk, bytes);
    if (rc == 1)
        rc = blocks_finish(blocks);
    else if (rc == 0)
        return blocks_are_full(blocks) ? SNAPSHOT_WAITING : SNAPSHOT_WALKING;
    if (rc < 0)
        return rc;
    walk_stop(&snapshot->walk);
    snapshot->walked = true;
    return SNAPSHOT_WALKED;
}

static int put_ready(struct snapshot *snapshot, bool *ret_complete)
{
    struct block *block;
    int rc = blocks_verdict(&snapshot->blocks);
    while (rc == 0 && (block = blocks_take(&snapshot->blocks, ret_complete))) {
        rc = snapshot_file_put(&snapshot->file, block);
        blocks_give_back(&snapshot->blocks, block);
        if (rc == 0)
            rc = blocks_verdict(&snapshot->blocks);
    }
    return rc;
}

int snapshot_write(struct snapshot *snapshot)
{
    bool complete = false;
    if (snapshot->written) {
        int verdict = blocks_verdict(&snapshot->blocks);
        return verdict < 0 ? verdict : 1;
    }
    int rc = put_ready(snapshot, &complete);
    if (rc == 0 && !complete)
        return 0;
    if (rc == 0) {
        snapshot->info.bytes = snapshot->file.offset + snapshot->file.filled;
        rc = snapshot_file_finish(&snapshot->file);
    }
    snapshot->written = true;
    if (rc == 0)
        return 1;
    blocks_fail(&snapshot->blocks, rc);
    snapshot_file_abandon(&snapshot->file);
    return blocks_verdict(&snapshot->blocks);
}

void snapshot_abort(struct snapshot *snapshot) { blocks_fail(&snapshot->blocks, -ECANCELED); }

void snapshot_progress(const struct snapshot *snapshot, uint64_t *ret_done, uint64_t *ret_total)
{
    *ret_done = snapshot->blocks.counts.nodes;
    *ret_total = snapshot->info.nodes;
}

uint64_t snapshot_waiting_bytes(struct snapshot *snapshot) { return blocks_waiting(&snapshot->blocks); }

const struct snapshot_info *snapshot_result(const struct snapshot *snapshot) { return &snapshot->info; }

void snapshot_end(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    struct mem *mem = &snapshot->tree->mem;
    walk_stop(&snapshot->walk);
    blocks_close(&snapshot->blocks);
    snapshot_file_abandon(&snapshot->file);
    snapshot_file_close(&snapshot->file, mem);
    mem_free(mem, snapshot);
}
