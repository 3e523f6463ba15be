/* What the handlers of operations share: the request being executed, and how it reaches nodes and changes them.
 * Internal to the store.
 */
#ifndef KV_SERVER_EXEC_H
#define KV_SERVER_EXEC_H

#include "kvcore/server/fields.h"
#include "kvcore/server/store.h"

struct exec {
    struct store *store;
    struct tree *tree;
    struct session *session;
    const struct kv_request *request;
    struct kv_reply *reply;
    int64_t now_ns; /* the time of this request's changes, and what expiry is held against */
    uint64_t index; /* the version of what it changes */
    uint64_t seen;  /* the newest change that it has come upon, or any newer */
    bool changed;
};

/* A handler fills exec->reply and returns 0, or a negative code, for which it may have set a text by kv_reply_fail. */
typedef int exec_handler(struct exec *exec);

#define X(symbol, name, args, options, flags, reply) exec_handler exec_##symbol;
KV_OP_LIST(X)
#undef X

/* --- reaching nodes (resolve.c) --- */

/* Where a ref leads; the node is NULL when nothing (or only something expired) is there. Keys are checked and walked,
 * symlinks at their end followed with `follow`. 0, -EINVAL and -ENAMETOOLONG (bad key), -ENOTDIR, -ELOOP, -EXDEV,
 * -ESTALE (no such id). By id, dir and name stay empty. */
int exec_place(struct exec *exec, const struct kv_ref *ref, bool follow, struct tree_place *ret_place);

/* The node that must be there: -ENOENT otherwise. Follows as the operation's flag F and its option `follow` say. */
int exec_node(struct exec *exec, const struct kv_ref *ref, struct node **ret_node);

/* The same, and it must be a file: -EISDIR, -EINVAL. */
int exec_file(struct exec *exec, const struct kv_ref *ref, struct node **ret_node);

/* Makes the parent directories that the place lacks, as mkdir -p. */
int exec_make_parents(struct exec *exec, struct tree_place *place);

/* The slot of a key, or of the node that an id or a name leads to. */
unsigned exec_slot(struct exec *exec, const struct kv_ref *ref);

/* Why a place cannot be used as it stands: -ENOENT when a parent is missing, 0 otherwise. */
int exec_need_parent(const struct tree_place *place);

/* May there be a new name at this place? -EPERM where a mount has its own files (OWN_NAME). -ENAMETOOLONG with a text
 * when the place's key is longer than keys may be: reached by directory id, names can add up to more than a client
 * could ever write as a key. */
int exec_check_key(struct exec *exec, const struct tree_place *place);

/* --- changing them (store.c) --- */

/* A new effect with this request's time and version. */
struct effect exec_effect(const struct exec *exec, enum effect_kind kind);

/* Removes a node whose time has come, with every name it has, unless memory is short. */
int exec_expire(struct exec *exec, struct node *node);

/* Applies it and tells the sinks. */
int exec_apply(struct exec *exec, struct effect *effect);

/* `session` holds a node without a name (effect.ret_held). -ENOMEM: there is no memory to note it, it was let go. */
int exec_hold(struct exec *exec, struct session *session, uint64_t id);

/* Is there memory for so many bytes more? -ENOSPC with a text. */
int exec_admit(struct exec *exec, uint64_t more_bytes);

/* Is there memory for this write to a file? -ENOSPC with a text; never where it overwrites what is the file's alone, so
 * that this works when the store is full. */
int exec_admit_write(struct exec *exec, const struct node *node, uint64_t offset, uint64_t length);

/* Sets the whole value of the file at a place, making it with its parents where nothing is. -EISDIR, -EINVAL. */
int exec_set_at(struct exec *exec, struct tree_place *place, struct bytes value, struct node **ret_node);

/* Changes when the node expires; it may move in memory. */
int exec_set_expiry(struct exec *exec, struct node **node, int64_t expires_ns);

/* Creates a node at an empty place: owner and mode from the request's options, or as the parent's. */
int exec_create(struct exec *exec, const struct tree_place *place, uint32_t type, uint32_t default_mode,
                struct bytes value, uint64_t rdev, struct node **ret_node);

/* A file without a name, held, to be born in `dir`: owner and mode as exec_create. */
int exec_create_unnamed(struct exec *exec, struct node *dir, struct node **ret_node);

/* --- POSIX ACLs (exec_acl.c) --- */

/* Does what is made in this directory get its default ACL, and no umask then? */
bool exec_inherits(const struct node *dir, uint32_t type);
/* Applies a CREATE in such a directory. */
int exec_create_inheriting(struct exec *exec, const struct node *dir, struct effect *effect, struct node **ret_node);
/* To be called before the mode changes: makes the access ACL, if there is one, say the same. The node may move. */
int exec_chmod_acl(struct exec *exec, struct node **node, uint32_t mode);
bool exec_is_acl(struct bytes name);
/* Sets the ACL of that name; the access ACL sets the mode too. -EINVAL, -E2BIG, -EACCES, -EOPNOTSUPP. */
int exec_set_acl(struct exec *exec, struct node *node, struct bytes name, struct bytes acl);

enum { INTEGER_BYTES = 24 }; /* room for a decimal 64-bit integer, its sign and a terminator */

/* A decimal 64-bit integer and nothing else; one newline at the end is forgiven, since `echo 5 > counter` writes one.
 * -EINVAL. */
int exec_parse_integer(struct bytes text, int64_t *ret_number);

/* --- answering --- */

void exec_reply_uint(struct exec *exec, uint64_t number);
void exec_reply_bool(struct exec *exec, bool yes);
void exec_reply_int(struct exec *exec, int64_t number);
void exec_reply_attr(struct exec *exec, const struct node *node);
/* The value's bytes from offset on; -EFBIG when they are too many for one message. */
int exec_reply_value(struct exec *exec, const struct node *node, uint64_t offset, uint64_t length);
/* One piece of text or bytes that lives long enough. */
int exec_reply_bytes(struct exec *exec, struct bytes bytes);

void exec_fill_attr(const struct node *node, struct kv_attr *ret_attr);

/* `count` entries of scratch memory, cleared; NULL: out of memory. */
struct kv_entry *exec_entries(struct exec *exec, size_t count);

#endif
