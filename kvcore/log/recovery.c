/* HOW IT GOES
 *
 *   list the files ─> newest snapshot that can be read, else an older one, else an empty tree
 *                  ─> the segments behind it (recovery_replay.c) ─> the end, or a stop
 *   at a stop: look at all that lies behind it ─> torn or damaged? (recovery_plan.c)
 *
 * A stop is torn where nothing says that what is missing was ever synced: no mark behind it, no header of a later
 * segment, no newer snapshot. Then aof_open cuts there. Otherwise something that was promised is lost, and a person
 * decides.
 */
#include "kvcore/log/recovery.h"

#include "kvcore/base/error.h"
#include "kvcore/log/recovery_files.h"
#include "kvcore/log/recovery_plan.h"
#include "kvcore/log/recovery_replay.h"
#include "kvcore/log/segment.h"
#include "kvcore/log/snapshot.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* One run. */
struct run {
    struct disk *disk;
    const struct recovery_options *options;
    struct log_progress *progress;
    struct recovery_listener *listener;
    struct recovery_files files;
    struct tree *tree;
    struct snapshot_info held; /* what the snapshot has; zeros: there is none */
    char snapshot[LOG_NAME_BYTES];
    uint64_t needed_index;    /* of a snapshot that was passed over */
    struct log_damage spoilt; /* its damage */
    struct replay replay;
    char report[512];
    char *why;
    size_t why_bytes;
};

#define ADVICE                                                                                                         \
    "Nothing was changed. `kv check DIR` tells more; `kv check --repair OUT DIR` writes a copy that starts, and "      \
    "leaves "                                                                                                          \
    "this one as it is"

/* The snapshot's share of the progress. */
struct snapshot_progress {
    struct log_progress progress; /* first */
    struct run *run;
};

static void on_snapshot_progress(struct log_progress *progress, uint64_t done_bytes, uint64_t total_bytes)
{
    struct run *run = ((struct snapshot_progress *)progress)->run;
    run->progress->on_progress(run->progress, done_bytes, total_bytes + run->files.segment_bytes);
}

static int fail_on(struct run *run, const char *name, int rc)
{
    if (rc == KV_VERSION)
        snprintf(run->why, run->why_bytes,
                 "%s was written by a newer kvfs, in a format that this one does not know: start the newer one", name);
    else
        snprintf(run->why, run->why_bytes, "cannot read %s: %s", name, error_text(rc));
    return rc;
}

/* One snapshot: 1 and run->tree; 0: it is damaged, so look at the next older one; or negative. */
static int try_snapshot(struct run *run, uint64_t index)
{
    char name[LOG_NAME_BYTES];
    struct snapshot_progress progress = {{on_snapshot_progress}, run};
    struct log_damage damage = {0};
    snapshot_name(index, name);
    int rc = snapshot_load(run->disk, name, run->progress ? &progress.progress : NULL, &run->tree, &run->held, &damage);
    if (rc == 0) {
        memcpy(run->snapshot, name, sizeof name);
        return 1;
    }
    if (rc != -EBADMSG)
        return fail_on(run, name, rc);
    if (run->needed_index == 0) {
        run->needed_index = index;
        run->spoilt = damage;
        memcpy(run->spoilt.file, name, sizeof name);
    }
    return 0;
}

static int load_snapshot(struct run *run)
{
    int rc = 0;
    for (size_t i = run->files.snapshot_count; rc == 0 && i-- > 0;)
        rc = try_snapshot(run, run->files.snapshots[i]);
    return rc < 0 ? rc : 0;
}

/* The tree that the log begins with, where there is no snapshot. */
static int make_tree(struct run *run)
{
    const struct recovery_options *options = run->options;
    if (run->tree)
        return 0;
    run->tree =
        tree_new(options->hash_seed, options->root_uid, options->root_gid, options->root_mode, options->time_ns);
    if (!run->tree)
        return fail_on(run, "the data", -ENOMEM);
    if (run->files.segment_count && run->files.segments[0] > 1 && run->needed_index == 0)
        run->needed_index = run->files.segments[0] - 1;
    return 0;
}

static int replay_log(struct run *run)
{
    struct replay *replay = &run->replay;
    const struct recovery_files *files = &run->files;
    size_t from = plan_first_segment(files->segments, files->segment_count, run->held.index);
    *replay = (struct replay){
        .disk = run->disk,
        .tree = run->tree,
        .held = run->held.index,
        .progress = run->progress,
        .done_bytes = run->held.bytes,
        .total_bytes = run->held.bytes,
        .listener = run->listener,
        .epoch = run->held.epoch,
        .time_ns = run->held.time_ns,
    };
    for (size_t i = from; i < files->segment_count; i++)
        replay->total_bytes += files->sizes[i];
    int rc = replay_run(replay, files->segments, from, files->segment_count);
    if (rc < 0 && rc != -EBADMSG) {
        char name[LOG_NAME_BYTES] = "the log";
        if (replay->segment < files->segment_count)
            segment_name(files->segments[replay->segment], name);
        return fail_on(run, name, rc);
    }
    return rc;
}

/* `text` is why the log cannot be used at run->replay.end of its last segment. */
static int refuse(struct run *run, const struct beyond *beyond, const char *reason)
{
    char name[LOG_NAME_BYTES] = "the log";
    if (run->replay.segment < run->files.segment_count)
        segment_name(run->files.segments[run->replay.segment], name);
    snprintf(run->why, run->why_bytes,
             "%s is damaged at byte %" PRIu64 ": %s. %" PRIu64 " whole records lie behind it%s. " ADVICE
             " (it ends with record %" PRIu64 ")",
             name, run->replay.end, run->replay.text, beyond->records, reason, run->replay.index);
    return -EBADMSG;
}

