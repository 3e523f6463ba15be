/* Directories for people: ls, tree. */
#include "kvcore/tools/commands.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/args.h"
#include "kvcore/tools/attr_text.h"
#include "kvcore/tools/listing.h"
#include "kvcore/tools/output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

/* The `-> target` behind a symlink; what has gone meanwhile gets none. */
static void print_target(struct tool *tool, const struct kv_attr *attr, bool quoted)
{
    if (!S_ISLNK(attr->mode))
        return;
    struct kv_request request = {.op = KV_OP_READLINK, .node = kv_ref_id(attr->id)};
    const struct kv_reply *reply = tool_call(tool, &request);
    if (reply->error)
        return;
    fputs(" -> ", stdout);
    output_name(stdout, kv_reply_bytes(reply), quoted);
}

/* --- ls --------------------------------------------------------------------------------------------------------- */

struct ls {
    struct tool *tool;
    bool long_form;
    bool quoted;     /* names are for people: on a terminal, and in lines that hold more than a name */
    char terminator; /* '\n', or '\0' for -0 */
    const char *after;
    uint32_t limit; /* 0: all, page by page */
    int64_t now_s;
    bool json_open; /* an entry of the JSON list has been printed */
};

/* How wide the columns of ls -l are: as the widest entry of the page. */
struct widths {
    int nlink, user, group, size;
};

static int widest(int so_far, int len) { return len > so_far ? len : so_far; }

static struct widths widths_of(const struct kv_reply *page)
{
    struct widths widths = {0};
    for (size_t i = 0; i < page->count; i++) {
        const struct kv_attr *attr = &page->entries[i].attr;
        widths.nlink = widest(widths.nlink, snprintf(NULL, 0, "%u", attr->nlink));
        widths.user = widest(widths.user, (int)strlen(attr_user(attr->uid)));
        widths.group = widest(widths.group, (int)strlen(attr_group(attr->gid)));
        widths.size = widest(widths.size, snprintf(NULL, 0, "%" PRIu64, attr->size));
    }
    return widths;
}

static void print_long(struct ls *ls, const struct widths *widths, const struct kv_entry *entry)
{
    const struct kv_attr *attr = &entry->attr;
    printf("%s %*u %-*s %-*s ", attr_mode(attr->mode).text, widths->nlink, attr->nlink, widths->user,
           attr_user(attr->uid), widths->group, attr_group(attr->gid));
    if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
        printf("%u, %u ", major(attr->rdev), minor(attr->rdev));
    else
        printf("%*" PRIu64 " ", widths->size, attr->size);
    printf("%s ", attr_time_short(attr->mtime_ns, ls->now_s).text);
    output_name(stdout, entry->name, ls->quoted);
    print_target(ls->tool, attr, ls->quoted);
    fputc(ls->terminator, stdout);
}

static void print_plain(const struct ls *ls, const struct kv_entry *entry)
{
    output_name(stdout, entry->name, ls->quoted);
    if (ls->quoted && S_ISDIR(entry->attr.mode))
        fputc('/', stdout);
    fputc(ls->terminator, stdout);
}

/* A list is printed entry by entry, so that it need not fit in memory. */
static void print_json(struct ls *ls, const struct kv_entry *entry)
{
    json_t *value = ls->long_form ? attr_json(&entry->attr, "name", &entry->name) : output_json_bytes(entry->name);
    CHECK(value);
    fputs(ls->json_open ? ",\n" : "[\n", stdout);
    json_dumpf(value, stdout, JSON_ENCODE_ANY);
    json_decref(value);
    ls->json_open = true;
}

static void print_page(struct ls *ls, const struct kv_reply *page)
{
    struct widths widths = ls->long_form ? widths_of(page) : (struct widths){0};
    for (size_t i = 0; i < page->count; i++)
        if (ls->tool->json)
            print_json(ls, &page->entries[i]);
        else if (ls->long_form)
            print_long(ls, &widths, &page->entries[i]);
        else
            print_plain(ls, &page->entries[i]);
}

static void print_end(struct ls *ls)
{
    if (ls->tool->json)
        fputs(ls->json_open ? "\n]\n" : "[]\n", stdout);
}

/* ls of a file is the file itself, as with ls(1). */
static int ls_file(struct ls *ls, const char *key)
{
    struct kv_request request = {.op = KV_OP_STAT, .node = tool_ref(key), .options = KV_OPT_FOLLOW};
    const struct kv_reply *reply = tool_call(ls->tool, &request);
    int exit_code = tool_check(ls->tool, key, reply);
    if (exit_code)
        return exit_code;
    struct kv_entry entry = {.name = bytes_of(key), .attr = reply->attr};
    struct kv_reply page = {.entries = &entry, .count = 1};
    print_page(ls, &page);
    print_end(ls);
    return EXIT_OK;
}

static int ls_directory(struct ls *ls, const char *key)
{
    struct listing listing;
    const struct kv_entry *entry;
    int rc;
    listing_begin(&listing, ls->tool, tool_ref(key), ls->long_form || ls->quoted);
    if (ls->limit)
        listing_limit(&listing, ls->limit);
    if (ls->after)
        CHECK(listing_after(&listing, bytes_of(ls->after)) == 0);
    while ((rc = listing_peek(&listing, &entry)) > 0 && !output_failed()) {
        print_page(ls, &listing.page.reply);
        listing_skip_page(&listing);
    }
    if (rc == -ENOTDIR && !ls->after)
        rc = ls_file(ls, key);
    else if (rc < 0)
        rc = tool_check(ls->tool, key, &listing.page.reply);
    else
        print_end(ls);
    listing_end(&listing);
    return rc;
}

