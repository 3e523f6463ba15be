#include "kvcore/tools/explain.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/output.h"

#include <stdlib.h>
#include <sys/stat.h>

static bool say(FILE *out, const char *before, struct bytes key, const char *behind)
{
    fputs(before, out);
    output_quoted(out, key.len ? key : bytes_of("/"));
    fputs(behind, out);
    return true;
}

/* The first thing on the way to a key that is not there, or is no directory. */
static bool explain_way(struct tool *tool, const char *key, FILE *out)
{
    char *above = strdup(key);
    bool explained = false;
    CHECK(above);
    for (char *slash = above; !explained && (slash = strchr(slash, '/')); slash++) {
        struct kv_attr attr;
        *slash = '\0';
        int rc = tool_stat(tool, above, KV_OPT_FOLLOW, &attr);
        if (rc == -ENOENT)
            explained = say(out, "there is no directory ", bytes_of(above), "");
        else if (rc == 0 && !S_ISDIR(attr.mode))
            explained = say(out, "", bytes_of(above), " is not a directory");
        else if (rc < 0)
            break;
        *slash = '/';
    }
    free(above);
    return explained;
}

bool explain_one(struct tool *tool, const char *key, int code, FILE *out)
{
    switch (code) {
    case -EISDIR:
        return say(out, "", bytes_of(key), " is a directory");
    case -ENOTDIR:
        return explain_way(tool, key, out) || say(out, "", bytes_of(key), " is not a directory");
    case -EINVAL:
        return tool->last_op == KV_OP_READLINK && say(out, "", bytes_of(key), " is not a symbolic link");
    default:
        return false;
    }
}

/* --- two names -------------------------------------------------------------------------------------------------- */

/* Which of the two is not there. A symbolic link's first name need not lead anywhere. */
static bool explain_missing(struct tool *tool, const char *from, const char *to, FILE *out)
{
    struct kv_attr attr;
    bool symbolic = tool->last_op == KV_OP_SYMLINK;
    if (symbolic && !*from)
        return fputs("a symbolic link cannot lead to an empty name", out) >= 0;
    if (!symbolic && tool_stat(tool, from, 0, &attr) == -ENOENT)
        return say(out, "there is no ", bytes_of(from), "");
    if (explain_way(tool, to, out))
        return true;
    return tool_stat(tool, to, 0, &attr) == -ENOENT && say(out, "there is no ", bytes_of(to), "");
}

static bool explain_not_directory(struct tool *tool, const char *from, const char *to, FILE *out)
{
    if (tool->last_op != KV_OP_SYMLINK && explain_way(tool, from, out))
        return true;
    if (explain_way(tool, to, out))
        return true;
    return say(out, "", bytes_of(from), " is a directory") && say(out, ", but ", bytes_of(to), " is not");
}

bool explain_pair(struct tool *tool, const char *from, const char *to, int code, FILE *out)
{
    bool rename = tool->last_op == KV_OP_RENAME, link = tool->last_op == KV_OP_LINK;
    switch (code) {
    case -ENOENT:
        return explain_missing(tool, from, to, out);
    case -ENOTDIR:
        return explain_not_directory(tool, from, to, out);
    case -EISDIR:
        return say(out, "", bytes_of(to), " is a directory");
    case -EEXIST:
        return say(out, "", bytes_of(to), " exists already");
    case -ENOTEMPTY:
        return say(out, "the directory ", bytes_of(to), " is not empty");
    case -EINVAL:
        return rename && fputs("cannot move a directory into itself", out) >= 0;
    case -EBUSY:
        return rename && fputs("the root can be neither moved nor replaced", out) >= 0;
    case -EPERM:
        return link && say(out, "", bytes_of(from), " is a directory, and there are no hard links to directories");
    default:
        return false;
    }
}

/* --- what next -------------------------------------------------------------------------------------------------- */

static const char *next_for_directory(enum kv_op op)
{
    switch (op) {
    case KV_OP_GET:
    case KV_OP_GETRANGE:
    case KV_OP_SET:
    case KV_OP_APPEND:
    case KV_OP_SETRANGE:
        return "kv ls shows it, kv rm -r removes it";
    case KV_OP_UNLINK:
        return "kv rm -r removes it with all that is in it";
    case KV_OP_RENAME:
        return "to move something into a directory, give its whole new name";
    default:
        return NULL;
    }
}

const char *explain_next(enum kv_op op, int code)
{
    switch (code) {
    case KV_NOAUTH:
        return "give the password with --password-file, $KV_PASSWORD or in the address";
    case KV_READONLY:
        return "send writes to the primary";
    case KV_LOADING:
    case KV_BUSY:
        return "try again in a moment";
    case -EISDIR:
        return next_for_directory(op);
    case -ENOTEMPTY:
        return op == KV_OP_RMDIR ? "kv rm -r removes a directory with all that is in it" : NULL;
    case -ENOSPC:
        return "remove something, or give the store more memory (maxmemory) or its data directory more room";
    default:
        return NULL;
    }
}
