/* kv check: are the files of a data directory sound, and if not, a copy that is. No store is asked. */
#include "kvcore/base/error.h"
#include "kvcore/base/progress.h"
#include "kvcore/log/nodeconf.h"
#include "kvcore/log/recovery.h"
#include "kvcore/tools/args.h"
#include "kvcore/tools/check.h"
#include "kvcore/tools/commands.h"
#include "kvcore/tools/output.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 4096 };

struct check {
    struct log_progress progress; /* first */
    struct progress line;
    struct tool *tool;
    struct disk *disk;
    const char *path;
    json_t *files; /* with --json */
    int exit_code;
    size_t count;
    char names[FILES_MAX][LOG_NAME_BYTES];
};

static void on_progress(struct log_progress *progress, uint64_t done_bytes, uint64_t total_bytes)
{
    progress_show_part(&((struct check *)progress)->line, done_bytes, total_bytes);
}

static void worse(struct check *check, int exit_code)
{
    if (exit_code > check->exit_code)
        check->exit_code = exit_code;
}

/* One file */

static void print_kind(const struct check_file *file)
{
    const char *size = progress_size(file->bytes).text;
    if (file->kind == CHECK_SEGMENT && file->count)
        printf("log, records %" PRIu64 " to %" PRIu64 ", epoch %" PRIu64 ", %s", file->first_index, file->last_index,
               file->epoch, size);
    else if (file->kind == CHECK_SEGMENT)
        printf("log, no records yet, the first is to be %" PRIu64 ", %s", file->first_index, size);
    else if (file->kind == CHECK_SNAPSHOT)
        printf("snapshot of record %" PRIu64 ", %" PRIu64 " nodes, epoch %" PRIu64 ", %s", file->last_index,
               file->count, file->epoch, size);
    else
        printf("node %016" PRIx64 ", promised epoch %" PRIu64, file->node_id, file->epoch);
}

static void print_file(const char *name, const struct check_file *file, int rc)
{
    printf("%s: ", name);
    if (rc < 0 && rc != -EBADMSG) {
        printf("%s\n", rc == KV_VERSION ? "written by a newer kvfs" : error_text(rc));
        return;
    }
    if (rc == 0 || file->kind == CHECK_SEGMENT)
        print_kind(file);
    if (rc == 0 && !file->torn)
        printf(": sound\n");
    else
        printf("%s%s at byte %" PRIu64 ": %s; %" PRIu64 " whole ones lie behind\n",
               rc == 0 || file->kind == CHECK_SEGMENT ? ": " : "", file->torn ? "torn" : "damaged", file->damage.offset,
               file->damage.text, file->damage.records_beyond);
}

static json_t *file_json(const char *name, const struct check_file *file, int rc)
{
    static const char *const kinds[] = {"other", "log", "snapshot", "node.conf"};
    const char *state = rc == 0 ? file->torn ? "torn" : "sound" : rc == -EBADMSG ? "damaged" : error_name(rc);
    json_t *json = json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I}", "file", name, "kind", kinds[file->kind], "state", state,
                             "bytes", (json_int_t)file->bytes, "epoch", (json_int_t)file->epoch, "last_index",
                             (json_int_t)file->last_index, "count", (json_int_t)file->count);
    if (rc == -EBADMSG || file->torn)
        json_object_set_new(json, "damage",
                            json_pack("{s:I,s:s,s:I}", "offset", (json_int_t)file->damage.offset, "text",
                                      file->damage.text, "records_beyond", (json_int_t)file->damage.records_beyond));
    return json;
}

static void check_one(struct check *check, const char *name, struct check_file *ret_file)
{
    int rc = check_file(check->disk, name, &check->progress, ret_file);
    progress_clear(&check->line);
    worse(check, rc == 0 ? EXIT_OK : rc == -EBADMSG ? EXIT_NO : EXIT_FAILED);
    if (ret_file->kind == CHECK_OTHER && rc == 0)
        return;
    if (check->files)
        json_array_append_new(check->files, file_json(name, ret_file, rc));
    else
        print_file(name, ret_file, rc);
}

/* A directory */

static void on_name(const char *name, void *user)
{
    struct check *check = user;
    if (check->count < FILES_MAX && strlen(name) < LOG_NAME_BYTES)
        strcpy(check->names[check->count++], name);
}

static int compare_names(const void *a, const void *b) { return strcmp(a, b); }

/* Would a store start from it? Reads it as a store does. */
static bool would_start(struct check *check, struct disk *disk, struct recovery *recovery, char *why, size_t why_bytes)
{
    const struct recovery_options options = {.log = true, .snapshots = true, .root_mode = 0755};
    struct nodeconf conf;
    int rc = nodeconf_load(disk, &conf, why, why_bytes);
    if (rc < 0 && rc != -ENOENT) /* a directory without one is a new node's */
        return false;
    rc = recovery_run(disk, &options, &check->progress, NULL, recovery, why, why_bytes);
    progress_clear(&check->line);
    return rc == 0;
}

static void print_verdict(struct check *check)
{
    struct recovery recovery;
    char why[1024];
    bool starts = would_start(check, check->disk, &recovery, why, sizeof why);
    if (!starts)
        worse(check, EXIT_NO);
    if (check->files)
        output_json(json_pack("{s:s,s:o,s:b,s:s}", "directory", check->path, "files", check->files, "starts", starts,
                              "report", starts ? recovery.report : why));
    else if (starts)
        printf("%s: a store starts from it: up to record %" PRIu64 ", %" PRIu64 " nodes%s%s\n", check->path,
               recovery.index, recovery.tree->node_count, recovery.report[0] ? "; " : "", recovery.report);
    else
        printf("%s: no store starts from it: %s\n", check->path, why);
    if (starts)
        tree_free(recovery.tree);
}

