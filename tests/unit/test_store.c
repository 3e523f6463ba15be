/* The store: requests in, replies out, on a clock that the test sets. */
#include "kvcore/base/error.h"
#include "kvcore/server/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct fixture {
    struct clock clock; /* first: the clock is cast to its fixture */
    int64_t now_ns;
    struct store store;
    struct session session;
    struct kv_reply reply;
};

static int64_t fixture_real_ns(struct clock *clock) { return ((struct fixture *)clock)->now_ns; }
static int64_t fixture_mono_ms(struct clock *clock) { return ((struct fixture *)clock)->now_ns / 1000000; }

static void fixture_open(struct fixture *fixture, const char *password, uint64_t memory_bytes_max)
{
    *fixture = (struct fixture){.clock = {fixture_real_ns, fixture_mono_ms}, .now_ns = 1000000000000};
    struct store_options options = {.memory_bytes_max = memory_bytes_max,
                                    .password = password,
                                    .hash_seed = 7,
                                    .root_uid = 10,
                                    .root_gid = 20,
                                    .root_mode = 0755,
                                    .clock = &fixture->clock,
                                    .mode = "test"};
    assert_int_equal(store_init(&fixture->store, &options), 0);
    store_session_begin(&fixture->store, &fixture->session);
}

static int setup(void **state)
{
    static struct fixture fixture;
    fixture_open(&fixture, NULL, UINT64_MAX);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    tree_verify(fixture->store.tree);
    store_session_end(&fixture->store, &fixture->session);
    store_close(&fixture->store);
    return 0;
}

static int run(struct fixture *fixture, const struct kv_request *request)
{
    store_execute(&fixture->store, &fixture->session, request, &fixture->reply);
    return fixture->reply.error;
}

static struct kv_request on_key(enum kv_op op, const char *key)
{
    return (struct kv_request){.op = op, .node = kv_ref_key(bytes_of(key))};
}

static int set(struct fixture *fixture, const char *key, const char *value, uint32_t options)
{
    struct kv_request request = on_key(KV_OP_SET, key);
    request.value = bytes_of(value);
    request.options = options;
    return run(fixture, &request);
}

static void expect_contents(struct fixture *fixture, const char *key, const char *value)
{
    struct kv_request request = on_key(KV_OP_GET, key);
    assert_int_equal(run(fixture, &request), 0);
    assert_int_equal(fixture->reply.bytes, strlen(value));
    if (value[0])
        assert_memory_equal(fixture->reply.pieces[0].data, value, strlen(value));
}

static int op(struct fixture *fixture, enum kv_op code, const char *key)
{
    struct kv_request request = on_key(code, key);
    return run(fixture, &request);
}

static void a_set_makes_the_directories_above_and_they_belong_to_the_owner_above(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "a/b/c", "v", 0), 0);
    expect_contents(fixture, "a/b/c", "v");
    assert_int_equal(op(fixture, KV_OP_STAT, "a/b"), 0);
    assert_true(S_ISDIR(fixture->reply.attr.mode));
    assert_int_equal(fixture->reply.attr.uid, 10);
    assert_int_equal(fixture->reply.attr.gid, 20);
    assert_int_equal(set(fixture, "a/b", "v", 0), -EISDIR);
    assert_int_equal(set(fixture, "a/b/c/d", "v", 0), -ENOTDIR);
}

static void bad_keys_are_refused_with_the_reason(void **state)
{
    struct fixture *fixture = *state;
    char long_name[257], long_key[4097];
    memset(long_name, 'n', 256);
    long_name[256] = '\0';
    memset(long_key, 'k', 4096);
    for (int i = 100; i < 4096; i += 100)
        long_key[i] = '/';
    long_key[4096] = '\0';
    static const char *const invalid[] = {"a//b", "/a", "a/", "../x", "a/./b"};
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        assert_int_equal(set(fixture, invalid[i], "v", 0), -EINVAL);
        assert_non_null(strstr(fixture->reply.text, invalid[i]));
    }
    struct kv_request request = on_key(KV_OP_SET, "");
    request.node.name = bytes_make("a\0b", 3);
    assert_int_equal(run(fixture, &request), -EINVAL);
    assert_int_equal(set(fixture, "", "v", 0), -EISDIR);
    assert_int_equal(set(fixture, long_name, "v", 0), -ENAMETOOLONG);
    assert_int_equal(set(fixture, long_key, "v", 0), -ENAMETOOLONG);
    assert_int_equal(fixture->store.tree->node_count, 1);
}

