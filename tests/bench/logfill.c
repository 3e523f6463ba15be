/* The start of a store from its log, without a server:
 *
 *     logfill write DIR KEYS VALUE_BYTES     a log of so many sets of keys `key:000000000001`, `...2`, ...
 *     logfill replay DIR                     recovers it, and prints {"seconds":, "records":, "bytes":}
 */
#include "kvcore/base/clock.h"
#include "kvcore/base/error.h"
#include "kvcore/log/aof.h"
#include "kvcore/log/record.h"
#include "kvcore/log/recovery.h"
#include "kvcore/tree/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static int fail(const char *what, int rc)
{
    fprintf(stderr, "logfill: %s: %s\n", what, error_text(rc));
    return 1;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* As the store has it: a creation, where nothing was. */
static int put_record(struct buf *record, uint64_t index, struct bytes value, uint64_t *sequences)
{
    char name[32];
    struct record_head head = {.epoch = 1, .index = index, .time_ns = 1700000000000000000 + (int64_t)index * 1000};
    struct effect effect = {.kind = EFFECT_CREATE, .dir = ROOT_ID, .mode = S_IFREG | 0644, .value = value};
    effect.name = bytes_make(name, (size_t)sprintf(name, "key:%012llu", (unsigned long long)index));
    unsigned slot = key_slot(effect.name);
    effect.id = (uint64_t)slot << ID_SLOT_SHIFT | ++sequences[slot];
    effect.version = index;
    effect.time_ns = head.time_ns;
    head.slot = (uint16_t)slot;
    size_t start;
    record->len = 0;
    int rc = record_begin(record, &head, &start);
    if (rc == 0)
        rc = record_add(record, start, &effect);
    return rc < 0 ? rc : record_end(record, start, (struct bytes){0});
}

static int write_log(struct disk *disk, uint64_t keys, size_t value_bytes)
{
    enum { BATCH = 64 };
    static uint64_t sequences[SLOTS] = {ROOT_ID};
    const struct aof_options options = {.segment_bytes = 64 << 20, .epoch = 1};
    struct aof *aof;
    struct buf record = {0};
    char *value = calloc(1, value_bytes + 1);
    int rc = value ? aof_open(disk, &options, 0, NULL, 0, &aof) : -ENOMEM;
    if (rc < 0)
        return fail("cannot begin the log", rc);
    memset(value, 'v', value_bytes);
    for (uint64_t index = 1; rc == 0 && index <= keys; index++) {
        rc = put_record(&record, index, bytes_make(value, value_bytes), sequences);
        if (rc == 0)
            rc = aof_append(aof, index, buf_bytes(&record));
        if (rc == 0 && (index % BATCH == 0 || index == keys))
            rc = aof_write(aof);
    }
    aof_close(aof);
    buf_close(&record);
    free(value);
    return rc < 0 ? fail("cannot write", rc) : 0;
}

static int replay_log(struct disk *disk)
{
    const struct recovery_options options = {.log = true, .snapshots = true, .hash_seed = 1, .root_mode = 0755};
    struct recovery recovery;
    char why[512];
    double begun = now_s();
    int rc = recovery_run(disk, &options, NULL, NULL, &recovery, why, sizeof why);
    double seconds = now_s() - begun;
    if (rc < 0) {
        fprintf(stderr, "logfill: %s\n", why);
        return 1;
    }
    printf("{\"seconds\": %.3f, \"records\": %llu, \"memory_bytes\": %zu}\n", seconds,
           (unsigned long long)recovery.records, recovery.tree->mem.used);
    fflush(stdout);
    _Exit(0); /* freeing a million nodes is not what is measured */
}

int main(int argc, char **argv)
{
    struct disk *disk;
    if (argc < 3 || (strcmp(argv[1], "write") == 0 ? argc != 5 : strcmp(argv[1], "replay") != 0)) {
        fprintf(stderr, "usage: logfill write DIR KEYS VALUE_BYTES | logfill replay DIR\n");
        return 2;
    }
    int rc = disk_system(argv[2], &disk);
    if (rc < 0)
        return fail(argv[2], rc);
    int status = argv[1][0] == 'w' ? write_log(disk, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10))
                                   : replay_log(disk);
    disk_free(disk);
    return status;
}