static void check_directory(struct check *check)
{
    struct check_file file;
    int rc = disk_list(check->disk, on_name, check);
    if (rc < 0) {
        tool_complain(check->tool, "%s: %s", check->path, error_text(rc));
        worse(check, EXIT_FAILED);
        return;
    }
    qsort(check->names, check->count, sizeof check->names[0], compare_names);
    for (size_t i = 0; i < check->count; i++)
        check_one(check, check->names[i], &file);
    print_verdict(check);
}

/* A store that runs writes meanwhile, which would look like damage. */
static bool is_in_use(const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/LOCK", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool in_use = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return in_use;
}

/* Repair */

static int fail_repair(struct check *check, const char *out, int rc)
{
    if (rc == -ENODATA)
        tool_complain(check->tool,
                      "%s: there is no sound snapshot and no log from the beginning, so nothing can be saved",
                      check->path);
    else
        tool_complain(check->tool, "cannot write the copy %s: %s", out, error_text(rc));
    return EXIT_FAILED;
}

static int repair_directory(struct check *check, const char *out)
{
    struct disk *to = NULL;
    struct recovery recovery;
    char why[1024];
    int rc = mkdir(out, 0700) < 0 ? -errno : disk_system(out, &to);
    if (rc == 0)
        rc = check_repair(check->disk, to);
    if (rc < 0) {
        disk_free(to);
        return fail_repair(check, out, rc);
    }
    bool starts = would_start(check, to, &recovery, why, sizeof why);
    disk_free(to);
    if (!starts) {
        tool_complain(check->tool, "the copy %s does not start either: %s", out, why);
        return EXIT_NO;
    }
    if (!check->tool->json)
        printf("%s: written; a store starts from it: up to record %" PRIu64 ", %" PRIu64 " nodes\n", out,
               recovery.index, recovery.tree->node_count);
    tree_free(recovery.tree);
    return EXIT_OK;
}

/* A segment up to its damage. Nothing else can be mended by itself. */
static int repair_file(struct check *check, const char *name, const struct check_file *file, char *out)
{
    struct disk *to = NULL;
    char *slash = strrchr(out, '/'), *to_name = slash ? slash + 1 : out;
    if (file->kind != CHECK_SEGMENT || file->good_bytes == 0) {
        tool_complain(check->tool,
                      "%s: only a log can be cut where it is damaged; repair the whole directory, which may "
                      "have what this file has lost",
                      name);
        return EXIT_NO;
    }
    if (slash)
        *slash = '\0';
    int rc = disk_system(!slash ? "." : slash == out ? "/" : out, &to);
    if (rc == 0)
        rc = check_copy(check->disk, name, to, to_name, file->good_bytes);
    if (rc == 0)
        rc = disk_sync_names(to);
    disk_free(to);
    if (slash)
        *slash = '/';
    if (rc < 0)
        return fail_repair(check, out, rc);
    if (!check->tool->json)
        printf("%s: written, up to record %" PRIu64 "\n", out, file->last_index);
    return EXIT_OK;
}

/* The command */

static int check_path_file(struct check *check, char *path, char *out)
{
    struct check_file file;
    char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (slash)
        *slash = '\0';
    int rc = disk_system(!slash ? "." : slash == path ? "/" : path, &check->disk);
    if (rc < 0) {
        tool_complain(check->tool, "%s: %s", path, error_text(rc));
        return EXIT_FAILED;
    }
    check_one(check, name, &file);
    if (file.kind == CHECK_OTHER) {
        tool_complain(check->tool, "%s: that is no name of a log, a snapshot or node.conf", name);
        return EXIT_FAILED;
    }
    if (check->files)
        output_json(check->files);
    return out ? repair_file(check, name, &file, out) : check->exit_code;
}

static int check_path_directory(struct check *check, const char *out)
{
    if (is_in_use(check->path)) {
        tool_complain(check->tool, "%s is in use by a running store: stop that first, or check a copy", check->path);
        return EXIT_FAILED;
    }
    int rc = disk_system(check->path, &check->disk);
    if (rc < 0) {
        tool_complain(check->tool, "%s: %s", check->path, error_text(rc));
        return EXIT_FAILED;
    }
    check_directory(check);
    return out ? repair_directory(check, out) : check->exit_code;
}

int run_check(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"repair", required_argument, NULL, 'r'}, {"quiet", no_argument, NULL, 'q'}, ARGS_COMMON};
    static struct check check;
    struct args args;
    struct stat stat_buf;
    char *out = NULL;
    bool quiet = false;
    args_begin(&args, tool, argc, argv, "q", options);
    for (int option; (option = args_next(&args)) != ARGS_END;)
        if (option == 'r')
            out = optarg;
        else
            quiet = true;
    args_expect(&args, 1, 1);
    check.progress.on_progress = on_progress;
    check.tool = tool;
    check.path = args.words[0];
    if (stat(check.path, &stat_buf) < 0) {
        tool_complain(tool, "%s: %s", check.path, error_text(-errno));
        return EXIT_FAILED;
    }
    check.files = tool->json ? json_array() : NULL;
    progress_begin(&check.line, "check", quiet);
    int exit_code =
        S_ISDIR(stat_buf.st_mode) ? check_path_directory(&check, out) : check_path_file(&check, args.words[0], out);
    progress_clear(&check.line);
    disk_free(check.disk);
    return exit_code;
}
