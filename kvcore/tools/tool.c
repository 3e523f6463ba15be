#include "kvcore/tools/tool.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/explain.h"
#include "kvcore/tools/output.h"
#include "kvcore/tools/unreachable.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

/* Where a mount that owns a directory listens for keys. */
#define EMBEDDED_SOCKET "kvfs.sock"

#define SOCKET_PATH_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path))

int tool_locate(struct tool *tool, const char *store, const char *source)
{
    char why[ERROR_TEXT_BYTES];
    tool->store_source = source;
    if (!*store) {
        tool_complain(tool, "%s names no store: it is empty", source);
        return EXIT_USAGE;
    }
    if (address_parse(store, &tool->address, why, sizeof why) < 0) {
        tool_complain(tool, "%s %s: %s", source, store, why);
        return EXIT_USAGE;
    }
    if (tool->address.kind != ADDRESS_DIRECTORY)
        return 0;
    struct address *address = &tool->address;
    memcpy(tool->directory, address->path, sizeof tool->directory);
    int len = snprintf(address->path, sizeof address->path, "%s/" EMBEDDED_SOCKET, tool->directory);
    if ((size_t)len >= SOCKET_PATH_BYTES) {
        tool_complain(tool, "%s %s: the path of the socket in it is longer than %zu bytes; write it shorter", source,
                      store, SOCKET_PATH_BYTES - 1);
        return EXIT_USAGE;
    }
    address->kind = ADDRESS_UNIX;
    memcpy(address->text, address->path, sizeof address->text);
    return 0;
}

void tool_complain(const struct tool *tool, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "kv: ");
    if (tool->command)
        fprintf(stderr, "%s: ", tool->command->name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

static const struct kv_reply *no_client(int code)
{
    static struct kv_reply reply;
    reply = (struct kv_reply){0};
    kv_reply_fail(&reply, code, "the connection cannot be made: %s", uv_strerror(code));
    return &reply;
}

const struct kv_reply *tool_call(struct tool *tool, const struct kv_request *request)
{
    if (!tool->client) {
        struct client_options options = {
            .name = "kv", .timeout_ms = tool->timeout_ms, .fail_fast = true, .while_loading = true};
        int rc = client_new(tool->loop, &tool->address, &options, &tool->client);
        if (rc < 0)
            return no_client(rc);
    }
    tool->last_op = request->op;
    struct kv_request asked = *request;
    if (tool->durability && kv_op_info(request->op)->flags & KV_OP_W) {
        asked.options |= KV_OPT_DURABILITY;
        asked.durability = bytes_of(tool->durability);
    }
    return client_call(tool->client, &asked);
}

/* The server's text without the operation in front, which the message names already in the user's word for it. */
static const char *text_of(const struct tool *tool, const struct kv_reply *reply)
{
    const char *op = kv_op_info(tool->last_op)->name;
    size_t len = strlen(op);
    if (strncmp(reply->text, op, len) == 0 && strncmp(reply->text + len, ": ", 2) == 0)
        return reply->text + len + 2;
    return reply->text[0] ? reply->text : error_text(reply->error);
}

/* Does the operation want a key that is there? Then a file on the way to it means, like ENOENT, that it is not. */
static bool wants_key(enum kv_op op)
{
    switch (op) {
    case KV_OP_GET:
    case KV_OP_GETRANGE:
    case KV_OP_READ:
    case KV_OP_STAT:
    case KV_OP_TTL:
    case KV_OP_EXPIRE:
    case KV_OP_PERSIST:
    case KV_OP_READLINK:
    case KV_OP_UNLINK:
        return true;
    default:
        return false;
    }
}

static int exit_for(enum kv_op op, int code)
{
    switch (code) {
    case -ENOENT:
    case -EEXIST:
    case KV_VERSION:
        return EXIT_NO;
    case -ENOTDIR:
        return wants_key(op) ? EXIT_NO : EXIT_FAILED;
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -ETIMEDOUT:
    case KV_UNCERTAIN:
        return EXIT_UNREACHABLE;
    default:
        return EXIT_FAILED;
    }
}

/* " KEY" or " FROM -> TO", as far as there are any. */
static void say_keys(const char *key, const char *to)
{
    if (key) {
        fputc(' ', stderr);
        output_name(stderr, bytes_of(key), true);
    }
    if (to) {
        fputs(" -> ", stderr);
        output_name(stderr, bytes_of(to), true);
    }
}

/* Why it failed. The server's own words count for more than ours; but often it has only the code's. */
static void say_why(struct tool *tool, const char *key, const char *to, const struct kv_reply *failed)
{
    const char *text = text_of(tool, failed);
    bool explained = false;
    if (key && strcmp(text, error_text(failed->error)) == 0)
        explained =
            to ? explain_pair(tool, key, to, failed->error, stderr) : explain_one(tool, key, failed->error, stderr);
    fprintf(stderr, "%s (%s)\n", explained ? "" : text, error_name(failed->error));
}

/* `to` may be NULL. */
static int check(struct tool *tool, const char *key, const char *to, const struct kv_reply *reply)
{
    if (!reply->error)
        return EXIT_OK;
    fflush(stdout);
    if (reply->error == -ECONNREFUSED) {
        unreachable_complain(tool, reply->text);
        return EXIT_UNREACHABLE;
    }
    struct kv_reply failed = *reply; /* an explanation may need further requests */
    fprintf(stderr, "kv: %s", tool->command->name);
    say_keys(key, to);
    fputs(": ", stderr);
    say_why(tool, key, to, &failed);
    const char *next = explain_next(tool->last_op, failed.error);
    if (next)
        fprintf(stderr, "kv: %s\n", next);
    return exit_for(tool->last_op, failed.error);
}

int tool_check(struct tool *tool, const char *key, const struct kv_reply *reply)
{
    return check(tool, key, NULL, reply);
}

int tool_check_pair(struct tool *tool, const char *from, const char *to, const struct kv_reply *reply)
{
    return check(tool, from, to, reply);
}

int tool_stat(struct tool *tool, const char *key, uint32_t options, struct kv_attr *ret_attr)
{
    enum kv_op op = tool->last_op;
    struct kv_request request = {.op = KV_OP_STAT, .node = tool_ref(key), .options = options};
    const struct kv_reply *reply = tool_call(tool, &request);
    tool->last_op = op;
    if (reply->error)
        return reply->error;
    *ret_attr = reply->attr;
    return 0;
}

void tool_print_done(const struct tool *tool)
{
    if (tool->json)
        puts("true");
}

struct kv_ref *tool_refs_new(char **words, int count, int step)
{
    struct kv_ref *refs = calloc((size_t)(count / step), sizeof *refs);
    CHECK(refs);
    for (int i = 0; i < count / step; i++)
        refs[i] = tool_ref(words[i * step]);
    return refs;
}

void tool_close(struct tool *tool)
{
    if (tool->client)
        client_free(tool->client, NULL, NULL);
    tool->client = NULL;
    uv_run(tool->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(tool->loop) == 0);
}