static void set_heeds_nx_xx_and_if_version(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "k", "1", KV_OPT_XX), -ENOENT);
    assert_int_equal(set(fixture, "k", "1", KV_OPT_NX), 0);
    assert_int_equal(set(fixture, "k", "2", KV_OPT_NX), -EEXIST);
    uint64_t version = fixture->store.index;
    struct kv_request request = on_key(KV_OP_SET, "k");
    request.value = bytes_of("3");
    request.options = KV_OPT_IF_VERSION;
    request.if_version = version + 1;
    assert_int_equal(run(fixture, &request), KV_VERSION);
    expect_contents(fixture, "k", "1");
    request.if_version = version;
    assert_int_equal(run(fixture, &request), 0);
    assert_true(fixture->reply.uint > version);
    expect_contents(fixture, "k", "3");
    request = on_key(KV_OP_SET, "new");
    request.options = KV_OPT_IF_VERSION; /* version 0: it must not be there */
    assert_int_equal(run(fixture, &request), 0);
}

static void a_key_is_gone_the_moment_its_time_comes(void **state)
{
    struct fixture *fixture = *state;
    struct kv_request request = on_key(KV_OP_SET, "k");
    request.options = KV_OPT_TTL;
    request.ttl_ms = 1000;
    assert_int_equal(run(fixture, &request), 0);
    fixture->now_ns += 400 * 1000000;
    assert_int_equal(op(fixture, KV_OP_TTL, "k"), 0);
    assert_int_equal(fixture->reply.integer, 600);
    fixture->now_ns += 599 * 1000000;
    assert_int_equal(op(fixture, KV_OP_GET, "k"), 0);
    fixture->now_ns += 2000000; /* a change is stamped 1 ns after the one before */
    assert_int_equal(op(fixture, KV_OP_GET, "k"), -ENOENT);
    assert_int_equal(fixture->store.tree->node_count, 1);
    assert_int_equal(fixture->store.expired, 1);
}

static void a_set_without_a_time_to_live_takes_an_old_one_away(void **state)
{
    struct fixture *fixture = *state;
    struct kv_request request = on_key(KV_OP_SET, "k");
    request.options = KV_OPT_TTL;
    request.ttl_ms = 1000;
    assert_int_equal(run(fixture, &request), 0);
    assert_int_equal(set(fixture, "k", "v", 0), 0);
    fixture->now_ns += 2000000000;
    expect_contents(fixture, "k", "v");
}

static void the_timers_slice_removes_no_more_than_it_may(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 50; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        struct kv_request request = on_key(KV_OP_SET, key);
        request.options = KV_OPT_TTL;
        request.ttl_ms = 10 + i % 3;
        assert_int_equal(run(fixture, &request), 0);
    }
    fixture->now_ns += 1000000000;
    assert_int_equal(store_expire(&fixture->store, 20), 20);
    assert_int_equal(store_expire(&fixture->store, 100), 30);
    assert_int_equal(fixture->store.tree->node_count, 1);
}

static void incr_counts_and_refuses_what_is_no_number(void **state)
{
    struct fixture *fixture = *state;
    struct kv_request request = on_key(KV_OP_INCR, "n");
    request.delta = 5;
    assert_int_equal(run(fixture, &request), 0);
    assert_int_equal(fixture->reply.integer, 5);
    request.delta = -7;
    assert_int_equal(run(fixture, &request), 0);
    assert_int_equal(fixture->reply.integer, -2);
    expect_contents(fixture, "n", "-2");
    assert_int_equal(set(fixture, "n", "9223372036854775807\n", 0), 0);
    request.delta = 1;
    assert_int_equal(run(fixture, &request), -ERANGE);
    request.delta = -1;
    assert_int_equal(run(fixture, &request), 0);
    expect_contents(fixture, "n", "9223372036854775806");
    static const char *const no_numbers[] = {"x", "1x", "-", " 1", "9223372036854775808", "1\n\n"};
    for (size_t i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++) {
        assert_int_equal(set(fixture, "n", no_numbers[i], 0), 0);
        assert_int_equal(run(fixture, &request), -EINVAL);
        expect_contents(fixture, "n", no_numbers[i]);
    }
}

