#include "fsd/options.h"

#include "kvcore/base/error.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEO_DEFAULT_S = 5, TIMEO_MAX_S = 86400 };

struct parse {
    struct options *options;
    bool from_mount; /* called as mount.kvfs, whose -f means fake */
    bool sloppy;
    bool soft;
    uint32_t timeo_s;
    const char *names[2];
    int name_count;
    char *why;
    size_t why_bytes;
};

enum action {
    IGNORE,
    TO_FUSE,
    TO_STORE,
    SET_FLAG,
    SET_SOFT,
    SET_SLOPPY,
    SET_F,
    SET_TIMEO,
    SET_UID,
    SET_GID,
    SET_UMASK
};

struct rule {
    const char *name;
    enum action action;
    size_t flag; /* SET_FLAG: where in struct options */
};

/* What stands on the command line by itself. */
static const struct rule switches[] = {
    {"-f", SET_F, 0},
    {"-d", SET_FLAG, offsetof(struct options, debug)},
    {"-h", SET_FLAG, offsetof(struct options, help)},
    {"--help", SET_FLAG, offsetof(struct options, help)},
    {"-V", SET_FLAG, offsetof(struct options, version)},
    {"--version", SET_FLAG, offsetof(struct options, version)},
    /* Said by mount(8). */
    {"-s", SET_SLOPPY, 0},
    {"-n", IGNORE, 0},
    {"-v", IGNORE, 0},
    {NULL},
};

/* What stands behind -o. A name that ends in '=' has a value behind it; one that ends in '-' is the beginning of many
 * names. */
static const struct rule words[] = {
    {"debug", SET_FLAG, offsetof(struct options, debug)},
    {"nonempty", SET_FLAG, offsetof(struct options, nonempty)},
    {"uid=", SET_UID, 0},
    {"gid=", SET_GID, 0},
    {"umask=", SET_UMASK, 0},
    {"timeo=", SET_TIMEO, 0},
    {"soft", SET_SOFT, 1},
    {"hard", SET_SOFT, 0},
    {"durability=", TO_STORE, 0},
    {"persistence=", TO_STORE, 0},
    {"save=", TO_STORE, 0},
    {"keep-snapshots=", TO_STORE, 0},
    {"snapshot-at-exit=", TO_STORE, 0},
    {"allow_other", TO_FUSE, 0},
    {"auto_unmount", TO_FUSE, 0},
    {"ro", TO_FUSE, 0},
    {"suid", TO_FUSE, 0},
    {"nosuid", TO_FUSE, 0},
    {"dev", TO_FUSE, 0},
    {"nodev", TO_FUSE, 0},
    {"exec", TO_FUSE, 0},
    {"noexec", TO_FUSE, 0},
    {"sync", TO_FUSE, 0},
    {"async", TO_FUSE, 0},
    {"dirsync", TO_FUSE, 0},
    {"noatime", TO_FUSE, 0},
    /* Said to mount(8) and systemd.mount(5), or true anyway. */
    {"rw", IGNORE, 0},
    {"defaults", IGNORE, 0},
    {"default_permissions", IGNORE, 0},
    {"atime", IGNORE, 0},
    {"diratime", IGNORE, 0},
    {"nodiratime", IGNORE, 0},
    {"relatime", IGNORE, 0},
    {"norelatime", IGNORE, 0},
    {"strictatime", IGNORE, 0},
    {"nostrictatime", IGNORE, 0},
    {"lazytime", IGNORE, 0},
    {"nolazytime", IGNORE, 0},
    {"auto", IGNORE, 0},
    {"noauto", IGNORE, 0},
    {"user", IGNORE, 0},
    {"user=", IGNORE, 0},
    {"nouser", IGNORE, 0},
    {"users", IGNORE, 0},
    {"owner", IGNORE, 0},
    {"group", IGNORE, 0},
    {"nofail", IGNORE, 0},
    {"_netdev", IGNORE, 0},
    {"comment=", IGNORE, 0},
    {"x-", IGNORE, 0},
    {NULL},
};

static const struct rule *rule_of(const struct rule *rule, const char *option)
{
    for (; rule->name; rule++) {
        size_t len = strlen(rule->name);
        char last = rule->name[len - 1];
        bool open_end = last == '=' || last == '-';
        if (open_end ? strncmp(option, rule->name, len) == 0 : strcmp(option, rule->name) == 0)
            return rule;
    }
    return NULL;
}

static int __attribute__((format(printf, 2, 3))) refuse(struct parse *parse, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(parse->why, parse->why_bytes, format, args);
    va_end(args);
    return -EINVAL;
}

