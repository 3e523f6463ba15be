/* What the blocks of a snapshot hold, as any bytes, behind the checksums: it is refused, or it makes a tree. */
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/log/snapshot_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says which sequences have been given; the second, where the first block ends. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct build build = {0};
    struct load load = {.build = &build}, look = {0};
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    CHECK(tree && build_begin(&build, tree) == 0);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        tree->slots[slot].next_sequence = 2 + data[0];
    size_t cut = data[1] < size - 2 ? data[1] : size - 2;
    const char *bytes = (const char *)data + 2;
    int looked = load_nodes(&look, bytes_make(bytes, cut)), rc = load_nodes(&load, bytes_make(bytes, cut));
    CHECK(looked == 0 || rc < 0); /* a load sees all that a look does */
    if (rc == 0)
        rc = load_nodes(&load, bytes_make(bytes + cut, size - 2 - cut));
    if (rc == 0) {
        char counts[COUNTS_BYTES];
        counts_encode(&load.counts, counts);
        rc = load_counts(&load, bytes_make(counts, sizeof counts));
    }
    CHECK(rc == 0 || (rc == -EBADMSG && load.wrong));
    build_close(&build);
    if (rc == 0)
        tree_verify(tree);
    tree_free(tree);
    return 0;
}
