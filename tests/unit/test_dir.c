#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/dir_hash.h"
#include "kvcore/tree/node.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { POOL = 2000, PAGE_MAX = 4000 };

/* The names that a test may use, in order, and which of them are in the directory. */
struct model {
    struct mem mem;
    struct dir *dir;
    size_t count;   /* names in the pool */
    size_t present; /* names in the directory */
    struct dentry *dentries[POOL];
    bool is_there[POOL];
    bool lasting[POOL]; /* not to be removed */
    int seen[POOL];     /* times that a scan returned it */
};

typedef uint64_t name_hash(uint64_t seed, struct bytes name);

/* Hashes that go wrong in every way that a good one does not. */

static uint64_t byte_sum(struct bytes name)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < name.len; i++)
        sum = sum * 31 + (unsigned char)name.data[i];
    return sum;
}

static uint64_t hash_one_value(uint64_t seed, struct bytes name)
{
    (void)seed;
    (void)name;
    return 0;
}

/* 97 cookies, spread; so the pool has groups of about 20, and 0 and the largest are among them. */
static uint64_t hash_few_values(uint64_t seed, struct bytes name)
{
    (void)seed;
    return byte_sum(name) % 97 * (UINT64_MAX / 96);
}

/* All cookies differ or nearly, but only below the bits that a table can use. */
static uint64_t hash_low_bits(uint64_t seed, struct bytes name)
{
    (void)seed;
    return (uint64_t)0xabcdef << 40 | (byte_sum(name) * 2654435761u & 0xffffffffff);
}

/* Half of the names share 12 bits, so that the depths of segments differ widely. */
static uint64_t hash_skewed(uint64_t seed, struct bytes name)
{
    uint64_t hash = (byte_sum(name) + seed) * 0x9e3779b97f4a7c15u;
    return hash & 1 ? hash : hash >> 12;
}

static name_hash *const hashes[] = {NULL, hash_few_values, hash_low_bits, hash_skewed, hash_one_value};
enum { HASHES = sizeof hashes / sizeof *hashes };

static struct dentry *dentry_new(struct bytes name)
{
    struct link *link = malloc(sizeof(*link) + name.len);
    assert_non_null(link);
    *link = (struct link){.dentry = {.name_len = (uint8_t)name.len, .kind = DENTRY_LINK}};
    memcpy(link->dentry.name, name.data, name.len);
    return &link->dentry;
}

static void dentry_free(struct dentry *dentry) { free((char *)dentry - offsetof(struct link, dentry)); }

static int compare_dentries(const void *a, const void *b)
{
    return bytes_compare(dentry_name(*(struct dentry *const *)a), dentry_name(*(struct dentry *const *)b));
}

/* Numbered names, prefixes of one another, the longest, and arbitrary bytes. */
static struct bytes chosen_name(struct chance *chance, char *room)
{
    size_t len = 0;
    switch (chance_below(chance, 4)) {
    case 0:
        return bytes_make(room, (size_t)sprintf(room, "name-%06u", (unsigned)chance_below(chance, 1000000)));
    case 1:
        memset(room, 'p', NAME_BYTES_MAX);
        return bytes_make(room, 1 + chance_below(chance, NAME_BYTES_MAX));
    case 2:
        memset(room, 'l', NAME_BYTES_MAX);
        sprintf(room + NAME_BYTES_MAX - 5, "%05u", (unsigned)chance_below(chance, 100000));
        return bytes_make(room, NAME_BYTES_MAX);
    default:
        len = 1 + chance_below(chance, 12);
        for (size_t i = 0; i < len; i++)
            room[i] = (char)(1 + chance_below(chance, 255));
        return bytes_make(room, len);
    }
}

