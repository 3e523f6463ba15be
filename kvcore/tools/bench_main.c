/* The command `kv bench`: options, one test after the other, what it says about them. */
#include "kvcore/tools/commands.h"

#include "kvcore/base/error.h"
#include "kvcore/tools/args.h"
#include "kvcore/tools/bench.h"
#include "kvcore/tools/output.h"
#include "kvcore/tools/unreachable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TESTS_MAX = 32, DIGITS_OF_KEY_MAX = 64 };

struct bench_command {
    struct tool *tool;
    struct bench_options options;
    const struct bench_test *tests[TESTS_MAX];
    int test_count;
    bool quiet;
    json_t *list; /* with --json */
};

static const struct option bench_longs[] = {
    {"quiet", no_argument, NULL, 'q'}, {"seed", required_argument, NULL, 'S'}, ARGS_COMMON};

static void tests_parse(const struct args *args, const char *text, struct bench_command *command)
{
    command->test_count = 0;
    while (*text) {
        size_t len = strcspn(text, ",");
        const struct bench_test *test = bench_test_find(text, len);
        if (!test)
            args_fail(args, "there is no test '%.*s'", (int)len, text);
        if (command->test_count == TESTS_MAX)
            args_fail(args, "more than %d tests", TESTS_MAX);
        command->tests[command->test_count++] = test;
        text += len + (text[len] == ',');
    }
    if (command->test_count == 0)
        args_fail(args, "no tests are named");
}

static uint64_t number_parse(const struct args *args, const char *what, int64_t min, int64_t max)
{
    return (uint64_t)args_integer(args, what, optarg, min, max);
}

static void option_parse(const struct args *args, int option, struct bench_command *command)
{
    struct bench_options *options = &command->options;
    switch (option) {
    case 't':
        tests_parse(args, optarg, command);
        break;
    case 'c':
        options->clients = (unsigned)number_parse(args, "-c", 1, BENCH_CLIENTS_MAX);
        break;
    case 'P':
        options->pipeline = (unsigned)number_parse(args, "-P", 1, BENCH_PIPELINE_MAX);
        break;
    case 'd':
        options->value_bytes = number_parse(args, "-d", 0, READ_BYTES_MAX);
        break;
    case 'n':
        options->requests = number_parse(args, "-n", 1, INT64_MAX);
        break;
    case 'r':
        options->keyspace = number_parse(args, "-r", 1, 1000000000000);
        break;
    case 'k':
        if (strlen(optarg) > KEY_BYTES_MAX - DIGITS_OF_KEY_MAX)
            args_fail(args, "-k: the prefix is too long");
        options->prefix = optarg;
        break;
    case 'q':
        command->quiet = true;
        break;
    case 'p':
        args_fail(args, "the server is named by -s, before the command: kv -s kv://HOST:%s bench", optarg);
    case 'S':
        options->seed = number_parse(args, "--seed", 1, INT64_MAX);
        break;
    }
}

/* -h HOST is redis-benchmark's; -h alone asks for help, as everywhere. */
static void host_refuse(const struct args *args)
{
    for (int i = 1; i + 1 < args->argc; i++)
        if (strcmp(args->argv[i], "-h") == 0 && args->argv[i + 1][0] != '-')
            args_fail(args, "the server is named by -s, before the command: kv -s kv://%s bench", args->argv[i + 1]);
}

static void arguments_parse(struct tool *tool, int argc, char **argv, struct bench_command *command)
{
    struct args args;
    args_begin(&args, tool, argc, argv, "t:c:P:d:n:r:k:qp:", bench_longs);
    host_refuse(&args);
    tests_parse(&args, "set,get", command);
    for (int option; (option = args_next(&args)) != ARGS_END;)
        option_parse(&args, option, command);
    args_expect(&args, 0, 0);
    command->options.address = tool->address;
    command->options.timeout_ms = tool->timeout_ms;
    command->options.progress = isatty(STDERR_FILENO);
}

/* --- reports ---------------------------------------------------------------------------------------------------- */

static double ops_per_s(const struct bench_result *result)
{
    return (double)result->answered / ((double)result->elapsed_ns / 1e9);
}

static double percentile_us(const struct bench_result *result, double percent)
{
    return (double)histogram_percentile(&result->latency_ns, percent) / 1000;
}

static void report_json(struct bench_command *command, const struct bench_test *test, const struct bench_result *result)
{
    const struct bench_options *options = &command->options;
    json_t *row =
        json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "test", test->name, "ops_per_s", ops_per_s(result),
                  "p50_us", percentile_us(result, 50), "p99_us", percentile_us(result, 99), "p999_us",
                  percentile_us(result, 99.9), "max_us", (double)result->latency_ns.max / 1000, "mean_us",
                  histogram_mean(&result->latency_ns) / 1000, "seconds", (double)result->elapsed_ns / 1e9);
    const struct {
        const char *name;
        uint64_t number;
    } counts[] = {
        {"requests", result->answered},  {"errors", result->errors},      {"misses", result->misses},
        {"clients", options->clients},   {"pipeline", options->pipeline}, {"value_bytes", options->value_bytes},
        {"keyspace", options->keyspace},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(row, counts[i].name, json_integer((json_int_t)counts[i].number));
    json_array_append_new(command->list, row);
}

static void report_line(const struct bench_test *test, const struct bench_result *result)
{
    printf("%s: %.2f requests per second, p50=%.3f msec\n", test->name, ops_per_s(result),
           percentile_us(result, 50) / 1000);
}

