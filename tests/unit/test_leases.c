/* The table of leases against a naive model under random operations; its bound, its damping and its memory; and the
 * answers that wait. */
#include "kvcore/base/limits.h"
#include "kvcore/server/leases.h"
#include "kvcore/server/waits.h"
#include "tests/unit/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LESSEES = 4, NODES = 5, NAMES = 4, KEYS = NODES * (NAMES + 1), STEPS = 100000 };

/* A key of the model: a node (name 0), or a name in it. */
struct model {
    bool has[LESSEES][KEYS];
    uint64_t ticket[LESSEES][NODES]; /* of the last recall that concerns the node */
    uint64_t open[LESSEES], acknowledged[LESSEES];
};

/* What was told of the last change. */
static struct {
    bool told[LESSEES];
    uint64_t ticket[LESSEES]; /* 0: nothing was told */
    enum kv_change_kind kind;
    uint64_t id;
} heard;

static struct lessee lessees[LESSEES];

static void on_tell(void *user, struct lessee *lessee, const struct kv_change *change, uint64_t ticket)
{
    (void)user;
    size_t i = (size_t)(lessee - lessees);
    assert_int_equal(heard.ticket[i], 0);
    heard.told[i] = change;
    heard.ticket[i] = ticket;
    if (change) {
        heard.kind = change->kind;
        heard.id = change->id;
    }
}

static struct bytes name_of(unsigned name)
{
    static const char *const names[NAMES + 1] = {"", "a", "b", "c", "d"};
    return bytes_of(names[name]);
}

static struct kv_change change_of(unsigned node, unsigned name)
{
    return (struct kv_change){.id = node + 1,
                              .kind = name       ? KV_CHANGE_ENTRY
                                      : node % 2 ? KV_CHANGE_ATTR
                                                 : KV_CHANGE_DATA,
                              .name = name_of(name)};
}

static void expect_recall(struct model *model, struct leases *leases, unsigned node, unsigned name, int by,
                          int64_t now_ms)
{
    struct kv_change change = change_of(node, name);
    memset(&heard, 0, sizeof heard);
    leases_recall(leases, &change, by < 0 ? NULL : &lessees[by], now_ms);
    for (int i = 0; i < LESSEES; i++) {
        bool *has = &model->has[i][node * (NAMES + 1) + name];
        bool told = i != by && *has;
        bool waits = i != by && !told && model->ticket[i][node] > model->acknowledged[i];
        if (told) {
            *has = false;
            model->ticket[i][node] = model->open[i];
        }
        assert_int_equal(heard.told[i], told);
        assert_int_equal(heard.ticket[i], told || waits ? model->ticket[i][node] : 0);
    }
}

static size_t model_count(const struct model *model)
{
    size_t count = 0;
    for (int i = 0; i < LESSEES; i++)
        for (int k = 0; k < KEYS; k++)
            count += model->has[i][k];
    return count;
}

static void rejoin(struct model *model, struct leases *leases, int i)
{
    leases_leave(leases, &lessees[i]);
    assert_int_equal(leases_join(leases, &lessees[i]), 0);
    memset(model->has[i], 0, sizeof model->has[i]);
    memset(model->ticket[i], 0, sizeof model->ticket[i]);
    model->open[i] = 1;
    model->acknowledged[i] = 0;
}

static void table_does_what_the_naive_model_does(void **state)
{
    (void)state;
    static struct model model;
    struct leases leases;
    int64_t now_ms = 0;
    struct chance rng = chance_start("test_leases");
    assert_int_equal(leases_init(&leases, chance_next(&rng), on_tell, NULL), 0);
    for (int i = 0; i < LESSEES; i++) {
        assert_int_equal(leases_join(&leases, &lessees[i]), 0);
        model.open[i] = 1;
    }
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(chance_next(&rng) % LESSEES);
        unsigned node = (unsigned)(chance_next(&rng) % NODES), name = (unsigned)(chance_next(&rng) % (NAMES + 1));
        now_ms += LEASE_DAMP_MS; /* so that nothing is damped */
        switch (chance_next(&rng) % 8) {
        default:
            assert_true(name ? leases_grant_entry(&leases, &lessees[i], node + 1, name_of(name), false, now_ms)
                             : leases_grant(&leases, &lessees[i], node + 1, now_ms));
            model.has[i][node * (NAMES + 1) + name] = true;
            break;
        case 4:
        case 5:
            expect_recall(&model, &leases, node, name, (int)(chance_next(&rng) % (LESSEES + 1)) - 1, now_ms);
            break;
        case 6:
            leases_sent(&lessees[i]);
            model.open[i]++;
            break;
        case 7:
            if (chance_next(&rng) % 50 == 0)
                rejoin(&model, &leases, i);
            model.acknowledged[i] += chance_next(&rng) % (model.open[i] - model.acknowledged[i]);
            assert_true(leases_acknowledged(&leases, &lessees[i], model.acknowledged[i]));
            assert_false(leases_acknowledged(&leases, &lessees[i], model.open[i]));
            break;
        }
        assert_int_equal(leases.count, model_count(&model));
    }
    for (int i = 0; i < LESSEES; i++)
        leases_leave(&leases, &lessees[i]);
    assert_int_equal(leases.count, 0);
    assert_int_equal(leases.holder_count, 0);
    leases_close(&leases);
}