/* The number behind '=' in `option`, all of it. */
static int number_of(struct parse *parse, const char *option, int base, uint32_t max, uint32_t *ret_number)
{
    const char *text = strchr(option, '=') + 1;
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, base);
    if (text[0] < '0' || text[0] > '9' || *end || errno || number > max)
        return refuse(parse, base == 8 ? "option %s: not an octal number up to %o" : "option %s: not a number up to %u",
                      option, max);
    *ret_number = (uint32_t)number;
    return 0;
}

static int take_option(struct parse *parse, const struct rule *rules, const char *option)
{
    struct options *options = parse->options;
    const struct rule *rule = rule_of(rules, option);
    if (!rule)
        return parse->sloppy ? 0 : refuse(parse, "unknown option: %s; kvfs -h lists what there is", option);
    switch (rule->action) {
    case IGNORE:
        return 0;
    case TO_FUSE:
        return buf_printf(&options->mount_options, ",%s", option);
    case TO_STORE:
        return buf_append(&options->keeping, option, strlen(option) + 1);
    case SET_FLAG:
        *((bool *)((char *)options + rule->flag)) = true;
        return 0;
    case SET_SOFT:
        parse->soft = rule->flag;
        return 0;
    case SET_SLOPPY:
        parse->sloppy = true;
        return 0;
    case SET_F:
        *(parse->from_mount ? &options->fake : &options->foreground) = true;
        return 0;
    case SET_TIMEO: {
        int rc = number_of(parse, option, 10, TIMEO_MAX_S, &parse->timeo_s);
        return rc == 0 && !parse->timeo_s ? refuse(parse, "option %s: at least 1 second", option) : rc;
    }
    case SET_UID:
        options->view.has_uid = true;
        return number_of(parse, option, 10, UINT32_MAX - 1, &options->view.uid);
    case SET_GID:
        options->view.has_gid = true;
        return number_of(parse, option, 10, UINT32_MAX - 1, &options->view.gid);
    case SET_UMASK:
        options->view.has_umask = true;
        return number_of(parse, option, 8, 0777, &options->view.umask);
    }
    return 0;
}

/* The text behind -o: options joined by commas. */
static int take_options(struct parse *parse, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, ",");
        char *option = strndup(text, len);
        if (!option)
            return -ENOMEM;
        int rc = len ? take_option(parse, words, option) : 0;
        free(option);
        if (rc < 0)
            return rc;
        text += len + (text[len] == ',');
    }
    return 0;
}

static int take_name(struct parse *parse, const char *name)
{
    if (parse->name_count == 2)
        return refuse(parse, "%s: one name too many; usage: kvfs [STORE] MOUNTPOINT [-o option,...]", name);
    parse->names[parse->name_count++] = name;
    return 0;
}

static int take_arguments(struct parse *parse, int argc, char **argv)
{
    bool only_names = false;
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i];
        bool has_value = parse->from_mount && (strcmp(argument, "-N") == 0 || strcmp(argument, "-t") == 0);
        int rc = 0;
        if (only_names || argument[0] != '-' || !argument[1])
            rc = take_name(parse, argument);
        else if (strcmp(argument, "--") == 0)
            only_names = true;
        else if (has_value)
            i++;
        else if (argument[1] != 'o')
            rc = take_option(parse, switches, argument);
        else if (argument[2])
            rc = take_options(parse, argument + 2);
        else if (i + 1 < argc)
            rc = take_options(parse, argv[++i]);
        else
            rc = refuse(parse, "-o: options are missing behind it");
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Where data goes that the user gave no place for (XDG Base Directory Specification). */
static int default_store(struct parse *parse, char *ret_path, size_t path_bytes)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int len;
    if (data && data[0] == '/')
        len = snprintf(ret_path, path_bytes, "%s/kvfs", data);
    else if (home && home[0] == '/')
        len = snprintf(ret_path, path_bytes, "%s/.local/share/kvfs", home);
    else
        return refuse(parse,
                      "no store given and neither XDG_DATA_HOME nor HOME is set; name a directory or an address");
    return (size_t)len < path_bytes ? 0 : refuse(parse, "the path of the default store is too long");
}

/* `path` as it is named from the root, since a daemon's working directory is the root. */
static int absolute(struct parse *parse, const char *path, char *ret_path, size_t path_bytes)
{
    char here[PATH_MAX] = "";
    if (path[0] != '/' && !getcwd(here, sizeof here))
        return refuse(parse, "%s: the working directory has no name: %s", path, strerror(errno));
    int len = snprintf(ret_path, path_bytes, "%s%s%s", here, path[0] == '/' ? "" : "/", path);
    return (size_t)len < path_bytes ? 0 : refuse(parse, "%s: the path is too long", path);
}

