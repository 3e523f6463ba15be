/* What is on the server's disk: snapshot, sync. */
#include "kvcore/base/progress.h"
#include "kvcore/tools/args.h"
#include "kvcore/tools/commands.h"
#include "kvcore/tools/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { LOOK_MS = 20 };

/* A number of `info persistence`; 0 where it has none of that name. */
static uint64_t figure(const struct kv_reply *info, const char *name)
{
    for (size_t i = 0; i < info->count; i++)
        if (strcmp(info->fields[i].name, name) == 0)
            return info->fields[i].number;
    return 0;
}

static void wait_a_little(void)
{
    struct timespec wait = {0, LOOK_MS * 1000000L};
    nanosleep(&wait, NULL);
}

/* Until a snapshot holds `index`. One that fails meanwhile is the answer. */
static int await_snapshot(struct tool *tool, uint64_t index)
{
    struct kv_request request = {.op = KV_OP_INFO, .name = bytes_of("persistence")};
    struct progress bar;
    uint64_t failed_before = 0;
    int exit_code = EXIT_OK;
    progress_begin(&bar, "snapshot", false);
    for (bool first = true;; first = false) {
        const struct kv_reply *info = tool_call(tool, &request);
        exit_code = tool_check(tool, NULL, info);
        if (exit_code || figure(info, "persistence.snapshot_index") >= index)
            break;
        uint64_t failed = figure(info, "persistence.snapshots_failed");
        failed_before = first ? failed : failed_before;
        if (failed > failed_before) {
            progress_clear(&bar);
            tool_complain(tool, "the snapshot failed; the server's log and `kv info persistence` say why");
            return EXIT_FAILED;
        }
        progress_show_part(&bar, figure(info, "persistence.snapshot_done"), figure(info, "persistence.snapshot_total"));
        wait_a_little();
    }
    progress_clear(&bar);
    return exit_code;
}

int run_snapshot(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"wait", no_argument, NULL, 'w'}, ARGS_COMMON};
    struct args args;
    bool wait = false;
    args_begin(&args, tool, argc, argv, "w", options);
    while (args_next(&args) != ARGS_END)
        wait = true;
    args_expect(&args, 0, 0);
    struct kv_request request = {.op = KV_OP_SNAPSHOT};
    const struct kv_reply *reply = tool_call(tool, &request);
    uint64_t index = reply->uint;
    int exit_code = tool_check(tool, NULL, reply);
    if (exit_code == EXIT_OK && wait)
        exit_code = await_snapshot(tool, index);
    if (exit_code == EXIT_OK)
        printf("%" PRIu64 "\n", index);
    return exit_code;
}

int run_sync(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 0, 0);
    struct kv_request request = {.op = KV_OP_SYNC};
    int exit_code = tool_check(tool, NULL, tool_call(tool, &request));
    if (exit_code == EXIT_OK)
        tool_print_done(tool);
    return exit_code;
}
