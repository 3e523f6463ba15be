/* The one table of operations. The codec, the server's handlers, the client and docs/protocol.md are all
 * generated from it or checked against it.
 *
 * X(SYMBOL, "name", "arguments", options, flags, REPLY)
 *
 * Arguments, by letter, in order on the wire; '?' before a letter: it and what follows may be left out.
 *   n node       a key (str or bin), an id (uint), or [directory id, name]
 *   t target     a second node: where to
 *   N nodes      all remaining parameters are nodes
 *   P pairs      all remaining parameters are node, value, node, value, ...
 *   v value      str or bin
 *   x name       str or bin: an xattr's name, a section of info
 *   o offset, p target offset, l length, c cookie, k ticket (uint);  b first, e last, d delta, m milliseconds (int)
 * Options are a map behind the arguments, {"nx": true, "ttl": 5000}; an option that the operation does not list
 * is refused.
 *
 * Flags: W writes (and takes the option `durability`, see KV_WRITE_OPTIONS); I may be sent again after a broken
 * connection without harm; A needs no password; F a key follows a symlink at its end; L is answered also while the node
 * loads its data.
 */
#ifndef KV_RPC_OP_LIST_H
#define KV_RPC_OP_LIST_H

#define KV_OWNER_OPTIONS (KV_OPT_MODE | KV_OPT_UID | KV_OPT_GID)
#define KV_WRITE_OPTIONS KV_OPT_DURABILITY /* of every operation that writes, beside its own */

#define KV_OP_LIST(X)                                                                                                  \
    /* connection and server */                                                                                        \
    X(HELLO, "hello", "", KV_OPT_CLIENT | KV_OPT_PASSWORD | KV_OPT_LEASE, KV_OP_I | KV_OP_A | KV_OP_L, MAP)            \
    X(PING, "ping", "", 0, KV_OP_I | KV_OP_L, TEXT)                                                                    \
    X(RECALLED, "recalled", "k", 0, KV_OP_I | KV_OP_L, NIL)                                                            \
    X(INFO, "info", "?x", 0, KV_OP_I | KV_OP_L, MAP)                                                                   \
    X(SNAPSHOT, "snapshot", "", 0, KV_OP_I, UINT)                                                                      \
    /* keys */                                                                                                         \
    X(GET, "get", "n", 0, KV_OP_I | KV_OP_F, BYTES)                                                                    \
    X(SET, "set", "nv", KV_OWNER_OPTIONS | KV_OPT_NX | KV_OPT_XX | KV_OPT_TTL | KV_OPT_IF_VERSION, KV_OP_W | KV_OP_F,  \
      UINT)                                                                                                            \
    X(DEL, "del", "N", 0, KV_OP_W, UINT)                                                                               \
    X(EXISTS, "exists", "N", 0, KV_OP_I | KV_OP_F, UINT)                                                               \
    X(APPEND, "append", "nv", KV_OWNER_OPTIONS, KV_OP_W | KV_OP_F, UINT)                                               \
    X(INCR, "incr", "n?d", KV_OWNER_OPTIONS, KV_OP_W | KV_OP_F, INT)                                                   \
    X(GETRANGE, "getrange", "nbe", 0, KV_OP_I | KV_OP_F, BYTES)                                                        \
    X(SETRANGE, "setrange", "nov", KV_OWNER_OPTIONS, KV_OP_W | KV_OP_I | KV_OP_F, UINT)                                \
    X(MGET, "mget", "N", 0, KV_OP_I | KV_OP_F, VALUES)                                                                 \
    X(MSET, "mset", "P", KV_OWNER_OPTIONS, KV_OP_W | KV_OP_I | KV_OP_F, NIL)                                           \
    X(LS, "ls", "?n", KV_OPT_AFTER | KV_OPT_LIMIT | KV_OPT_LONG, KV_OP_I | KV_OP_F, ENTRIES)                           \
    X(EXPIRE, "expire", "nm", 0, KV_OP_W | KV_OP_F, BOOL)                                                              \
    X(TTL, "ttl", "n", 0, KV_OP_I | KV_OP_F, INT)                                                                      \
    X(PERSIST, "persist", "n", 0, KV_OP_W | KV_OP_F, BOOL)                                                             \
    /* names */                                                                                                        \
    X(STAT, "stat", "n", KV_OPT_FOLLOW | KV_OPT_PARENT, KV_OP_I, ATTR)                                                 \
    X(CREATE, "create", "n", KV_OWNER_OPTIONS | KV_OPT_UMASK | KV_OPT_NX, KV_OP_W, ATTR)                               \
    X(TMPFILE, "tmpfile", "n", KV_OWNER_OPTIONS | KV_OPT_UMASK, KV_OP_W, ATTR)                                         \
    X(MKNOD, "mknod", "n", KV_OWNER_OPTIONS | KV_OPT_UMASK | KV_OPT_RDEV, KV_OP_W, ATTR)                               \
    X(MKDIR, "mkdir", "n", KV_OWNER_OPTIONS | KV_OPT_UMASK | KV_OPT_PARENTS, KV_OP_W, ATTR)                            \
    X(SYMLINK, "symlink", "nv", KV_OPT_UID | KV_OPT_GID, KV_OP_W, ATTR)                                                \
    X(READLINK, "readlink", "n", 0, KV_OP_I, BYTES)                                                                    \
    X(LINK, "link", "nt", 0, KV_OP_W, ATTR)                                                                            \
    X(UNLINK, "unlink", "n", KV_OPT_HOLD, KV_OP_W, UINT)                                                               \
    X(RMDIR, "rmdir", "n", KV_OPT_HOLD, KV_OP_W, UINT)                                                                 \
    X(RENAME, "rename", "nt", KV_OPT_HOLD | KV_OPT_NOREPLACE | KV_OPT_EXCHANGE, KV_OP_W, UINT)                         \
    X(READDIR, "readdir", "nc", KV_OPT_LIMIT | KV_OPT_LEASE, KV_OP_I, ENTRIES)                                         \
    /* nodes */                                                                                                        \
    X(SETATTR, "setattr", "n",                                                                                         \
      KV_OWNER_OPTIONS | KV_OPT_SIZE | KV_OPT_ATIME | KV_OPT_MTIME | KV_OPT_ATIME_NOW | KV_OPT_MTIME_NOW,              \
      KV_OP_W | KV_OP_I, ATTR)                                                                                         \
    X(READ, "read", "nol", 0, KV_OP_I, BYTES)                                                                          \
    X(WRITE, "write", "nov", 0, KV_OP_W | KV_OP_I, UINT)                                                               \
    X(FALLOCATE, "fallocate", "nol", KV_OPT_HOLE | KV_OPT_ZERO | KV_OPT_KEEP_SIZE, KV_OP_W | KV_OP_I, UINT)            \
    X(SEEK, "seek", "no", KV_OPT_HOLE, KV_OP_I, UINT)                                                                  \
    X(COPY, "copy", "notpl", 0, KV_OP_W | KV_OP_I, UINT)                                                               \
    X(SYNC, "sync", "?n", 0, KV_OP_I, NIL)                                                                             \
    X(RELEASE, "release", "N", 0, KV_OP_W, NIL)                                                                        \
    X(GETXATTR, "getxattr", "nx", 0, KV_OP_I, BYTES)                                                                   \
    X(SETXATTR, "setxattr", "nxv", KV_OPT_NX | KV_OPT_XX, KV_OP_W, NIL)                                                \
    X(LISTXATTR, "listxattr", "n", 0, KV_OP_I, ENTRIES)                                                                \
    X(REMOVEXATTR, "removexattr", "nx", 0, KV_OP_W, NIL)                                                               \
    X(STATFS, "statfs", "", 0, KV_OP_I, MAP)

