/* An operation and its answer as plain structs. rpc encodes and decodes them, the server executes them, an
 * embedded mount hands them over as they are.
 *
 * Everything in them is borrowed: a request's bytes until the call that takes it returns; a reply's bytes until
 * the callback that got it returns (or, from a store that answers at once, until its next request).
 */
#ifndef KV_RPC_REQUEST_H
#define KV_RPC_REQUEST_H

#include "kvcore/base/bytes.h"
#include "kvcore/base/limits.h"
#include "kvcore/rpc/op_list.h"

enum kv_op {
#define X(symbol, name, args, options, flags, reply) KV_OP_##symbol,
    KV_OP_LIST(X)
#undef X
        KV_OP_COUNT
};

enum kv_op_flag { KV_OP_W = 1, KV_OP_I = 2, KV_OP_A = 4, KV_OP_F = 8, KV_OP_L = 16 };

enum kv_option_bit {
#define X(symbol, name, type, field) KV_OPT_BIT_##symbol,
    KV_OPTION_LIST(X)
#undef X
        KV_OPTION_COUNT
};

enum kv_option {
#define X(symbol, name, type, field) KV_OPT_##symbol = 1 << KV_OPT_BIT_##symbol,
    KV_OPTION_LIST(X)
#undef X
};

static_assert(KV_OPTION_COUNT < 31, "options are bits of one int");

enum kv_ref_kind {
    KV_REF_KEY,  /* name: a whole key; empty: the root */
    KV_REF_ID,   /* id */
    KV_REF_NAME, /* name, one component, in directory id */
};

/* How a request names a node. A zeroed ref is the root. */
struct kv_ref {
    enum kv_ref_kind kind;
    uint64_t id;
    struct bytes name;
};

struct kv_request {
    enum kv_op op;
    uint32_t options; /* enum kv_option: which of the option fields are given */
    struct kv_ref node;
    struct kv_ref target;
    const struct kv_ref *nodes; /* N, P */
    const struct bytes *values; /* P: as many as nodes */
    size_t node_count;
    struct bytes value;
    struct bytes name;
    union {
        uint64_t offset;
        uint64_t cookie;
        int64_t first; /* getrange: inclusive, negative from the end */
        int64_t delta;
        uint64_t ticket; /* recalled */
        int64_t ttl_ms;  /* expire; and the option ttl, which no operation with another of these takes */
    };
    union {
        uint64_t length;
        int64_t last; /* getrange: inclusive */
    };
    uint64_t target_offset;
    uint64_t if_version;
    uint32_t mode;
    uint32_t umask; /* for new nodes: taken off the mode, unless the directory has a default ACL */
    uint32_t uid;
    uint32_t gid;
    uint32_t limit;
    uint64_t rdev;
    uint64_t size;
    int64_t atime_ns;
    int64_t mtime_ns;
    struct bytes after;
    struct bytes durability; /* "written", "synced": what the answer is to wait for, where the node would not */
};

/* A node's attributes; on the wire an array in this order. */
struct kv_attr {
    uint64_t id;
    uint64_t version;
    uint32_t mode; /* st_mode */
    uint32_t uid;
    uint32_t gid;
    uint32_t nlink;
    uint64_t size;
    uint64_t stored; /* bytes of memory the value takes */
    int64_t atime_ns;
    int64_t mtime_ns;
    int64_t ctime_ns;
    int64_t btime_ns;
    uint64_t rdev;
    int64_t expires_ns; /* 0: never */
    bool leased;        /* the session may keep this, and the entry that led here, until it is recalled */
};

enum kv_reply_kind {
    KV_REPLY_NIL,
    KV_REPLY_BOOL,    /* uint: 0 or 1 */
    KV_REPLY_UINT,    /* uint */
    KV_REPLY_INT,     /* integer */
    KV_REPLY_TEXT,    /* pieces, as str */
    KV_REPLY_BYTES,   /* pieces, in order, as one bin */
    KV_REPLY_ATTR,    /* attr */
    KV_REPLY_ENTRIES, /* entries: names (ls, listxattr), [name, attr] (ls long), [name, cookie, attr] (readdir) */
    KV_REPLY_VALUES,  /* entries: value or, where !present, nil */
    KV_REPLY_MAP,     /* fields */
};

struct kv_entry {
    struct bytes name; /* in VALUES: the value */
    bool present;
    uint64_t cookie;
    struct kv_attr attr;
};

/* What an array of entries carries beside the names. */
enum kv_entry_shape { KV_ENTRY_NAME, KV_ENTRY_ATTR, KV_ENTRY_COOKIE_ATTR };

/* One line of a map: a number, or where text.data is set that text. */
struct kv_field {
    const char *name; /* "section.field" or "field" */
    uint64_t number;
    struct bytes text;
};

struct kv_reply {
    int error;                   /* 0, or the negative code; then only text counts */
    char text[ERROR_TEXT_BYTES]; /* why, for people; "" where the code says all */
    bool leased;                 /* the session may keep this error (ENOENT) until it is recalled */
    enum kv_reply_kind kind;
    enum kv_entry_shape shape;
    union {
        uint64_t uint;
        int64_t integer;
        struct kv_attr attr;
    };
    const struct bytes *pieces;
    const struct kv_entry *entries;
    const struct kv_field *fields;
    size_t count;   /* of pieces, entries or fields */
    uint64_t bytes; /* sum of the pieces */
};

/* One row of the table. */
struct kv_op_info {
    const char *name;
    const char *args;
    uint32_t options;
    uint32_t flags;
    enum kv_reply_kind reply;
};

const struct kv_op_info *kv_op_info(enum kv_op op);

/* KV_OP_COUNT where there is no such operation. */
enum kv_op kv_op_from_name(struct bytes name);

static inline struct kv_ref kv_ref_key(struct bytes key) { return (struct kv_ref){KV_REF_KEY, 0, key}; }
static inline struct kv_ref kv_ref_id(uint64_t id) { return (struct kv_ref){KV_REF_ID, id, {NULL, 0}}; }
static inline struct kv_ref kv_ref_name(uint64_t dir, struct bytes name)
{
    return (struct kv_ref){KV_REF_NAME, dir, name};
}

/* Makes the reply this error, with a text for people. Returns `code`. */
int kv_reply_fail(struct kv_reply *reply, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The first piece of a BYTES or TEXT reply: the whole of it when it came over the wire. */
static inline struct bytes kv_reply_bytes(const struct kv_reply *reply)
{
    return reply->count ? reply->pieces[0] : (struct bytes){"", 0};
}

#endif
