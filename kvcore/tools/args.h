/* A command's arguments: options wherever they stand, before or after the words; `--` ends them, and "-5" is
 * a word. -h, --help and
 * --json are known to every command. A mistake ends the program with a message and EXIT_USAGE. */
#ifndef KV_TOOLS_ARGS_H
#define KV_TOOLS_ARGS_H

#include "kvcore/tools/tool.h"

#include <getopt.h>

enum { ARGS_END = -1 };

/* The rows that end every table of long options. */
#define ARGS_COMMON                                                                                                    \
    {"json", no_argument, NULL, ARGS_JSON}, {"help", no_argument, NULL, 'h'}, { 0 }
enum { ARGS_JSON = 1000 };

struct args {
    struct tool *tool;
    int argc;
    char **argv;
    char shorts[32];
    const struct option *longs;
    char **words; /* after ARGS_END: what is no option */
    int count;
};

/* `shorts` as getopt(3) takes them, or "" ; `longs` ends with ARGS_COMMON. */
void args_begin(struct args *args, struct tool *tool, int argc, char **argv, const char *shorts,
                const struct option *longs);

/* The next option (its value is in optarg), or ARGS_END. */
int args_next(struct args *args);

/* For a command without options of its own: all of the above. */
void args_words(struct args *args, struct tool *tool, int argc, char **argv, int min, int max);

/* Between `min` and `max` words (max -1: any number), or the program ends. */
void args_expect(const struct args *args, int min, int max);

/* Numbers and durations from words and optarg, or the program ends. */
int64_t args_integer(const struct args *args, const char *what, const char *text, int64_t min, int64_t max);
int64_t args_duration_ms(const struct args *args, const char *text);

void args_fail(const struct args *args, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* A directory may be written with slashes behind it, and the root as "/": cut off, in place. */
char *args_directory(char *key);

void command_print_help(const struct command *command, FILE *out);

#endif
