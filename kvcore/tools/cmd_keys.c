/* Keys: del, exists, incr, decr, expire, ttl, persist. */
#include "kvcore/tools/commands.h"

#include "kvcore/tools/args.h"
#include "kvcore/tools/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A request over all words whose answer is how many of them. 0 is a no. */
static int count_keys(struct tool *tool, int argc, char **argv, enum kv_op op)
{
    struct args args;
    args_words(&args, tool, argc, argv, 1, REFS_MAX);
    struct kv_ref *refs = tool_refs_new(args.words, args.count, 1);
    struct kv_request request = {.op = op, .nodes = refs, .node_count = (size_t)args.count};
    const struct kv_reply *reply = tool_call(tool, &request);
    free(refs);
    int exit_code = tool_check(tool, args.count == 1 ? args.words[0] : NULL, reply);
    if (exit_code)
        return exit_code;
    printf("%" PRIu64 "\n", reply->uint);
    return reply->uint ? EXIT_OK : EXIT_NO;
}

int run_del(struct tool *tool, int argc, char **argv) { return count_keys(tool, argc, argv, KV_OP_DEL); }

int run_exists(struct tool *tool, int argc, char **argv) { return count_keys(tool, argc, argv, KV_OP_EXISTS); }

static int add(struct tool *tool, int argc, char **argv, int sign)
{
    struct args args;
    args_words(&args, tool, argc, argv, 1, 2);
    /* The smallest number has no opposite. */
    int64_t delta = args.count > 1 ? args_integer(&args, "DELTA", args.words[1], -INT64_MAX, INT64_MAX) : 1;
    struct kv_request request = {.op = KV_OP_INCR, .node = tool_ref(args.words[0]), .delta = sign * delta};
    const struct kv_reply *reply = tool_call(tool, &request);
    int exit_code = tool_check(tool, args.words[0], reply);
    if (exit_code == EXIT_OK)
        printf("%" PRId64 "\n", reply->integer);
    return exit_code;
}

int run_incr(struct tool *tool, int argc, char **argv) { return add(tool, argc, argv, 1); }

int run_decr(struct tool *tool, int argc, char **argv) { return add(tool, argc, argv, -1); }

/* A request on one key that answers whether it did anything. */
static int answer_yes_no(struct tool *tool, const char *key, const struct kv_request *request)
{
    const struct kv_reply *reply = tool_call(tool, request);
    int exit_code = tool_check(tool, key, reply);
    if (exit_code)
        return exit_code;
    if (tool->json)
        puts(reply->uint ? "true" : "false");
    else
        puts(reply->uint ? "1" : "0");
    return reply->uint ? EXIT_OK : EXIT_NO;
}

int run_expire(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 2, 2);
    struct kv_request request = {.op = KV_OP_EXPIRE, .node = tool_ref(args.words[0])};
    request.ttl_ms = args_duration_ms(&args, args.words[1]);
    return answer_yes_no(tool, args.words[0], &request);
}

int run_persist(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 1, 1);
    struct kv_request request = {.op = KV_OP_PERSIST, .node = tool_ref(args.words[0])};
    return answer_yes_no(tool, args.words[0], &request);
}

int run_ttl(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"ms", no_argument, NULL, 'm'}, ARGS_COMMON};
    struct args args;
    bool in_ms = false;
    args_begin(&args, tool, argc, argv, "", options);
    while (args_next(&args) != ARGS_END)
        in_ms = true;
    args_expect(&args, 1, 1);
    struct kv_request request = {.op = KV_OP_TTL, .node = tool_ref(args.words[0])};
    const struct kv_reply *reply = tool_call(tool, &request);
    int exit_code = tool_check(tool, args.words[0], reply);
    if (exit_code)
        return exit_code;
    int64_t left_ms = reply->integer;
    if (left_ms < 0)
        puts("-1");
    else
        printf("%" PRId64 "\n", in_ms ? left_ms : (left_ms + 500) / 1000); /* rounded, as Redis's ttl */
    return EXIT_OK;
}