static void model_init(struct model *model, struct chance *chance, name_hash *hash)
{
    *model = (struct model){0};
    char room[NAME_BYTES_MAX + 1];
    for (size_t i = 0; i < POOL; i++)
        model->dentries[i] = dentry_new(chosen_name(chance, room));
    qsort(model->dentries, POOL, sizeof(*model->dentries), compare_dentries);
    for (size_t i = 0; i < POOL; i++) {
        if (model->count && compare_dentries(&model->dentries[i], &model->dentries[model->count - 1]) == 0)
            dentry_free(model->dentries[i]);
        else
            model->dentries[model->count++] = model->dentries[i];
    }
    model->dir = dir_new_hashed_by(&model->mem, chance_next(chance), hash);
    assert_non_null(model->dir);
}

static void model_close(struct model *model)
{
    dir_free(model->dir, &model->mem);
    assert_int_equal(model->mem.used, 0);
    for (size_t i = 0; i < model->count; i++)
        dentry_free(model->dentries[i]);
}

static void add(struct model *model, size_t i)
{
    assert_int_equal(dir_insert(model->dir, &model->mem, model->dentries[i]), 0);
    model->is_there[i] = true;
    model->present++;
}

static void take(struct model *model, size_t i)
{
    dir_remove(model->dir, &model->mem, model->dentries[i]);
    model->is_there[i] = false;
    model->present--;
}

/* The node moved: its old memory is gone before the directory hears of it. */
static void move(struct model *model, size_t i)
{
    struct dentry *was = model->dentries[i];
    struct dentry *now = dentry_new(dentry_name(was));
    dentry_free(was);
    model->dentries[i] = now;
    dir_replace(model->dir, was, now);
}

static size_t index_of(const struct model *model, struct dentry *dentry)
{
    struct dentry *const *at =
        bsearch(&dentry, model->dentries, model->count, sizeof(*model->dentries), compare_dentries);
    assert_non_null(at);
    assert_ptr_equal(*at, dentry);
    return (size_t)(at - model->dentries);
}

static void expect_listing(const struct model *model, size_t page)
{
    static struct dentry *found[PAGE_MAX];
    struct bytes after = {0};
    size_t i = 0, count;
    while ((count = dir_list(model->dir, after, found, page)) > 0) {
        assert_true(count <= page);
        for (size_t at = 0; at < count; at++, i++) {
            while (i < model->count && !model->is_there[i])
                i++;
            assert_true(i < model->count);
            assert_ptr_equal(found[at], model->dentries[i]);
        }
        after = dentry_name(found[count - 1]);
    }
    while (i < model->count)
        assert_false(model->is_there[i++]);
}

/* One page; every entry is there, beyond `after` and in order. Returns the position for the next, 0 at the end. */
static uint64_t scan_page(struct model *model, uint64_t after, size_t max)
{
    static struct dir_found found[PAGE_MAX];
    size_t count = dir_scan(model->dir, after, found, max);
    assert_true(count <= max);
    uint64_t cookie = after;
    for (size_t at = 0; at < count; at++) {
        size_t i = index_of(model, found[at].dentry);
        assert_true(model->is_there[i]);
        model->seen[i]++;
        uint64_t next = found[at].cookie;
        assert_true(next == dir_cookie(model->dir, dentry_name(found[at].dentry)));
        assert_true(next > after && next >= cookie);
        cookie = next;
    }
    return count ? cookie : 0;
}

static void expect_scan(struct model *model, size_t max)
{
    memset(model->seen, 0, sizeof model->seen);
    for (uint64_t after = scan_page(model, 0, max); after; after = scan_page(model, after, max))
        ;
    for (size_t i = 0; i < model->count; i++)
        assert_int_equal(model->seen[i], model->is_there[i] ? 1 : 0);
}

static void expect_same(struct model *model)
{
    assert_int_equal(dir_count(model->dir), model->present);
    for (size_t i = 0; i < model->count; i++)
        assert_ptr_equal(dir_find(model->dir, dentry_name(model->dentries[i])),
                         model->is_there[i] ? model->dentries[i] : NULL);
    expect_listing(model, PAGE_MAX);
    expect_listing(model, 7);
    expect_scan(model, PAGE_MAX);
}