int run_ls(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"long", no_argument, NULL, 'l'},
                                            {"null", no_argument, NULL, '0'},
                                            {"after", required_argument, NULL, 'a'},
                                            {"limit", required_argument, NULL, 'n'},
                                            ARGS_COMMON};
    struct args args;
    struct ls ls = {.tool = tool, .terminator = '\n', .now_s = time(NULL)};
    args_begin(&args, tool, argc, argv, "l0", options);
    for (int option; (option = args_next(&args)) != ARGS_END;)
        switch (option) {
        case 'l':
            ls.long_form = true;
            break;
        case '0':
            ls.terminator = '\0';
            break;
        case 'a':
            ls.after = optarg;
            break;
        case 'n':
            ls.limit = (uint32_t)args_integer(&args, "--limit", optarg, 1, LISTING_MAX);
            break;
        }
    args_expect(&args, 0, 1);
    ls.quoted = (output_is_terminal() || ls.long_form) && ls.terminator == '\n';
    return ls_directory(&ls, args.count ? args_directory(args.words[0]) : "");
}

/* --- tree ------------------------------------------------------------------------------------------------------- */

struct tree_print {
    struct tool *tool;
    int depth_max;
    uint64_t directories, files;
    struct buf indent; /* "│   " for each level that goes on below */
};

static int tree_level(struct tree_print *tree, uint64_t id, int depth);

static int tree_entry(struct tree_print *tree, const struct kv_entry *entry, bool last, int depth)
{
    struct kv_attr attr = entry->attr; /* the entry goes with the next request */
    output_bytes(buf_bytes(&tree->indent));
    fputs(last ? "└── " : "├── ", stdout);
    output_name(stdout, entry->name, true);
    print_target(tree->tool, &attr, true);
    fputc('\n', stdout);
    if (!S_ISDIR(attr.mode)) {
        tree->files++;
        return EXIT_OK;
    }
    tree->directories++;
    if (depth >= tree->depth_max)
        return EXIT_OK;
    size_t indent = tree->indent.len;
    CHECK(buf_printf(&tree->indent, "%s", last ? "    " : "│   ") == 0);
    int exit_code = tree_level(tree, attr.id, depth + 1);
    tree->indent.len = indent;
    return exit_code;
}

/* Keeps a copy of the entry at hand, since to know whether it is the last one the page may have to turn. */
static int tree_level(struct tree_print *tree, uint64_t id, int depth)
{
    struct listing listing;
    const struct kv_entry *found, *next;
    int exit_code = EXIT_OK, rc;
    char name[NAME_BYTES_MAX];
    listing_begin(&listing, tree->tool, kv_ref_id(id), true);
    while ((rc = listing_next(&listing, &found)) > 0 && exit_code == EXIT_OK && !output_failed()) {
        struct kv_entry entry = *found;
        CHECK(entry.name.len <= sizeof name);
        memcpy(name, entry.name.data, entry.name.len);
        entry.name.data = name;
        exit_code = tree_entry(tree, &entry, listing_peek(&listing, &next) <= 0, depth);
    }
    /* What was removed while we walked is no failure. */
    if (rc < 0 && rc != -ENOENT && rc != -ESTALE)
        exit_code = tool_check(tree->tool, NULL, &listing.page.reply);
    listing_end(&listing);
    return exit_code;
}

static int tree_whole(struct tree_print *tree, const char *key)
{
    struct kv_request request = {.op = KV_OP_STAT, .node = tool_ref(key), .options = KV_OPT_FOLLOW};
    const struct kv_reply *reply = tool_call(tree->tool, &request);
    int exit_code = tool_check(tree->tool, key, reply);
    if (exit_code)
        return exit_code;
    if (!S_ISDIR(reply->attr.mode)) {
        tool_complain(tree->tool, "%s is not a directory (ENOTDIR)", key);
        return EXIT_FAILED;
    }
    output_name(stdout, bytes_of(*key ? key : "/"), true);
    fputc('\n', stdout);
    exit_code = tree_level(tree, reply->attr.id, 1);
    if (exit_code == EXIT_OK)
        printf("\n%" PRIu64 " director%s, %" PRIu64 " file%s\n", tree->directories,
               tree->directories == 1 ? "y" : "ies", tree->files, tree->files == 1 ? "" : "s");
    return exit_code;
}

int run_tree(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"depth", required_argument, NULL, 'd'}, ARGS_COMMON};
    struct args args;
    struct tree_print tree = {.tool = tool, .depth_max = INT32_MAX};
    args_begin(&args, tool, argc, argv, "", options);
    while (args_next(&args) != ARGS_END)
        tree.depth_max = (int)args_integer(&args, "--depth", optarg, 1, INT32_MAX);
    args_expect(&args, 0, 1);
    if (tool->json)
        args_fail(&args, "there is no JSON form; use kv ls --json -l");
    int exit_code = tree_whole(&tree, args.count ? args_directory(args.words[0]) : "");
    buf_close(&tree.indent);
    return exit_code;
}
