/* The tree when memory runs out, and how much of it a key takes. */
#include "kvcore/base/error.h"
#include "tests/unit/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { KINDS = EFFECT_COPY + 1 };

/* Deletes work when nothing else does, or nobody could make room. */
static bool needs_no_memory(const struct effect *effect)
{
    return effect->kind == EFFECT_RMDIR || effect->kind == EFFECT_RELEASE || effect->kind == EFFECT_REMOVE_XATTR ||
           (effect->kind == EFFECT_UNLINK && !(effect->flags & EFFECT_HOLD)) ||
           (effect->kind == EFFECT_EXPIRE && effect->expires_ns == INT64_MAX);
}

/* The Nth allocation fails, and all after it. */
static int apply_failing(const struct model *model, struct tree *tree, struct effect *effect, int64_t nth)
{
    tree->mem.fail_after = nth;
    int rc = tree_apply(tree, effect);
    tree->mem.fail_after = 0;
    if (rc != -ENOMEM)
        return rc;
    assert_false(needs_no_memory(effect));
    assert_null(effect->ret_node);
    assert_int_equal(effect->ret_held, 0);
    model_expect_equal(model, tree);
    return rc;
}

/* One allocation after the other fails. What an earlier try has prepared a later one finds done, so some effects are
 * tried in another order first. */
static int apply_failing_everywhere(const struct model *model, struct tree *tree, struct chance *chance,
                                    struct effect *effect, unsigned *failed)
{
    int rc = -ENOMEM;
    for (unsigned i = (unsigned)chance_below(chance, 3); rc == -ENOMEM && i; i--, ++*failed)
        rc = apply_failing(model, tree, effect, 1 + (int64_t)chance_below(chance, 8));
    for (int64_t nth = 1; rc == -ENOMEM; nth++, ++*failed)
        rc = apply_failing(model, tree, effect, nth);
    --*failed; /* the last try did not */
    return rc;
}

static void every_failing_allocation_leaves_the_tree_unchanged(void **state)
{
    (void)state;
    const struct model_taste taste = {.names_max = 40, .long_ones = 20};
    static struct model model;
    unsigned failed[KINDS] = {0};
    struct chance chance = chance_start(__func__);
    struct tree *tree = tree_new(chance_next(&chance), 0, 0, 0755, 0);
    assert_non_null(tree);
    model_init(&model, tree);
    for (int i = 0; i < 10000; i++) {
        struct effect effect;
        model_random_effect(&model, tree, &chance, &taste, &effect);
        int rc = apply_failing_everywhere(&model, tree, &chance, &effect, &failed[effect.kind]);
        model_follow(&model, tree, &effect, rc);
    }
    model_expect_equal(&model, tree);
    /* Those that allocate nothing, or so seldom that the tests below have to see to it. */
    const unsigned seldom = 1u << EFFECT_RMDIR | 1u << EFFECT_RELEASE | 1u << EFFECT_REMOVE_XATTR |
                            1u << EFFECT_EXPIRE | 1u << EFFECT_PUNCH;
    for (unsigned kind = EFFECT_CREATE; kind < KINDS; kind++)
        if (!failed[kind] && !(seldom & 1u << kind))
            fail_msg("no allocation of effect %u was made to fail", kind);
    model_close(&model);
    tree_free(tree);
}

/* A small tree of nodes as plain as can be, and its model. */
struct pair {
    struct tree *tree;
    struct model model;
    uint64_t dir, sub, plain, other, inside, long_one, sharing, doomed;
};

static char noise[3 * CHUNK_BYTES];

static uint64_t add(struct pair *pair, uint64_t dir, const char *name, uint32_t mode, size_t value_len)
{
    struct effect effect = {.kind = EFFECT_CREATE, .dir = dir, .name = bytes_of(name), .mode = mode};
    effect.value = bytes_make(noise, value_len);
    effect.id = tree_next_id(pair->tree, tree_find(pair->tree, dir), effect.name);
    model_follow(&pair->model, pair->tree, &effect, tree_apply(pair->tree, &effect));
    return effect.id;
}

static void pair_init(struct pair *pair)
{
    pair->tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(pair->tree);
    model_init(&pair->model, pair->tree);
    pair->dir = add(pair, ROOT_ID, "dir", S_IFDIR | 0755, 0);
    pair->sub = add(pair, pair->dir, "sub", S_IFDIR | 0755, 0);
    pair->plain = add(pair, ROOT_ID, "plain", S_IFREG | 0644, 100);
    pair->other = add(pair, ROOT_ID, "other", S_IFREG | 0644, INLINE_BYTES_MAX);
    pair->inside = add(pair, pair->dir, "inside", S_IFREG | 0644, 0);
    pair->long_one = add(pair, ROOT_ID, "long", S_IFREG | 0644, CHUNK_BYTES);
    pair->sharing = add(pair, ROOT_ID, "sharing", S_IFREG | 0644, 0);
    struct effect copy = {.kind = EFFECT_COPY, .id = pair->sharing, .source = pair->long_one, .length = CHUNK_BYTES};
    model_follow(&pair->model, pair->tree, &copy, tree_apply(pair->tree, &copy));
    pair->doomed = add(pair, ROOT_ID, "doomed", S_IFDIR | 0755, 0);
    for (int i = 0; i < 50; i++) { /* so that an index is full now and then */
        char name[16];
        snprintf(name, sizeof name, "more%d", i);
        add(pair, pair->dir, name, S_IFREG | 0644, 1);
    }
}

