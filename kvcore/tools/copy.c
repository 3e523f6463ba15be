#include "kvcore/tools/copy.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A directory that is being filled. */
struct open_dir {
    struct open_dir *outer;
    struct item item;
    struct item_xattr *xattrs;
    char text[]; /* what item and xattrs point to */
};

void copy_complain(struct copy *copy, const char *path, int rc, const char *text)
{
    progress_clear(&copy->progress);
    fprintf(stderr, "kv: %s ", copy->tool->command->name);
    output_name(stderr, bytes_of(*path ? path : "."), true);
    fprintf(stderr, ": %s (%s)\n", text && *text ? text : error_text(rc), error_name(rc));
    copy->failed++;
    if (rc == -ECONNREFUSED || rc == -ETIMEDOUT || rc == -ECONNRESET)
        copy->unreachable = rc;
}

static bool is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return len == 0 || (strncmp(path, dir, len) == 0 && path[len] == '/');
}

static char *keep(char **at, const void *data, size_t len)
{
    char *kept = *at;
    if (len)
        memcpy(kept, data, len);
    *at += len;
    return kept;
}

/* Remembers a directory with its xattrs, which are set when it is complete. NULL: out of memory. */
static struct open_dir *dir_enter(struct open_dir *outer, const struct item *item)
{
    size_t bytes = strlen(item->path) + 1;
    for (size_t i = 0; i < item->xattr_count; i++)
        bytes += item->xattrs[i].name.len + item->xattrs[i].value.len;
    struct open_dir *dir = calloc(1, sizeof *dir + bytes);
    struct item_xattr *xattrs = calloc(item->xattr_count + 1, sizeof *xattrs);
    if (!dir || !xattrs) {
        free(dir);
        free(xattrs);
        return NULL;
    }
    char *at = dir->text;
    dir->outer = outer;
    dir->item = *item;
    dir->item.path = keep(&at, item->path, strlen(item->path) + 1);
    for (size_t i = 0; i < item->xattr_count; i++) {
        const struct item_xattr *xattr = &item->xattrs[i];
        xattrs[i].name = bytes_make(keep(&at, xattr->name.data, xattr->name.len), xattr->name.len);
        xattrs[i].value = bytes_make(keep(&at, xattr->value.data, xattr->value.len), xattr->value.len);
    }
    dir->item.xattrs = dir->xattrs = xattrs;
    return dir;
}

static void dir_free(struct open_dir *dir)
{
    free(dir->xattrs);
    free(dir);
}

/* Leaves the directories that `path` (NULL: nothing) is not below. */
static void leave_dirs(struct copy *copy, struct sink *sink, struct open_dir **dirs, const char *path)
{
    while (*dirs && (!path || !is_below(path, (*dirs)->item.path))) {
        struct open_dir *dir = *dirs;
        *dirs = dir->outer;
        int rc = sink->leave(sink, copy, &dir->item);
        if (rc < 0)
            copy_complain(copy, dir->item.path, rc, NULL);
        dir_free(dir);
    }
}

static int copy_data(struct copy *copy, struct source *source, struct sink *sink, const struct item *item)
{
    uint64_t offset;
    struct bytes piece;
    int rc;
    while ((rc = source->read(source, item, &offset, &piece)) > 0) {
        rc = sink->write(sink, copy, item, offset, piece);
        if (rc < 0)
            break;
        copy->bytes += piece.len;
    }
    return sink->end(sink, copy, item, rc);
}

static int copy_item(struct copy *copy, struct source *source, struct sink *sink, struct item *item)
{
    int rc = item->link ? 0 : source->open(source, copy, item);
    if (rc == 0)
        rc = sink->make(sink, copy, item);
    if (rc == 0 && S_ISREG(item->mode) && !item->link)
        rc = copy_data(copy, source, sink, item);
    return rc;
}

/* A directory is entered even if it is there already: what is in it may not be. */
static int take(struct copy *copy, struct source *source, struct sink *sink, struct item *item, struct open_dir **dirs)
{
    bool is_dir = S_ISDIR(item->mode);
    if (!is_dir && sink->has && sink->has(sink, copy, item)) {
        copy->same++;
        return 0;
    }
    int rc = copy_item(copy, source, sink, item);
    if (rc == -ESTALE) /* removed while we were at it: it is as if it had been gone before */
        return 0;
    if (rc < 0) {
        copy_complain(copy, item->path, rc, NULL);
        return 0;
    }
    copy->items++;
    if (is_dir) {
        struct open_dir *dir = dir_enter(*dirs, item);
        if (!dir)
            return -ENOMEM;
        *dirs = dir;
    }
    return 0;
}

int copy_run(struct copy *copy, struct source *source, struct sink *sink)
{
    struct open_dir *dirs = NULL;
    struct item item;
    int rc;
    while ((rc = source->next(source, copy, &item)) > 0) {
        leave_dirs(copy, sink, &dirs, item.path);
        rc = copy->unreachable ? copy->unreachable : take(copy, source, sink, &item, &dirs);
        if (rc < 0)
            break;
        uint64_t total = 0, done = source->position ? source->position(source, &total) : copy->bytes;
        progress_show(&copy->progress, copy->items + copy->same, done, total);
    }
    leave_dirs(copy, sink, &dirs, NULL);
    int finished = sink->finish(sink, copy);
    progress_clear(&copy->progress);
    return rc < 0 ? rc : finished;
}
