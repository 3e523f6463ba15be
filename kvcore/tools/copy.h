/* Copying a tree of files from one place to another: a store, a directory of the machine, or an archive.
 *
 *   kv import    directory -> store         kv export   store -> directory
 *   kv dump      store -> archive           kv load     archive -> store
 *
 * A source gives items one after the other, a directory before what is in it; a sink takes them. copy_run moves them,
 * and tells the sink when a directory is complete, which is when its times can be set. What fails on one item is
 * reported and counted, and the rest goes on; only a source or sink that can do nothing more ends the whole.
 *
 * AGAIN AFTER AN INTERRUPTION. A file's time of change is set last, and a long file stands under a temporary name until
 * it is whole. So an item that is there with the same type, size and time needs no copy: sinks that can look are asked
 * first.
 */
#ifndef KV_TOOLS_COPY_H
#define KV_TOOLS_COPY_H

#include "kvcore/base/progress.h"
#include "kvcore/tools/tool.h"

struct item_xattr {
    struct bytes name, value;
};

/* Where a file has data; between is a hole. */
struct item_extent {
    uint64_t offset, length;
};

struct item {
    const char *path; /* below the top: "a/b"; "" is the top itself */
    uint32_t mode;    /* type and permissions, as st_mode */
    uint32_t uid, gid;
    uint64_t size;
    uint64_t rdev;
    int64_t atime_ns, mtime_ns;
    int64_t expires_ns; /* since 1970; 0: never */
    const char *target; /* of a symlink */
    const char *link;   /* the path of an item before, of which this is one more name; NULL: none */
    /* Once source->open has been called. */
    const struct item_xattr *xattrs;
    size_t xattr_count;
    const struct item_extent *extents; /* of a file, in order */
    size_t extent_count;
};

struct copy;

/* Functions return 0, or a negative code when it has failed as a whole, after a message. */
struct source {
    /* 1 and the next item, which stays until the next call; 0 at the end. */
    int (*next)(struct source *source, struct copy *copy, struct item *ret_item);
    /* The item will be copied: finds its xattrs and extents. A negative code concerns this item only. */
    int (*open)(struct source *source, struct copy *copy, struct item *item);
    /* Of a file, in order of offsets, what is no hole: 1 and a piece that stays until the next call; 0 behind the last.
     * A negative code concerns this item only. */
    int (*read)(struct source *source, const struct item *item, uint64_t *ret_offset, struct bytes *ret_piece);
    void (*close)(struct source *source);
    uint64_t (*position)(struct source *source, uint64_t *ret_total); /* bytes; NULL: not known */
};

struct sink {
    /* Is it there, the same? May be NULL. */
    bool (*has)(struct sink *sink, struct copy *copy, const struct item *item);
    /* Makes it: all but a file is whole then. A negative code concerns this item only (-EEXIST of a directory: what is
     * there is none). */
    int (*make)(struct sink *sink, struct copy *copy, const struct item *item);
    int (*write)(struct sink *sink, struct copy *copy, const struct item *item, uint64_t offset, struct bytes piece);
    /* A file: it is whole. `rc` negative: it is not and shall not be seen. */
    int (*end)(struct sink *sink, struct copy *copy, const struct item *item, int rc);
    /* A directory: nothing more comes that is in it. */
    int (*leave)(struct sink *sink, struct copy *copy, const struct item *item);
    /* All has been given: waits for what is under way. */
    int (*finish)(struct sink *sink, struct copy *copy);
    void (*close)(struct sink *sink);
};

struct copy {
    struct tool *tool;
    struct progress progress;
    uint64_t items, same, failed; /* copied; there already; not copied */
    uint64_t bytes;               /* of files copied, without holes */
    int unreachable;              /* the store does not answer any more, with this code: no use in going on */
};

/* 0, or the negative code that ended it. Closes neither. */
int copy_run(struct copy *copy, struct source *source, struct sink *sink);

/* Says what failed on an item, and counts it. */
void copy_complain(struct copy *copy, const char *path, int rc, const char *text);

/* The parts. Each is NULL when there is no memory, or (archives) after a message. */

/* Of a store: what is below the key (""; the root). */
struct source *source_store_new(struct tool *tool, const char *key);
/* Into a store, below the key. `empty`: nothing is there, so nobody is asked. `sorted`: items come in the order of
 * their names, a directory's whole contents behind it. */
struct sink *sink_store_new(struct tool *tool, const char *key, bool empty, bool sorted);

/* Of a directory of the machine. */
struct source *source_disk_new(const char *path);
struct sink *sink_disk_new(const char *path);

/* An archive: archive.c says what it looks like. `path` "-" is a standard stream. */
struct source *source_archive_new(struct tool *tool, const char *path);
struct sink *sink_archive_new(struct tool *tool, const char *path);
/* Reads it to its end and checks all that can be checked. 0, or negative after a message. */
int archive_verify(struct copy *copy, const char *path);

#endif