static void getrange_counts_as_redis_does(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        int64_t first, last;
        const char *expected;
    } cases[] = {{0, 3, "This"},      {-3, -1, "ing"}, {0, -1, "This is a string"},
                 {10, 100, "string"}, {5, 3, ""},      {100, 200, ""},
                 {-100, 1, "Th"},     {0, -100, ""}};
    assert_int_equal(set(fixture, "k", "This is a string", 0), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct kv_request request = on_key(KV_OP_GETRANGE, "k");
        request.first = cases[i].first;
        request.last = cases[i].last;
        assert_int_equal(run(fixture, &request), 0);
        assert_int_equal(fixture->reply.bytes, strlen(cases[i].expected));
    }
}

static int mset(struct fixture *fixture, const char *key_a, const char *key_b)
{
    struct kv_ref nodes[] = {kv_ref_key(bytes_of(key_a)), kv_ref_key(bytes_of(key_b))};
    struct bytes values[] = {bytes_of("1"), bytes_of("2")};
    struct kv_request request = {.op = KV_OP_MSET, .nodes = nodes, .values = values, .node_count = 2};
    return run(fixture, &request);
}

static void mset_changes_all_or_nothing_within_one_slot(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mset(fixture, "a", "b"), KV_CROSSSLOT);
    assert_int_equal(mset(fixture, "{t}a", "{t}b"), 0);
    expect_contents(fixture, "{t}b", "2");
    assert_int_equal(set(fixture, "d/dir/x", "v", 0), 0);
    assert_int_equal(mset(fixture, "d/one", "d/dir"), -EISDIR);
    assert_int_equal(op(fixture, KV_OP_GET, "d/one"), -ENOENT);
}

static void a_full_store_refuses_growth_and_still_deletes(void **state)
{
    struct fixture *fixture = *state;
    static char big[100000];
    memset(big, 'x', sizeof big - 1);
    assert_int_equal(set(fixture, "a", big, 0), 0);
    fixture->store.options.memory_bytes_max = fixture->store.tree->mem.used + 50000;
    assert_int_equal(set(fixture, "b", big, 0), -ENOSPC);
    assert_non_null(strstr(fixture->reply.text, "maxmemory"));
    fixture->store.options.memory_bytes_max = 1;
    struct kv_request request = on_key(KV_OP_APPEND, "a");
    request.value = bytes_of("y");
    assert_int_equal(run(fixture, &request), -ENOSPC);
    assert_int_equal(op(fixture, KV_OP_GET, "a"), 0);
    assert_int_equal(op(fixture, KV_OP_UNLINK, "a"), 0);
    assert_int_equal(op(fixture, KV_OP_GET, "a"), -ENOENT);
}

static void with_a_policy_a_full_store_gives_up_what_was_not_used(void **state)
{
    struct fixture *fixture = *state;
    char key[16];
    static char value[1000];
    memset(value, 'x', sizeof value - 1);
    assert_int_equal(set(fixture, "used", value, 0), 0);
    evict_init(&fixture->store.evict, EVICT_LRU);
    fixture->store.options.memory_bytes_max = fixture->store.tree->mem.used + 300000;
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(set(fixture, key, value, 0), 0);
        assert_int_equal(op(fixture, KV_OP_GET, "used"), 0);
        assert_true(fixture->store.tree->mem.used <= fixture->store.options.memory_bytes_max);
    }
    assert_true(fixture->store.evicted > 1000);
    assert_int_equal(op(fixture, KV_OP_GET, "k0"), -ENOENT);
    assert_int_equal(op(fixture, KV_OP_GET, "k1999"), 0);
    fixture->store.options.memory_bytes_max = 1; /* nothing that could go is enough */
    assert_int_equal(set(fixture, "one/more", value, 0), -ENOSPC);
}

