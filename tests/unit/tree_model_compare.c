/* The tree and its naive model, side by side. */
#include "tests/unit/tree_model.h"

#include "kvcore/base/error.h"
#include "kvcore/tree/dir.h"
#include "kvcore/tree/key.h"
#include "kvcore/tree/xattr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { PIECES = 64, PAGE = 100 };

void model_follow(struct model *model, const struct tree *tree, const struct effect *effect, int rc)
{
    uint64_t id, held;
    int expected = model_apply(model, effect, &id, &held);
    if (rc != expected)
        fprintf(stderr, "# kind %d, flags %u, id %llx, %llx/%.*s, to %llx/%.*s, offset %llu, %zu bytes\n", effect->kind,
                effect->flags, (unsigned long long)effect->id, (unsigned long long)effect->dir, (int)effect->name.len,
                effect->name.data, (unsigned long long)effect->to_dir, (int)effect->to_name.len, effect->to_name.data,
                (unsigned long long)effect->offset, effect->value.len);
    assert_string_equal(rc ? error_name(rc) : "done", expected ? error_name(expected) : "done");
    assert_ptr_equal(effect->ret_node, id ? tree_find(tree, id) : NULL);
    assert_int_equal(effect->ret_held, held);
}

static void compare_value(const struct node *node, const struct model_value *value)
{
    uint64_t at = 0, got = 1;
    if (node_is_dir(node)) {
        assert_true(node_size(node) > 0 && node_stored_bytes(node) > 0); /* as ls shows it */
        return;
    }
    assert_int_equal(node_size(node), value->len);
    for (; got; at += got) {
        struct bytes pieces[PIECES];
        size_t count = tree_value(node, at, UINT64_MAX, pieces, PIECES, &got);
        uint64_t sum = 0;
        for (size_t i = 0; i < count; sum += pieces[i++].len)
            assert_true(at + sum + pieces[i].len <= value->len &&
                        memcmp(pieces[i].data, value->bytes + at + sum, pieces[i].len) == 0);
        assert_int_equal(sum, got);
    }
    assert_int_equal(at, value->len);
    assert_true(node_stored_bytes(node) <= value->len + CHUNK_BYTES);
}

static void compare_xattrs(const struct node *node, const struct model_node *expected)
{
    const struct xattrs *xattrs = node_ext(node) ? node_ext(node)->xattrs : NULL;
    struct bytes name, value;
    size_t walked = 0, count = 0, at = 0;
    while (xattrs_next(xattrs, &at, &name, &value))
        walked++;
    for (unsigned i = 0; i < MODEL_XATTRS; i++) {
        const struct model_value *xattr = &expected->xattrs[i];
        assert_int_equal(xattrs_get(xattrs, model_xattr_name(i), &value), xattr->bytes != NULL);
        if (xattr->bytes)
            assert_true(bytes_equal(value, bytes_make(xattr->bytes, xattr->len)));
        count += xattr->bytes != NULL;
    }
    assert_int_equal(walked, count);
}

static bool is_dir(const struct model *model, uint64_t id)
{
    for (size_t i = 0; i < model->node_count; i++)
        if (model->nodes[i].id == id)
            return S_ISDIR(model->nodes[i].mode);
    return false;
}

static uint32_t expected_nlink(const struct model *model, const struct model_node *node)
{
    uint32_t names = 0, subdirs = 0;
    const char *path = NULL;
    for (size_t i = 0; i < model->name_count; i++)
        if (model->names[i].id == node->id) {
            names++;
            path = model->names[i].path;
        }
    if (!S_ISDIR(node->mode) || names == 0)
        return names;
    size_t len = strlen(path);
    for (size_t i = 0; i < model->name_count; i++) {
        const char *name = model->names[i].path, *slash = strrchr(name, '/');
        size_t dir_len = slash ? (size_t)(slash - name) : 0;
        if (name[0] && dir_len == len && memcmp(name, path, len) == 0)
            subdirs += is_dir(model, model->names[i].id);
    }
    return 2 + subdirs;
}

static void compare_node(const struct model *model, const struct tree *tree, const struct model_node *expected)
{
    const struct node *node = tree_find(tree, expected->id);
    assert_non_null(node);
    assert_int_equal(node->id, expected->id);
    assert_int_equal(node->version, expected->version);
    assert_int_equal(node->mode, expected->mode);
    assert_int_equal(node->uid, expected->uid);
    assert_int_equal(node->gid, expected->gid);
    assert_int_equal(node->mtime_ns, expected->mtime_ns);
    assert_int_equal(node->btime_ns, expected->btime_ns);
    assert_int_equal(node_ctime_ns(node), expected->ctime_ns);
    assert_int_equal(node_atime_ns(node), expected->atime_ns);
    assert_int_equal(node_expires_ns(node), expected->expires_ns);
    assert_int_equal(node_nlink(node), expected_nlink(model, expected));
    assert_int_equal(node_ext(node) ? node_ext(node)->holds : 0, expected->holds);
    if (S_ISCHR(node->mode) || S_ISBLK(node->mode))
        assert_int_equal(node_ext(node)->rdev, expected->rdev);
    compare_value(node, &expected->value);
    compare_xattrs(node, expected);
    if (node_nlink(node) == 0) {
        char key[KEY_BYTES_MAX];
        assert_int_equal(tree_key_of(node, key), -ENOENT);
        assert_int_equal(tree_slot_of(tree, node), id_slot(node->id));
    }
}

