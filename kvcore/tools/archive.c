/* A whole store in one file: what `kv dump` writes and `kv load` reads. docs/formats.md, "Dump", has the details.
 *
 * It is a tar archive in pax format (POSIX.1-2001), compressed by lz4 with a checksum for each block and the stream,
 * read and written by libarchive: so that tar and bsdtar can look into a dump, unpack it, and make one. What tar does
 * not know stands in xattrs (`user.kv.expires`) and in two entries under a name that no key can have:
 *
 *   .kvfs/dump   first: "kvfs dump 1", the format's version
 *   .kvfs/end    last: how many entries and bytes there are, so that a dump that ends too early is known as one
 *
 * Memory is bounded by one piece; nothing needs to be seekable. Damage is found by the checksums, and told with the
 * offset in the file up to which all was well.
 */
#include "kvcore/tools/copy.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_FIRST   OWN_NAME "/dump"
#define ENTRY_LAST    OWN_NAME "/end"
#define XATTR_EXPIRES "user.kv.expires"

enum { FORMAT_VERSION = 1, BLOCK_BYTES = 65536, XATTRS_MAX = 1024, OWN_TEXT_BYTES = 128 };

/* --- writing --- */

struct sink_archive {
    struct sink sink; /* first */
    struct tool *tool;
    const char *path;
    struct archive *archive;
    uint64_t items, bytes;
    uint64_t at; /* of the current file */
};

static int write_failed(struct sink_archive *sink)
{
    tool_complain(sink->tool, "%s: %s", sink->path, archive_error_string(sink->archive));
    return -EIO;
}

/* A name that is no text of the locale draws a warning; the bytes are kept. */
static bool is_bad(la_ssize_t rc) { return rc < ARCHIVE_WARN; }

static int write_own(struct sink_archive *sink, const char *name, const char *text)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return -ENOMEM;
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0400);
    archive_entry_set_size(entry, (la_int64_t)strlen(text));
    bool bad = is_bad(archive_write_header(sink->archive, entry)) ||
               is_bad(archive_write_data(sink->archive, text, strlen(text)));
    archive_entry_free(entry);
    return bad ? write_failed(sink) : 0;
}

static int64_t floor_seconds(int64_t ns) { return ns / 1000000000 - (ns % 1000000000 < 0); }

static void set_times(struct archive_entry *entry, const struct item *item)
{
    int64_t mtime_s = floor_seconds(item->mtime_ns), atime_s = floor_seconds(item->atime_ns);
    archive_entry_set_mtime(entry, mtime_s, (long)(item->mtime_ns - mtime_s * 1000000000));
    archive_entry_set_atime(entry, atime_s, (long)(item->atime_ns - atime_s * 1000000000));
}

static void set_xattrs(struct archive_entry *entry, const struct item *item)
{
    char text[XATTR_NAME_BYTES_MAX + 1];
    for (size_t i = 0; i < item->xattr_count; i++) {
        const struct item_xattr *xattr = &item->xattrs[i];
        snprintf(text, sizeof text, "%.*s", (int)xattr->name.len, xattr->name.data);
        archive_entry_xattr_add_entry(entry, text, xattr->value.data, xattr->value.len);
    }
    if (item->expires_ns) {
        snprintf(text, sizeof text, "%" PRId64, item->expires_ns);
        archive_entry_xattr_add_entry(entry, XATTR_EXPIRES, text, strlen(text));
    }
}

static void set_holes(struct archive_entry *entry, const struct item *item)
{
    bool whole = item->extent_count == 1 && item->extents[0].length == item->size;
    for (size_t i = 0; !whole && i < item->extent_count; i++)
        archive_entry_sparse_add_entry(entry, (la_int64_t)item->extents[i].offset, (la_int64_t)item->extents[i].length);
    if (item->size && item->extent_count == 0)
        archive_entry_sparse_add_entry(entry, 0, 0);
}

static int archive_make(struct sink *sink, struct copy *copy, const struct item *item)
{
    struct sink_archive *to = (struct sink_archive *)sink;
    struct archive_entry *entry = archive_entry_new();
    (void)copy;
    if (!entry)
        return -ENOMEM;
    archive_entry_set_pathname(entry, *item->path ? item->path : ".");
    archive_entry_set_mode(entry, (__LA_MODE_T)item->mode);
    archive_entry_set_uid(entry, item->uid);
    archive_entry_set_gid(entry, item->gid);
    archive_entry_set_size(entry, item->link ? 0 : (la_int64_t)item->size);
    archive_entry_set_rdev(entry, item->rdev);
    set_times(entry, item);
    if (item->link)
        archive_entry_set_hardlink(entry, item->link);
    else if (item->target)
        archive_entry_set_symlink(entry, item->target);
    set_xattrs(entry, item);
    set_holes(entry, item);
    int rc = is_bad(archive_write_header(to->archive, entry)) ? write_failed(to) : 0;
    archive_entry_free(entry);
    to->at = 0;
    to->items += rc == 0;
    return rc;
}

