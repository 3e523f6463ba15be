/* Eviction: a cache of a tree beside an exact one, on the same uses. */
#include "kvcore/base/error.h"
#include "kvcore/tree/evict.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 4000, CAPACITY = 1000, USES = 60000 };

static struct chance chance;

/* What the tree holds, by key. */
struct cache {
    struct tree *tree;
    struct evict evict;
    uint64_t ids[KEYS]; /* 0: not there */
    unsigned count;
    unsigned hits;
};

static struct bytes key_name(int key)
{
    static char name[16];
    return bytes_make(name, (size_t)snprintf(name, sizeof name, "k%d", key));
}

static struct node *create(struct tree *tree, struct bytes name, uint32_t mode, struct bytes value)
{
    struct effect effect = {.kind = EFFECT_CREATE, .dir = ROOT_ID, .name = name, .mode = mode, .value = value};
    effect.id = tree_next_id(tree, tree->root, name);
    assert_int_equal(tree_apply(tree, &effect), 0);
    return effect.ret_node;
}

static int key_of(const struct node *node)
{
    char name[NAME_BYTES_MAX + 1] = "";
    struct dentry *dentry = node->flags & NODE_LINKED ? &node_ext(node)->links->dentry : (struct dentry *)&node->dentry;
    memcpy(name, dentry->name, dentry->name_len);
    return atoi(name + 1);
}

static int give_up(struct cache *cache, bool (*keep)(void *user, uint64_t id), void *user)
{
    uint64_t id = evict_next(&cache->evict, cache->tree, keep, user);
    struct node *node = tree_find(cache->tree, id);
    if (!node)
        return -1;
    int key = key_of(node);
    struct effect effect = {.kind = EFFECT_UNLINK, .dir = ROOT_ID, .name = key_name(key)};
    assert_int_equal(tree_apply(cache->tree, &effect), 0);
    cache->ids[key] = 0;
    cache->count--;
    return key;
}

/* As a program uses a cache: what is not there is put there, and something else may have to go. */
static void use(struct cache *cache, int key)
{
    if (cache->ids[key]) {
        cache->hits++;
        evict_use(&cache->evict, cache->tree, tree_find(cache->tree, cache->ids[key]));
        return;
    }
    if (cache->count == CAPACITY)
        assert_true(give_up(cache, NULL, NULL) >= 0);
    struct node *node = create(cache->tree, key_name(key), S_IFREG | 0644, bytes_of("v"));
    evict_born(&cache->evict, cache->tree, node);
    cache->ids[key] = node->id;
    cache->count++;
}

static struct cache cache_new(enum evict_policy policy)
{
    struct cache cache = {.tree = tree_new(1, 0, 0, 0755, 0)};
    assert_non_null(cache.tree);
    evict_init(&cache.evict, policy);
    return cache;
}

static void cache_free(struct cache *cache)
{
    tree_verify(cache->tree);
    tree_free(cache->tree);
}

/* Low keys often, high ones seldom: about as 1/x. */
static int skewed_key(void)
{
    double x = (double)chance_below(&chance, 1 << 30) / (1 << 30);
    int key = (int)(KEYS * x * x * x * x);
    return key < KEYS ? key : KEYS - 1;
}

static unsigned exact_lru_hits(const int *uses)
{
    static unsigned last[KEYS]; /* when used, plus one; 0: not there */
    unsigned hits = 0, count = 0;
    memset(last, 0, sizeof last);
    for (unsigned now = 0; now < USES; now++) {
        hits += last[uses[now]] != 0;
        if (!last[uses[now]] && count++ == CAPACITY) {
            int oldest = -1;
            for (int key = 0; key < KEYS; key++)
                if (last[key] && (oldest < 0 || last[key] < last[oldest]))
                    oldest = key;
            last[oldest] = 0;
            count--;
        }
        last[uses[now]] = now + 1;
    }
    return hits;
}

static void lru_hits_nearly_as_often_as_an_exact_one(void **state)
{
    (void)state;
    static int uses[USES];
    struct cache cache = cache_new(EVICT_LRU);
    for (int i = 0; i < USES; i++)
        uses[i] = skewed_key();
    for (int i = 0; i < USES; i++)
        use(&cache, uses[i]);
    unsigned exact = exact_lru_hits(uses);
    print_message("hits: %u of %d, exact %u\n", cache.hits, USES, exact);
    assert_true(cache.hits > exact * 97 / 100);
    cache_free(&cache);
}

static void what_was_just_used_outlives_what_was_not(void **state)
{
    (void)state;
    struct cache cache = cache_new(EVICT_LRU);
    for (int key = 0; key < CAPACITY; key++)
        use(&cache, key);
    for (int round = 0; round < 10; round++)
        for (int key = 0; key < CAPACITY; key += 2)
            use(&cache, key);
    unsigned warm_lost = 0;
    for (int i = 0; i < CAPACITY * 4 / 10; i++) /* the last cold ones take the hand long to find */
        warm_lost += give_up(&cache, NULL, NULL) % 2 == 0;
    assert_int_equal(warm_lost, 0);
    cache_free(&cache);
}