static void pair_close(struct pair *pair)
{
    model_close(&pair->model);
    tree_free(pair->tree);
}

/* From a fresh tree for every N, so that nothing has been prepared by the failures before. */
static void fail_every_allocation_of(struct effect effect)
{
    int64_t nth = 0;
    for (bool failed = true; failed;) {
        struct pair pair;
        pair_init(&pair);
        int rc = apply_failing(&pair.model, pair.tree, &effect, ++nth);
        failed = rc == -ENOMEM;
        if (failed)
            rc = tree_apply(pair.tree, &effect);
        assert_int_equal(rc, 0);
        model_follow(&pair.model, pair.tree, &effect, rc);
        model_expect_equal(&pair.model, pair.tree);
        pair_close(&pair);
    }
    assert_true(nth > 1); /* at least one failed */
}

static struct effect on_name(enum effect_kind kind, uint64_t dir, const char *name)
{
    return (struct effect){.kind = kind, .dir = dir, .name = bytes_of(name), .version = 2, .time_ns = 3};
}

static void creations_leave_nothing_behind_wherever_they_fail(void **state)
{
    (void)state;
    static const struct {
        uint32_t type;
        size_t len;
    } cases[] = {{S_IFREG, 10}, {S_IFREG, 300}, {S_IFREG, sizeof noise}, {S_IFLNK, 100}, {S_IFLNK, 4000},
                 {S_IFDIR, 0},  {S_IFIFO, 0}};
    struct pair pair;
    pair_init(&pair);
    memset(noise, 'n', sizeof noise);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct effect effect = on_name(EFFECT_CREATE, i % 2 ? ROOT_ID : pair.dir, "new");
        effect.mode = cases[i].type | 0600;
        effect.value = bytes_make(noise, cases[i].len);
        effect.id = tree_next_id(pair.tree, tree_find(pair.tree, effect.dir), effect.name);
        fail_every_allocation_of(effect);
    }
    pair_close(&pair);
}

