/* Random effects: every kind, near what the tree holds, with a share of invalid ones. */
#include "tests/unit/tree_model.h"

#include "kvcore/base/check.h"

enum { PATH_COMFORT = 600, BYTES_MAX = 262144 };

static const char *const plain_names[] = {"a",      "b",   "c",        "dd",    "{tag}1",
                                          "{tag}2", "...", "\xc3\xa9", "a b\n", "zz-top"};

/* Where the way in which a value is stored changes. */
static const uint64_t borders[] = {254, 255, 256, 4095, 65535, 65536, 65537, 131071, 131072, 131073, 200000};

enum { PLAIN_NAMES = sizeof plain_names / sizeof plain_names[0], BORDERS = sizeof borders / sizeof borders[0] };

/* Some as long as names get, so that nodes with the name inside change their size by a lot. */
static struct bytes random_new_name(struct chance *chance, char *out)
{
    uint64_t i = chance_below(chance, PLAIN_NAMES + 3);
    if (i < PLAIN_NAMES) {
        size_t len = strlen(plain_names[i]);
        return bytes_make(memcpy(out, plain_names[i], len), len);
    }
    size_t len = i == PLAIN_NAMES ? NAME_BYTES_MAX : 20 + 40 * (i - PLAIN_NAMES);
    memset(out, 'l', len);
    out[len - 1] = (char)('0' + chance_below(chance, 3));
    return bytes_make(out, len);
}

/* The last component of some path, and the directory it is in. */
static void random_present_name(const struct model *model, struct chance *chance, char *out, uint64_t *ret_dir,
                                struct bytes *ret_name)
{
    const char *path = model->names[chance_below(chance, model->name_count)].path;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t dir_len = slash ? (size_t)(slash - path) : 0, len = strlen(name);
    if (len == 0) { /* the root has no name */
        *ret_dir = ROOT_ID;
        *ret_name = random_new_name(chance, out);
        return;
    }
    for (size_t i = 0; i < model->name_count; i++)
        if (strlen(model->names[i].path) == dir_len && memcmp(model->names[i].path, path, dir_len) == 0)
            *ret_dir = model->names[i].id;
    *ret_name = bytes_make(memcpy(out, name, len), len);
}

static uint64_t random_id(const struct model *model, struct chance *chance)
{
    if (chance_below(chance, 20) == 0)
        return chance_below(chance, 2) ? 0 : chance_next(chance);
    return model->nodes[chance_below(chance, model->node_count)].id;
}

/* A node that is held, if there is one: names are tried in removed directories too, and holds would pile up. */
static uint64_t random_held(const struct model *model, struct chance *chance)
{
    size_t from = chance_below(chance, model->node_count);
    for (size_t i = 0; i < model->node_count; i++) {
        const struct model_node *node = &model->nodes[(from + i) % model->node_count];
        if (node->holds)
            return node->id;
    }
    return random_id(model, chance);
}

/* Mostly a directory; one deep down is avoided, or keys would grow without end. */
static uint64_t random_dir(const struct model *model, struct chance *chance)
{
    if (chance_below(chance, 20) == 0)
        return chance_below(chance, 2) ? random_id(model, chance) : random_held(model, chance);
    for (int i = 0; i < 20; i++) {
        const struct model_name *name = &model->names[chance_below(chance, model->name_count)];
        for (size_t k = 0; k < model->node_count; k++)
            if (model->nodes[k].id == name->id && S_ISDIR(model->nodes[k].mode) && strlen(name->path) < PATH_COMFORT)
                return name->id;
    }
    return ROOT_ID;
}

/* `new_ones` of eight lie where there may be nothing yet. */
static void random_place(const struct model *model, struct chance *chance, unsigned new_ones, char *out,
                         uint64_t *ret_dir, struct bytes *ret_name)
{
    if (chance_below(chance, 8) >= new_ones) {
        random_present_name(model, chance, out, ret_dir, ret_name);
        return;
    }
    *ret_dir = random_dir(model, chance);
    *ret_name = random_new_name(chance, out);
}

static uint64_t random_length(struct chance *chance, const struct model_taste *taste)
{
    if (chance_below(chance, taste->long_ones) == 0)
        return borders[chance_below(chance, BORDERS)];
    return chance_below(chance, 10) ? chance_below(chance, 300) : 0;
}

static struct bytes random_bytes(struct chance *chance, uint64_t len)
{
    static char noise[2 * BYTES_MAX];
    CHECK(len <= BYTES_MAX);
    if (!noise[0])
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (char)(1 + chance_below(chance, 255));
    return bytes_make(noise + chance_below(chance, BYTES_MAX), len);
}

static void random_creation(const struct tree *tree, struct chance *chance, const struct model_taste *taste,
                            struct effect *effect)
{
    static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFREG, S_IFREG,  S_IFDIR, S_IFDIR,
                                     S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
    effect->mode = types[chance_below(chance, sizeof types / sizeof types[0])] | (uint32_t)chance_below(chance, 010000);
    uint64_t len = random_length(chance, taste);
    if (S_ISLNK(effect->mode))
        len = len == 0 ? 1 : len > SYMLINK_BYTES_MAX ? SYMLINK_BYTES_MAX : len;
    effect->value = random_bytes(chance, len);
    effect->rdev = chance_next(chance);
    const struct node *dir = tree_find(tree, effect->dir);
    effect->id = dir && node_is_dir(dir) ? tree_next_id(tree, dir, effect->name) : chance_next(chance);
}

