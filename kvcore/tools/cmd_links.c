/* Names and what they lead to: mv, ln, readlink. */
#include "kvcore/tools/commands.h"

#include "kvcore/tools/args.h"
#include "kvcore/tools/output.h"

#include <stdio.h>

/* A request on two names whose answer is of no interest. */
static int run_change(struct tool *tool, char *const names[2], const struct kv_request *request)
{
    int exit_code = tool_check_pair(tool, names[0], names[1], tool_call(tool, request));
    if (exit_code == EXIT_OK)
        tool_print_done(tool);
    return exit_code;
}

int run_mv(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"no-replace", no_argument, NULL, 'n'}, {"exchange", no_argument, NULL, 'x'}, ARGS_COMMON};
    struct args args;
    struct kv_request request = {.op = KV_OP_RENAME};
    args_begin(&args, tool, argc, argv, "n", options);
    for (int option; (option = args_next(&args)) != ARGS_END;)
        request.options |= option == 'n' ? KV_OPT_NOREPLACE : KV_OPT_EXCHANGE;
    args_expect(&args, 2, 2);
    if ((request.options & KV_OPT_NOREPLACE) && (request.options & KV_OPT_EXCHANGE))
        args_fail(&args, "--no-replace and --exchange exclude each other");
    request.node = tool_ref(args_directory(args.words[0]));
    request.target = tool_ref(args_directory(args.words[1]));
    return run_change(tool, args.words, &request);
}

int run_ln(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"symbolic", no_argument, NULL, 's'}, ARGS_COMMON};
    struct args args;
    bool symbolic = false;
    args_begin(&args, tool, argc, argv, "s", options);
    while (args_next(&args) != ARGS_END)
        symbolic = true;
    args_expect(&args, 2, 2);
    struct kv_request request = {.op = KV_OP_LINK, .node = tool_ref(args.words[0]), .target = tool_ref(args.words[1])};
    if (symbolic)
        request =
            (struct kv_request){.op = KV_OP_SYMLINK, .node = tool_ref(args.words[1]), .value = bytes_of(args.words[0])};
    return run_change(tool, args.words, &request);
}

int run_readlink(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 1, 1);
    struct kv_request request = {.op = KV_OP_READLINK, .node = tool_ref(args.words[0])};
    const struct kv_reply *reply = tool_call(tool, &request);
    int exit_code = tool_check(tool, args.words[0], reply);
    if (exit_code)
        return exit_code;
    if (tool->json) {
        output_json(output_json_bytes(kv_reply_bytes(reply)));
        return EXIT_OK;
    }
    output_bytes(kv_reply_bytes(reply));
    fputc('\n', stdout);
    return EXIT_OK;
}
