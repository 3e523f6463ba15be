#include "kvcore/tools/args.h"

#include "kvcore/base/check.h"
#include "kvcore/tools/duration.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void command_print_help(const struct command *command, FILE *out)
{
    fprintf(out, "usage: kv [OPTIONS] %s%s%s\n\n%s.\n", command->name, command->usage[0] ? " " : "", command->usage,
            command->summary);
    if (command->help)
        fprintf(out, "\n%s", command->help);
}

void args_fail(const struct args *args, const char *format, ...)
{
    const struct command *command = args->tool->command;
    va_list args_list;
    va_start(args_list, format);
    fprintf(stderr, "kv: %s: ", command->name);
    vfprintf(stderr, format, args_list);
    fprintf(stderr, "\nusage: kv %s %s\n", command->name, command->usage);
    va_end(args_list);
    exit(EXIT_USAGE);
}

void args_begin(struct args *args, struct tool *tool, int argc, char **argv, const char *shorts,
                const struct option *longs)
{
    *args = (struct args){.tool = tool, .argc = argc, .argv = argv, .longs = longs, .words = argv + 1};
    /* '-': words come one by one, as option 1, and stay in order; ':': no messages of its own. */
    int len = snprintf(args->shorts, sizeof args->shorts, "-:h%s", shorts);
    CHECK((size_t)len < sizeof args->shorts);
    /* Start afresh (glibc: optind 0 reads the flags in front of `shorts` again), without looking at a word yet. */
    optind = 0;
    opterr = 0;
    CHECK(getopt_long(1, argv, args->shorts, longs, NULL) == -1);
}

/* Words are kept in argv itself, which is read further on than it is written. */
static void word_add(struct args *args, char *word) { args->words[args->count++] = word; }

/* Unless the digit is an option, as -0 is for ls. */
static bool is_negative_number(const struct args *args, const char *text)
{
    return text[0] == '-' && isdigit((unsigned char)text[1]) && !strchr(args->shorts, text[1]);
}

static void option_fail(const struct args *args, int what)
{
    const char *given = args->argv[optind - 1];
    if (what == ':')
        args_fail(args, "%s needs a value", given);
    args_fail(args, "unknown option %s (what begins with '-' and is no option goes behind --)", given);
}

int args_next(struct args *args)
{
    for (;;) {
        if (optind < args->argc && is_negative_number(args, args->argv[optind])) {
            word_add(args, args->argv[optind++]);
            continue;
        }
        int option = getopt_long(args->argc, args->argv, args->shorts, args->longs, NULL);
        switch (option) {
        case 1:
            word_add(args, optarg);
            break;
        case ARGS_JSON:
            args->tool->json = true;
            break;
        case 'h':
            command_print_help(args->tool->command, stdout);
            exit(fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED);
        case '?':
        case ':':
            option_fail(args, option);
            break;
        case -1:
            while (optind < args->argc)
                word_add(args, args->argv[optind++]);
            return ARGS_END;
        default:
            return option;
        }
    }
}

void args_words(struct args *args, struct tool *tool, int argc, char **argv, int min, int max)
{
    static const struct option options[] = {ARGS_COMMON};
    args_begin(args, tool, argc, argv, "", options);
    CHECK(args_next(args) == ARGS_END);
    args_expect(args, min, max);
}

void args_expect(const struct args *args, int min, int max)
{
    if (args->count < min)
        args_fail(args, "too few arguments");
    if (max >= 0 && args->count > max)
        args_fail(args, "too many arguments, from '%s' on", args->words[max]);
}

int64_t args_integer(const struct args *args, const char *what, const char *text, int64_t min, int64_t max)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (!*text || isspace((unsigned char)*text) || *end)
        args_fail(args, "%s: '%s' is no whole number", what, text);
    if (errno || number < min || number > max)
        args_fail(args, "%s: %s is out of range, %lld to %lld", what, text, (long long)min, (long long)max);
    return number;
}

int64_t args_duration_ms(const struct args *args, const char *text)
{
    int64_t ms;
    if (duration_parse(text, &ms) < 0)
        args_fail(args, "'%s' is not a duration: write 10, 10s, 500ms, 5m, 2h or 1d", text);
    return ms;
}

char *args_directory(char *key)
{
    size_t len = strlen(key);
    while (len && key[len - 1] == '/')
        key[--len] = '\0';
    return key;
}