/* A name leads to its node, and the node's key is this name or another one of its names. */
static void compare_name(const struct model *model, const struct tree *tree, const struct model_name *expected)
{
    struct bytes path = bytes_of(expected->path);
    struct tree_place place;
    char key[KEY_BYTES_MAX];
    const struct node *node = tree_find(tree, expected->id);
    int len = tree_key_of(node, key);
    if (len < 0)
        assert_int_equal(len, -ENAMETOOLONG);
    if (path.len > KEY_BYTES_MAX) /* renames may lead there; nobody can ask for it by key then */
        return;
    assert_int_equal(key_check(path, NULL), 0);
    assert_int_equal(tree_walk(tree, path, false, &place), 0);
    assert_ptr_equal(place.node, node);
    assert_int_equal(place.rest.len, 0);
    if (len < 0)
        return;
    struct bytes first = bytes_make(key, (size_t)len);
    assert_int_equal(tree_slot_of(tree, node), node == tree->root ? 0 : key_slot(first));
    bool known = false;
    for (size_t i = 0; i < model->name_count && !known; i++)
        known = model->names[i].id == expected->id && bytes_equal(bytes_of(model->names[i].path), first);
    assert_true(known);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct model_name *)a)->path, ((const struct model_name *)b)->path);
}

/* All keys by walking the directories down from the root, as a listing sees them. */
static size_t list_below(const struct tree *tree, const struct node *dir, const char *dir_path,
                         struct model_name *found, size_t count)
{
    struct dentry *page[PAGE];
    size_t got;
    for (struct bytes after = {0}; (got = dir_list(node_dir(dir), after, page, PAGE));) {
        for (size_t i = 0; i < got; i++) {
            after = dentry_name(page[i]);
            const struct node *node = dentry_node(page[i]);
            char *path;
            assert_true(asprintf(&path, "%s%s%.*s", dir_path, dir_path[0] ? "/" : "", (int)after.len, after.data) > 0);
            found[count++] = (struct model_name){path, node->id};
            if (node_is_dir(node))
                count = list_below(tree, node, path, found, count);
        }
    }
    return count;
}

static void compare_listings(const struct model *model, const struct tree *tree)
{
    size_t room = model->name_count + 1000; /* whatever a broken tree lists too much */
    struct model_name *found = calloc(room, sizeof *found), *expected = calloc(model->name_count, sizeof *expected);
    assert_true(found && expected);
    memcpy(expected, model->names, model->name_count * sizeof *expected);
    qsort(expected, model->name_count, sizeof *expected, by_path);
    size_t count = list_below(tree, tree->root, "", found, 0);
    qsort(found, count, sizeof *found, by_path);
    assert_int_equal(count, model->name_count - 1);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(found[i].path, expected[i + 1].path);
        assert_int_equal(found[i].id, expected[i + 1].id);
        free(found[i].path);
    }
    free(found);
    free(expected);
}

static void compare_expiry(const struct model *model, const struct tree *tree)
{
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < model->node_count; i++)
        if (model->nodes[i].expires_ns < earliest)
            earliest = model->nodes[i].expires_ns;
    uint64_t due = expiry_due(tree, INT64_MAX - 1);
    assert_int_equal(due != 0, earliest != INT64_MAX);
    if (!due)
        return;
    assert_int_equal(node_expires_ns(tree_find(tree, due)), earliest);
    assert_int_equal(expiry_due(tree, earliest), due);
    assert_int_equal(expiry_due(tree, earliest - 1), 0);
}

void model_expect_equal(const struct model *model, const struct tree *tree)
{
    tree_verify(tree);
    assert_int_equal(tree->node_count, model->node_count);
    for (size_t i = 0; i < model->node_count; i++)
        compare_node(model, tree, &model->nodes[i]);
    for (size_t i = 0; i < model->name_count; i++)
        compare_name(model, tree, &model->names[i]);
    compare_listings(model, tree);
    compare_expiry(model, tree);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        if (tree->slots[slot].next_sequence != model->highest_sequence[slot] + 1)
            fail_msg("slot %u would use an id again, or skip some", slot);
}