static void an_empty_directory_holds_nothing(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct dir *dir = dir_new(&mem, 1);
    struct dentry *found[64];
    struct dir_found scanned[64];
    assert_int_equal(dir_count(dir), 0);
    assert_null(dir_find(dir, bytes_of("a")));
    assert_int_equal(dir_scan(dir, 0, scanned, 64), 0);
    assert_int_equal(dir_list(dir, (struct bytes){0}, found, 64), 0);
    assert_int_equal(dir_list(dir, bytes_of("a"), found, 64), 0);
    dir_free(dir, &mem);
    dir_free(NULL, &mem);
    assert_int_equal(mem.used, 0);
}

static void behaves_as_a_sorted_list_under_random_operations(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    for (size_t h = 0; h < HASHES; h++) {
        model_init(&model, &chance, hashes[h]);
        for (int step = 0; step < 24000; step++) {
            size_t i = chance_below(&chance, model.count);
            /* Waves, so that the directory is nearly full and nearly empty in turn. */
            bool removes = chance_below(&chance, 100) < (step / 4000 % 2 ? 85 : 15);
            if (!model.is_there[i] && !removes)
                add(&model, i);
            else if (model.is_there[i] && removes)
                take(&model, i);
            else if (model.is_there[i] && step % 3 == 0)
                move(&model, i);
            assert_ptr_equal(dir_find(model.dir, dentry_name(model.dentries[i])),
                             model.is_there[i] ? model.dentries[i] : NULL);
            if (step % 500 == 0)
                expect_same(&model);
        }
        for (size_t i = 0; i < model.count; i++) {
            if (model.is_there[i])
                take(&model, i);
        }
        expect_same(&model);
        model_close(&model);
    }
}

static void names_that_come_in_bulk_are_put_in_order_at_the_end(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    for (size_t round = 0; round < 40; round++) {
        model_init(&model, &chance, hashes[round % HASHES]);
        for (uint64_t left = chance_below(&chance, 2) * chance_below(&chance, 500); left; left--) {
            size_t i = chance_below(&chance, model.count);
            if (!model.is_there[i])
                add(&model, i);
        }
        dir_drop_order(model.dir, &model.mem);
        assert_false(dir_has_order(model.dir));
        uint64_t steps = round < 10 ? round * 3 : chance_below(&chance, 8000);
        for (unsigned removes = (unsigned)chance_below(&chance, 120); steps; steps--) {
            size_t i = chance_below(&chance, model.count);
            if (!model.is_there[i])
                add(&model, i);
            else if (chance_below(&chance, 100) < removes)
                take(&model, i);
            else
                move(&model, i);
        }
        expect_scan(&model, PAGE_MAX);
        for (int64_t nth = 1; nth < 4; nth++) {
            model.mem.fail_after = nth;
            int rc = dir_build_order(model.dir, &model.mem);
            model.mem.fail_after = 0;
            assert_true(rc == 0 || !dir_has_order(model.dir));
        }
        assert_int_equal(dir_build_order(model.dir, &model.mem), 0);
        expect_same(&model);
        for (uint64_t left = 300; left; left--) { /* and goes on as any other */
            size_t i = chance_below(&chance, model.count);
            if (model.is_there[i])
                take(&model, i);
            else
                add(&model, i);
        }
        expect_same(&model);
        if (chance_below(&chance, 2))
            dir_drop_order(model.dir, &model.mem);
        model_close(&model);
    }
}

static void building_that_runs_out_of_memory_can_be_tried_again(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    int64_t nth = 1;
    model_init(&model, &chance, NULL);
    dir_drop_order(model.dir, &model.mem);
    for (size_t i = 0; i < model.count; i++)
        add(&model, i);
    for (int rc = -1; rc < 0; nth++) {
        size_t used = model.mem.used;
        model.mem.fail_after = nth;
        rc = dir_build_order(model.dir, &model.mem);
        model.mem.fail_after = 0;
        assert_true(rc == 0 || (rc == -ENOMEM && model.mem.used == used && !dir_has_order(model.dir)));
    }
    assert_true(nth > 20);
    expect_same(&model);
    model_close(&model);
}