static unsigned popular_kept_through_a_scan(enum evict_policy policy)
{
    struct cache cache = cache_new(policy);
    for (int round = 0; round < 50; round++)
        for (int key = 0; key < CAPACITY / 2; key++)
            use(&cache, key);
    for (int key = CAPACITY / 2; key < KEYS; key++) { /* each once */
        use(&cache, key);
        use(&cache, (int)chance_below(&chance, CAPACITY / 2));
    }
    unsigned kept = 0;
    for (int key = 0; key < CAPACITY / 2; key++)
        kept += cache.ids[key] != 0;
    cache_free(&cache);
    return kept;
}

static void lfu_keeps_what_is_popular_through_a_scan(void **state)
{
    (void)state;
    unsigned lfu = popular_kept_through_a_scan(EVICT_LFU), lru = popular_kept_through_a_scan(EVICT_LRU);
    print_message("popular keys kept: lfu %u, lru %u of %d\n", lfu, lru, CAPACITY / 2);
    assert_true(lfu > CAPACITY / 2 * 85 / 100);
    assert_true(lfu > lru);
}

static void lfu_gives_up_in_the_end_what_was_popular_once(void **state)
{
    (void)state;
    struct cache cache = cache_new(EVICT_LFU);
    for (int round = 0; round < 50; round++)
        for (int key = 0; key < CAPACITY; key++)
            use(&cache, key);
    for (int i = 0; i < USES; i++)
        use(&cache, CAPACITY + (int)chance_below(&chance, CAPACITY / 2));
    unsigned kept = 0;
    for (int key = 0; key < CAPACITY; key++)
        kept += cache.ids[key] != 0;
    assert_true(kept <= CAPACITY / 2 + CAPACITY / 10);
    cache_free(&cache);
}

static void ttl_gives_up_what_expires_next_and_nothing_else(void **state)
{
    (void)state;
    struct cache cache = cache_new(EVICT_TTL);
    for (int key = 0; key < 10; key++) {
        use(&cache, key);
        struct effect effect = {.kind = EFFECT_EXPIRE, .id = cache.ids[key], .expires_ns = 1000 - key};
        if (key % 2)
            assert_int_equal(tree_apply(cache.tree, &effect), 0);
    }
    for (int key = 9; key > 0; key -= 2)
        assert_int_equal(give_up(&cache, NULL, NULL), key);
    assert_int_equal(give_up(&cache, NULL, NULL), -1);
    cache_free(&cache);
}

static bool keep_even(void *user, uint64_t id) { return key_of(tree_find(((struct cache *)user)->tree, id)) % 2 == 0; }

static void only_files_go_and_none_that_is_to_be_kept(void **state)
{
    (void)state;
    struct cache cache = cache_new(EVICT_LRU);
    assert_int_equal(give_up(&cache, NULL, NULL), -1);
    create(cache.tree, bytes_of("dir"), S_IFDIR | 0755, (struct bytes){0});
    create(cache.tree, bytes_of("link"), S_IFLNK | 0777, bytes_of("target"));
    create(cache.tree, bytes_of("fifo"), S_IFIFO | 0644, (struct bytes){0});
    for (int key = 0; key < 100; key++)
        use(&cache, key);
    for (int i = 0; i < 50; i++)
        assert_int_equal(give_up(&cache, keep_even, &cache) % 2, 1);
    assert_int_equal(give_up(&cache, keep_even, &cache), -1);
    assert_int_equal(cache.tree->node_count, 1 + 3 + 50);
    cache_free(&cache);
}

static void without_a_policy_nothing_goes(void **state)
{
    (void)state;
    struct cache cache = cache_new(EVICT_NONE);
    use(&cache, 1);
    assert_int_equal(give_up(&cache, NULL, NULL), -1);
    assert_null(evict_policy_name(EVICT_TTL + 1));
    cache_free(&cache);
}

int main(void)
{
    chance = chance_start("evict");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lru_hits_nearly_as_often_as_an_exact_one),
        cmocka_unit_test(what_was_just_used_outlives_what_was_not),
        cmocka_unit_test(lfu_keeps_what_is_popular_through_a_scan),
        cmocka_unit_test(lfu_gives_up_in_the_end_what_was_popular_once),
        cmocka_unit_test(ttl_gives_up_what_expires_next_and_nothing_else),
        cmocka_unit_test(only_files_go_and_none_that_is_to_be_kept),
        cmocka_unit_test(without_a_policy_nothing_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
