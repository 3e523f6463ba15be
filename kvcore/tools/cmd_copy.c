/* import, export, dump, load: four ways to run copy.h. */
#include "kvcore/tools/commands.h"

#include "kvcore/base/error.h"
#include "kvcore/tools/args.h"
#include "kvcore/tools/copy.h"
#include "kvcore/tools/listing.h"
#include "kvcore/tools/output.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct option quiet_options[] = {{"quiet", no_argument, NULL, 'q'}, ARGS_COMMON};

/* Parses --quiet and the words. */
static bool parse_quiet(struct args *args, struct tool *tool, int argc, char **argv, int min, int max)
{
    bool quiet = false;
    args_begin(args, tool, argc, argv, "q", quiet_options);
    while (args_next(args) != ARGS_END)
        quiet = true;
    args_expect(args, min, max);
    return quiet;
}

/* What was done, on stdout; on stderr where stdout is the dump itself. */
static void print_summary(const struct copy *copy, FILE *out)
{
    if (copy->tool->json) {
        json_t *object =
            json_pack("{s:I, s:I, s:I, s:I}", "copied", (json_int_t)copy->items, "unchanged", (json_int_t)copy->same,
                      "failed", (json_int_t)copy->failed, "bytes", (json_int_t)copy->bytes);
        json_dumpf(object, out, 0);
        fputc('\n', out);
        json_decref(object);
        return;
    }
    fprintf(out, "%" PRIu64 " copied (%s)", copy->items, progress_size(copy->bytes).text);
    if (copy->same)
        fprintf(out, ", %" PRIu64 " there already", copy->same);
    if (copy->failed)
        fprintf(out, ", %" PRIu64 " failed", copy->failed);
    fputc('\n', out);
}

/* Takes both. */
static int copy_all(struct copy *copy, struct source *source, struct sink *sink, FILE *summary)
{
    int rc = source && sink ? copy_run(copy, source, sink) : -ENOMEM;
    if (source)
        source->close(source);
    if (sink)
        sink->close(sink);
    if (rc == 0 || copy->items || copy->same)
        print_summary(copy, summary);
    if (rc == -ECONNREFUSED || rc == -ETIMEDOUT || rc == -ECONNRESET)
        return EXIT_UNREACHABLE;
    return rc < 0 || copy->failed ? EXIT_FAILED : EXIT_OK;
}

/* 1: something is in the store; 0: nothing; or negative after a message. */
static int store_has_anything(struct tool *tool)
{
    struct kv_request list = {.op = KV_OP_LS, .options = KV_OPT_LIMIT, .limit = 1};
    const struct kv_reply *reply = tool_call(tool, &list);
    if (reply->error) {
        int rc = reply->error;
        tool_check(tool, NULL, reply);
        return rc;
    }
    return reply->count > 0;
}

int run_import(struct tool *tool, int argc, char **argv)
{
    struct args args;
    struct copy copy = {.tool = tool};
    bool quiet = parse_quiet(&args, tool, argc, argv, 1, 2);
    char *key = args.count > 1 ? args_directory(args.words[1]) : "";
    if (store_has_anything(tool) < 0)
        return EXIT_UNREACHABLE;
    progress_begin(&copy.progress, "import", quiet);
    return copy_all(&copy, source_disk_new(args.words[0]), sink_store_new(tool, key, false, true), stdout);
}

int run_export(struct tool *tool, int argc, char **argv)
{
    struct args args;
    struct copy copy = {.tool = tool};
    bool quiet = parse_quiet(&args, tool, argc, argv, 1, 2);
    char *key = args.count > 1 ? args_directory(args.words[0]) : "";
    char *dir = args.words[args.count - 1];
    for (size_t len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--)
        dir[len - 1] = '\0';
    progress_begin(&copy.progress, "export", quiet);
    return copy_all(&copy, source_store_new(tool, key), sink_disk_new(dir), stdout);
}

