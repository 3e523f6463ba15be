#include "kvcore/tools/tool.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Where a mount that owns a directory listens for keys. */
#define EMBEDDED_SOCKET "kvfs.sock"

int tool_locate(struct tool *tool, const char *store)
{
    char why[ERROR_TEXT_BYTES];
    if (address_parse(store, &tool->address, why, sizeof why) < 0) {
        tool_complain(tool, "%s: %s", store, why);
        return EXIT_USAGE;
    }
    if (tool->address.kind != ADDRESS_DIRECTORY)
        return 0;
    struct address *address = &tool->address;
    memcpy(tool->directory, address->path, sizeof tool->directory);
    int len = snprintf(address->path, sizeof address->path, "%s/" EMBEDDED_SOCKET, tool->directory);
    if ((size_t)len >= sizeof address->path) {
        tool_complain(tool, "%s: the path is too long", store);
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

void tool_complain_unreachable(const struct tool *tool, const char *why)
{
    struct stat status;
    fprintf(stderr, "kv: %s\n", why);
    if (!tool->directory[0])
        fprintf(stderr, "kv: start a store with kvcored, or name another with -s or $KV_STORE\n");
    else if (stat(tool->directory, &status) < 0)
        fprintf(stderr, "kv: there is no directory %s\n", tool->directory);
    else
        fprintf(stderr, "kv: no kvfs or kvcored serves %s; mount it with: kvfs %s MOUNTPOINT\n", tool->directory,
                tool->directory);
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
        struct client_options options = {.name = "kv", .timeout_ms = tool->timeout_ms, .fail_fast = true};
        int rc = client_new(tool->loop, &tool->address, &options, &tool->client);
        if (rc < 0)
            return no_client(rc);
    }
    tool->last_op = request->op;
    return client_call(tool->client, request);
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

static const char *what_next(int code)
{
    switch (code) {
    case KV_NOAUTH:
        return "give the password with --password-file, $KV_PASSWORD or in the address";
    case KV_READONLY:
        return "send writes to the primary";
    case KV_LOADING:
    case KV_BUSY:
        return "try again in a moment";
    case -EISDIR:
        return "it is a directory: kv ls shows it, kv rm -r removes it";
    case -ENOTEMPTY:
        return "kv rm -r removes a directory with all that is in it";
    case -ENOSPC:
        return "remove something, or give the store more memory (maxmemory)";
    default:
        return NULL;
    }
}

static int exit_for(int code)
{
    switch (code) {
    case -ENOENT:
    case -EEXIST:
    case KV_VERSION:
        return EXIT_NO;
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -ETIMEDOUT:
    case KV_UNCERTAIN:
        return EXIT_UNREACHABLE;
    default:
        return EXIT_FAILED;
    }
}

int tool_check(struct tool *tool, const char *key, const struct kv_reply *reply)
{
    int code = reply->error;
    if (!code)
        return EXIT_OK;
    fflush(stdout);
    if (code == -ECONNREFUSED) {
        tool_complain_unreachable(tool, reply->text);
        return EXIT_UNREACHABLE;
    }
    fprintf(stderr, "kv: %s", tool->command->name);
    if (key) {
        fputc(' ', stderr);
        output_name(stderr, bytes_of(key), true);
    }
    fprintf(stderr, ": %s (%s)\n", text_of(tool, reply), error_name(code));
    const char *next = what_next(code);
    if (next)
        fprintf(stderr, "kv: %s\n", next);
    return exit_for(code);
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
