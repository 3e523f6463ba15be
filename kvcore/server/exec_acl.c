/* POSIX ACLs, where operations meet them: what is created inherits, chmod changes the access ACL, and setting the
 * access ACL changes the mode. One request is one version, but several effects: what may run out of memory comes first,
 * and is taken back where a later one fails. */
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"
#include "kvcore/server/exec.h"
#include "kvcore/tree/acl.h"
#include "kvcore/tree/xattr.h"

static bool has_acl(const struct node *node, const char *name, struct bytes *ret_acl)
{
    const struct node_ext *ext = node_ext(node);
    return ext && ext->xattrs && xattrs_get(ext->xattrs, bytes_of(name), ret_acl);
}

static int set_xattr(struct exec *exec, struct node **node, const char *name, struct bytes value)
{
    struct effect effect = exec_effect(exec, EFFECT_SET_XATTR);
    effect.id = (*node)->id;
    effect.found = *node;
    effect.name = bytes_of(name);
    effect.value = value;
    int rc = exec_apply(exec, &effect);
    if (rc == 0)
        *node = effect.ret_node;
    return rc;
}

static int set_mode(struct exec *exec, struct node **node, uint32_t mode)
{
    struct effect effect = exec_effect(exec, EFFECT_ATTR);
    effect.id = (*node)->id;
    effect.found = *node;
    effect.mask = EFFECT_MODE;
    effect.mode = mode & 07777;
    int rc = exec_apply(exec, &effect);
    if (rc == 0)
        *node = effect.ret_node;
    return rc;
}

bool exec_inherits(const struct node *dir, uint32_t type)
{
    struct bytes acl;
    return type != S_IFLNK && has_acl(dir, ACL_DEFAULT, &acl);
}

int exec_create_inheriting(struct exec *exec, const struct node *dir, struct effect *effect, struct node **ret_node)
{
    char access[ACL_BYTES_MAX];
    struct bytes acl;
    if (!has_acl(dir, ACL_DEFAULT, &acl))
        return -EINVAL;
    memcpy(access, acl.data, acl.len);
    effect->mode = acl_inherit(access, acl.len, effect->mode);
    int rc = exec_apply(exec, effect);
    if (rc < 0)
        return rc;
    /* The directory's list stays where it is while the new node gets its own. */
    struct node *node = effect->ret_node;
    if (acl_is_extended(acl))
        rc = set_xattr(exec, &node, ACL_ACCESS, bytes_make(access, acl.len));
    if (rc == 0 && node_is_dir(node))
        rc = set_xattr(exec, &node, ACL_DEFAULT, acl);
    if (rc < 0) {
        bool unnamed = effect->flags & EFFECT_HOLD;
        struct effect undo = exec_effect(exec, unnamed             ? EFFECT_RELEASE
                                               : node_is_dir(node) ? EFFECT_RMDIR
                                                                   : EFFECT_UNLINK);
        undo.id = effect->id;
        undo.dir = effect->dir;
        undo.name = effect->name;
        exec_apply(exec, &undo);
        return rc;
    }
    *ret_node = node;
    return 0;
}

int exec_chmod_acl(struct exec *exec, struct node **node, uint32_t mode)
{
    char changed[ACL_BYTES_MAX];
    struct bytes acl;
    if (!has_acl(*node, ACL_ACCESS, &acl))
        return 0;
    memcpy(changed, acl.data, acl.len);
    acl_chmod(changed, acl.len, mode);
    return set_xattr(exec, node, ACL_ACCESS, bytes_make(changed, acl.len));
}

bool exec_is_acl(struct bytes name)
{
    return bytes_equal(name, bytes_of(ACL_ACCESS)) || bytes_equal(name, bytes_of(ACL_DEFAULT));
}

int exec_set_acl(struct exec *exec, struct node *node, struct bytes name, struct bytes acl)
{
    struct bytes old;
    if (S_ISLNK(node->mode))
        return -EOPNOTSUPP;
    int rc = acl_check(acl);
    if (rc < 0)
        return rc;
    if (bytes_equal(name, bytes_of(ACL_DEFAULT)))
        return node_is_dir(node) ? set_xattr(exec, &node, ACL_DEFAULT, acl) : -EACCES;
    uint32_t mode = (node->mode & ~0777u) | acl_mode(acl);
    if (acl_is_extended(acl)) {
        rc = set_xattr(exec, &node, ACL_ACCESS, acl);
    } else if (has_acl(node, ACL_ACCESS, &old)) { /* the mode says it all */
        struct effect effect = exec_effect(exec, EFFECT_REMOVE_XATTR);
        effect.id = node->id;
        effect.found = node;
        effect.name = name;
        rc = exec_apply(exec, &effect);
        node = rc == 0 ? effect.ret_node : node;
    }
    return rc < 0 ? rc : set_mode(exec, &node, mode);
}
