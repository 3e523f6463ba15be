/* kv: a store's keys from the command line.
 *
 *   kv [OPTIONS] COMMAND [ARGUMENTS]
 *
 * Options before the command are everybody's, those behind it the command's own. The table below drives parsing, the
 * help pages and the exit codes' documentation; docs/man/kv.1 says the same at more length.
 */
#include "kvcore/base/version.h"
#include "kvcore/tools/args.h"
#include "kvcore/tools/commands.h"
#include "kvcore/tools/duration.h"
#include "kvcore/tools/output.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFAULT_STORE      "kv://127.0.0.1:7400"
#define DEFAULT_TIMEOUT_MS 5000

#define VALUE_HELP    "Without VALUE, or when it is '-', the value is read from standard input.\n"
#define QUIET_HELP    "  -q, --quiet    no progress on the terminal\n"
#define DURATION_HELP "A DURATION is a number with a unit: 10 (seconds), 10s, 500ms, 5m, 2h, 1d, 1h30m.\n"

static command_run run_help;

static const struct command commands[] = {
    {"get", "KEY", "Write a key's value to standard output",
     "The bytes go out as they are. Only on a terminal a newline is added where the value ends without one.\n",
     run_get},
    {"set", "[--nx | --xx] [--ttl DURATION] [--if-version N] KEY [VALUE]", "Give a key a value",
     VALUE_HELP "Directories that are missing are made.\n\n"
                "  --nx              only if there is no such key\n"
                "  --xx              only if there is one\n"
                "  --ttl DURATION    let it expire after this time\n"
                "  --if-version N    only if its version, as kv stat shows it, is N\n\n" DURATION_HELP,
     run_set},
    {"del", "KEY...", "Remove keys; prints how many there were", "Directories are removed by rmdir and rm -r.\n",
     run_del},
    {"exists", "KEY...", "Print how many of the keys exist", NULL, run_exists},
    {"append", "KEY [VALUE]", "Append to a value; prints its new length", VALUE_HELP, run_append},
    {"incr", "KEY [DELTA]", "Add DELTA (1) to the number in a key; prints the sum", "DELTA may be negative.\n",
     run_incr},
    {"decr", "KEY [DELTA]", "Subtract DELTA (1) from the number in a key; prints the difference", NULL, run_decr},
    {"getrange", "KEY START END", "Write a part of a value to standard output",
     "START and END are offsets in bytes, both included; a negative one counts from the end, -1 being the last byte.\n",
     run_getrange},
    {"setrange", "KEY OFFSET [VALUE]", "Overwrite a part of a value; prints its new length",
     VALUE_HELP "A gap before OFFSET reads as zeros and takes no memory.\n", run_setrange},
    {"mget", "KEY...", "Print the values of several keys, one a line",
     "A key that is missing is shown as (nil), in JSON as null.\n", run_mget},
    {"mset", "KEY VALUE [KEY VALUE]...", "Give several keys their values, all at once or none",
     "The keys must lie in one slot: their first components are equal, or bear the same {tag}.\n", run_mset},
    {"expire", "KEY DURATION", "Let a key expire after this time", DURATION_HELP, run_expire},
    {"ttl", "[--ms] KEY", "Print the seconds until a key expires, -1 when it does not",
     "  --ms    print milliseconds\n", run_ttl},
    {"persist", "KEY", "Let a key not expire", NULL, run_persist},
    {"ls", "[-l] [-0] [--after NAME] [--limit N] [PREFIX]", "List a directory, in order of names",
     "PREFIX is a directory's key, the root when it is left out.\n\n"
     "  -l, --long      mode, links, owner, group, size, time of change, name\n"
     "  -0, --null      raw names, each followed by a NUL byte, for xargs -0\n"
     "  --after NAME    only names that follow NAME\n"
     "  --limit N       only the first N names\n\n"
     "On a terminal, and with -l, names are quoted where it needs to be; on a terminal, directories bear a '/'.\n",
     run_ls},
    {"tree", "[--depth N] [PREFIX]", "Draw a directory and all below it", "  --depth N    go N levels deep\n",
     run_tree},
    {"stat", "[-L] KEY", "Show what is known about a key",
     "  -L, --follow    of a symbolic link: about what it leads to\n", run_stat},
    {"mkdir", "[-p] [-m MODE] KEY...", "Make directories",
     "  -p, --parents      make missing parents too; one that is there is no error\n"
     "  -m, --mode MODE    permissions, octal\n",
     run_mkdir},
    {"rmdir", "KEY...", "Remove empty directories", NULL, run_rmdir},
    {"rm", "[-r] [-f] KEY...", "Remove keys, with -r whole directories",
     "  -r, --recursive    a directory with all that is in it\n"
     "  -f, --force        a key that is not there is no error\n",
     run_rm},
    {"mv", "[--no-replace | --exchange] FROM TO", "Rename a key or a directory, in one step",
     "As rename(2): what TO was is replaced.\n\n"
     "  -n, --no-replace    fail if there is TO\n"
     "  --exchange          let the two change places\n",
     run_mv},
    {"ln", "[-s] FROM TO", "Give a key a second name, or with -s make a symbolic link",
     "FROM is a key; with -s, any text that TO shall lead to.\n\n  -s, --symbolic    a symbolic link\n", run_ln},
    {"readlink", "KEY", "Print where a symbolic link leads", NULL, run_readlink},
    {"import", "[-q] DIR [KEY]", "Copy a directory of this machine into the store",
     "All that DIR has goes below KEY, a directory's key, or into the root: owners, modes, times, xattrs, ACLs, "
     "symbolic\n"
     "and hard links, special files, holes. What is there with the same type, size and time is left as it is, so an\n"
     "import that was interrupted goes on where it was; nothing is removed.\n\n" QUIET_HELP,
     run_import},
    {"export", "[-q] [KEY] DIR", "Copy the store, or a directory of it, to this machine",
     "The counterpart of import. DIR is made where it is missing. Who is not root becomes the owner of the "
     "files.\n\n" QUIET_HELP,
     run_export},
    {"dump", "[-q] FILE", "Write the whole store to one file",
     "FILE is a tar archive (pax, lz4) that tar can read, '-' standard output. It stands under FILE.part until it is\n"
     "whole. What changes meanwhile is in it as it was at some moment of the dump; each short file is of one "
     "moment.\n\n" QUIET_HELP,
     run_dump},
    {"load", "[-q] [--merge | --check] FILE", "Fill a store from a dump",
     "All of FILE is checked before anything is changed, unless it is '-', standard input.\n\n"
     "  --merge    the store need not be empty: files of the dump replace those of the same name\n"
     "  --check    only check the file; no store is needed\n" QUIET_HELP,
     run_load},
    {"check", "[-q] [--repair OUT] FILE|DIR", "See whether a data directory, or a file of it, is sound",
     "Verifies logs, snapshots and node.conf, and says whether a store would start from them. No store is asked; one\n"
     "that runs on DIR is to be stopped first. A log that merely ends torn is no damage: a start cuts it.\n\n"
     "  --repair OUT    write a copy that starts, with all up to the damage; what was given stays as it "
     "is\n" QUIET_HELP,
     run_check},
    {"info", "[SECTION]", "Show the server's figures, all or of one section", NULL, run_info},
    {"sync", "", "Wait until all that was changed is on the server's disk", NULL, run_sync},
    {"snapshot", "[-w]", "Have the server write a snapshot of all it holds",
     "It prints the index of the last change that the snapshot holds, and returns while it is being written.\n\n"
     "  -w, --wait    return when it is on disk; on a terminal with a progress bar\n",
     run_snapshot},
    {"ping", "[-c COUNT] [-i DURATION]", "See whether the server answers",
     "  -c, --count COUNT          so many times, and print how long each took\n"
     "  -i, --interval DURATION    between two of them (1s)\n",
     run_ping},
    {"bench",
     "[-t TESTS] [-c CLIENTS] [-P PIPELINE] [-d BYTES] [-n REQUESTS] [-r KEYSPACE] [-k PREFIX] [-q] [--seed N]",
     "Measure how much the server can take",
     "  -t TESTS        of set, get, incr, append, mset, ls, ping; separated by commas (set,get)\n"
     "  -c CLIENTS      connections (50)\n"
     "  -P PIPELINE     requests that are sent together on each (1)\n"
     "  -d BYTES        length of a value (64)\n"
     "  -n REQUESTS     in all, for each test (100000)\n"
     "  -r KEYSPACE     use so many keys, in random order, rather than one\n"
     "  -k PREFIX       of every key\n"
     "  -q, --quiet     one line for each test\n"
     "  --seed N        of the random order (1)\n\n"
     "The keys that it writes stay. The server is named by -s, before the command.\n",
     run_bench},
    {"help", "[COMMAND]", "Show what there is, or how a command is used", NULL, run_help},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const struct command *command_find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static void print_help(FILE *out)
{
    fprintf(out, "usage: kv [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fprintf(
        out,
        "\nOptions:\n"
        "  -s, --store STORE        kv://[:PASSWORD@]HOST[:PORT], kv+unix://PATH, or the data directory of a running\n"
        "                           kvfs or kvcored; else $KV_STORE, else " DEFAULT_STORE "\n"
        "      --timeout DURATION   wait so long for each answer (5s; 0: for ever)\n"
        "      --password-file FILE the password is this file's first line; else $KV_PASSWORD\n"
        "      --durability LEVEL   of changes: return when they are written or synced, whatever the server's level\n"
        "      --json               print JSON\n"
        "  -h, --help               show this\n"
        "      --version            show the version\n"
        "\nExit codes: 0 done; 1 the answer is no (no such key, a condition not met); 2 wrong usage;\n"
        "3 the store does not answer; 4 another error.\n"
        "`kv help COMMAND` tells more about a command, the man page kv(1) about all.\n");
}

static int run_help(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 0, 1);
    if (args.count == 0) {
        print_help(stdout);
        return EXIT_OK;
    }
    const struct command *command = command_find(args.words[0]);
    if (!command)
        args_fail(&args, "there is no command '%s'", args.words[0]);
    command_print_help(command, stdout);
    return EXIT_OK;
}

