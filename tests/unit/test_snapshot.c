/* Snapshots: what is loaded is the tree as it was when the snapshot began, whatever happened meanwhile; what is damaged
 * is refused; what fails leaves nothing behind and harms nobody.
 */
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/log/snapshot.h"
#include "kvcore/log/snapshot_format.h"
#include "tests/sim/disk_sim.h"
#include "tests/unit/tree_dump.h"
#include "tests/unit/tree_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct snapshot_info some_info = {.epoch = 3, .index = 4711, .time_ns = 1700000000123456789};

/* A tree and its model, which grow together. */
struct rig {
    struct tree *tree;
    struct model model;
    struct chance chance;
    struct model_taste taste;
    struct disk *disk;
    char name[LOG_NAME_BYTES];
};

static void rig_open(struct rig *rig, struct chance chance, size_t names)
{
    *rig = (struct rig){.chance = chance, .taste = {.names_max = names, .long_ones = 12}};
    rig->tree = tree_new(chance_next(&rig->chance), 1, 2, 0755, 1000);
    rig->disk = disk_sim_new(chance_next(&rig->chance) | 1);
    assert_true(rig->tree && rig->disk);
    model_init(&rig->model, rig->tree);
    snapshot_name(some_info.index, rig->name);
}

static void rig_close(struct rig *rig)
{
    model_close(&rig->model);
    tree_free(rig->tree);
    disk_free(rig->disk);
}

static void change(struct rig *rig, unsigned effects)
{
    for (; effects; effects--) {
        struct effect effect;
        model_random_effect(&rig->model, rig->tree, &rig->chance, &rig->taste, &effect);
        model_follow(&rig->model, rig->tree, &effect, tree_apply(rig->tree, &effect));
    }
}

static void expect_loaded(struct disk *disk, const char *name, const char *expected)
{
    struct tree *loaded;
    struct snapshot_info info = {0}, checked = {0};
    struct log_damage damage = {0};
    int rc = snapshot_load(disk, name, NULL, &loaded, &info, &damage);
    if (rc < 0)
        fail_msg("%s: %s at %llu: %s", name, error_name(rc), (unsigned long long)damage.offset, damage.text);
    tree_verify(loaded);
    char *found = tree_dump(loaded);
    assert_int_equal(tree_dump_compare(expected, found), 0);
    assert_int_equal(info.index, some_info.index);
    assert_int_equal(info.epoch, some_info.epoch);
    assert_int_equal(info.time_ns, some_info.time_ns);
    assert_int_equal(info.nodes, loaded->node_count);
    assert_int_equal(snapshot_check(disk, name, NULL, &checked, &damage), 0);
    assert_memory_equal(&info, &checked, sizeof info);
    free(found);
    tree_free(loaded);
}

/* Slices and writes in some order, with changes in between, until it is done. */
static int run(struct rig *rig, struct snapshot *snapshot, unsigned changes_max)
{
    int walked = SNAPSHOT_WALKING, written = 0;
    while (written == 0) {
        if (chance_below(&rig->chance, 3))
            walked = snapshot_slice(snapshot, 1 + chance_below(&rig->chance, 3000));
        if (walked < 0 || walked == SNAPSHOT_WAITING || chance_below(&rig->chance, 4) == 0)
            written = snapshot_write(snapshot);
        if (changes_max)
            change(rig, (unsigned)chance_below(&rig->chance, changes_max + 1));
    }
    return written;
}

static int take(struct rig *rig, unsigned changes_max)
{
    struct snapshot *snapshot;
    int rc = snapshot_start(rig->tree, rig->disk, &some_info, &snapshot);
    if (rc < 0)
        return rc;
    rc = run(rig, snapshot, changes_max);
    snapshot_end(snapshot);
    assert_null(rig->tree->watcher);
    return rc;
}