static void one_million_leases_take_at_most_64_bytes_each(void **state)
{
    (void)state;
    enum { FILES = 500000 };
    struct leases leases;
    assert_int_equal(leases_init(&leases, 1, on_tell, NULL), 0);
    assert_int_equal(leases_join(&leases, &lessees[0]), 0);
    for (unsigned i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "%u", i);
        assert_true(leases_grant_entry(&leases, &lessees[0], 1 + i / 1000, bytes_of(name), false, 0));
        assert_true(leases_grant(&leases, &lessees[0], 1000000 + i, 0));
    }
    assert_int_equal(leases.count, 2 * FILES);
    assert_in_range(leases.memory_bytes / leases.count, 1, 64);
    leases_leave(&leases, &lessees[0]);
    leases_close(&leases);
}

static void at_the_bound_the_oldest_is_recalled_whole(void **state)
{
    (void)state;
    struct leases leases;
    assert_int_equal(leases_init(&leases, 1, on_tell, NULL), 0);
    assert_int_equal(leases_join(&leases, &lessees[0]), 0);
    leases.max = 3;
    assert_true(leases_grant_entry(&leases, &lessees[0], 7, bytes_of("a"), false, 0));
    assert_true(leases_grant(&leases, &lessees[0], 7, 0));
    assert_true(leases_grant(&leases, &lessees[0], 8, 0));
    memset(&heard, 0, sizeof heard);
    assert_true(leases_grant(&leases, &lessees[0], 9, 0));
    assert_true(heard.told[0]);
    assert_int_equal(heard.kind, KV_CHANGE_ALL);
    assert_int_equal(heard.id, 7);
    assert_int_equal(leases.count, 2);
    leases_leave(&leases, &lessees[0]);
    leases_close(&leases);
}

static void what_is_recalled_often_is_not_leased_for_a_while(void **state)
{
    (void)state;
    struct leases leases;
    struct kv_change change = {.id = 7, .kind = KV_CHANGE_DATA};
    assert_int_equal(leases_init(&leases, 1, on_tell, NULL), 0);
    assert_int_equal(leases_join(&leases, &lessees[0]), 0);
    for (int i = 0; i < LEASE_DAMP_RECALLS; i++) {
        assert_true(leases_grant(&leases, &lessees[0], 7, i));
        memset(&heard, 0, sizeof heard);
        leases_recall(&leases, &change, NULL, i);
    }
    assert_false(leases_grant(&leases, &lessees[0], 7, LEASE_DAMP_RECALLS));
    assert_true(leases_grant(&leases, &lessees[0], 8, LEASE_DAMP_RECALLS));
    assert_true(leases_grant(&leases, &lessees[0], 7, LEASE_DAMP_RECALLS + LEASE_DAMP_MS));
    leases_leave(&leases, &lessees[0]);
    leases_close(&leases);
}

static void an_answer_leaves_when_all_have_acknowledged_or_are_gone(void **state)
{
    (void)state;
    struct waits waits;
    struct wait_party a, b;
    int64_t since_ms;
    waits_init(&waits);
    waits_party_init(&a);
    waits_party_init(&b);
    assert_int_equal(waits_prepare(&waits), 0);
    assert_null(waits_take(&waits));
    waits_for(&waits, &a, 3, 100);
    waits_for(&waits, &a, 5, 100);
    waits_for(&waits, &b, 1, 100);
    struct wait *first = waits_take(&waits);
    assert_non_null(first);
    assert_int_equal(waits_prepare(&waits), 0);
    waits_for(&waits, &b, 2, 200);
    struct wait *second = waits_take(&waits);
    assert_true(waits_since(&b, &since_ms));
    assert_int_equal(since_ms, 100);
    waits_acknowledged(&waits, &a, 4);
    waits_acknowledged(&waits, &b, 1);
    assert_null(waits_next_ready(&waits));
    waits_acknowledged(&waits, &a, 5);
    assert_ptr_equal(waits_next_ready(&waits), first);
    assert_null(waits_next_ready(&waits));
    assert_false(waits_since(&a, &since_ms));
    assert_true(waits_since(&b, &since_ms));
    assert_int_equal(since_ms, 200);
    waits_party_gone(&waits, &b);
    assert_ptr_equal(waits_next_ready(&waits), second);
    wait_free(first);
    wait_free(second);
    waits_close(&waits);
}

static void an_answer_whose_owner_is_gone_is_not_sent(void **state)
{
    (void)state;
    struct waits waits;
    struct wait_party a;
    struct wait *list = NULL;
    waits_init(&waits);
    waits_party_init(&a);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(waits_prepare(&waits), 0);
        waits_for(&waits, &a, (uint64_t)i + 1, 0);
        wait_own(waits_take(&waits), &list, &list);
    }
    waits_acknowledged(&waits, &a, 1);
    struct wait *ready = waits_next_ready(&waits);
    assert_ptr_equal(ready->owner, &list);
    wait_free(ready);
    wait_disown_all(&list);
    waits_acknowledged(&waits, &a, 2);
    ready = waits_next_ready(&waits);
    assert_null(ready->owner);
    wait_free(ready);
    waits_close(&waits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_does_what_the_naive_model_does),
        cmocka_unit_test(one_million_leases_take_at_most_64_bytes_each),
        cmocka_unit_test(at_the_bound_the_oldest_is_recalled_whole),
        cmocka_unit_test(what_is_recalled_often_is_not_leased_for_a_while),
        cmocka_unit_test(an_answer_leaves_when_all_have_acknowledged_or_are_gone),
        cmocka_unit_test(an_answer_whose_owner_is_gone_is_not_sent),
    };
    return cmocka_run_group_tests_name("leases", tests, NULL, NULL);
}
