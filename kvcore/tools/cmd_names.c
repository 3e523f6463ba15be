/* Nodes and directories: stat, mkdir, rmdir. */
#include "kvcore/tools/commands.h"

#include "kvcore/tools/args.h"
#include "kvcore/tools/attr_text.h"
#include "kvcore/tools/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

/* --- stat ----------------------------------------------------------------------------------------------------- */

static void print_expiry(const struct kv_attr *attr)
{
    if (!attr->expires_ns) {
        puts("Expires: never");
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double left_s = (double)(attr->expires_ns - now.tv_nsec) / 1e9 - (double)now.tv_sec;
    printf("Expires: %s (in %.1f s)\n", attr_time_full(attr->expires_ns).text, left_s);
}

static void print_stat(const char *key, const struct kv_attr *attr)
{
    bool device = S_ISCHR(attr->mode) || S_ISBLK(attr->mode);
    printf("    Key: ");
    output_name(stdout, bytes_of(*key ? key : "/"), true);
    printf("\n   Type: %s\n", attr_type(attr->mode));
    printf("   Size: %" PRIu64 " (stored %" PRIu64 ")\n", attr->size, attr->stored);
    if (device)
        printf(" Device: %u, %u\n", major(attr->rdev), minor(attr->rdev));
    printf("     Id: %" PRIu64 "\n", attr->id);
    printf("Version: %" PRIu64 "\n", attr->version);
    printf("  Links: %u\n", attr->nlink);
    printf("   Mode: %04o (%s)\n", attr->mode & 07777, attr_mode(attr->mode).text);
    printf("    Uid: %u (%s)\n", attr->uid, attr_user(attr->uid));
    printf("    Gid: %u (%s)\n", attr->gid, attr_group(attr->gid));
    printf(" Access: %s\n", attr_time_full(attr->atime_ns).text);
    printf(" Modify: %s\n", attr_time_full(attr->mtime_ns).text);
    printf(" Change: %s\n", attr_time_full(attr->ctime_ns).text);
    printf("  Birth: %s\n", attr_time_full(attr->btime_ns).text);
    print_expiry(attr);
}

int run_stat(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"follow", no_argument, NULL, 'L'}, ARGS_COMMON};
    struct args args;
    struct kv_request request = {.op = KV_OP_STAT};
    args_begin(&args, tool, argc, argv, "L", options);
    while (args_next(&args) != ARGS_END)
        request.options |= KV_OPT_FOLLOW;
    args_expect(&args, 1, 1);
    const char *key = args_directory(args.words[0]);
    request.node = tool_ref(key);
    const struct kv_reply *reply = tool_call(tool, &request);
    int exit_code = tool_check(tool, key, reply);
    if (exit_code)
        return exit_code;
    struct bytes name = bytes_of(key);
    if (tool->json)
        output_json(attr_json(&reply->attr, "key", &name));
    else
        print_stat(key, &reply->attr);
    return EXIT_OK;
}

/* --- mkdir, rmdir ----------------------------------------------------------------------------------------------- */

/* One request for each word; all are tried, the worst exit code counts. */
static int for_each_word(struct tool *tool, const struct args *args, struct kv_request *request)
{
    int worst = EXIT_OK;
    for (int i = 0; i < args->count; i++) {
        const char *key = args_directory(args->words[i]);
        request->node = tool_ref(key);
        int exit_code = tool_check(tool, key, tool_call(tool, request));
        if (exit_code == EXIT_UNREACHABLE)
            return exit_code;
        worst = exit_code > worst ? exit_code : worst;
    }
    if (worst == EXIT_OK)
        tool_print_done(tool);
    return worst;
}

static uint32_t mode_parse(const struct args *args, const char *text)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);
    if (!*text || *end || mode > 07777)
        args_fail(args, "mode '%s' is no octal number up to 7777", text);
    return (uint32_t)mode;
}

int run_mkdir(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"parents", no_argument, NULL, 'p'}, {"mode", required_argument, NULL, 'm'}, ARGS_COMMON};
    struct args args;
    struct kv_request request = {.op = KV_OP_MKDIR};
    args_begin(&args, tool, argc, argv, "pm:", options);
    for (int option; (option = args_next(&args)) != ARGS_END;)
        if (option == 'p') {
            request.options |= KV_OPT_PARENTS;
        } else {
            request.options |= KV_OPT_MODE;
            request.mode = mode_parse(&args, optarg);
        }
    args_expect(&args, 1, -1);
    return for_each_word(tool, &args, &request);
}

int run_rmdir(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 1, -1);
    struct kv_request request = {.op = KV_OP_RMDIR};
    return for_each_word(tool, &args, &request);
}