static void what_is_loaded_is_the_tree_at_the_start(void **state)
{
    (void)state;
    const char *given = getenv("KV_TEST_ROUNDS");
    unsigned long rounds = given ? strtoul(given, NULL, 10) : 40;
    struct chance chance = chance_start(__func__);
    for (unsigned long i = 0; i < rounds; i++) {
        static struct rig rig;
        rig_open(&rig, (struct chance){chance_next(&chance) | 1}, 50 + chance_below(&chance, 500));
        change(&rig, (unsigned)chance_below(&chance, 3000));
        char *before = tree_dump(rig.tree);
        assert_int_equal(take(&rig, 30), 1);
        expect_loaded(rig.disk, rig.name, before);
        model_expect_equal(&rig.model, rig.tree);
        free(before);
        rig_close(&rig);
    }
}

/* --- a small one, with everything that there is --- */

static void apply(struct tree *tree, struct effect effect)
{
    effect.version = 5 + tree->node_count;
    effect.time_ns = 77;
    assert_int_equal(tree_apply(tree, &effect), 0);
}

static uint64_t create(struct tree *tree, uint64_t dir, const char *name, uint32_t mode, const char *value)
{
    struct effect effect = {.kind = EFFECT_CREATE, .dir = dir, .name = bytes_of(name), .mode = mode};
    effect.value = bytes_of(value);
    effect.rdev = 0x123456789;
    effect.id = tree_next_id(tree, tree_find(tree, dir), effect.name);
    apply(tree, effect);
    return effect.id;
}

static void write_at(struct tree *tree, uint64_t id, uint64_t offset, const char *value)
{
    apply(tree, (struct effect){.kind = EFFECT_WRITE, .id = id, .offset = offset, .value = bytes_of(value)});
}

static void link_to(struct tree *tree, uint64_t id, uint64_t dir, const char *name)
{
    apply(tree, (struct effect){.kind = EFFECT_LINK, .id = id, .dir = dir, .name = bytes_of(name)});
}

static void fill(struct tree *tree)
{
    uint64_t dir = create(tree, ROOT_ID, "dir", S_IFDIR | 0700, ""), file = create(tree, dir, "file", S_IFREG, "hello");
    create(tree, ROOT_ID, "pipe", S_IFIFO, "");
    create(tree, ROOT_ID, "disk", S_IFBLK, "");
    create(tree, ROOT_ID, "link", S_IFLNK, "dir/file");
    uint64_t sparse = create(tree, dir, "sparse", S_IFREG, "");
    write_at(tree, sparse, 0, "a");
    write_at(tree, sparse, VALUE_BYTES_MAX - CHUNK_BYTES, "z");
    apply(tree, (struct effect){.kind = EFFECT_TRUNCATE, .id = sparse, .offset = VALUE_BYTES_MAX});
    link_to(tree, file, ROOT_ID, "second");
    struct effect xattr = {.kind = EFFECT_SET_XATTR, .id = dir, .name = bytes_of("user.a"), .value = bytes_of("b")};
    apply(tree, xattr);
    apply(tree, (struct effect){.kind = EFFECT_EXPIRE, .id = sparse, .expires_ns = -5});
    uint64_t held = create(tree, dir, "held", S_IFDIR, "");
    apply(tree, (struct effect){.kind = EFFECT_RMDIR, .dir = dir, .name = bytes_of("held"), .flags = EFFECT_HOLD});
    assert_non_null(tree_find(tree, held));
    struct effect unnamed = {.kind = EFFECT_CREATE, .dir = ROOT_ID, .mode = S_IFREG, .flags = EFFECT_HOLD};
    unnamed.id = tree_next_id(tree, tree->root, bytes_of("x"));
    apply(tree, unnamed);
    /* a child older than its directory */
    uint64_t late = create(tree, ROOT_ID, "late", S_IFDIR, "");
    struct effect rename = {.kind = EFFECT_RENAME, .dir = dir, .name = bytes_of("file"), .to_dir = late};
    rename.to_name = bytes_of("moved");
    apply(tree, rename);
}

static void small_rig(struct rig *rig)
{
    rig_open(rig, (struct chance){1}, 10);
    fill(rig->tree);
}