/* --- options for all ------------------------------------------------------------------------------------------- */

enum { OPTION_TIMEOUT = 256, OPTION_PASSWORD_FILE, OPTION_JSON, OPTION_VERSION, OPTION_DURABILITY };

static const struct option options[] = {{"store", required_argument, NULL, 's'},
                                        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
                                        {"password-file", required_argument, NULL, OPTION_PASSWORD_FILE},
                                        {"durability", required_argument, NULL, OPTION_DURABILITY},
                                        {"json", no_argument, NULL, OPTION_JSON},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, OPTION_VERSION},
                                        {0}};

struct given {
    const char *store;
    const char *password_file;
};

static int usage_fail(const char *what, const char *which)
{
    fprintf(stderr, "kv: %s%s\nTry 'kv help'.\n", what, which);
    return EXIT_USAGE;
}

static int timeout_fail(const char *text)
{
    fprintf(stderr, "kv: --timeout: '%s' is not a duration: write 10, 10s, 500ms, 5m or 1h\n", text);
    return EXIT_USAGE;
}

static int timeout_parse(struct tool *tool, const char *text)
{
    int64_t ms;
    if (duration_parse(text, &ms) < 0 || ms > UINT32_MAX)
        return timeout_fail(text);
    tool->timeout_ms = (uint32_t)ms;
    return EXIT_OK;
}

