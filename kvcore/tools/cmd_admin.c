/* The node itself: info, ping. */
#include "kvcore/tools/commands.h"

#include "kvcore/tools/args.h"
#include "kvcore/tools/output.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* --- info ------------------------------------------------------------------------------------------------------- */

/* "section.field": how long the section is; 0 where there is none. */
static size_t section_len(const char *name)
{
    const char *point = strchr(name, '.');
    return point ? (size_t)(point - name) : 0;
}

static const char *field_name(const char *name)
{
    size_t len = section_len(name);
    return len ? name + len + 1 : name;
}

static void info_print(const struct kv_reply *reply)
{
    struct bytes section = {"", 0};
    for (size_t i = 0; i < reply->count; i++) {
        const struct kv_field *field = &reply->fields[i];
        struct bytes its = bytes_make(field->name, section_len(field->name));
        if (!bytes_equal(its, section)) {
            printf("%s# %c%.*s\n", i ? "\n" : "", toupper((unsigned char)its.data[0]), (int)its.len - 1, its.data + 1);
            section = its;
        }
        printf("%s:", field_name(field->name));
        if (field->text.data)
            output_bytes(field->text);
        else
            printf("%" PRIu64, field->number);
        fputc('\n', stdout);
    }
}

static json_t *object_get_or_new(json_t *object, const char *name)
{
    json_t *member = json_object_get(object, name);
    if (!member) {
        member = json_object();
        json_object_set_new(object, name, member);
    }
    return member;
}

static void info_print_json(const struct kv_reply *reply)
{
    json_t *root = json_object();
    for (size_t i = 0; i < reply->count; i++) {
        const struct kv_field *field = &reply->fields[i];
        char section[64];
        snprintf(section, sizeof section, "%.*s", (int)section_len(field->name), field->name);
        json_t *object = section[0] ? object_get_or_new(root, section) : root;
        json_t *value = field->text.data ? output_json_bytes(field->text) : json_integer((json_int_t)field->number);
        json_object_set_new(object, field_name(field->name), value);
    }
    output_json(root);
}

int run_info(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 0, 1);
    struct kv_request request = {.op = KV_OP_INFO};
    if (args.count)
        request.name = bytes_of(args.words[0]);
    const struct kv_reply *reply = tool_call(tool, &request);
    int exit_code = tool_check(tool, NULL, reply);
    if (exit_code)
        return exit_code;
    if (tool->json)
        info_print_json(reply);
    else
        info_print(reply);
    return EXIT_OK;
}

/* --- ping ------------------------------------------------------------------------------------------------------- */

struct ping_times {
    int64_t sent, answered;
    double min_us, max_us, sum_us;
};

static int ping_once(struct tool *tool, struct ping_times *times, double *ret_us)
{
    struct kv_request request = {.op = KV_OP_PING};
    uint64_t begin_ns = uv_hrtime();
    times->sent++;
    int exit_code = tool_check(tool, NULL, tool_call(tool, &request));
    if (exit_code)
        return exit_code;
    double us = (double)(uv_hrtime() - begin_ns) / 1000;
    times->min_us = times->answered && times->min_us < us ? times->min_us : us;
    times->max_us = times->max_us > us ? times->max_us : us;
    times->sum_us += us;
    times->answered++;
    *ret_us = us;
    return EXIT_OK;
}

static void sleep_ms(int64_t ms)
{
    struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
    fflush(stdout);
    nanosleep(&wait, NULL);
}

static void ping_summary(const struct tool *tool, const struct ping_times *times)
{
    double mean_us = times->answered ? times->sum_us / (double)times->answered : 0;
    if (tool->json)
        output_json(json_pack("{s:I,s:I,s:f,s:f,s:f}", "sent", (json_int_t)times->sent, "answered",
                              (json_int_t)times->answered, "min_us", times->min_us, "mean_us", mean_us, "max_us",
                              times->max_us));
    else if (times->answered)
        printf("%" PRId64 " sent, %" PRId64 " answered, min/mean/max %.1f/%.1f/%.1f us\n", times->sent, times->answered,
               times->min_us, mean_us, times->max_us);
}

/* The first ping goes untimed: it makes the connection. */
static int ping_many(struct tool *tool, int64_t count, int64_t interval_ms)
{
    struct ping_times warm_up = {0}, times = {0};
    double us;
    int exit_code = ping_once(tool, &warm_up, &us);
    for (int64_t i = 0; i < count && exit_code == EXIT_OK; i++) {
        if (i)
            sleep_ms(interval_ms);
        exit_code = ping_once(tool, &times, &us);
        if (exit_code == EXIT_OK && !tool->json)
            printf("PONG %.1f us\n", us);
    }
    ping_summary(tool, &times);
    return exit_code;
}

int run_ping(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"count", required_argument, NULL, 'c'}, {"interval", required_argument, NULL, 'i'}, ARGS_COMMON};
    struct args args;
    int64_t count = 0, interval_ms = 1000;
    args_begin(&args, tool, argc, argv, "c:i:", options);
    for (int option; (option = args_next(&args)) != ARGS_END;)
        if (option == 'c')
            count = args_integer(&args, "-c", optarg, 1, INT32_MAX);
        else
            interval_ms = args_duration_ms(&args, optarg);
    args_expect(&args, 0, 0);
    if (count)
        return ping_many(tool, count, interval_ms);
    struct kv_request request = {.op = KV_OP_PING};
    int exit_code = tool_check(tool, NULL, tool_call(tool, &request));
    if (exit_code == EXIT_OK)
        puts(tool->json ? "\"PONG\"" : "PONG");
    return exit_code;
}