static void changes_of_names_change_nothing_wherever_they_fail(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct effect link = on_name(EFFECT_LINK, pair.dir, "second name");
    link.id = pair.plain;
    fail_every_allocation_of(link);
    struct effect unlink = on_name(EFFECT_UNLINK, ROOT_ID, "plain");
    unlink.flags = EFFECT_HOLD;
    fail_every_allocation_of(unlink);
    const struct {
        const char *from, *to;
        uint64_t to_dir;
        uint32_t flags;
    } cases[] = {
        {"plain", "moved to a longer name", pair.dir, 0}, {"plain", "other", ROOT_ID, 0},
        {"plain", "other", ROOT_ID, EFFECT_HOLD},         {"long", "inside", pair.dir, EFFECT_HOLD},
        {"doomed", "sub", pair.dir, EFFECT_HOLD},         {"doomed", "moved", pair.sub, 0},
        {"plain", "inside", pair.dir, EFFECT_EXCHANGE},   {"plain", "doomed", ROOT_ID, EFFECT_EXCHANGE},
        {"dir", "plain", ROOT_ID, EFFECT_EXCHANGE},       {"doomed", "sub", pair.dir, EFFECT_EXCHANGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct effect rename = on_name(EFFECT_RENAME, ROOT_ID, cases[i].from);
        rename.to_dir = cases[i].to_dir;
        rename.to_name = bytes_of(cases[i].to);
        rename.flags = cases[i].flags;
        fail_every_allocation_of(rename);
    }
    pair_close(&pair);
}

static void changes_of_nodes_change_nothing_wherever_they_fail(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    const struct {
        enum effect_kind kind;
        uint64_t id, offset;
        size_t len;
    } cases[] = {
        {EFFECT_SET, pair.plain, 0, INLINE_BYTES_MAX},
        {EFFECT_SET, pair.plain, 0, INLINE_BYTES_MAX + 1},
        {EFFECT_SET, pair.plain, 0, CHUNK_BYTES + 1},
        {EFFECT_SET, pair.long_one, 0, INLINE_BYTES_MAX},
        {EFFECT_SET, pair.long_one, 0, sizeof noise},
        {EFFECT_WRITE, pair.plain, 90, 150},
        {EFFECT_WRITE, pair.plain, 90, 1000},
        {EFFECT_WRITE, pair.plain, CHUNK_BYTES + 1, 1},
        {EFFECT_WRITE, pair.long_one, CHUNK_BYTES - 1, 2},
        {EFFECT_TRUNCATE, pair.inside, INLINE_BYTES_MAX, 0},
        {EFFECT_TRUNCATE, pair.plain, INLINE_BYTES_MAX + 1, 0},
        {EFFECT_TRUNCATE, pair.plain, CHUNK_BYTES + 1, 0},
        {EFFECT_TRUNCATE, pair.long_one, sizeof noise, 0},
        {EFFECT_ATTR, pair.plain, 0, 0},
        {EFFECT_SET_XATTR, pair.plain, 0, 1000},
        {EFFECT_EXPIRE, pair.plain, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct effect effect = {.kind = cases[i].kind, .id = cases[i].id, .offset = cases[i].offset, .expires_ns = 7};
        effect.value = bytes_make(noise, cases[i].len);
        effect.name = model_xattr_name(0);
        effect.mask = EFFECT_UID | EFFECT_ATIME;
        fail_every_allocation_of(effect);
    }
    pair_close(&pair);
}

static void changes_of_ranges_change_nothing_wherever_they_fail(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    const struct {
        enum effect_kind kind;
        uint64_t id, offset, length, source, source_offset;
    } cases[] = {
        {EFFECT_PUNCH, pair.plain, 50, 10 * CHUNK_BYTES, 0, 0},
        {EFFECT_PUNCH, pair.long_one, CHUNK_BYTES / 2, CHUNK_BYTES, 0, 0},
        {EFFECT_PUNCH, pair.sharing, CHUNK_BYTES / 2, CHUNK_BYTES, 0, 0},
        {EFFECT_COPY, pair.plain, 0, CHUNK_BYTES, pair.long_one, 0},
        {EFFECT_COPY, pair.plain, CHUNK_BYTES, CHUNK_BYTES, pair.long_one, 0},
        {EFFECT_COPY, pair.plain, 200, CHUNK_BYTES, pair.long_one, 0},
        {EFFECT_COPY, pair.inside, 0, 100, pair.long_one, 5},
        {EFFECT_COPY, pair.long_one, CHUNK_BYTES - 1, 100, pair.plain, 0},
        {EFFECT_COPY, pair.long_one, CHUNK_BYTES, CHUNK_BYTES, pair.long_one, 0},
        {EFFECT_COPY, pair.long_one, CHUNK_BYTES - 100, CHUNK_BYTES / 2, pair.long_one, 5},
        {EFFECT_COPY, pair.long_one, 3 * CHUNK_BYTES + 5, CHUNK_BYTES - 5, pair.long_one, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct effect effect = {.kind = cases[i].kind, .id = cases[i].id, .flags = EFFECT_EXTEND};
        effect.offset = cases[i].offset;
        effect.length = cases[i].length;
        effect.source = cases[i].source;
        effect.source_offset = cases[i].source_offset;
        fail_every_allocation_of(effect);
    }
    pair_close(&pair);
}

static struct node *create(struct tree *tree, const struct node *dir, const char *name, uint32_t mode, size_t value_len)
{
    static const char value[INLINE_BYTES_MAX];
    struct effect effect = {.kind = EFFECT_CREATE, .dir = dir->id, .name = bytes_of(name), .mode = mode};
    effect.value = bytes_make(value, value_len);
    effect.id = tree_next_id(tree, dir, effect.name);
    assert_int_equal(tree_apply(tree, &effect), 0);
    return effect.ret_node;
}

static void a_small_key_takes_no_more_than_in_redis(void **state)
{
    (void)state;
    enum { DIRS = 1000, KEYS = 1000 * 1000, VALUE_BYTES = 64, REDIS_BYTES = 168 };
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    assert_non_null(tree);
    for (int i = 0, k = 0; i < DIRS; i++) {
        char name[16];
        snprintf(name, sizeof name, "dir%03d", i);
        const struct node *dir = create(tree, tree->root, name, S_IFDIR | 0755, 0);
        for (int last = k + KEYS / DIRS; k < last; k++) {
            snprintf(name, sizeof name, "file%06d", k);
            create(tree, dir, name, S_IFREG | 0644, VALUE_BYTES);
        }
    }
    double bytes = (double)tree->mem.used / KEYS;
    fprintf(stderr, "# %.1f bytes per key (17 bytes of key, %d of value)\n", bytes, VALUE_BYTES);
    assert_true(bytes <= REDIS_BYTES);
    tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_leaves_the_tree_unchanged),
        cmocka_unit_test(creations_leave_nothing_behind_wherever_they_fail),
        cmocka_unit_test(changes_of_names_change_nothing_wherever_they_fail),
        cmocka_unit_test(changes_of_nodes_change_nothing_wherever_they_fail),
        cmocka_unit_test(changes_of_ranges_change_nothing_wherever_they_fail),
        cmocka_unit_test(a_small_key_takes_no_more_than_in_redis),
    };
    return cmocka_run_group_tests_name("tree_memory", tests, NULL, NULL);
}