/* Parses up to the command. -1: go on at argv[optind]; else the program ends with this code. */
static int options_parse(struct tool *tool, int argc, char **argv, struct given *given)
{
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "+:s:h", options, NULL)) != -1;)
        switch (option) {
        case 's':
            given->store = optarg;
            break;
        case OPTION_TIMEOUT:
            if (timeout_parse(tool, optarg) != EXIT_OK)
                return EXIT_USAGE;
            break;
        case OPTION_PASSWORD_FILE:
            given->password_file = optarg;
            break;
        case OPTION_JSON:
            tool->json = true;
            break;
        case OPTION_DURABILITY:
            tool->durability = optarg;
            break;
        case OPTION_VERSION:
            puts("kv (kvfs) " KVFS_VERSION);
            return EXIT_OK;
        case 'h':
            print_help(stdout);
            return EXIT_OK;
        case ':':
            return usage_fail("a value is missing behind ", argv[optind - 1]);
        default:
            return usage_fail("unknown option ", argv[optind - 1]);
        }
    return -1;
}

/* The first line of a file, without its newline. */
static int password_read(struct tool *tool, const char *path)
{
    char *password = tool->address.password;
    FILE *file = fopen(path, "re");
    bool got = file && fgets(password, sizeof tool->address.password, file);
    if (!got)
        tool_complain(tool, "password file %s: %s", path,
                      file && !ferror(file) ? "there is no password in it" : strerror(errno));
    if (file)
        fclose(file);
    password[strcspn(password, "\r\n")] = '\0';
    return got ? EXIT_OK : EXIT_FAILED;
}

