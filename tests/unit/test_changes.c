/* Each kind of effect and what a cache has to forget for it. */
#include "kvcore/server/changes.h"
#include "kvcore/tree/node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* "e3:name" an entry of directory 3, "i5" an inode's attributes, "d5" its data too. */
static void expect_changes(const struct effect *effect, const char *expected)
{
    struct change changes[CHANGES_MAX];
    char text[200] = "";
    size_t count = changes_of(effect, changes), at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct change *change = &changes[i];
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%c%llu", i ? " " : "",
                               change->name.data ? 'e'
                               : change->data    ? 'd'
                                                 : 'i',
                               (unsigned long long)change->id);
        if (change->name.data)
            at += (size_t)snprintf(text + at, sizeof text - at, ":%.*s", (int)change->name.len, change->name.data);
    }
    assert_string_equal(text, expected);
}

static void names_tell_the_entry_its_directory_and_the_node_that_is_left(void **state)
{
    (void)state;
    struct effect effect = {.kind = EFFECT_CREATE, .dir = 3, .name = bytes_of("a")};
    expect_changes(&effect, "e3:a d3");
    effect.kind = EFFECT_LINK;
    effect.id = 9;
    expect_changes(&effect, "i9 e3:a d3");
    effect.kind = EFFECT_UNLINK;
    effect.ret_other = 9;
    expect_changes(&effect, "e3:a d3 i9");
    effect.kind = EFFECT_RMDIR;
    expect_changes(&effect, "e3:a d3 i9");
}

static void a_rename_tells_both_names_the_node_and_the_one_that_gave_way(void **state)
{
    (void)state;
    struct node moved = {.id = 9};
    struct effect effect = {.kind = EFFECT_RENAME,
                            .dir = 3,
                            .name = bytes_of("a"),
                            .to_dir = 4,
                            .to_name = bytes_of("b"),
                            .ret_node = &moved};
    expect_changes(&effect, "e3:a d3 e4:b d4 i9");
    effect.ret_other = 11;
    expect_changes(&effect, "e3:a d3 e4:b d4 i9 i11");
}

static void values_tell_the_data_and_attributes_only_themselves(void **state)
{
    (void)state;
    static const enum effect_kind data[] = {EFFECT_SET, EFFECT_WRITE, EFFECT_TRUNCATE, EFFECT_PUNCH, EFFECT_COPY};
    static const enum effect_kind attributes[] = {EFFECT_ATTR, EFFECT_SET_XATTR, EFFECT_REMOVE_XATTR, EFFECT_EXPIRE};
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        expect_changes(&(struct effect){.kind = data[i], .id = 5}, "d5");
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
        expect_changes(&(struct effect){.kind = attributes[i], .id = 5}, "i5");
    expect_changes(&(struct effect){.kind = EFFECT_RELEASE, .id = 5}, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_tell_the_entry_its_directory_and_the_node_that_is_left),
        cmocka_unit_test(a_rename_tells_both_names_the_node_and_the_one_that_gave_way),
        cmocka_unit_test(values_tell_the_data_and_attributes_only_themselves),
    };
    return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
