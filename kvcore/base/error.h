/* The one list of errors.
 *
 * An operational failure is a negative int. POSIX conditions are -errno, so that the mount needs no table;
 * what POSIX has no name for follows from -1000 down. On the wire and in messages an error goes by its
 * name (docs/protocol.md), never by its number, which differs between machines.
 */
#ifndef KV_BASE_ERROR_H
#define KV_BASE_ERROR_H

#include <errno.h>

/* X(symbol, meaning) for every code that is not an errno. */
#define KV_ERROR_LIST(X)                                                                                               \
    X(MOVED, "the slot is served by another node")                                                                     \
    X(ASK, "the slot is on its way to another node")                                                                   \
    X(CROSSSLOT, "the keys lie in different slots")                                                                    \
    X(READONLY, "this node takes no writes")                                                                           \
    X(FENCED, "this node's term as primary is over")                                                                   \
    X(NOAUTH, "a password is required first")                                                                          \
    X(LOADING, "the node is still loading its data")                                                                   \
    X(BUSY, "the node is at a limit, try again")                                                                       \
    X(VERSION, "the node has another version than asked for")                                                          \
    X(UNCERTAIN, "the connection broke: the change may or may not have happened")

enum kv_error {
    KV_ERROR_BASE = -1000,
#define X(symbol, meaning) KV_##symbol,
    KV_ERROR_LIST(X)
#undef X
        KV_ERROR_END
};
/* The enumerators count up from -999; all of them are negative and none is an errno. */

/* "ENOENT", "MOVED", ...; "EIO" for a code that the list does not know. Static. */
const char *error_name(int code);

/* A sentence fragment for people: "No such file or directory". Static. */
const char *error_text(int code);

/* The code that bears this name (`len` bytes, no terminator needed), or -EIO where none does. */
int error_from_name(const char *name, unsigned long len);

/* The errno (positive) to show a program behind a mount. */
int error_to_errno(int code);

#endif
