#include "kvcore/server/changes.h"

#include "kvcore/base/check.h"
#include "kvcore/tree/node.h"

struct list {
    struct change *changes;
    size_t count;
};

static void inode(struct list *list, uint64_t id, bool data)
{
    CHECK(list->count < CHANGES_MAX);
    list->changes[list->count++] = (struct change){.id = id, .data = data};
}

/* A kernel does nothing at a notice about a name that it has not cached, so the directory is told apart. */
static void entry(struct list *list, uint64_t dir, struct bytes name)
{
    CHECK(list->count < CHANGES_MAX);
    list->changes[list->count++] = (struct change){.id = dir, .name = name};
    inode(list, dir, true);
}

size_t changes_of(const struct effect *effect, struct change *changes)
{
    struct list list = {changes, 0};
    switch (effect->kind) {
    case EFFECT_LINK:
        inode(&list, effect->id, false);
        entry(&list, effect->dir, effect->name);
        break;
    case EFFECT_CREATE:
        if (!(effect->flags & EFFECT_HOLD)) /* with it, the node has no name that anybody could know */
            entry(&list, effect->dir, effect->name);
        break;
    case EFFECT_UNLINK:
    case EFFECT_RMDIR:
        entry(&list, effect->dir, effect->name);
        if (effect->ret_other) /* it has other names, is held, or is gone: nlink and ctime */
            inode(&list, effect->ret_other, false);
        break;
    case EFFECT_RENAME:
        entry(&list, effect->dir, effect->name);
        entry(&list, effect->to_dir, effect->to_name);
        if (effect->ret_node)
            inode(&list, effect->ret_node->id, false);
        if (effect->ret_other) /* what it replaced, or changed places with */
            inode(&list, effect->ret_other, false);
        break;
    case EFFECT_SET:
    case EFFECT_WRITE:
    case EFFECT_TRUNCATE:
    case EFFECT_PUNCH:
    case EFFECT_COPY:
        inode(&list, effect->id, true);
        break;
    case EFFECT_ATTR:
    case EFFECT_SET_XATTR:
    case EFFECT_REMOVE_XATTR:
    case EFFECT_EXPIRE:
        inode(&list, effect->id, false);
        break;
    case EFFECT_RELEASE:
        break;
    }
    return list.count;
}