/* The snapshot that says how far the store had come is damaged, and the log does not reach there. */
static int refuse_snapshot(struct run *run)
{
    snprintf(run->why, run->why_bytes,
             "%s is damaged at byte %" PRIu64
             ": %s, and the log does not hold all that it had (it ends with record %" PRIu64 "). " ADVICE,
             run->spoilt.file, run->spoilt.offset, run->spoilt.text, run->replay.index);
    return -EBADMSG;
}

static int refuse_headless(struct run *run)
{
    snprintf(run->why, run->why_bytes,
             "there is no snapshot, and the log begins with record %" PRIu64
             ": what was before it is missing. Put the snapshot back, or start on an empty directory",
             run->files.segments[0]);
    return -EBADMSG;
}

static void __attribute__((format(printf, 2, 3))) report(struct run *run, const char *format, ...)
{
    size_t len = strlen(run->report);
    va_list args;
    va_start(args, format);
    if (len && len + 2 < sizeof run->report)
        len += (size_t)snprintf(run->report + len, sizeof run->report - len, "; ");
    vsnprintf(run->report + len, sizeof run->report - len, format, args);
    va_end(args);
}

static void report_cut(struct run *run, const struct beyond *beyond)
{
    char name[LOG_NAME_BYTES];
    segment_name(run->files.segments[run->replay.segment], name);
    report(run, "the log was torn in %s at byte %" PRIu64 " (%s): %" PRIu64 " bytes that had never been synced are cut",
           name, run->replay.end, run->replay.text, beyond->bytes);
    if (beyond->records)
        report(run, "with them go %" PRIu64 " whole records behind the tear", beyond->records);
}

/* The log stopped, or a snapshot says that more was there: torn or damaged? */
static int judge(struct run *run, int replayed, struct beyond *ret_beyond)
{
    struct replay *replay = &run->replay;
    struct beyond beyond = {0};
    int rc = 0;
    if (replay->stopped || replayed < 0)
        rc = replay_look_beyond(replay, run->files.segments, run->files.segment_count, &beyond);
    if (rc < 0)
        return fail_on(run, "the log", rc);
    if (replayed < 0)
        return refuse(run, &beyond, "");
    struct plan_stop stop = {replay->stopped ? replay->bad_index : replay->index + 1, run->held.index,
                             beyond.synced_index, run->needed_index};
    if (plan_is_damage(&stop)) {
        stop.needed_index = 0;
        if (plan_is_damage(&stop))
            return refuse(run, &beyond, ", and the log says that they had been synced, so this is no torn end");
        return run->spoilt.file[0] ? refuse_snapshot(run) : refuse_headless(run);
    }
    if (run->spoilt.file[0])
        report(run,
               "%s is damaged at byte %" PRIu64 " (%s) and was passed over: all that it held came from %s and the log",
               run->spoilt.file, run->spoilt.offset, run->spoilt.text, run->snapshot[0] ? run->snapshot : "nothing");
    if (replay->stopped)
        report_cut(run, &beyond);
    *ret_beyond = beyond;
    return 0;
}

static int end_bulk(struct run *run)
{
    int rc = run->tree->bulk ? tree_bulk_end(run->tree) : 0;
    return rc < 0 ? fail_on(run, "the data", rc) : 0;
}

static void conclude(struct run *run, const struct beyond *beyond, struct recovery *recovery)
{
    const struct replay *replay = &run->replay;
    *recovery = (struct recovery){
        .tree = run->tree,
        .epoch = replay->epoch,
        .index = replay->index,
        .time_ns = replay->time_ns,
        .records = replay->records,
        .torn_bytes = beyond->bytes,
    };
    memcpy(recovery->snapshot, run->snapshot, sizeof recovery->snapshot);
    memcpy(recovery->report, run->report, sizeof recovery->report);
    /* The log goes on in the last segment only if that ends with the last record of all. */
    if (replay->segment < run->files.segment_count && replay->end >= SEGMENT_HEADER_BYTES &&
        replay->next_index == replay->index + 1) {
        segment_name(run->files.segments[replay->segment], recovery->segment);
        recovery->segment_bytes = replay->end;
    }
}

static int run_all(struct run *run, struct recovery *ret_recovery)
{
    struct beyond beyond = {0};
    int rc = load_snapshot(run);
    if (rc == 0)
        rc = make_tree(run);
    if (rc == 0 && !run->tree->bulk)
        rc = tree_bulk_begin(run->tree) < 0 ? fail_on(run, "the data", -ENOMEM) : 0;
    if (rc < 0)
        return rc;
    rc = replay_log(run);
    if (rc == 0 || rc == -EBADMSG)
        rc = judge(run, rc, &beyond);
    if (rc == 0)
        rc = end_bulk(run);
    if (rc == 0)
        conclude(run, &beyond, ret_recovery);
    return rc;
}

int recovery_run(struct disk *disk, const struct recovery_options *options, struct log_progress *progress,
                 struct recovery_listener *listener, struct recovery *ret_recovery, char *why, size_t why_bytes)
{
    struct run run = {disk, options, progress, listener, .why = why, .why_bytes = why_bytes};
    int rc = recovery_files_list(disk, options->log, options->snapshots, &run.files);
    rc = rc < 0 ? fail_on(&run, "the data directory", rc) : run_all(&run, ret_recovery);
    if (rc < 0)
        tree_free(run.tree);
    recovery_files_close(&run.files);
    return rc;
}
