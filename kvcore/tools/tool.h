/* What the commands of `kv` share: the way to the store, and how a failure becomes a message and an exit code. */
#ifndef KV_TOOLS_TOOL_H
#define KV_TOOLS_TOOL_H

#include "kvcore/client/client.h"

enum tool_exit {
    EXIT_OK = 0,
    EXIT_NO = 1,          /* the answer is no: no such key, a condition not met */
    EXIT_USAGE = 2,       /* the command line makes no sense */
    EXIT_UNREACHABLE = 3, /* no answer from the store */
    EXIT_FAILED = 4,
};

struct tool;

/* A row of the table in kv.c. */
struct command {
    const char *name;
    const char *usage; /* its arguments: "[-p] KEY..." */
    const char *summary;
    const char *help; /* what the summary leaves out, options included */
    int (*run)(struct tool *tool, int argc, char **argv);
};

struct tool {
    const struct command *command;
    struct address address; /* where to connect */
    char directory[4096];   /* the store was given as this directory; else empty */
    uint32_t timeout_ms;    /* 0: for ever */
    bool json;
    uv_loop_t *loop;
    struct client *client; /* made by the first tool_call */
    enum kv_op last_op;    /* of the last tool_call */
};

/* Fills in where the store is, from what -s or $KV_STORE said. 0, or EXIT_USAGE after a message. */
int tool_locate(struct tool *tool, const char *store);

/* Runs one request to its reply, connecting first where need be. The reply is borrowed until the next call. */
const struct kv_reply *tool_call(struct tool *tool, const struct kv_request *request);

/* The code with which a command ends that got this reply: EXIT_OK when it is no error. Otherwise it says what failed,
 * on which key (may be NULL), why, and what to do next where there is something to do. */
int tool_check(struct tool *tool, const char *key, const struct kv_reply *reply);

/* "kv: get: ..." on stderr. */
void tool_complain(const struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says that nobody could be reached, and what to do about it. `why` begins with the address. */
void tool_complain_unreachable(const struct tool *tool, const char *why);

void tool_close(struct tool *tool);

static inline struct kv_ref tool_ref(const char *key) { return kv_ref_key(bytes_of(key)); }

/* Every `step`th word as a key; the caller frees. */
struct kv_ref *tool_refs_new(char **words, int count, int step);

#endif