/* Standard output, or something that is no file of its own: a device, a pipe. It is written to, not replaced. */
static bool is_stream(const char *file)
{
    struct stat there;
    return strcmp(file, "-") == 0 || (stat(file, &there) == 0 && !S_ISREG(there.st_mode));
}

/* Under another name until it is whole; a symbolic link stays, and what it leads to is replaced. */
static int dump_name(char *file, const char *word, char *part, bool in_place)
{
    if (in_place || !realpath(word, file))
        snprintf(file, PATH_MAX, "%s", word);
    return snprintf(part, PATH_MAX, "%s%s", file, in_place ? "" : ".part") < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int run_dump(struct tool *tool, int argc, char **argv)
{
    struct args args;
    struct copy copy = {.tool = tool};
    char file[PATH_MAX], part[PATH_MAX];
    bool quiet = parse_quiet(&args, tool, argc, argv, 1, 1);
    bool to_stdout = strcmp(args.words[0], "-") == 0, in_place = is_stream(args.words[0]);
    if (to_stdout && isatty(STDOUT_FILENO))
        args_fail(&args, "a dump is no text for a terminal: name a file, or redirect standard output");
    if (dump_name(file, args.words[0], part, in_place) < 0)
        args_fail(&args, "the file's name is too long");
    progress_begin(&copy.progress, "dump", quiet);
    struct sink *sink = sink_archive_new(tool, part);
    if (!sink)
        return EXIT_FAILED;
    int exit_code = copy_all(&copy, source_store_new(tool, ""), sink, to_stdout ? stderr : stdout);
    if (exit_code == EXIT_OK && !in_place && rename(part, file) < 0) {
        tool_complain(tool, "%s: %s", file, strerror(errno));
        exit_code = EXIT_FAILED;
    }
    if (exit_code != EXIT_OK && !in_place)
        tool_complain(tool, "%s: not written; what there is of it is in %s", file, part);
    return exit_code;
}

static const struct option load_options[] = {{"merge", no_argument, NULL, 'm'},
                                             {"check", no_argument, NULL, 'c'},
                                             {"quiet", no_argument, NULL, 'q'},
                                             ARGS_COMMON};

/* All of the dump is read once before anything is changed, where it can be read twice. */
static int verify(struct tool *tool, const char *file, bool quiet, bool alone)
{
    struct copy copy = {.tool = tool};
    progress_begin(&copy.progress, "check", quiet);
    int rc = archive_verify(&copy, file);
    if (rc == 0 && alone && tool->json)
        print_summary(&copy, stdout);
    else if (rc == 0 && alone)
        printf("%s: sound: %" PRIu64 " entries (%s)\n", file, copy.items, progress_size(copy.bytes).text);
    return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

int run_load(struct tool *tool, int argc, char **argv)
{
    struct args args;
    struct copy copy = {.tool = tool};
    struct stat stat_file;
    bool merge = false, check = false, quiet = false;
    args_begin(&args, tool, argc, argv, "q", load_options);
    for (int option; (option = args_next(&args)) != ARGS_END;) {
        merge |= option == 'm';
        check |= option == 'c';
        quiet |= option == 'q';
    }
    args_expect(&args, 1, 1);
    const char *file = args.words[0];
    bool twice = strcmp(file, "-") != 0 && stat(file, &stat_file) == 0 && S_ISREG(stat_file.st_mode);
    if (check || twice) {
        int exit_code = verify(tool, file, quiet, check);
        if (check || exit_code != EXIT_OK)
            return exit_code;
    }
    int anything = store_has_anything(tool);
    if (anything < 0)
        return EXIT_UNREACHABLE;
    if (anything && !merge) {
        tool_complain(tool, "the store is not empty; with --merge files of the dump replace those of the same name");
        return EXIT_FAILED;
    }
    progress_begin(&copy.progress, "load", quiet);
    struct source *source = source_archive_new(tool, file);
    return source ? copy_all(&copy, source, sink_store_new(tool, "", !anything, false), stdout) : EXIT_FAILED;
}