static void everything_that_there_is_comes_back(void **state)
{
    (void)state;
    static struct rig rig;
    small_rig(&rig);
    char *before = tree_dump(rig.tree);
    assert_int_equal(take(&rig, 0), 1);
    expect_loaded(rig.disk, rig.name, before);
    free(before);
    rig_close(&rig);
}

static void names_without_number_come_back_in_order(void **state)
{
    (void)state;
    enum { NAMES = 1000 };
    static struct rig rig;
    rig_open(&rig, (struct chance){1}, 10);
    uint64_t dir = create(rig.tree, ROOT_ID, "dir", S_IFDIR, ""), file = create(rig.tree, ROOT_ID, "0", S_IFREG, "x");
    for (unsigned i = 1; i < NAMES; i++) {
        char name[200];
        memset(name, 'n', sizeof name);
        snprintf(name + 180, 20, "%u", i);
        link_to(rig.tree, file, i % 3 ? dir : ROOT_ID, name);
    }
    char *before = tree_dump(rig.tree);
    assert_int_equal(take(&rig, 0), 1);
    expect_loaded(rig.disk, rig.name, before);
    free(before);
    rig_close(&rig);
}

static void the_largest_xattrs_fit(void **state)
{
    (void)state;
    static struct rig rig;
    static char value[XATTR_VALUE_BYTES_MAX];
    small_rig(&rig);
    for (unsigned i = 0; i < 4; i++) {
        char name[] = "user.0";
        name[5] = (char)('0' + i);
        struct effect effect = {.kind = EFFECT_SET_XATTR, .id = ROOT_ID, .name = bytes_of(name)};
        effect.value = bytes_make(value, sizeof value - 100);
        apply(rig.tree, effect);
    }
    char *before = tree_dump(rig.tree);
    assert_int_equal(take(&rig, 0), 1);
    expect_loaded(rig.disk, rig.name, before);
    free(before);
    rig_close(&rig);
}

/* --- long values that change while they are walked --- */

static void a_long_value_is_kept_as_it_was_while_it_changes(void **state)
{
    (void)state;
    enum { CHUNKS = 300 };
    static char noise[CHUNK_BYTES];
    struct chance chance = chance_start(__func__);
    for (unsigned round = 0; round < 12; round++) {
        static struct rig rig;
        rig_open(&rig, (struct chance){chance_next(&chance) | 1}, 10);
        uint64_t file = create(rig.tree, ROOT_ID, "a", S_IFREG, ""),
                 other = create(rig.tree, ROOT_ID, "b", S_IFREG, "");
        for (unsigned i = 0; i < CHUNKS; i++) {
            memset(noise, (int)chance_next(&chance), sizeof noise);
            struct effect effect = {
                .kind = EFFECT_WRITE, .id = i % 5 ? file : other, .offset = i * (uint64_t)CHUNK_BYTES};
            effect.value = bytes_make(noise, 1 + chance_below(&chance, sizeof noise));
            apply(rig.tree, effect);
        }
        char *before = tree_dump(rig.tree);
        struct snapshot *snapshot;
        assert_int_equal(snapshot_start(rig.tree, rig.disk, &some_info, &snapshot), 0);
        for (uint64_t left = chance_below(&chance, CHUNKS); left; left--) {
            assert_true(snapshot_slice(snapshot, 1) >= 0);
            assert_int_equal(snapshot_write(snapshot), 0);
        }
        struct effect effect = {.id = file, .offset = chance_below(&chance, CHUNKS) * CHUNK_BYTES};
        effect.kind = (enum effect_kind[]){EFFECT_WRITE, EFFECT_TRUNCATE, EFFECT_UNLINK}[round % 3];
        effect.value = bytes_of("changed");
        effect.dir = ROOT_ID;
        effect.name = bytes_of("a");
        apply(rig.tree, effect);
        assert_int_equal(run(&rig, snapshot, 0), 1);
        snapshot_end(snapshot);
        expect_loaded(rig.disk, rig.name, before);
        free(before);
        rig_close(&rig);
    }
}

/* --- damage --- */