static void a_held_node_outlives_its_name_until_the_session_lets_go(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "k", "value", 0), 0);
    assert_int_equal(op(fixture, KV_OP_STAT, "k"), 0);
    uint64_t id = fixture->reply.attr.id;
    struct kv_request unlink = on_key(KV_OP_UNLINK, "k");
    unlink.options = KV_OPT_HOLD;
    assert_int_equal(run(fixture, &unlink), 0);
    assert_int_equal(fixture->reply.uint, id);
    struct kv_request read = {.op = KV_OP_READ, .node = kv_ref_id(id), .length = 100};
    assert_int_equal(run(fixture, &read), 0);
    assert_int_equal(fixture->reply.bytes, 5);
    struct kv_ref ids[] = {kv_ref_id(id)};
    struct kv_request release = {.op = KV_OP_RELEASE, .nodes = ids, .node_count = 1};
    assert_int_equal(run(fixture, &release), 0);
    assert_int_equal(run(fixture, &read), -ESTALE);
    assert_int_equal(run(fixture, &release), 0); /* sent again, it does no harm */
}

static void the_end_of_a_session_releases_all_it_held(void **state)
{
    struct fixture *fixture = *state;
    struct session other;
    store_session_begin(&fixture->store, &other);
    assert_int_equal(set(fixture, "k", "value", 0), 0);
    struct kv_request unlink = on_key(KV_OP_UNLINK, "k");
    unlink.options = KV_OPT_HOLD;
    store_execute(&fixture->store, &other, &unlink, &fixture->reply);
    assert_int_equal(fixture->store.tree->node_count, 2);
    store_session_end(&fixture->store, &other);
    assert_int_equal(fixture->store.tree->node_count, 1);
}

static void changes_never_share_a_time_even_if_the_clock_stands_still(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "k", "1", 0), 0);
    assert_int_equal(op(fixture, KV_OP_STAT, "k"), 0);
    int64_t before = fixture->reply.attr.mtime_ns;
    fixture->now_ns -= 5000000000;
    assert_int_equal(set(fixture, "k", "2", 0), 0);
    assert_int_equal(op(fixture, KV_OP_STAT, "k"), 0);
    assert_true(fixture->reply.attr.mtime_ns > before);
}

static void keys_follow_symlinks_and_names_do_not(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "real", "v", 0), 0);
    struct kv_request symlink = on_key(KV_OP_SYMLINK, "link");
    symlink.value = bytes_of("real");
    assert_int_equal(run(fixture, &symlink), 0);
    expect_contents(fixture, "link", "v");
    assert_int_equal(op(fixture, KV_OP_STAT, "link"), 0);
    assert_true(S_ISLNK(fixture->reply.attr.mode));
    struct kv_ref keys[] = {kv_ref_key(bytes_of("link"))};
    struct kv_request del = {.op = KV_OP_DEL, .nodes = keys, .node_count = 1};
    assert_int_equal(run(fixture, &del), 0);
    assert_int_equal(fixture->reply.uint, 1);
    expect_contents(fixture, "real", "v");
}

static void virtual_xattrs_show_and_set_what_the_store_knows(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(set(fixture, "k", "v", 0), 0);
    struct kv_request request = on_key(KV_OP_SETXATTR, "k");
    request.name = bytes_of("user.kv.ttl");
    request.value = bytes_of("60");
    assert_int_equal(run(fixture, &request), 0);
    request.op = KV_OP_GETXATTR;
    assert_int_equal(run(fixture, &request), 0);
    assert_memory_equal(fixture->reply.pieces[0].data, "60", 2);
    request.op = KV_OP_REMOVEXATTR;
    assert_int_equal(run(fixture, &request), 0);
    request.op = KV_OP_GETXATTR;
    assert_int_equal(run(fixture, &request), -ENODATA);
    request.op = KV_OP_SETXATTR;
    request.name = bytes_of("user.kv.version");
    assert_int_equal(run(fixture, &request), -EPERM);
}

static void without_the_password_only_hello_is_answered(void **state)
{
    struct fixture *fixture = *state;
    store_session_end(&fixture->store, &fixture->session);
    store_close(&fixture->store);
    fixture_open(fixture, "secret", UINT64_MAX);
    assert_int_equal(set(fixture, "k", "v", 0), KV_NOAUTH);
    static const char *const wrong[] = {"", "secre", "secrets", "Secret"};
    struct kv_request hello = {.op = KV_OP_HELLO, .options = KV_OPT_PASSWORD};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        hello.value = bytes_of(wrong[i]);
        assert_int_equal(run(fixture, &hello), KV_NOAUTH);
        assert_int_equal(set(fixture, "k", "v", 0), KV_NOAUTH);
    }
    hello.value = bytes_of("secret");
    assert_int_equal(run(fixture, &hello), 0);
    assert_int_equal(set(fixture, "k", "v", 0), 0);
}