/* Offsets past the limit come with every length; the others stay in reach of a flat array. */
static uint64_t random_offset(struct chance *chance, const struct model_taste *taste, uint64_t len)
{
    if (chance_below(chance, 50) == 0)
        return VALUE_BYTES_MAX - len + 1 + chance_below(chance, 2) * (UINT64_MAX - VALUE_BYTES_MAX - 1);
    return random_length(chance, taste);
}

/* From a file, often the same, mostly what it has; often from and to the same place in a chunk. */
static void random_copy(const struct model *model, struct chance *chance, const struct model_taste *taste,
                        struct effect *effect)
{
    effect->source = chance_below(chance, 3) ? random_id(model, chance) : effect->id;
    effect->source_offset = random_length(chance, taste);
    effect->length = random_length(chance, taste);
    for (size_t i = 0; i < model->node_count; i++) {
        uint64_t size = model->nodes[i].value.len;
        if (model->nodes[i].id != effect->source || chance_below(chance, 10) == 0)
            continue;
        effect->source_offset = size ? effect->source_offset % size : 0;
        if (effect->length > size - effect->source_offset)
            effect->length = size - effect->source_offset;
    }
    effect->offset = random_offset(chance, taste, effect->length);
    if (chance_below(chance, 2) && effect->offset < BYTES_MAX)
        effect->offset = chance_below(chance, 4) * CHUNK_BYTES + effect->source_offset % CHUNK_BYTES;
}

static void random_change(const struct model *model, struct chance *chance, const struct model_taste *taste,
                          struct effect *effect)
{
    effect->value = random_bytes(chance, random_length(chance, taste));
    switch (effect->kind) {
    case EFFECT_WRITE:
        effect->offset = random_offset(chance, taste, effect->value.len);
        break;
    case EFFECT_TRUNCATE:
        effect->offset = random_offset(chance, taste, 0);
        break;
    case EFFECT_PUNCH:
        effect->length = random_length(chance, taste);
        effect->offset = random_offset(chance, taste, effect->length);
        break;
    case EFFECT_COPY:
        random_copy(model, chance, taste, effect);
        break;
    case EFFECT_SET_XATTR:
    case EFFECT_REMOVE_XATTR:
        effect->name = model_xattr_name((unsigned)chance_below(chance, MODEL_XATTRS));
        if (effect->value.len > XATTR_VALUE_BYTES_MAX)
            effect->value.len = XATTR_VALUE_BYTES_MAX;
        break;
    case EFFECT_EXPIRE:
        effect->expires_ns = chance_below(chance, 3) ? (int64_t)chance_below(chance, 1000) : INT64_MAX;
        break;
    default:
        break;
    }
}

static enum effect_kind random_kind(const struct model *model, struct chance *chance, const struct model_taste *taste)
{
    static const enum effect_kind kinds[] = {
        EFFECT_CREATE, EFFECT_CREATE,    EFFECT_CREATE,       EFFECT_LINK,   EFFECT_UNLINK,   EFFECT_RMDIR,
        EFFECT_RENAME, EFFECT_RENAME,    EFFECT_RENAME,       EFFECT_SET,    EFFECT_WRITE,    EFFECT_WRITE,
        EFFECT_ATTR,   EFFECT_SET_XATTR, EFFECT_REMOVE_XATTR, EFFECT_EXPIRE, EFFECT_TRUNCATE, EFFECT_RELEASE,
        EFFECT_PUNCH,  EFFECT_COPY,      EFFECT_COPY,
    };
    if (model->name_count > taste->names_max && chance_below(chance, 2))
        return chance_below(chance, 2) ? EFFECT_UNLINK : EFFECT_RMDIR;
    return kinds[chance_below(chance, sizeof kinds / sizeof kinds[0])];
}

void model_random_effect(const struct model *model, const struct tree *tree, struct chance *chance,
                         const struct model_taste *taste, struct effect *ret_effect)
{
    static char name[NAME_BYTES_MAX], to_name[NAME_BYTES_MAX];
    struct effect effect = {.kind = random_kind(model, chance, taste)};
    effect.version = chance_below(chance, 1u << 30);
    effect.time_ns = (int64_t)chance_below(chance, 1u << 30);
    effect.atime_ns = (int64_t)chance_below(chance, 1u << 30);
    effect.mtime_ns = -(int64_t)chance_below(chance, 1u << 30);
    effect.uid = (uint32_t)chance_next(chance);
    effect.gid = (uint32_t)chance_next(chance);
    effect.mode = (uint32_t)chance_next(chance);
    effect.mask = (uint32_t)chance_below(chance, 32);
    effect.id = random_id(model, chance);
    bool gives_name = effect.kind == EFFECT_CREATE || effect.kind == EFFECT_LINK;
    random_place(model, chance, gives_name ? 7 : 1, name, &effect.dir, &effect.name);
    random_place(model, chance, 4, to_name, &effect.to_dir, &effect.to_name);
    if (chance_below(chance, 2))
        effect.flags = (uint32_t)chance_below(chance, 16);
    if (effect.kind == EFFECT_CREATE)
        random_creation(tree, chance, taste, &effect);
    else
        random_change(model, chance, taste, &effect);
    if (effect.kind == EFFECT_RELEASE && chance_below(chance, 4))
        effect.id = random_held(model, chance);
    *ret_effect = effect;
}