/* Where the block that holds this byte begins. */
static uint64_t block_of(const char *bytes, uint64_t at)
{
    uint64_t start = 0, next = SNAPSHOT_HEADER_BYTES;
    struct block_head head;
    while (at >= next && block_is_plausible(bytes + next, &head)) {
        start = next;
        next += head.length;
    }
    return at >= next ? next : start;
}

static uint64_t blocks_from(const char *bytes, size_t len, uint64_t at)
{
    struct block_head head;
    uint64_t count = 0;
    for (uint64_t next = SNAPSHOT_HEADER_BYTES; next < len; next += head.length) {
        assert_true(block_is_plausible(bytes + next, &head));
        count += next > at;
    }
    return count;
}

static void put_file(struct disk *disk, const char *name, const char *bytes, size_t len)
{
    struct disk_file *file;
    assert_int_equal(disk_open(disk, name, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file), 0);
    assert_int_equal(disk_write(file, 0, bytes, len), 0);
    disk_close(file);
}

static void expect_refused(struct disk *disk, uint64_t offset, uint64_t beyond)
{
    struct tree *loaded = NULL;
    struct snapshot_info info;
    struct log_damage damage = {0}, checked = {0};
    assert_int_equal(snapshot_load(disk, "damaged", NULL, &loaded, &info, &damage), -EBADMSG);
    assert_null(loaded);
    assert_string_equal(damage.file, "damaged");
    assert_int_equal(damage.offset, offset);
    assert_int_equal(damage.records_beyond, beyond);
    assert_true(damage.text[0]);
    assert_int_equal(snapshot_check(disk, "damaged", NULL, &info, &checked), -EBADMSG);
    assert_int_equal(checked.offset, offset);
    assert_string_equal(checked.text, damage.text);
}

static char *small_snapshot(struct rig *rig, size_t *ret_len)
{
    small_rig(rig);
    assert_int_equal(take(rig, 0), 1);
    const char *bytes = disk_sim_bytes(rig->disk, rig->name, ret_len);
    char *copy = malloc(*ret_len + 1);
    assert_non_null(copy);
    memcpy(copy, bytes, *ret_len);
    copy[*ret_len] = 0;
    return copy;
}

static void a_part_of_a_snapshot_is_refused(void **state)
{
    (void)state;
    static struct rig rig;
    size_t len;
    char *bytes = small_snapshot(&rig, &len);
    for (size_t i = 0; i < len; i++) {
        put_file(rig.disk, "damaged", bytes, i);
        expect_refused(rig.disk, block_of(bytes, i), 0);
    }
    put_file(rig.disk, "damaged", bytes, len + 1);
    expect_refused(rig.disk, len, 0);
    free(bytes);
    rig_close(&rig);
}

static void a_flipped_bit_is_found_where_it_is(void **state)
{
    (void)state;
    static struct rig rig;
    size_t len;
    char *bytes = small_snapshot(&rig, &len);
    for (size_t i = 0; i < 8 * len; i++) {
        uint64_t block = block_of(bytes, i / 8), beyond = block ? blocks_from(bytes, len, block) : 0;
        bytes[i / 8] ^= (char)(1 << i % 8);
        put_file(rig.disk, "damaged", bytes, len);
        bytes[i / 8] ^= (char)(1 << i % 8);
        expect_refused(rig.disk, block, beyond);
    }
    free(bytes);
    rig_close(&rig);
}

static void a_block_of_another_snapshot_is_not_taken(void **state)
{
    (void)state;
    static struct rig rig, other;
    size_t len, other_len;
    char *bytes = small_snapshot(&rig, &len);
    small_rig(&other);
    struct snapshot_info info = some_info;
    struct snapshot *snapshot;
    info.index++;
    assert_int_equal(snapshot_start(other.tree, other.disk, &info, &snapshot), 0);
    assert_int_equal(run(&other, snapshot, 0), 1);
    snapshot_end(snapshot);
    snapshot_name(info.index, other.name);
    const char *others = disk_sim_bytes(other.disk, other.name, &other_len);
    assert_int_equal(len, other_len);
    struct block_head head;
    assert_true(block_is_plausible(bytes + SNAPSHOT_HEADER_BYTES, &head));
    uint64_t second = SNAPSHOT_HEADER_BYTES + head.length;
    assert_true(block_is_plausible(bytes + second, &head));
    memcpy(bytes + second, others + second, head.length);
    put_file(rig.disk, "damaged", bytes, len);
    expect_refused(rig.disk, second, 1);
    free(bytes);
    rig_close(&rig);
    rig_close(&other);
}