static void every_operation_refuses_a_stale_id_and_a_missing_key_without_a_trace(void **state)
{
    struct fixture *fixture = *state;
    static const enum kv_op without_node[] = {KV_OP_HELLO, KV_OP_PING, KV_OP_INFO, KV_OP_STATFS};
    for (int code = 0; code < KV_OP_COUNT; code++) {
        bool skip = false;
        for (size_t i = 0; i < sizeof without_node / sizeof without_node[0]; i++)
            skip |= without_node[i] == (enum kv_op)code;
        const char *args = kv_op_info((enum kv_op)code)->args;
        if (skip || strchr(args, 'N') || strchr(args, 'P'))
            continue;
        struct kv_request request = {.op = (enum kv_op)code, .node = kv_ref_id(1ull << 40)};
        request.target = kv_ref_key(bytes_of("t"));
        request.name = bytes_of("user.x");
        request.value = bytes_of("v");
        assert_true(run(fixture, &request) < 0);
        assert_true(fixture->reply.text[0] != '\0');
        assert_int_equal(fixture->store.tree->node_count, 1);
    }
}

/* --- ranges of files --- */

static int write_at(struct fixture *fixture, const char *key, uint64_t offset, struct bytes value)
{
    struct kv_request request = on_key(KV_OP_WRITE, key);
    request.offset = offset;
    request.value = value;
    return run(fixture, &request);
}

static int allocate(struct fixture *fixture, const char *key, uint64_t offset, uint64_t length, uint32_t options)
{
    struct kv_request request = on_key(KV_OP_FALLOCATE, key);
    request.offset = offset;
    request.length = length;
    request.options = options;
    return run(fixture, &request);
}

/* The reply's number, or the error. */
static int64_t copy(struct fixture *fixture, const char *from, uint64_t offset, const char *to, uint64_t to_offset,
                    uint64_t length)
{
    struct kv_request request = on_key(KV_OP_COPY, from);
    request.offset = offset;
    request.target = kv_ref_key(bytes_of(to));
    request.target_offset = to_offset;
    request.length = length;
    return run(fixture, &request) < 0 ? fixture->reply.error : (int64_t)fixture->reply.uint;
}

static int64_t seek(struct fixture *fixture, const char *key, uint64_t offset, uint32_t options)
{
    struct kv_request request = on_key(KV_OP_SEEK, key);
    request.offset = offset;
    request.options = options;
    return run(fixture, &request) < 0 ? fixture->reply.error : (int64_t)fixture->reply.uint;
}

static uint64_t size_of(struct fixture *fixture, const char *key)
{
    assert_int_equal(op(fixture, KV_OP_STAT, key), 0);
    return fixture->reply.attr.size;
}

static void a_range_is_made_zeroed_or_punched(void **state)
{
    struct fixture *fixture = *state;
    set(fixture, "a", "hello", 0);
    assert_int_equal(allocate(fixture, "a", 0, 0, 0), -EINVAL);
    assert_int_equal(allocate(fixture, "a", 0, 1, KV_OPT_HOLE | KV_OPT_ZERO), -EINVAL);
    assert_int_equal(allocate(fixture, "a", 1, VALUE_BYTES_MAX, KV_OPT_KEEP_SIZE), -EFBIG);
    assert_int_equal(allocate(fixture, "a", UINT64_MAX, UINT64_MAX, KV_OPT_HOLE), -EFBIG);
    assert_int_equal(allocate(fixture, "", 0, 1, 0), -EISDIR);
    expect_contents(fixture, "a", "hello");
    assert_int_equal(allocate(fixture, "a", 3, 100, KV_OPT_KEEP_SIZE), 0);
    assert_int_equal(fixture->reply.uint, 5);
    assert_int_equal(allocate(fixture, "a", 3, 100, KV_OPT_HOLE), 0);
    assert_int_equal(fixture->reply.uint, 5);
    assert_int_equal(allocate(fixture, "a", 3, 100, KV_OPT_ZERO), 0);
    assert_int_equal(fixture->reply.uint, 103);
    assert_int_equal(allocate(fixture, "a", 3, 200000, 0), 0);
    assert_int_equal(fixture->reply.uint, 200003);
    assert_int_equal(seek(fixture, "a", 3, KV_OPT_HOLE), 4096);
    assert_int_equal(seek(fixture, "a", 4096, 0), -ENXIO);
    assert_int_equal(seek(fixture, "a", 200003, KV_OPT_HOLE), -ENXIO);
    assert_int_equal(seek(fixture, "", 0, 0), -EISDIR);
}