static void listing_begins_after_any_name(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    model_init(&model, &chance, NULL);
    for (size_t i = 0; i < model.count; i++) {
        if (chance_below(&chance, 2))
            add(&model, i);
    }
    for (int step = 0; step < 20000; step++) {
        char room[NAME_BYTES_MAX + 1];
        struct bytes after = chosen_name(&chance, room);
        if (step % 2)
            after = dentry_name(model.dentries[chance_below(&chance, model.count)]);
        size_t i = 0;
        while (i < model.count && (!model.is_there[i] || bytes_compare(dentry_name(model.dentries[i]), after) <= 0))
            i++;
        struct dentry *found[1] = {NULL};
        assert_int_equal(dir_list(model.dir, after, found, 1), i < model.count ? 1 : 0);
        assert_ptr_equal(found[0], i < model.count ? model.dentries[i] : NULL);
    }
    model_close(&model);
}

/* Inserts and removes names that do not last. */
static void disturb(struct model *model, struct chance *chance, unsigned remove_percent)
{
    for (uint64_t left = chance_below(chance, 300); left > 0; left--) {
        size_t i = chance_below(chance, model->count);
        bool removes = chance_below(chance, 100) < remove_percent;
        if (model->is_there[i] && removes && !model->lasting[i])
            take(model, i);
        else if (!model->is_there[i] && !removes)
            add(model, i);
        else if (model->is_there[i])
            move(model, i);
    }
}

static void a_scan_returns_what_lasts_exactly_once_whatever_comes_and_goes(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    for (size_t round = 0; round < 60; round++) {
        name_hash *hash = hashes[round % (HASHES - 1)]; /* not the one whose group exceeds a page */
        size_t max = 64 + chance_below(&chance, 3) * 50;
        unsigned remove_percent = 20 + 30 * (unsigned)chance_below(&chance, 3);
        model_init(&model, &chance, hash);
        for (size_t i = 0; i < model.count; i++) {
            model.lasting[i] = chance_below(&chance, 4) == 0;
            if (model.lasting[i] || chance_below(&chance, 100) >= remove_percent)
                add(&model, i);
        }
        uint64_t after = 0;
        while ((after = scan_page(&model, after, max)) > 0)
            disturb(&model, &chance, remove_percent);
        for (size_t i = 0; i < model.count; i++) {
            if (model.lasting[i])
                assert_int_equal(model.seen[i], 1);
        }
        model_close(&model);
    }
}

static void equal_cookies_come_all_or_not_at_all(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    model_init(&model, &chance, hash_few_values);
    for (size_t i = 0; i < model.count; i++)
        add(&model, i);
    for (size_t max = 64; max < 300; max++)
        expect_scan(&model, max);
    model_close(&model);
}

static void equal_cookies_beyond_a_page_end_the_scan_rather_than_repeat(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    static struct dir_found found[PAGE_MAX];
    model_init(&model, &chance, hash_one_value);
    for (size_t i = 0; i < 200; i++)
        add(&model, i);
    assert_int_equal(dir_scan(model.dir, 0, found, 64), 64);
    assert_int_equal(dir_scan(model.dir, 0, found, 199), 199);
    assert_int_equal(dir_scan(model.dir, 0, found, 200), 200);
    assert_int_equal(dir_scan(model.dir, DIR_COOKIE_FIRST - 1, found, 300), 200);
    assert_int_equal(dir_scan(model.dir, DIR_COOKIE_FIRST, found, 300), 0);
    model_close(&model);
}