static void report_full(const struct bench_options *options, const struct bench_test *test,
                        const struct bench_result *result)
{
    const struct histogram *latency = &result->latency_ns;
    printf("====== %s ======\n", test->name);
    printf("  %" PRIu64 " requests completed in %.2f seconds\n", result->answered, (double)result->elapsed_ns / 1e9);
    printf("  %u parallel clients, %u request%s per write\n", options->clients, options->pipeline,
           options->pipeline == 1 ? "" : "s");
    if (test->value)
        printf("  %zu bytes payload\n", options->value_bytes);
    if (result->misses)
        printf("  %" PRIu64 " keys were not there\n", result->misses);
    printf("\n  throughput: %.2f requests per second\n", ops_per_s(result));
    printf("  latency (msec):\n  %9s %9s %9s %9s %9s %9s %9s\n", "avg", "min", "p50", "p95", "p99", "p99.9", "max");
    printf("  %9.3f %9.3f %9.3f %9.3f %9.3f %9.3f %9.3f\n\n", histogram_mean(latency) / 1e6, (double)latency->min / 1e6,
           percentile_us(result, 50) / 1000, percentile_us(result, 95) / 1000, percentile_us(result, 99) / 1000,
           percentile_us(result, 99.9) / 1000, (double)latency->max / 1e6);
}

static void report(struct bench_command *command, const struct bench_test *test, const struct bench_result *result)
{
    if (command->tool->json)
        report_json(command, test, result);
    else if (command->quiet)
        report_line(test, result);
    else
        report_full(&command->options, test, result);
    fflush(stdout);
}

/* --- tests ------------------------------------------------------------------------------------------------------ */

/* A run that could not be carried through. */
static int run_failed(struct tool *tool, int code, const char *why)
{
    bool unreachable = code == -ECONNREFUSED || code == -ECONNRESET || code == -ETIMEDOUT;
    fflush(stdout);
    if (code == -ECONNREFUSED)
        unreachable_complain(tool, why);
    else
        tool_complain(tool, "%s (%s)", why, error_name(code));
    return unreachable ? EXIT_UNREACHABLE : EXIT_FAILED;
}

static int batch_failed(struct tool *tool, int code)
{
    tool_complain(tool, "the requests of one batch take more memory than there is or may be (%s); lower -d or -P",
                  error_name(code));
    return EXIT_FAILED;
}

/* Refused requests fail the test, and the exit code, but not the run. */
static int result_check(struct tool *tool, const char *name, const struct bench_result *result)
{
    if (result->errors == 0)
        return EXIT_OK;
    tool_complain(tool, "%s: %" PRIu64 " of %" PRIu64 " requests failed, the first with: %s (%s)", name, result->errors,
                  result->answered, result->first_text[0] ? result->first_text : error_text(result->first_error),
                  error_name(result->first_error));
    return EXIT_FAILED;
}

static int batch_run(struct bench_command *command, struct bench *bench, const char *name,
                     const struct bench_batch *batch, uint64_t requests, struct bench_result *result)
{
    char why[ERROR_TEXT_BYTES];
    int rc = bench_run(bench, name, batch, requests, result, why, sizeof why);
    return rc < 0 ? run_failed(command->tool, rc, why) : result_check(command->tool, name, result);
}

static int listing_make(struct bench_command *command, struct bench *bench, struct bench_result *result)
{
    struct bench_batch batch;
    int rc = bench_batch_build_listing(&command->options, &batch);
    if (rc < 0)
        return batch_failed(command->tool, rc);
    int exit_code = batch_run(command, bench, "ls", &batch, 1, result);
    bench_batch_close(&batch);
    return exit_code;
}

static int test_run(struct bench_command *command, struct bench *bench, const struct bench_test *test,
                    struct bench_result *result)
{
    struct bench_batch batch;
    int exit_code = test->listing ? listing_make(command, bench, result) : EXIT_OK;
    if (exit_code)
        return exit_code;
    int rc = bench_batch_build(test, &command->options, &batch);
    if (rc < 0)
        return batch_failed(command->tool, rc);
    exit_code = batch_run(command, bench, test->name, &batch, command->options.requests, result);
    if (result->answered == command->options.requests)
        report(command, test, result);
    bench_batch_close(&batch);
    return exit_code;
}

static int tests_run(struct bench_command *command)
{
    static struct bench_result result;
    struct bench *bench;
    char why[ERROR_TEXT_BYTES];
    int worst = EXIT_OK;
    int rc = bench_open(&command->options, &bench, why, sizeof why);
    if (rc < 0)
        return run_failed(command->tool, rc, why);
    for (int i = 0; i < command->test_count; i++) {
        int exit_code = test_run(command, bench, command->tests[i], &result);
        worst = exit_code ? exit_code : worst;
        if (exit_code && result.answered < command->options.requests)
            break; /* no connection, no more tests */
    }
    bench_close(bench);
    return worst;
}

int run_bench(struct tool *tool, int argc, char **argv)
{
    struct bench_command command = {.tool = tool};
    command.options = (struct bench_options){
        .clients = 50, .pipeline = 1, .value_bytes = 64, .requests = 100000, .prefix = "", .seed = 1};
    arguments_parse(tool, argc, argv, &command);
    command.list = json_array();
    int exit_code = tests_run(&command);
    if (tool->json)
        output_json(json_incref(command.list));
    json_decref(command.list);
    return exit_code;
}