static void a_copy_moves_the_times_of_the_target_alone(void **state)
{
    struct fixture *fixture = *state;
    set(fixture, "a", "hello", 0);
    set(fixture, "b", "12345678", 0);
    assert_int_equal(copy(fixture, "a", 1, "b", 2, 3), 3);
    expect_contents(fixture, "b", "12ell678");
    op(fixture, KV_OP_STAT, "b");
    assert_int_equal(fixture->reply.attr.version, 3);
    assert_int_equal(fixture->reply.attr.mtime_ns, fixture->store.last_time_ns);
    assert_int_equal(fixture->reply.attr.ctime_ns, fixture->store.last_time_ns);
    op(fixture, KV_OP_STAT, "a");
    assert_int_equal(fixture->reply.attr.version, 1);
    assert_int_equal(copy(fixture, "a", 0, "b", 8, 100), 5);
    expect_contents(fixture, "b", "12ell678hello");
    assert_int_equal(copy(fixture, "a", 0, "a", 5, 5), 5);
    expect_contents(fixture, "a", "hellohello");
    uint64_t index = fixture->store.index;
    assert_int_equal(copy(fixture, "a", 10, "b", 0, 5), 0);
    assert_int_equal(copy(fixture, "a", UINT64_MAX, "b", 0, 5), 0);
    assert_int_equal(copy(fixture, "a", 0, "b", 0, 0), 0);
    assert_int_equal(fixture->store.index, index);
}

static void a_copy_is_refused_by_the_rules_of_copy_file_range(void **state)
{
    struct fixture *fixture = *state;
    set(fixture, "a", "hello", 0);
    op(fixture, KV_OP_MKDIR, "dir");
    assert_int_equal(copy(fixture, "a", 0, "a", 4, 5), -EINVAL);
    assert_int_equal(copy(fixture, "a", 2, "a", 0, 100), -EINVAL);
    assert_int_equal(copy(fixture, "a", 0, "dir", 0, 5), -EISDIR);
    assert_int_equal(copy(fixture, "dir", 0, "a", 0, 5), -EISDIR);
    assert_int_equal(copy(fixture, "a", 0, "none", 0, 5), -ENOENT);
    assert_int_equal(copy(fixture, "none", 0, "a", 0, 5), -ENOENT);
    assert_int_equal(copy(fixture, "a", 0, "a", VALUE_BYTES_MAX - 4, 5), -EFBIG);
    assert_int_equal(copy(fixture, "a", 0, "a", UINT64_MAX, 5), -EFBIG);
    expect_contents(fixture, "a", "hello");
}

static void a_copy_does_so_much_at_once_that_the_rest_can_be_shared_again(void **state)
{
    struct fixture *fixture = *state;
    set(fixture, "a", "", 0);
    set(fixture, "b", "", 0);
    struct kv_request grow = on_key(KV_OP_SETATTR, "a");
    grow.options = KV_OPT_SIZE;
    grow.size = 3ull * COPY_BYTES_MAX;
    assert_int_equal(run(fixture, &grow), 0);
    assert_int_equal(copy(fixture, "a", 5, "b", 5, UINT64_MAX), COPY_BYTES_MAX - 5);
    assert_int_equal(copy(fixture, "a", COPY_BYTES_MAX, "b", COPY_BYTES_MAX, UINT64_MAX), COPY_BYTES_MAX);
    assert_int_equal(copy(fixture, "a", 5, "b", 6, UINT64_MAX), COPY_MOVED_MAX);
    assert_int_equal(copy(fixture, "a", 0, "a", 1, UINT64_MAX), -EINVAL);
    assert_int_equal(size_of(fixture, "b"), 2ull * COPY_BYTES_MAX);
}

