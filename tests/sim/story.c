#include "tests/sim/story.h"

#include "kvcore/log/record.h"
#include "kvcore/log/snapshot.h"
#include "tests/unit/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { HASH_SEED = 99, ROOT_TIME = 1000 };

static struct tree *fresh_tree(void)
{
    struct tree *tree = tree_new(HASH_SEED, 10, 20, 0755, ROOT_TIME);
    assert_non_null(tree);
    return tree;
}

static struct bytes story[STORY_RECORDS + 1]; /* by index */

static void make_records(void)
{
    struct chance chance = chance_start(__func__);
    const struct model_taste taste = {.names_max = 60, .long_ones = 400};
    static struct model model;
    struct tree *tree = fresh_tree();
    model_init(&model, tree);
    for (uint64_t index = 1; index <= STORY_RECORDS; index++) {
        struct record_head head = {.epoch = 1, .index = index, .time_ns = (int64_t)(2000 + index)};
        struct buf out = {0};
        size_t start;
        assert_int_equal(record_begin(&out, &head, &start), 0);
        for (uint64_t left = 1 + chance_below(&chance, 3); left;) {
            struct effect effect;
            model_random_effect(&model, tree, &chance, &taste, &effect);
            int rc = tree_apply(tree, &effect);
            model_follow(&model, tree, &effect, rc);
            if (rc < 0)
                continue;
            assert_int_equal(record_add(&out, start, &effect), 0);
            left--;
        }
        assert_int_equal(record_end(&out, start, (struct bytes){0}), 0);
        story[index] = buf_bytes(&out); /* and its memory */
    }
    model_close(&model);
    tree_free(tree);
}

int story_drop(void **state)
{
    (void)state;
    for (uint64_t index = 1; index <= STORY_RECORDS; index++)
        free((void *)story[index].data);
    return 0;
}

/* Every byte of every node and name, as a number. */
static uint64_t mix(uint64_t sum, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ at[i]) * 1099511628211ull;
    return sum;
}

static uint64_t mix_number(uint64_t sum, uint64_t number) { return mix(sum, &number, sizeof number); }

static uint64_t digest_node(uint64_t sum, const struct node *node)
{
    char key[KEY_BYTES_MAX];
    int key_len = tree_key_of(node, key);
    sum = mix_number(sum, node->id);
    sum = mix_number(sum, node->version);
    sum = mix_number(sum, (uint64_t)node->mtime_ns);
    sum = mix_number(sum, (uint64_t)node->btime_ns);
    sum = mix_number(sum, (uint64_t)node_ctime_ns(node));
    sum = mix_number(sum, (uint64_t)node_atime_ns(node));
    sum = mix_number(sum, (uint64_t)node_expires_ns(node));
    sum = mix_number(sum, node->uid);
    sum = mix_number(sum, node->gid);
    sum = mix_number(sum, node->mode);
    sum = mix_number(sum, node_nlink(node));
    sum = mix_number(sum, node_is_dir(node) ? 0 : node_size(node));
    if (key_len > 0)
        sum = mix(sum, key, (size_t)key_len);
    struct bytes pieces[8];
    uint64_t got, offset = 0;
    for (size_t count; !node_is_dir(node) && (count = tree_value(node, offset, UINT32_MAX, pieces, 8, &got));) {
        for (size_t i = 0; i < count; i++)
            sum = mix(sum, pieces[i].data, pieces[i].len);
        offset += got;
    }
    return sum;
}

uint64_t story_digest(const struct tree *tree)
{
    uint64_t sum = tree->node_count, sequence;
    struct node *node;
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (uint64_t from = 0; (node = radix_next(&tree->slots[slot].nodes, from, &sequence)); from = sequence + 1)
            sum = digest_node(sum, node);
    return sum;
}

struct bytes story_record(uint64_t index)
{
    assert_true(index > 0 && index <= STORY_RECORDS);
    return story[index];
}

static uint64_t digests[STORY_RECORDS + 1]; /* of the tree after each record */

static void apply_story(struct tree *tree, uint64_t index)
{
    struct record record;
    struct effect effect;
    assert_int_equal(record_read(story[index], &record), 0);
    for (size_t at = 0; record_next(&record, &at, &effect) > 0;)
        assert_int_equal(tree_apply(tree, &effect), 0);
}

int story_make(void **state)
{
    (void)state;
    make_records();
    struct tree *tree = fresh_tree();
    digests[0] = story_digest(tree);
    for (uint64_t index = 1; index <= STORY_RECORDS; index++) {
        apply_story(tree, index);
        digests[index] = story_digest(tree);
    }
    tree_free(tree);
    return 0;
}

static const struct recovery_options options = {
    .log = true,
    .snapshots = true,
    .hash_seed = HASH_SEED,
    .root_uid = 10,
    .root_gid = 20,
    .root_mode = 0755,
    .time_ns = ROOT_TIME,
};

char story_why[1024];

int story_recover(struct disk *disk, struct recovery *recovery)
{
    return recovery_run(disk, &options, NULL, NULL, recovery, story_why, sizeof story_why);
}

/* Recovers and expects what must be there. Leaves the place to go on in *ret. */
void story_expect_recovered(struct disk *disk, uint64_t at_least, uint64_t at_most, struct recovery *ret)
{
    int rc = story_recover(disk, ret);
    if (rc < 0)
        fail_msg("recovery: %s", story_why);
    if (ret->index < at_least || ret->index > at_most)
        fail_msg("recovered up to %llu, not %llu to %llu", (unsigned long long)ret->index, (unsigned long long)at_least,
                 (unsigned long long)at_most);
    tree_verify(ret->tree);
    assert_true(story_digest(ret->tree) == digests[ret->index]);
    tree_free(ret->tree);
}

int story_snapshot(struct disk *disk, uint64_t index)
{
    struct tree *tree = fresh_tree();
    struct snapshot *snapshot;
    const struct snapshot_info info = {.epoch = 1, .index = index, .time_ns = (int64_t)index};
    for (uint64_t i = 1; i <= index; i++)
        apply_story(tree, i);
    int rc = snapshot_start(tree, disk, &info, &snapshot);
    assert_int_equal(rc, 0);
    do {
        assert_true(snapshot_slice(snapshot, 1 << 20) >= 0);
        rc = snapshot_write(snapshot);
    } while (rc == 0);
    snapshot_end(snapshot);
    tree_free(tree);
    return rc;
}