static int take_store(struct parse *parse)
{
    struct address *store = &parse->options->store;
    char text[sizeof store->path];
    int rc = parse->name_count == 2 ? 0 : default_store(parse, text, sizeof text);
    if (rc < 0)
        return rc;
    rc = address_parse(parse->name_count == 2 ? parse->names[0] : text, store, parse->why, parse->why_bytes);
    if (rc == 0 && store->kind != ADDRESS_DIRECTORY && parse->options->keeping.len)
        return refuse(parse, "option %s: how a server keeps its data is the server's to say",
                      parse->options->keeping.data);
    if (rc < 0 || store->kind == ADDRESS_TCP)
        return rc;
    snprintf(text, sizeof text, "%s", store->path);
    rc = absolute(parse, text, store->path, sizeof store->path);
    if (rc == 0 && store->kind == ADDRESS_DIRECTORY)
        snprintf(store->text, sizeof store->text, "%s", store->path);
    return rc;
}

/* [STORE] MOUNTPOINT. An address is no mount point; it is not repeated, since it may hold a password. */
static int take_names(struct parse *parse)
{
    static const char usage[] = "usage: kvfs [STORE] MOUNTPOINT [-o option,...]";
    const char *mountpoint = parse->name_count ? parse->names[parse->name_count - 1] : NULL;
    if (!mountpoint)
        return refuse(parse, "where to mount is missing; %s", usage);
    if (parse->name_count == 2 && !parse->names[0][0])
        return refuse(parse, "the store's name is empty; %s", usage);
    if (!mountpoint[0])
        return refuse(parse, "the mount point's name is empty; %s", usage);
    if (strstr(mountpoint, "://") && parse->name_count == 1)
        return refuse(parse, "where to mount is missing: only a store is given; %s", usage);
    if (strstr(mountpoint, "://"))
        return refuse(parse, "the mount point is the address of a store: the store comes first; %s", usage);
    int rc = take_store(parse);
    if (rc < 0)
        return rc;
    return absolute(parse, mountpoint, parse->options->mountpoint, sizeof parse->options->mountpoint);
}

int options_parse(int argc, char **argv, struct options *ret_options, char *ret_why, size_t why_bytes)
{
    struct options options = {0};
    const char *slash = argc ? strrchr(argv[0], '/') : NULL;
    const char *program = slash ? slash + 1 : argc ? argv[0] : "";
    struct parse parse = {
        .options = &options,
        .from_mount = strncmp(program, "mount.", 6) == 0,
        .timeo_s = TIMEO_DEFAULT_S,
        .why = ret_why,
        .why_bytes = why_bytes,
    };
    snprintf(ret_why, why_bytes, "out of memory");
    int rc = take_arguments(&parse, argc, argv);
    if (rc < 0)
        goto err_options;
    if (!options.help && !options.version) {
        rc = take_names(&parse);
        if (rc < 0)
            goto err_options;
    }
    options.foreground |= options.debug;
    options.timeout_ms = parse.soft ? parse.timeo_s * 1000 : 0;
    *ret_options = options;
    return 0;

err_options:
    options_close(&options);
    return rc;
}

void options_close(struct options *options)
{
    buf_close(&options->mount_options);
    buf_close(&options->keeping);
}

char *options_text(const struct options *options)
{
    const struct attr_view *view = &options->view;
    struct buf text = {0};
    int rc = buf_printf(&text, "store: %s\nmountpoint: %s\nserver_away: %s\n", options->store.text, options->mountpoint,
                        options->timeout_ms ? "soft" : "hard");
    if (rc == 0 && options->timeout_ms)
        rc = buf_printf(&text, "timeo: %u\n", options->timeout_ms / 1000);
    if (rc == 0 && view->has_uid)
        rc = buf_printf(&text, "uid: %u\n", view->uid);
    if (rc == 0 && view->has_gid)
        rc = buf_printf(&text, "gid: %u\n", view->gid);
    if (rc == 0 && view->has_umask)
        rc = buf_printf(&text, "umask: %03o\n", view->umask);
    for (size_t at = 0; rc == 0 && at < options->keeping.len; at += strlen(options->keeping.data + at) + 1) {
        const char *option = options->keeping.data + at, *value = strchr(option, '=') + 1;
        rc = buf_printf(&text, "%.*s: %s\n", (int)(value - 1 - option), option, value);
    }
    if (rc == 0 && options->mount_options.len)
        rc = buf_printf(&text, "mount: %.*s\n", (int)options->mount_options.len - 1, options->mount_options.data + 1);
    if (rc == 0)
        rc = buf_append(&text, "", 1);
    if (rc == 0)
        return text.data;
    buf_close(&text);
    return NULL;
}