/* Whoever changes what is shared takes memory for it, and is asked. */
static void what_a_copy_shares_is_admitted_when_it_is_written(void **state)
{
    (void)state;
    enum { LEN = 64 * CHUNK_BYTES };
    static struct fixture fixture;
    char *bytes = calloc(1, LEN);
    assert_non_null(bytes);
    fixture_open(&fixture, NULL, 16u << 20);
    fixture.store.options.memory_bytes_max = fixture.store.tree->mem.used + LEN + 8 * CHUNK_BYTES;
    set(&fixture, "a", "", 0);
    set(&fixture, "b", "", 0);
    assert_int_equal(write_at(&fixture, "a", 0, bytes_make(bytes, LEN)), 0);
    assert_int_equal(copy(&fixture, "a", 0, "b", 0, LEN), LEN);
    assert_int_equal(write_at(&fixture, "b", 0, bytes_make(bytes, LEN)), -ENOSPC);
    assert_int_equal(write_at(&fixture, "b", 0, bytes_make(bytes, CHUNK_BYTES)), 0);
    assert_int_equal(write_at(&fixture, "b", 0, bytes_make(bytes, CHUNK_BYTES)), 0);
    struct kv_request set_all = on_key(KV_OP_SET, "b");
    set_all.value = bytes_make(bytes, LEN);
    assert_int_equal(run(&fixture, &set_all), -ENOSPC);
    assert_int_equal(copy(&fixture, "a", 0, "b", 1, LEN), -ENOSPC);
    assert_int_equal(allocate(&fixture, "b", LEN, LEN, 0), 0); /* only what it has not yet, and it has as much */
    assert_int_equal(allocate(&fixture, "b", 0, 4 * LEN, 0), -ENOSPC);

    fixture.store.options.memory_bytes_max = fixture.store.tree->mem.used;
    assert_int_equal(allocate(&fixture, "b", 2 * CHUNK_BYTES + 1, 5, KV_OPT_HOLE), -ENOSPC);
    struct kv_request cut = on_key(KV_OP_SETATTR, "b");
    cut.options = KV_OPT_SIZE;
    cut.size = 2 * CHUNK_BYTES + 1;
    assert_int_equal(run(&fixture, &cut), -ENOSPC);
    cut.size = 2 * CHUNK_BYTES;
    assert_int_equal(run(&fixture, &cut), 0);
    assert_int_equal(write_at(&fixture, "b", 7, bytes_make(bytes, 100)), 0);
    assert_int_equal(op(&fixture, KV_OP_UNLINK, "a"), 0);
    tree_verify(fixture.store.tree);
    store_session_end(&fixture.store, &fixture.session);
    store_close(&fixture.store);
    free(bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_set_makes_the_directories_above_and_they_belong_to_the_owner_above),
        TEST(bad_keys_are_refused_with_the_reason),
        TEST(set_heeds_nx_xx_and_if_version),
        TEST(a_key_is_gone_the_moment_its_time_comes),
        TEST(a_set_without_a_time_to_live_takes_an_old_one_away),
        TEST(the_timers_slice_removes_no_more_than_it_may),
        TEST(incr_counts_and_refuses_what_is_no_number),
        TEST(getrange_counts_as_redis_does),
        TEST(mset_changes_all_or_nothing_within_one_slot),
        TEST(a_full_store_refuses_growth_and_still_deletes),
        TEST(with_a_policy_a_full_store_gives_up_what_was_not_used),
        TEST(a_held_node_outlives_its_name_until_the_session_lets_go),
        TEST(the_end_of_a_session_releases_all_it_held),
        TEST(changes_never_share_a_time_even_if_the_clock_stands_still),
        TEST(keys_follow_symlinks_and_names_do_not),
        TEST(virtual_xattrs_show_and_set_what_the_store_knows),
        TEST(without_the_password_only_hello_is_answered),
        TEST(every_operation_refuses_a_stale_id_and_a_missing_key_without_a_trace),
        TEST(a_range_is_made_zeroed_or_punched),
        TEST(a_copy_moves_the_times_of_the_target_alone),
        TEST(a_copy_is_refused_by_the_rules_of_copy_file_range),
        TEST(a_copy_does_so_much_at_once_that_the_rest_can_be_shared_again),
        TEST(what_a_copy_shares_is_admitted_when_it_is_written),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