static void a_newer_format_is_told_from_damage(void **state)
{
    (void)state;
    static struct rig rig;
    size_t len;
    char *bytes = small_snapshot(&rig, &len);
    struct tree *loaded;
    struct snapshot_info info;
    struct log_damage damage;
    bytes[8] = SNAPSHOT_VERSION + 1;
    snapshot_header_seal(bytes);
    put_file(rig.disk, "newer", bytes, len);
    assert_int_equal(snapshot_load(rig.disk, "newer", NULL, &loaded, &info, &damage), KV_VERSION);
    assert_int_equal(snapshot_load(rig.disk, "missing", NULL, &loaded, &info, &damage), -ENOENT);
    free(bytes);
    rig_close(&rig);
}

/* --- failures --- */

static bool exists(struct disk *disk, const char *name)
{
    struct disk_file *file;
    if (disk_open(disk, name, 0, &file) < 0)
        return false;
    disk_close(file);
    return true;
}

static void count_name(const char *name, void *user)
{
    (void)name;
    ++*(size_t *)user;
}

static size_t count_files(struct disk *disk)
{
    size_t count = 0;
    assert_int_equal(disk_list(disk, count_name, &count), 0);
    return count;
}

static void each_disk_call_fails_in_turn(void **state)
{
    (void)state;
    enum { CALLS = DISK_SIM_ALL & ~DISK_SIM_REMOVE };
    static struct rig rig;
    rig_open(&rig, chance_start(__func__), 300);
    change(&rig, 2000);
    char *before = tree_dump(rig.tree);
    int rc = -EIO;
    for (uint64_t nth = 1; rc != 1; nth++) {
        disk_sim_fail(rig.disk, CALLS, nth, -EIO, false);
        rc = take(&rig, 0);
        disk_sim_fail(rig.disk, CALLS, 0, 0, false);
        assert_true(rc == 1 || rc == -EIO);
        assert_true(nth < 100);
        if (exists(rig.disk, rig.name))
            expect_loaded(rig.disk, rig.name, before);
        else
            assert_int_equal(count_files(rig.disk), 0);
    }
    disk_sim_set_budget(rig.disk, 1);
    disk_remove(rig.disk, rig.name);
    assert_int_equal(take(&rig, 5), -ENOSPC);
    assert_int_equal(count_files(rig.disk), 0);
    model_expect_equal(&rig.model, rig.tree);
    free(before);
    rig_close(&rig);
}

static void the_power_goes_off_at_each_disk_call(void **state)
{
    (void)state;
    static struct rig rig;
    rig_open(&rig, chance_start(__func__), 300);
    change(&rig, 2000);
    char *before = tree_dump(rig.tree);
    int rc = -EIO;
    for (uint64_t nth = 1; rc != 1; nth++) {
        disk_sim_power_off(rig.disk, nth);
        rc = take(&rig, 0);
        bool off = disk_sim_is_off(rig.disk);
        if (!off)
            disk_sim_power_off(rig.disk, 0);
        disk_sim_power_on(rig.disk);
        assert_true(rc == 1 || off);
        if (exists(rig.disk, rig.name)) {
            expect_loaded(rig.disk, rig.name, before);
            disk_remove(rig.disk, rig.name);
        } else {
            assert_int_not_equal(rc, 1);
        }
    }
    for (unsigned i = 0; i < 10; i++) { /* what was said to be safe is */
        disk_sim_power_off(rig.disk, UINT64_MAX);
        assert_int_equal(take(&rig, 0), 1);
        disk_sim_power_off(rig.disk, 0);
        disk_sim_power_on(rig.disk);
        expect_loaded(rig.disk, rig.name, before);
        disk_remove(rig.disk, rig.name);
        assert_int_equal(disk_sync_names(rig.disk), 0);
    }
    free(before);
    rig_close(&rig);
}

