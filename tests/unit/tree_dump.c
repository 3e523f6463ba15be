#include "tests/unit/tree_dump.h"

#include "kvcore/base/check.h"
#include "kvcore/base/crc32c.h"
#include "kvcore/tree/chunk.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/xattr.h"

#include <inttypes.h>
#include <stdio.h>

enum { PAGE = 64 };

static void dump_name(FILE *out, const char *what, const struct dentry *dentry)
{
    fprintf(out, " %s %" PRIx64 "/%.*s", what, dentry->dir->id, dentry->name_len, dentry->name);
}

static void dump_names(FILE *out, const struct node *node)
{
    if (!(node->flags & NODE_LINKED)) {
        dump_name(out, "name", &node->dentry);
        return;
    }
    for (const struct link *link = node_ext(node)->links; link; link = link->next)
        dump_name(out, "name", &link->dentry);
}

static void dump_value(FILE *out, const struct node *node)
{
    if (!(node->flags & NODE_ROPE)) {
        fprintf(out, " inline %u %08x", node->inline_len, crc32c(0, node_inline(node), node->inline_len));
        return;
    }
    const struct rope *rope = &node_ext(node)->rope;
    const struct chunk *chunk;
    fprintf(out, " rope %" PRIu64, rope->size);
    for (uint64_t number = 0; (chunk = rope_next_chunk(rope, number, &number)); number++)
        fprintf(out, " %" PRIu64 ":%u:%08x", number, chunk->length, crc32c(0, chunk->bytes, chunk->length));
}

static void dump_dir(FILE *out, const struct node *node)
{
    const struct dir *dir = node_dir(node);
    struct dentry *page[PAGE];
    struct dir_found found[PAGE];
    size_t count;
    for (uint64_t after = 0; (count = dir_scan(dir, after, found, PAGE)); after = found[count - 1].cookie)
        for (size_t i = 0; i < count; i++)
            fprintf(out, "\n  %" PRIx64 " at %" PRIx64, dentry_node(found[i].dentry)->id, found[i].cookie);

    for (struct bytes after = {0}; (count = dir_list(dir, after, page, PAGE)); after = dentry_name(page[count - 1]))
        for (size_t i = 0; i < count; i++)
            fprintf(out, "\n  %.*s", page[i]->name_len, page[i]->name);
}

static void dump_xattrs(FILE *out, const struct node *node)
{
    struct bytes name, value;
    for (size_t at = 0; xattrs_next(node_ext(node)->xattrs, &at, &name, &value);)
        fprintf(out, " xattr %.*s=%zu:%08x", (int)name.len, name.data, value.len, crc32c(0, value.data, value.len));
}

static void dump_node(FILE *out, const struct node *node)
{
    fprintf(out, "%" PRIx64 " version %" PRIu64 " mode %o owner %u:%u nlink %u size %" PRIu64, node->id, node->version,
            node->mode, node->uid, node->gid, node_nlink(node), node_size(node));
    fprintf(out, " m %" PRId64 " c %" PRId64 " a %" PRId64 " b %" PRId64 " expires %" PRId64, node->mtime_ns,
            node_ctime_ns(node), node_atime_ns(node), node->btime_ns, node_expires_ns(node));
    fprintf(out, " holds %u%s", node_ext(node) ? node_ext(node)->holds : 0,
            node->flags & NODE_UNNAMED ? " unnamed" : "");
    dump_names(out, node);
    if (node_ext(node))
        dump_xattrs(out, node);
    if (node_is_dir(node))
        dump_dir(out, node);
    else if (S_ISREG(node->mode) || S_ISLNK(node->mode))
        dump_value(out, node);
    else
        fprintf(out, " rdev %" PRIx64, node_ext(node)->rdev);
    fprintf(out, "\n");
}

char *tree_dump(const struct tree *tree)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    CHECK(out);
    fprintf(out, "seed %" PRIx64 ", %" PRIu64 " nodes\n", tree->hash_seed, tree->node_count);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        const struct tree_slot *in = &tree->slots[slot];
        const struct node *node;
        if (in->next_sequence > 1)
            fprintf(out, "slot %u: %" PRIu64 "\n", slot, in->next_sequence);
        for (uint64_t at = 0; (node = radix_next(&in->nodes, at, &at)); at++)
            dump_node(out, node);
    }
    fclose(out);
    return text;
}

int tree_dump_compare(const char *expected, const char *found)
{
    size_t line = 0, at = 0;
    for (; expected[at] && expected[at] == found[at]; at++)
        line = expected[at] == '\n' ? at + 1 : line;
    if (expected[at] == found[at])
        return 0;
    fprintf(stderr, "# expected %.*s\n# found    %.*s\n", (int)strcspn(expected + line, "\n"), expected + line,
            (int)strcspn(found + line, "\n"), found + line);
    return 1;
}