/* X(SYMBOL, "name", TYPE, field of struct kv_request): what the options map may hold. BOOL options have no field:
 * present and true is set, false is absent. */
#define KV_OPTION_LIST(X)                                                                                              \
    X(NX, "nx", BOOL, op)                                                                                              \
    X(XX, "xx", BOOL, op)                                                                                              \
    X(TTL, "ttl", INT, ttl_ms)                                                                                         \
    X(IF_VERSION, "if_version", UINT, if_version)                                                                      \
    X(MODE, "mode", UINT32, mode)                                                                                      \
    X(UMASK, "umask", UINT32, umask)                                                                                   \
    X(UID, "uid", UINT32, uid)                                                                                         \
    X(GID, "gid", UINT32, gid)                                                                                         \
    X(RDEV, "rdev", UINT, rdev)                                                                                        \
    X(SIZE, "size", UINT, size)                                                                                        \
    X(ATIME, "atime", INT, atime_ns)                                                                                   \
    X(MTIME, "mtime", INT, mtime_ns)                                                                                   \
    X(ATIME_NOW, "atime_now", BOOL, op)                                                                                \
    X(MTIME_NOW, "mtime_now", BOOL, op)                                                                                \
    X(AFTER, "after", BYTES, after)                                                                                    \
    X(LIMIT, "limit", UINT32, limit)                                                                                   \
    X(LONG, "long", BOOL, op)                                                                                          \
    X(FOLLOW, "follow", BOOL, op)                                                                                      \
    X(PARENT, "parent", BOOL, op)                                                                                      \
    X(PARENTS, "parents", BOOL, op)                                                                                    \
    X(NOREPLACE, "noreplace", BOOL, op)                                                                                \
    X(EXCHANGE, "exchange", BOOL, op)                                                                                  \
    X(HOLE, "hole", BOOL, op)                                                                                          \
    X(ZERO, "zero", BOOL, op)                                                                                          \
    X(KEEP_SIZE, "keep_size", BOOL, op)                                                                                \
    X(HOLD, "hold", BOOL, op)                                                                                          \
    X(LEASE, "lease", BOOL, op)                                                                                        \
    X(CLIENT, "client", BYTES, name)                                                                                   \
    X(PASSWORD, "password", BYTES, value)                                                                              \
    X(DURABILITY, "durability", BYTES, durability)

#endif
