/* What snapshots cost, without server and network: how long a slice and a change take while one is being written by
 * another thread, how much memory it needs, how fast it is loaded.
 *
 *   snapshot DIR [KEYS]     take and load one of KEYS keys (a million) of 20 bytes with values of 64, in DIR
 *   snapshot DIR load       only load what is there: to be timed from outside
 */
#include "kvcore/log/snapshot.h"
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { VALUE_BYTES = 64, SLICE_BYTES = 64 << 10, LONG_BYTES = 1 << 30 };

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double cpu_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* Of this thread, so that what others do on a busy machine does not count. */
static double own_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The longest of something, and all together, in milliseconds of processor. */
struct times {
    double longest, sum;
    uint64_t count, long_ones; /* above one millisecond */
};

static void times_add(struct times *times, double began)
{
    double took = own_ms() - began;
    times->longest = took > times->longest ? took : times->longest;
    times->sum += took;
    times->count++;
    times->long_ones += took > 1;
}

static void times_print(const char *what, const struct times *times)
{
    printf("  %-8s %8" PRIu64 " times, longest %7.3f ms, %" PRIu64 " above 1 ms, together %5.0f ms\n", what,
           times->count, times->longest, times->long_ones, times->sum);
}

static void apply(struct tree *tree, struct effect *effect)
{
    effect->version = tree->node_count;
    effect->time_ns = 1700000000000000000 + (int64_t)tree->node_count * 1000;
    CHECK(tree_apply(tree, effect) == 0);
}

static uint64_t create(struct tree *tree, const char *name, struct bytes value)
{
    struct effect effect = {.kind = EFFECT_CREATE, .dir = ROOT_ID, .mode = S_IFREG | 0644, .value = value};
    effect.name = bytes_of(name);
    effect.id = tree_next_id(tree, tree->root, effect.name);
    apply(tree, &effect);
    return effect.id;
}

static struct tree *make_tree(unsigned long keys, uint64_t *ids)
{
    char value[VALUE_BYTES], name[32];
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    CHECK(tree);
    memset(value, 'v', sizeof value);
    for (unsigned long i = 0; i < keys; i++) {
        snprintf(name, sizeof name, "{a}key:%013lu", i * 7919 % keys);
        ids[i] = create(tree, name, bytes_make(value, sizeof value));
    }
    return tree;
}

/* The other thread. */
struct writer {
    struct snapshot *snapshot;
    atomic_int result;
};

static void *write_all(void *arg)
{
    struct writer *writer = arg;
    int rc;
    while ((rc = snapshot_write(writer->snapshot)) == 0)
        usleep(200);
    writer->result = rc;
    return NULL;
}

/* What is to happen between two slices, and whether there is more. */
struct load {
    struct tree *tree;
    const uint64_t *ids;
    unsigned long keys, at, step; /* `step` overwritten between two slices */
    struct times changes;
};

static void overwrite(struct load *load)
{
    char value[VALUE_BYTES];
    memset(value, 'w', sizeof value);
    for (unsigned long i = 0; i < load->step && load->at < load->keys; i++) {
        /* backwards: what the walk reaches last changes first */
        struct effect effect = {.kind = EFFECT_SET, .id = load->ids[load->keys - 1 - load->at++]};
        effect.value = bytes_make(value, sizeof value);
        double began = own_ms();
        apply(load->tree, &effect);
        times_add(&load->changes, began);
    }
}

static void take(const char *what, struct disk *disk, uint64_t index, struct load *load)
{
    struct tree *tree = load->tree;
    struct snapshot_info info = {.epoch = 1, .index = index};
    struct snapshot *snapshot;
    struct times start = {0}, slices = {0}, end = {0};
    uint64_t used = tree->mem.used, peak = used;
    double began = now_ms(), cpu = cpu_ms(), own = own_ms();
    CHECK(snapshot_start(tree, disk, &info, &snapshot) == 0);
    times_add(&start, own);
    struct writer writer = {.snapshot = snapshot};
    pthread_t thread;
    pthread_create(&thread, NULL, write_all, &writer);
    while (writer.result == 0) {
        double slice = own_ms();
        int rc = snapshot_slice(snapshot, SLICE_BYTES);
        times_add(&slices, slice);
        CHECK(rc >= 0);
        overwrite(load);
        peak = tree->mem.used > peak ? tree->mem.used : peak;
        if (rc != SNAPSHOT_WALKING)
            usleep(100);
    }
    pthread_join(thread, NULL);
    CHECK(writer.result == 1);
    uint64_t bytes = snapshot_result(snapshot)->bytes;
    double last = own_ms();
    snapshot_end(snapshot);
    times_add(&end, last);
    printf("%s: %.1f MB in %.0f ms (%.0f ms of processor); memory %.1f MB, %.1f %% more at the peak\n", what,
           (double)bytes / 1e6, now_ms() - began, cpu_ms() - cpu, (double)used / 1e6,
           100.0 * (double)(peak - used) / (double)used);
    times_print("start", &start);
    times_print("slices", &slices);
    if (load->changes.count)
        times_print("changes", &load->changes);
    times_print("end", &end);
}

static void load_one(struct disk *disk, uint64_t index)
{
    char name[LOG_NAME_BYTES];
    struct tree *tree;
    struct snapshot_info info;
    struct log_damage damage;
    double began = now_ms(), cpu = cpu_ms();
    snapshot_name(index, name);
    CHECK(snapshot_load(disk, name, NULL, &tree, &info, &damage) == 0);
    printf("load: %" PRIu64 " nodes in %.0f ms (%.0f ms of processor), %.1f MB\n", info.nodes, now_ms() - began,
           cpu_ms() - cpu, (double)tree->mem.used / 1e6);
}

/* A long value, taken away while it is walked. */
static void take_long(struct disk *disk)
{
    static char chunk[CHUNK_BYTES];
    struct tree *tree = tree_new(1, 0, 0, 0755, 0);
    CHECK(tree);
    memset(chunk, 'c', sizeof chunk);
    uint64_t id = create(tree, "long", (struct bytes){0});
    for (uint64_t at = 0; at < LONG_BYTES; at += sizeof chunk) {
        struct effect effect = {.kind = EFFECT_WRITE, .id = id, .offset = at};
        effect.value = bytes_make(chunk, sizeof chunk);
        apply(tree, &effect);
    }
    struct load load = {.tree = tree, .ids = &id, .keys = 1, .step = 1};
    take("1 GiB value, replaced at once", disk, 3, &load);
    tree_free(tree);
}

int main(int argc, char **argv)
{
    struct disk *disk;
    if (argc < 2 || disk_system(argv[1], &disk) < 0) {
        fprintf(stderr, "usage: snapshot DIR [KEYS | load]\n");
        return 2;
    }
    if (argc > 2 && strcmp(argv[2], "load") == 0) {
        load_one(disk, 1);
        return 0;
    }
    unsigned long keys = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
    uint64_t *ids = calloc(keys, sizeof *ids);
    CHECK(ids && keys);
    struct load load = {.tree = make_tree(keys, ids)};
    take("idle", disk, 1, &load);
    load = (struct load){.tree = load.tree, .ids = ids, .keys = keys, .step = 2000};
    take("every key overwritten", disk, 2, &load);
    take_long(disk);
    load_one(disk, 1);
    tree_free(load.tree);
    disk_free(disk);
    free(ids);
    return 0;
}
