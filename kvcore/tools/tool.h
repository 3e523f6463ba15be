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
    struct address address;   /* where to connect */
    char directory[4096];     /* the store was given as this directory; else empty */
    const char *store_source; /* what said where the store is, for messages: "-s", "$KV_STORE", "the default" */
    uint32_t timeout_ms;      /* 0: for ever */
    bool json;
    const char *durability; /* what each change asks for; NULL: the server's level */
    uv_loop_t *loop;
    struct client *client; /* made by the first tool_call */
    enum kv_op last_op;    /* of the last tool_call */
};

/* Fills in where the store is, from what `source` said, which stays borrowed. 0, or EXIT_USAGE after a message. */
int tool_locate(struct tool *tool, const char *store, const char *source);

/* Runs one request to its reply, connecting first where need be. The reply is borrowed until the next call. */
const struct kv_reply *tool_call(struct tool *tool, const struct kv_request *request);

/* The code with which a command ends that got this reply: EXIT_OK when it is no error. Otherwise it says what failed,
 * on which key (may be NULL), why, and what to do next where there is something to do. */
int tool_check(struct tool *tool, const char *key, const struct kv_reply *reply);

/* The same for a command on two names: "kv: mv FROM -> TO: ...". */
int tool_check_pair(struct tool *tool, const char *from, const char *to, const struct kv_reply *reply);

/* A question beside the command's own: a key's attributes. `options`: KV_OPT_FOLLOW or 0. 0, or the error; says
 * nothing. The last reply is gone then; last_op stays. */
int tool_stat(struct tool *tool, const char *key, uint32_t options, struct kv_attr *ret_attr);

/* Done: what there is to say about a change that has no other answer. */
void tool_print_done(const struct tool *tool);

/* "kv: get: ..." on stderr. */
void tool_complain(const struct tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));

void tool_close(struct tool *tool);

static inline struct kv_ref tool_ref(const char *key) { return kv_ref_key(bytes_of(key)); }

/* Every `step`th word as a key; the caller frees. */
struct kv_ref *tool_refs_new(char **words, int count, int step);

#endif