/* libarchive wants the holes too, and leaves them out. */
static int write_zeros(struct sink_archive *sink, uint64_t until)
{
    static const char zeros[1 << 20];
    while (sink->at < until) {
        uint64_t left = until - sink->at;
        size_t length = left < sizeof zeros ? (size_t)left : sizeof zeros;
        if (is_bad(archive_write_data(sink->archive, zeros, length)))
            return write_failed(sink);
        sink->at += length;
    }
    return 0;
}

static int archive_write_piece(struct sink *sink, struct copy *copy, const struct item *item, uint64_t offset,
                               struct bytes piece)
{
    struct sink_archive *to = (struct sink_archive *)sink;
    (void)copy, (void)item;
    int rc = write_zeros(to, offset);
    if (rc < 0)
        return rc;
    if (is_bad(archive_write_data(to->archive, piece.data, piece.len)))
        return write_failed(to);
    to->at += piece.len;
    to->bytes += piece.len;
    return 0;
}

/* A file that could not be read to its end is filled up with zeros, since its length stands before it; the failure is
 * counted, so that the dump is known not to be whole. */
static int archive_end(struct sink *sink, struct copy *copy, const struct item *item, int rc)
{
    (void)copy;
    int filled = write_zeros((struct sink_archive *)sink, item->size);
    return rc < 0 && rc != -ESTALE ? rc : filled;
}

static int archive_leave(struct sink *sink, struct copy *copy, const struct item *item)
{
    (void)sink, (void)copy, (void)item;
    return 0;
}

static int archive_finish(struct sink *sink, struct copy *copy)
{
    struct sink_archive *to = (struct sink_archive *)sink;
    char text[OWN_TEXT_BYTES];
    (void)copy;
    snprintf(text, sizeof text, "entries %" PRIu64 "\nbytes %" PRIu64 "\n", to->items, to->bytes);
    int rc = write_own(to, ENTRY_LAST, text);
    return rc == 0 && is_bad(archive_write_close(to->archive)) ? write_failed(to) : rc;
}

static void archive_sink_close(struct sink *sink)
{
    struct sink_archive *to = (struct sink_archive *)sink;
    if (to->archive)
        archive_write_free(to->archive);
    free(to);
}

static int begin_writing(struct sink_archive *sink)
{
    struct archive *archive = sink->archive = archive_write_new();
    char text[OWN_TEXT_BYTES];
    if (!archive)
        return -ENOMEM;
    bool to_stdout = strcmp(sink->path, "-") == 0;
    archive_write_set_bytes_in_last_block(archive, 1);
    if (is_bad(archive_write_set_format_pax(archive)) || is_bad(archive_write_add_filter_lz4(archive)) ||
        is_bad(archive_write_set_options(archive, "lz4:stream-checksum=1,lz4:block-checksum=1")) ||
        is_bad(to_stdout ? archive_write_open_fd(archive, STDOUT_FILENO)
                         : archive_write_open_filename(archive, sink->path)))
        return write_failed(sink);
    snprintf(text, sizeof text, "kvfs dump %d\n", FORMAT_VERSION);
    return write_own(sink, ENTRY_FIRST, text);
}

struct sink *sink_archive_new(struct tool *tool, const char *path)
{
    struct sink_archive *sink = calloc(1, sizeof *sink);
    if (!sink)
        return NULL;
    sink->sink = (struct sink){.make = archive_make,
                               .write = archive_write_piece,
                               .end = archive_end,
                               .leave = archive_leave,
                               .finish = archive_finish,
                               .close = archive_sink_close};
    sink->tool = tool;
    sink->path = path;
    if (begin_writing(sink) < 0) {
        archive_sink_close(&sink->sink);
        return NULL;
    }
    return &sink->sink;
}

/* --- reading --- */