static void each_allocation_fails_in_turn(void **state)
{
    (void)state;
    static struct rig rig;
    rig_open(&rig, chance_start(__func__), 200);
    change(&rig, 1000);
    int rc = -ENOMEM;
    for (int64_t nth = 1; rc != 1; nth += 1 + nth / 20) {
        char *before = tree_dump(rig.tree);
        struct snapshot *snapshot = NULL;
        uint64_t used = rig.tree->mem.used;
        rig.tree->mem.fail_after = nth;
        rc = snapshot_start(rig.tree, rig.disk, &some_info, &snapshot);
        if (rc == 0) {
            int walked = SNAPSHOT_WALKING;
            for (unsigned i = 0; (rc = snapshot_write(snapshot)) == 0; i++) {
                if (i % 2)
                    walked = snapshot_slice(snapshot, 500);
                struct effect effect;
                model_random_effect(&rig.model, rig.tree, &rig.chance, &rig.taste, &effect);
                int changed = tree_apply(rig.tree, &effect);
                if (changed != -ENOMEM) /* or nothing has changed */
                    model_follow(&rig.model, rig.tree, &effect, changed);
            }
            assert_true(walked == SNAPSHOT_WALKED || walked == -ENOMEM || walked == SNAPSHOT_WALKING);
        }
        rig.tree->mem.fail_after = 0;
        assert_true(rc == 1 || rc == -ENOMEM);
        snapshot_end(snapshot);
        assert_null(rig.tree->watcher);
        if (rc == 1)
            expect_loaded(rig.disk, rig.name, before);
        else
            assert_int_equal(count_files(rig.disk), 0);
        if (!snapshot)
            assert_int_equal(rig.tree->mem.used, used);
        model_expect_equal(&rig.model, rig.tree);
        free(before);
    }
    rig_close(&rig);
}

static void a_change_that_cannot_be_saved_spoils_the_snapshot_alone(void **state)
{
    (void)state;
    static struct rig rig;
    small_rig(&rig);
    struct snapshot *snapshot;
    assert_int_equal(snapshot_start(rig.tree, rig.disk, &some_info, &snapshot), 0);
    struct effect effect = {.kind = EFFECT_WRITE, .id = tree_lookup(rig.tree->root, bytes_of("second"))->id};
    effect.value = bytes_of("J");
    rig.tree->mem.fail_after = 1;
    int rc = tree_apply(rig.tree, &effect); /* writes in place, so that it needs no memory itself */
    rig.tree->mem.fail_after = 0;
    assert_int_equal(rc, 0);
    assert_int_equal(snapshot_slice(snapshot, 1), -ENOMEM);
    assert_int_equal(snapshot_write(snapshot), -ENOMEM);
    snapshot_end(snapshot);
    rig_close(&rig);
}

static void one_that_is_broken_off_leaves_nothing(void **state)
{
    (void)state;
    static struct rig rig;
    static char value[8 << 20];
    small_rig(&rig);
    uint64_t file = create(rig.tree, ROOT_ID, "a", S_IFREG, "");
    apply(rig.tree, (struct effect){.kind = EFFECT_WRITE, .id = file, .value = bytes_make(value, sizeof value)});
    uint64_t used = rig.tree->mem.used;
    struct snapshot *snapshot, *second;
    assert_int_equal(snapshot_start(rig.tree, rig.disk, &some_info, &snapshot), 0);
    assert_int_equal(snapshot_start(rig.tree, rig.disk, &some_info, &second), -EBUSY);
    while (!count_files(rig.disk)) {
        assert_int_equal(snapshot_slice(snapshot, 100000), SNAPSHOT_WALKING);
        assert_int_equal(snapshot_write(snapshot), 0);
    }
    snapshot_abort(snapshot);
    assert_int_equal(snapshot_slice(snapshot, 1), -ECANCELED);
    assert_int_equal(snapshot_write(snapshot), -ECANCELED);
    assert_int_equal(count_files(rig.disk), 0);
    snapshot_end(snapshot);
    assert_int_equal(snapshot_start(rig.tree, rig.disk, &some_info, &snapshot), 0);
    assert_true(snapshot_slice(snapshot, 10000) >= 0);
    snapshot_end(snapshot);
    assert_int_equal(rig.tree->mem.used, used);
    rig_close(&rig);
}