static uint64_t hash_zero_to_seven_or_most(uint64_t seed, struct bytes name)
{
    (void)seed;
    return name.data[0] == 'x' ? UINT64_MAX : (uint64_t)(name.data[0] - '0');
}

static void cookies_keep_to_their_range(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct dir *dir = dir_new_hashed_by(&mem, 0, hash_zero_to_seven_or_most);
    struct dir_found found[64];
    assert_int_equal(dir_cookie(dir, bytes_of("0")), DIR_COOKIE_FIRST);
    assert_int_equal(dir_cookie(dir, bytes_of("5")), DIR_COOKIE_FIRST);
    assert_int_equal(dir_cookie(dir, bytes_of("x")), INT64_MAX);
    struct dentry *last = dentry_new(bytes_of("x"));
    assert_int_equal(dir_insert(dir, &mem, last), 0);
    assert_int_equal(dir_scan(dir, INT64_MAX - 1, found, 64), 1);
    assert_int_equal(dir_scan(dir, INT64_MAX, found, 64), 0);
    assert_int_equal(dir_scan(dir, UINT64_MAX, found, 64), 0);
    dir_free(dir, &mem);
    dentry_free(last);
}

static void cookies_follow_from_seed_and_name_alone(void **state)
{
    (void)state;
    struct mem mem = {0};
    struct dir *a = dir_new(&mem, 7), *b = dir_new(&mem, 7), *c = dir_new(&mem, 8);
    assert_int_equal(dir_cookie(a, bytes_of("name")), dir_cookie(b, bytes_of("name")));
    assert_int_not_equal(dir_cookie(a, bytes_of("name")), dir_cookie(c, bytes_of("name")));
    assert_int_not_equal(dir_cookie(a, bytes_of("name")), dir_cookie(a, bytes_of("eman")));
    dir_free(a, &mem);
    dir_free(b, &mem);
    dir_free(c, &mem);
    struct mem none = {.fail_after = 1};
    assert_null(dir_new(&none, 7));
}

static void a_failed_allocation_leaves_the_directory_as_it_was(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    for (size_t h = 0; h < HASHES; h++) {
        model_init(&model, &chance, hashes[h]);
        size_t failures = 0;
        for (size_t step = 0; step < model.count; step++) {
            size_t i = chance_below(&chance, model.count);
            if (model.is_there[i])
                continue;
            for (int64_t nth = 1;; nth++) {
                model.mem.fail_after = nth;
                int rc = dir_insert(model.dir, &model.mem, model.dentries[i]);
                model.mem.fail_after = 0;
                if (rc == 0)
                    break;
                assert_int_equal(rc, -ENOMEM);
                if (failures++ % 4 == 0)
                    expect_same(&model);
            }
            model.is_there[i] = true;
            model.present++;
        }
        assert_true(failures > 100);
        expect_same(&model);
        model_close(&model);
    }
}

static void removal_needs_no_memory(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    for (size_t h = 0; h < HASHES; h++) {
        model_init(&model, &chance, hashes[h]);
        for (size_t i = 0; i < model.count; i++)
            add(&model, i);
        for (int step = 0; step < 5000; step++) {
            size_t i = chance_below(&chance, model.count);
            model.mem.fail_after = step % 5; /* 0: succeeds */
            if (model.is_there[i])
                take(&model, i);
            model.mem.fail_after = 0;
            if (step % 500 == 0)
                expect_same(&model);
        }
        for (size_t i = 0; i < model.count; i++) {
            if (!model.is_there[i])
                add(&model, i);
        }
        expect_same(&model);
        model_close(&model);
    }
}

static void hashes_that_do_not_spread_cannot_inflate_the_table(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct model model;
    for (size_t h = 1; h < HASHES; h++) {
        model_init(&model, &chance, hashes[h]);
        for (size_t i = 0; i < model.count; i++)
            add(&model, i);
        assert_true(model.mem.used < model.count * 40);
        model_close(&model);
    }
}

enum { MANY = 200000 };