/* The one in the address comes first, since it was given for that store. */
static int password_find(struct tool *tool, const char *file)
{
    const char *from_environment = getenv("KV_PASSWORD");
    if (tool->address.password[0])
        return EXIT_OK;
    if (file)
        return password_read(tool, file);
    if (!from_environment)
        return EXIT_OK;
    int len = snprintf(tool->address.password, sizeof tool->address.password, "%s", from_environment);
    if ((size_t)len < sizeof tool->address.password)
        return EXIT_OK;
    tool_complain(tool, "$KV_PASSWORD is longer than %zu bytes", sizeof tool->address.password - 1);
    return EXIT_FAILED;
}

static int store_find(struct tool *tool, const struct given *given)
{
    const char *store = given->store ? given->store : getenv("KV_STORE");
    const char *source = given->store ? "-s" : store ? "$KV_STORE" : "the default";
    int exit_code = tool_locate(tool, store ? store : DEFAULT_STORE, source);
    return exit_code ? exit_code : password_find(tool, given->password_file);
}

/* --- main ------------------------------------------------------------------------------------------------------- */

/* A descriptor 0 to 2 that the caller closed would be taken by a socket, and output would go to the server. What takes
 * its place can only be used the wrong way round, so that reading or writing it stays an error. */
static void standard_descriptors_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            exit(EXIT_FAILED);
}

static int command_start(struct tool *tool, const struct given *given, int argc, char **argv)
{
    tool->command = command_find(argv[0]);
    if (!tool->command)
        return usage_fail("there is no command ", argv[0]);
    if (tool->command->run != run_help) {
        int exit_code = store_find(tool, given);
        if (exit_code)
            return exit_code;
    }
    int exit_code = tool->command->run(tool, argc, argv);
    tool_close(tool);
    return exit_code;
}

int main(int argc, char **argv)
{
    static uv_loop_t loop;
    static struct tool tool = {.timeout_ms = DEFAULT_TIMEOUT_MS, .loop = &loop};
    struct given given = {0};
    standard_descriptors_open();
    setlocale(LC_TIME, "");
    /* A broken pipe is an error to be handled, on stdout and on the socket. */
    signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&loop) < 0) {
        fprintf(stderr, "kv: no resources for an event loop\n");
        return EXIT_FAILED;
    }
    int exit_code = options_parse(&tool, argc, argv, &given);
    if (exit_code >= 0)
        return output_finish(exit_code);
    if (optind == argc) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    return output_finish(command_start(&tool, &given, argc - optind, argv + optind));
}