static void the_walk_waits_for_the_writer(void **state)
{
    (void)state;
    static struct rig rig;
    static char value[CHUNK_BYTES];
    rig_open(&rig, (struct chance){1}, 10);
    uint64_t file = create(rig.tree, ROOT_ID, "a", S_IFREG, "");
    for (unsigned i = 0; i < 300; i++)
        apply(rig.tree, (struct effect){.kind = EFFECT_WRITE,
                                        .id = file,
                                        .offset = i * (uint64_t)sizeof value,
                                        .value = bytes_make(value, sizeof value)});
    char *before = tree_dump(rig.tree);
    struct snapshot *snapshot;
    assert_int_equal(snapshot_start(rig.tree, rig.disk, &some_info, &snapshot), 0);
    assert_int_equal(snapshot_slice(snapshot, 1ull << 30), SNAPSHOT_WAITING);
    uint64_t waiting = snapshot_waiting_bytes(snapshot), done, total;
    assert_true(waiting > 1 << 20 && waiting < 8 << 20);
    assert_int_equal(snapshot_slice(snapshot, 1ull << 30), SNAPSHOT_WAITING);
    assert_int_equal(snapshot_waiting_bytes(snapshot), waiting);
    assert_int_equal(run(&rig, snapshot, 0), 1);
    snapshot_progress(snapshot, &done, &total);
    assert_true(done == 2 && total == 2);
    assert_true(snapshot_result(snapshot)->bytes > 300 * sizeof value);
    snapshot_end(snapshot);
    expect_loaded(rig.disk, rig.name, before);
    free(before);
    rig_close(&rig);
}

static void names_tell_their_index(void **state)
{
    (void)state;
    char name[LOG_NAME_BYTES];
    uint64_t index;
    snapshot_name(UINT64_MAX, name);
    assert_string_equal(name, "snapshot-18446744073709551615.rdb");
    assert_true(snapshot_index_of(name, &index) && index == UINT64_MAX);
    assert_false(snapshot_index_of("snapshot-1.rdb", &index));
    assert_false(snapshot_index_of("snapshot-00000000000000000001.rdb.tmp", &index));
    assert_false(snapshot_index_of("log-00000000000000000001.aof", &index));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_loaded_is_the_tree_at_the_start),
        cmocka_unit_test(everything_that_there_is_comes_back),
        cmocka_unit_test(names_without_number_come_back_in_order),
        cmocka_unit_test(the_largest_xattrs_fit),
        cmocka_unit_test(a_long_value_is_kept_as_it_was_while_it_changes),
        cmocka_unit_test(a_part_of_a_snapshot_is_refused),
        cmocka_unit_test(a_flipped_bit_is_found_where_it_is),
        cmocka_unit_test(a_block_of_another_snapshot_is_not_taken),
        cmocka_unit_test(a_newer_format_is_told_from_damage),
        cmocka_unit_test(each_disk_call_fails_in_turn),
        cmocka_unit_test(the_power_goes_off_at_each_disk_call),
        cmocka_unit_test(each_allocation_fails_in_turn),
        cmocka_unit_test(a_change_that_cannot_be_saved_spoils_the_snapshot_alone),
        cmocka_unit_test(one_that_is_broken_off_leaves_nothing),
        cmocka_unit_test(the_walk_waits_for_the_writer),
        cmocka_unit_test(names_tell_their_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