struct source_archive {
    struct source source; /* first */
    struct tool *tool;
    const char *path;
    struct archive *archive;
    struct archive_entry *entry; /* the current one; libarchive's */
    struct item_xattr xattrs[XATTRS_MAX];
    char name[KEY_BYTES_MAX + 2];
    char link[KEY_BYTES_MAX + 2];
    uint64_t items, bytes;
    uint64_t length; /* of the file; 0: not known */
    bool ended;      /* ENTRY_LAST was seen */
};

static int read_failed(struct source_archive *from, const char *what)
{
    tool_complain(from->tool, "%s: damaged behind byte %lld: %s; nothing behind it can be trusted", from->path,
                  (long long)archive_filter_bytes(from->archive, -1), what);
    return -EBADMSG;
}

static int read_own(struct source_archive *from, char *text)
{
    la_ssize_t len = archive_read_data(from->archive, text, OWN_TEXT_BYTES - 1);
    if (len < 0)
        return read_failed(from, archive_error_string(from->archive));
    text[len] = '\0';
    return 0;
}

static int no_dump(struct source_archive *from)
{
    const char *why = archive_error_string(from->archive);
    tool_complain(
        from->tool,
        "%s: this is no dump of kvfs, or one damaged at its start%s%s; a tar archive is unpacked by tar(1), into "
        "a mount or into a directory for `kv import`",
        from->path, why ? ": " : "", why ? why : "");
    return -EINVAL;
}

static int check_first(struct source_archive *from)
{
    char text[OWN_TEXT_BYTES];
    unsigned version;
    int rc = archive_read_next_header(from->archive, &from->entry);
    if (rc == ARCHIVE_EOF || is_bad(rc) || strcmp(archive_entry_pathname(from->entry), ENTRY_FIRST) != 0)
        return no_dump(from);
    rc = read_own(from, text);
    if (rc == 0 && (sscanf(text, "kvfs dump %u", &version) != 1 || version > FORMAT_VERSION)) {
        tool_complain(from->tool, "%s: a dump of format '%.*s', newer than this program (%d) can read: take a newer kv",
                      from->path, (int)strcspn(text, "\n"), text, FORMAT_VERSION);
        return KV_VERSION;
    }
    return rc;
}

static int check_last(struct source_archive *from)
{
    char text[OWN_TEXT_BYTES];
    uint64_t items, bytes;
    int rc = read_own(from, text);
    if (rc < 0)
        return rc;
    if (sscanf(text, "entries %" SCNu64 "\nbytes %" SCNu64, &items, &bytes) != 2 || items != from->items)
        return read_failed(from, "not all entries are there");
    from->ended = true;
    return 0;
}

/* "./a/b/" is "a/b", "." the top. NULL: it is too long. */
static const char *plain_path(char *out, const char *path)
{
    while (path[0] == '.' && path[1] == '/')
        path += 2;
    size_t len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    if (len == 1 && path[0] == '.')
        len = 0;
    if (len > KEY_BYTES_MAX)
        return NULL;
    memcpy(out, path, len);
    out[len] = '\0';
    return out;
}

static void take_xattrs(struct source_archive *from, struct item *item)
{
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(from->entry);
    while (archive_entry_xattr_next(from->entry, &name, &value, &size) == ARCHIVE_OK) {
        char text[32];
        if (strcmp(name, XATTR_EXPIRES) == 0) {
            snprintf(text, sizeof text, "%.*s", (int)size, (const char *)value);
            item->expires_ns = strtoll(text, NULL, 10);
        } else if (item->xattr_count < XATTRS_MAX) {
            from->xattrs[item->xattr_count++] = (struct item_xattr){bytes_of(name), bytes_make(value, size)};
        }
    }
    item->xattrs = from->xattrs;
}

static int take_entry(struct source_archive *from, struct item *item)
{
    struct archive_entry *entry = from->entry;
    const char *link = archive_entry_hardlink(entry);
    *item = (struct item){
        .path = plain_path(from->name, archive_entry_pathname(entry)),
        .mode = archive_entry_mode(entry),
        .uid = (uint32_t)archive_entry_uid(entry),
        .gid = (uint32_t)archive_entry_gid(entry),
        .size = (uint64_t)archive_entry_size(entry),
        .rdev = archive_entry_rdev(entry),
        .atime_ns = archive_entry_atime(entry) * 1000000000 + archive_entry_atime_nsec(entry),
        .mtime_ns = archive_entry_mtime(entry) * 1000000000 + archive_entry_mtime_nsec(entry),
        .target = archive_entry_symlink(entry),
        .link = link ? plain_path(from->link, link) : NULL,
    };
    if (!item->path || (link && !item->link))
        return read_failed(from, "a path is longer than keys may be");
    if (S_ISLNK(item->mode) && !item->target && !link)
        return read_failed(from, "a symbolic link leads nowhere");
    take_xattrs(from, item);
    return 0;
}