static struct dentry *numbered(unsigned number)
{
    char name[16];
    return dentry_new(bytes_make(name, (size_t)sprintf(name, "name-%07u", number)));
}

static void shuffle(struct dentry **dentries, struct chance *chance)
{
    for (size_t i = MANY - 1; i > 0; i--) {
        size_t other = chance_below(chance, i + 1);
        struct dentry *swapped = dentries[i];
        dentries[i] = dentries[other];
        dentries[other] = swapped;
    }
}

static void both_indexes_together_take_about_twenty_bytes_an_entry(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct dentry *dentries[MANY];
    for (unsigned i = 0; i < MANY; i++)
        dentries[i] = numbered(i);
    size_t used[2];
    for (int round = 0; round < 2; round++) {
        struct mem mem = {0};
        struct dir *dir = dir_new(&mem, chance_next(&chance));
        for (size_t i = 0; i < MANY; i++)
            assert_int_equal(dir_insert(dir, &mem, dentries[i]), 0);
        used[round] = mem.used;
        dir_free(dir, &mem);
        assert_int_equal(mem.used, 0);
        shuffle(dentries, &chance);
    }
    assert_true(used[1] < MANY * (size_t)21);
    assert_true(used[0] + MANY / 2 < used[1]); /* in order, the leaves are full */
    for (unsigned i = 0; i < MANY; i++)
        dentry_free(dentries[i]);
}

static void a_directory_that_was_large_gives_its_memory_back(void **state)
{
    (void)state;
    struct chance chance = chance_start(__func__);
    static struct dentry *dentries[MANY];
    struct mem mem = {0};
    struct dir *dir = dir_new(&mem, chance_next(&chance));
    for (unsigned i = 0; i < MANY; i++) {
        dentries[i] = numbered(i);
        assert_int_equal(dir_insert(dir, &mem, dentries[i]), 0);
    }
    shuffle(dentries, &chance);
    for (size_t left = MANY; left > 10; left--) {
        dir_remove(dir, &mem, dentries[left - 1]);
        if (left == MANY / 10 || left == MANY / 100)
            assert_true(mem.used < left * (size_t)29);
    }
    assert_true(mem.used < 2000);
    for (size_t i = 0; i < 10; i++) {
        assert_ptr_equal(dir_find(dir, dentry_name(dentries[i])), dentries[i]);
        dir_remove(dir, &mem, dentries[i]);
    }
    assert_true(mem.used < 100);
    dir_free(dir, &mem);
    assert_int_equal(mem.used, 0);
    for (unsigned i = 0; i < MANY; i++)
        dentry_free(dentries[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_directory_holds_nothing),
        cmocka_unit_test(behaves_as_a_sorted_list_under_random_operations),
        cmocka_unit_test(names_that_come_in_bulk_are_put_in_order_at_the_end),
        cmocka_unit_test(building_that_runs_out_of_memory_can_be_tried_again),
        cmocka_unit_test(listing_begins_after_any_name),
        cmocka_unit_test(a_scan_returns_what_lasts_exactly_once_whatever_comes_and_goes),
        cmocka_unit_test(equal_cookies_come_all_or_not_at_all),
        cmocka_unit_test(equal_cookies_beyond_a_page_end_the_scan_rather_than_repeat),
        cmocka_unit_test(cookies_keep_to_their_range),
        cmocka_unit_test(cookies_follow_from_seed_and_name_alone),
        cmocka_unit_test(a_failed_allocation_leaves_the_directory_as_it_was),
        cmocka_unit_test(removal_needs_no_memory),
        cmocka_unit_test(hashes_that_do_not_spread_cannot_inflate_the_table),
        cmocka_unit_test(both_indexes_together_take_about_twenty_bytes_an_entry),
        cmocka_unit_test(a_directory_that_was_large_gives_its_memory_back),
    };
    return cmocka_run_group_tests_name("dir", tests, NULL, NULL);
}
