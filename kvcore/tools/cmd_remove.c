/* rm: by name, and with -r a directory with all that is in it.
 *
 * The recursion goes by id: what others rename meanwhile is removed where it was found and nowhere else. Files go in
 * batches, one `del` for each page of a listing; a directory goes when it is empty. Like rm(1) it goes on after a
 * failure, and it does not follow symlinks.
 */
#include "kvcore/tools/commands.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/args.h"
#include "kvcore/tools/listing.h"
#include "kvcore/tools/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROGRESS_NS = 200000000 };

struct remover {
    struct tool *tool;
    bool recursive;
    bool force;
    bool progress;    /* stderr is a terminal */
    bool unreachable; /* no use in going on */
    bool shown;
    uint64_t removed;
    uint64_t shown_ns;
};

static void progress_show(struct remover *remover)
{
    uint64_t now_ns = uv_hrtime();
    if (!remover->progress || now_ns - remover->shown_ns < PROGRESS_NS)
        return;
    fprintf(stderr, "\r%" PRIu64 " removed", remover->removed);
    remover->shown_ns = now_ns;
    remover->shown = true;
}

static void progress_clear(struct remover *remover)
{
    if (remover->shown)
        fprintf(stderr, "\r\033[K");
    remover->shown = false;
}

static int worse(int a, int b) { return a > b ? a : b; }

/* What somebody else has removed meanwhile is removed. */
static int check(struct remover *remover, const char *key, const struct kv_reply *reply)
{
    if (reply->error == -ENOENT || reply->error == -ESTALE)
        return EXIT_OK;
    if (reply->error)
        progress_clear(remover);
    int exit_code = tool_check(remover->tool, key, reply);
    remover->unreachable |= exit_code == EXIT_UNREACHABLE;
    return exit_code;
}

static int remove_files(struct remover *remover, const struct kv_ref *refs, size_t count)
{
    struct kv_request request = {.op = KV_OP_DEL, .nodes = refs, .node_count = count};
    if (count == 0 || remover->unreachable)
        return EXIT_OK;
    const struct kv_reply *reply = tool_call(remover->tool, &request);
    int exit_code = check(remover, NULL, reply);
    if (!reply->error)
        remover->removed += reply->uint;
    progress_show(remover);
    return exit_code;
}

static int remove_directory(struct remover *remover, const struct kv_ref *ref, const char *key)
{
    struct kv_request request = {.op = KV_OP_RMDIR, .node = *ref};
    if (remover->unreachable)
        return EXIT_OK;
    const struct kv_reply *reply = tool_call(remover->tool, &request);
    int exit_code = check(remover, key, reply);
    if (!reply->error)
        remover->removed++;
    progress_show(remover);
    return exit_code;
}

static int empty_directory(struct remover *remover, uint64_t id);

/* All that one page names: its directories one by one, its files together. */
static int remove_page(struct remover *remover, uint64_t dir, const struct kv_reply *page)
{
    struct kv_ref *files = calloc(page->count, sizeof *files);
    size_t count = 0;
    int exit_code = EXIT_OK;
    CHECK(files);
    for (size_t i = 0; i < page->count && !remover->unreachable; i++) {
        const struct kv_entry *entry = &page->entries[i];
        struct kv_ref ref = kv_ref_name(dir, entry->name);
        if (!S_ISDIR(entry->attr.mode)) {
            files[count++] = ref;
            continue;
        }
        exit_code = worse(exit_code, empty_directory(remover, entry->attr.id));
        if (exit_code == EXIT_OK)
            exit_code = remove_directory(remover, &ref, NULL);
    }
    exit_code = worse(exit_code, remove_files(remover, files, count));
    free(files);
    return exit_code;
}

static int empty_directory(struct remover *remover, uint64_t id)
{
    struct listing listing;
    const struct kv_entry *entry;
    int exit_code = EXIT_OK, rc;
    listing_begin(&listing, remover->tool, kv_ref_id(id), true);
    while (!remover->unreachable && (rc = listing_peek(&listing, &entry)) != 0) {
        if (rc < 0) {
            exit_code = worse(exit_code, check(remover, NULL, &listing.page.reply));
            break;
        }
        exit_code = worse(exit_code, remove_page(remover, id, &listing.page.reply));
        listing_skip_page(&listing);
    }
    listing_end(&listing);
    return exit_code;
}

static int remove_key(struct remover *remover, const char *key)
{
    struct kv_request request = {.op = KV_OP_UNLINK, .node = tool_ref(key)};
    const struct kv_reply *reply = tool_call(remover->tool, &request);
    if ((reply->error == -ENOENT || reply->error == -ENOTDIR) && remover->force)
        return EXIT_OK;
    if (reply->error != -EISDIR || !remover->recursive) {
        remover->removed += !reply->error;
        return tool_check(remover->tool, key, reply);
    }
    request.op = KV_OP_STAT;
    reply = tool_call(remover->tool, &request);
    if (reply->error)
        return check(remover, key, reply);
    int exit_code = empty_directory(remover, reply->attr.id);
    if (exit_code == EXIT_OK)
        exit_code = remove_directory(remover, &request.node, key);
    progress_clear(remover);
    return exit_code;
}

int run_rm(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {
        {"recursive", no_argument, NULL, 'r'}, {"force", no_argument, NULL, 'f'}, ARGS_COMMON};
    struct args args;
    struct remover remover = {.tool = tool, .progress = isatty(STDERR_FILENO), .shown_ns = uv_hrtime()};
    args_begin(&args, tool, argc, argv, "rRf", options);
    for (int option; (option = args_next(&args)) != ARGS_END;)
        if (option == 'f')
            remover.force = true;
        else
            remover.recursive = true;
    args_expect(&args, 1, -1);
    int exit_code = EXIT_OK;
    for (int i = 0; i < args.count && exit_code != EXIT_UNREACHABLE; i++) {
        char *key = args_directory(args.words[i]);
        if (!*key)
            args_fail(&args, "the root stays; name what is in it");
        exit_code = worse(exit_code, remove_key(&remover, key));
    }
    if (tool->json)
        output_json(json_pack("{s:I}", "removed", (json_int_t)remover.removed));
    return exit_code;
}