static int archive_next(struct source *source, struct copy *copy, struct item *ret_item)
{
    struct source_archive *from = (struct source_archive *)source;
    int rc = archive_read_next_header(from->archive, &from->entry);
    if (is_bad(rc))
        progress_clear(&copy->progress);
    if (rc == ARCHIVE_EOF)
        return from->ended ? 0 : read_failed(from, "it ends too early");
    if (is_bad(rc))
        return read_failed(from, archive_error_string(from->archive));
    if (strcmp(archive_entry_pathname(from->entry), ENTRY_LAST) == 0) {
        rc = check_last(from);
        return rc < 0 ? rc : archive_next(source, copy, ret_item);
    }
    if (from->ended)
        return read_failed(from, "something stands behind the end");
    from->items++;
    rc = take_entry(from, ret_item);
    return rc < 0 ? rc : 1;
}

static int archive_open(struct source *source, struct copy *copy, struct item *item)
{
    (void)source, (void)copy, (void)item;
    return 0;
}

static int archive_read_piece(struct source *source, const struct item *item, uint64_t *ret_offset,
                              struct bytes *ret_piece)
{
    struct source_archive *from = (struct source_archive *)source;
    const void *data;
    size_t len;
    la_int64_t offset;
    (void)item;
    do {
        int rc = archive_read_data_block(from->archive, &data, &len, &offset);
        if (rc == ARCHIVE_EOF)
            return 0;
        if (is_bad(rc))
            return -EBADMSG; /* archive_next comes upon it again, and says so */
    } while (len == 0);
    from->bytes += len;
    *ret_offset = (uint64_t)offset;
    *ret_piece = bytes_make(data, len);
    return 1;
}

static uint64_t archive_position_of(struct source *source, uint64_t *ret_total)
{
    struct source_archive *from = (struct source_archive *)source;
    *ret_total = from->length;
    return from->length ? (uint64_t)archive_filter_bytes(from->archive, -1) : from->bytes;
}

static void archive_source_close(struct source *source)
{
    struct source_archive *from = (struct source_archive *)source;
    if (from->archive)
        archive_read_free(from->archive);
    free(from);
}

static int begin_reading(struct source_archive *from)
{
    struct archive *archive = from->archive = archive_read_new();
    struct stat stat_file = {0};
    if (!archive)
        return -ENOMEM;
    bool is_stdin = strcmp(from->path, "-") == 0;
    if (!is_stdin && stat(from->path, &stat_file) < 0) {
        int rc = -errno;
        tool_complain(from->tool, "%s: %s (%s)", from->path, error_text(rc), error_name(rc));
        return rc;
    }
    from->length = S_ISREG(stat_file.st_mode) ? (uint64_t)stat_file.st_size : 0;
    archive_read_support_format_tar(archive);
    archive_read_support_filter_all(archive);
    int rc = is_stdin ? archive_read_open_fd(archive, STDIN_FILENO, BLOCK_BYTES)
                      : archive_read_open_filename(archive, from->path, BLOCK_BYTES);
    if (is_bad(rc))
        return no_dump(from);
    return check_first(from);
}

struct source *source_archive_new(struct tool *tool, const char *path)
{
    struct source_archive *from = calloc(1, sizeof *from);
    if (!from)
        return NULL;
    from->source = (struct source){.next = archive_next,
                                   .open = archive_open,
                                   .read = archive_read_piece,
                                   .close = archive_source_close,
                                   .position = archive_position_of};
    from->tool = tool;
    from->path = path;
    if (begin_reading(from) < 0) {
        archive_source_close(&from->source);
        return NULL;
    }
    return &from->source;
}

int archive_verify(struct copy *copy, const char *path)
{
    struct source *source = source_archive_new(copy->tool, path);
    struct item item;
    uint64_t offset, total;
    struct bytes piece;
    int rc = source ? 1 : -EIO;
    while (rc > 0 && (rc = source->next(source, copy, &item)) > 0) {
        while ((rc = source->read(source, &item, &offset, &piece)) > 0)
            copy->bytes += piece.len;
        copy->items++;
        uint64_t done = source->position(source, &total);
        progress_show(&copy->progress, copy->items, done, total);
        rc = rc == 0 || rc == -EBADMSG ? 1 : rc;
    }
    progress_clear(&copy->progress);
    if (source)
        source->close(source);
    return rc;
}
