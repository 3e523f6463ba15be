/* Values as a whole and in parts: get, set, append, getrange, setrange, mget, mset. */
#include "kvcore/tools/commands.h"

#include "kvcore/base/buf.h"
#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/tools/args.h"
#include "kvcore/tools/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_PIECE_BYTES = 8 << 20, INPUT_PIECE_BYTES = 65536 };

/* --- where a value comes from --------------------------------------------------------------------------------- */

/* All of stdin. 0, -EFBIG, -ENOMEM or read(2)'s error. */
static int input_read(struct buf *ret_input)
{
    for (;;) {
        int rc = buf_reserve(ret_input, INPUT_PIECE_BYTES);
        if (rc < 0)
            return rc;
        ssize_t got = read(STDIN_FILENO, ret_input->data + ret_input->len, INPUT_PIECE_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            return 0;
        ret_input->len += (size_t)got;
        if (ret_input->len > READ_BYTES_MAX)
            return -EFBIG;
    }
}

/* A mount takes values of any length. What is advised here gets typed in: it must do what the command would have, and
 * for a condition or a time to live no shell command does. */
static void mount_advise(const char *key, const struct kv_request *request)
{
    if (request->options)
        return;
    const char *before = request->op == KV_OP_SET      ? "cat > MOUNTPOINT/"
                         : request->op == KV_OP_APPEND ? "cat >> MOUNTPOINT/"
                                                       : "dd bs=1M iflag=fullblock of=MOUNTPOINT/";
    fprintf(stderr, "kv: write it through a mount: %s", before);
    output_name(stderr, bytes_of(key), true);
    if (request->op == KV_OP_SETRANGE)
        fprintf(stderr, " conv=notrunc oflag=seek_bytes seek=%llu", (unsigned long long)request->offset);
    fputc('\n', stderr);
}

/* The value for `request`: this word, or stdin where the word is missing or "-". 0, or an exit code after a message. */
static int value_take(struct tool *tool, const char *key, const char *word, struct kv_request *request,
                      struct buf *input)
{
    if (word && strcmp(word, "-") != 0) {
        request->value = bytes_of(word);
        return 0;
    }
    int rc = input_read(input);
    if (rc == -EFBIG) {
        tool_complain(tool, "the value is longer than %u bytes, the most that one request carries (EFBIG)",
                      READ_BYTES_MAX);
        mount_advise(key, request);
        return EXIT_FAILED;
    }
    if (rc < 0) {
        tool_complain(tool, "reading standard input: %s (%s)", error_text(rc), error_name(rc));
        return EXIT_FAILED;
    }
    request->value = buf_bytes(input);
    return 0;
}

/* --- how a value is shown ------------------------------------------------------------------------------------- */

/* Raw; a terminal's prompt goes to the next line. */
static void value_print(const struct tool *tool, struct bytes value)
{
    if (tool->json) {
        output_json(output_json_bytes(value));
        return;
    }
    output_bytes(value);
    if (output_is_terminal() && value.len && value.data[value.len - 1] != '\n')
        fputc('\n', stdout);
}

static void count_print(const struct tool *tool, uint64_t count)
{
    (void)tool; /* JSON writes a number the same way */
    printf("%llu\n", (unsigned long long)count);
}

/* --- get ------------------------------------------------------------------------------------------------------ */

/* A value too long for one answer, by pieces. Not of one instant: when it changes meanwhile, that is an error. */
static int get_in_pieces(struct tool *tool, const char *key)
{
    struct kv_request stat = {.op = KV_OP_STAT, .node = tool_ref(key), .options = KV_OPT_FOLLOW};
    const struct kv_reply *reply = tool_call(tool, &stat);
    int exit_code = tool_check(tool, key, reply);
    if (exit_code)
        return exit_code;
    struct kv_attr attr = reply->attr;
    if (tool->json) {
        tool_complain(tool, "%s: %llu bytes are too long for JSON; leave --json out", key,
                      (unsigned long long)attr.size);
        return EXIT_FAILED;
    }
    struct kv_request request = {.op = KV_OP_READ, .node = kv_ref_id(attr.id), .length = READ_PIECE_BYTES};
    while (request.offset < attr.size && !output_failed()) {
        reply = tool_call(tool, &request);
        exit_code = tool_check(tool, key, reply);
        if (exit_code)
            return exit_code;
        struct bytes piece = kv_reply_bytes(reply);
        if (piece.len == 0)
            break;
        output_bytes(piece);
        request.offset += piece.len;
    }
    stat.node = kv_ref_id(attr.id);
    reply = tool_call(tool, &stat);
    exit_code = tool_check(tool, key, reply);
    if (exit_code == EXIT_OK && reply->attr.version != attr.version) {
        tool_complain(tool, "%s changed while it was read in pieces: what was written is no single state of it", key);
        return EXIT_FAILED;
    }
    return exit_code;
}

int run_get(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 1, 1);
    const char *key = args.words[0];
    struct kv_request request = {.op = KV_OP_GET, .node = tool_ref(key)};
    const struct kv_reply *reply = tool_call(tool, &request);
    if (reply->error == -EFBIG)
        return get_in_pieces(tool, key);
    int exit_code = tool_check(tool, key, reply);
    if (exit_code == EXIT_OK)
        value_print(tool, kv_reply_bytes(reply));
    return exit_code;
}

/* --- set, append, setrange ------------------------------------------------------------------------------------ */

static const struct option set_options[] = {{"nx", no_argument, NULL, 'n'},
                                            {"xx", no_argument, NULL, 'x'},
                                            {"ttl", required_argument, NULL, 't'},
                                            {"if-version", required_argument, NULL, 'v'},
                                            ARGS_COMMON};

static void set_parse(struct args *args, struct tool *tool, int argc, char **argv, struct kv_request *request)
{
    args_begin(args, tool, argc, argv, "", set_options);
    for (int option; (option = args_next(args)) != ARGS_END;)
        switch (option) {
        case 'n':
            request->options |= KV_OPT_NX;
            break;
        case 'x':
            request->options |= KV_OPT_XX;
            break;
        case 't':
            request->options |= KV_OPT_TTL;
            request->ttl_ms = args_duration_ms(args, optarg);
            break;
        case 'v':
            request->options |= KV_OPT_IF_VERSION;
            request->if_version = (uint64_t)args_integer(args, "--if-version", optarg, 0, INT64_MAX);
            break;
        }
    args_expect(args, 1, 2);
    if ((request->options & KV_OPT_NX) && (request->options & (KV_OPT_XX | KV_OPT_IF_VERSION)))
        args_fail(args, "--nx asks for a key that is not there, --xx and --if-version for one that is");
}

/* Sends a request with a value from a word or stdin, and prints its answer with `print`. */
static int send_value(struct tool *tool, const char *key, const char *word, struct kv_request *request,
                      void (*print)(const struct tool *tool, uint64_t answer))
{
    struct buf input = {0};
    request->node = tool_ref(key);
    int exit_code = value_take(tool, key, word, request, &input);
    if (exit_code == EXIT_OK) {
        const struct kv_reply *reply = tool_call(tool, request);
        exit_code = tool_check(tool, key, reply);
        if (exit_code == EXIT_OK)
            print(tool, reply->uint);
    }
    buf_close(&input);
    return exit_code;
}

static void version_print(const struct tool *tool, uint64_t version)
{
    if (tool->json)
        output_json(json_pack("{s:I}", "version", (json_int_t)version));
    else
        puts("OK");
}

int run_set(struct tool *tool, int argc, char **argv)
{
    struct args args;
    struct kv_request request = {.op = KV_OP_SET};
    set_parse(&args, tool, argc, argv, &request);
    return send_value(tool, args.words[0], args.count > 1 ? args.words[1] : NULL, &request, version_print);
}

int run_append(struct tool *tool, int argc, char **argv)
{
    struct args args;
    struct kv_request request = {.op = KV_OP_APPEND};
    args_words(&args, tool, argc, argv, 1, 2);
    return send_value(tool, args.words[0], args.count > 1 ? args.words[1] : NULL, &request, count_print);
}

int run_setrange(struct tool *tool, int argc, char **argv)
{
    struct args args;
    struct kv_request request = {.op = KV_OP_SETRANGE};
    args_words(&args, tool, argc, argv, 2, 3);
    request.offset = (uint64_t)args_integer(&args, "OFFSET", args.words[1], 0, (int64_t)VALUE_BYTES_MAX);
    return send_value(tool, args.words[0], args.count > 2 ? args.words[2] : NULL, &request, count_print);
}

/* --- parts, and several --------------------------------------------------------------------------------------- */

/* The second of each two words. */
static struct bytes *values_new(char **words, int count)
{
    struct bytes *values = calloc((size_t)count / 2, sizeof *values);
    CHECK(values);
    for (int i = 0; i < count / 2; i++)
        values[i] = bytes_of(words[2 * i + 1]);
    return values;
}

int run_getrange(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 3, 3);
    struct kv_request request = {.op = KV_OP_GETRANGE, .node = tool_ref(args.words[0])};
    request.first = args_integer(&args, "START", args.words[1], INT64_MIN, INT64_MAX);
    request.last = args_integer(&args, "END", args.words[2], INT64_MIN, INT64_MAX);
    const struct kv_reply *reply = tool_call(tool, &request);
    int exit_code = tool_check(tool, args.words[0], reply);
    if (exit_code == EXIT_OK)
        value_print(tool, kv_reply_bytes(reply));
    return exit_code;
}

static void values_print_json(const struct kv_reply *reply)
{
    json_t *list = json_array();
    for (size_t i = 0; i < reply->count; i++)
        json_array_append_new(list,
                              reply->entries[i].present ? output_json_bytes(reply->entries[i].name) : json_null());
    output_json(list);
}

static void values_print(const struct kv_reply *reply)
{
    for (size_t i = 0; i < reply->count; i++) {
        output_bytes(reply->entries[i].present ? reply->entries[i].name : bytes_of("(nil)"));
        fputc('\n', stdout);
    }
}

int run_mget(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 1, REFS_MAX);
    struct kv_ref *refs = tool_refs_new(args.words, args.count, 1);
    struct kv_request request = {.op = KV_OP_MGET, .nodes = refs, .node_count = (size_t)args.count};
    const struct kv_reply *reply = tool_call(tool, &request);
    free(refs);
    int exit_code = tool_check(tool, NULL, reply);
    if (exit_code)
        return exit_code;
    if (tool->json)
        values_print_json(reply);
    else
        values_print(reply);
    for (size_t i = 0; i < reply->count; i++)
        if (!reply->entries[i].present)
            return EXIT_NO;
    return EXIT_OK;
}

/* Is it the shape of the tree that the request failed on? */
static bool is_about_path(int code) { return code == -EISDIR || code == -EINVAL || code == -ENOTDIR || code == -ELOOP; }

/* The key that an mset failed on with this code, which the server does not name; NULL where none looks like it. */
static const char *mset_culprit(struct tool *tool, char **words, int count, int code)
{
    for (int i = 0; i < count && is_about_path(code); i += 2) {
        struct kv_attr attr;
        int rc = tool_stat(tool, words[i], KV_OPT_FOLLOW, &attr);
        if (rc == 0 && !S_ISREG(attr.mode))
            rc = S_ISDIR(attr.mode) ? -EISDIR : -EINVAL;
        if (rc == code)
            return words[i];
    }
    return NULL;
}

int run_mset(struct tool *tool, int argc, char **argv)
{
    struct args args;
    args_words(&args, tool, argc, argv, 2, 2 * REFS_MAX);
    if (args.count % 2)
        args_fail(&args, "the last key has no value");
    size_t count = (size_t)args.count / 2;
    struct kv_ref *refs = tool_refs_new(args.words, args.count, 2);
    struct bytes *values = values_new(args.words, args.count);
    struct kv_request request = {.op = KV_OP_MSET, .nodes = refs, .values = values, .node_count = count};
    const struct kv_reply *reply = tool_call(tool, &request);
    free(values);
    free(refs);
    struct kv_reply answer = *reply; /* looking for the key takes further requests */
    const char *key = answer.error ? mset_culprit(tool, args.words, args.count, answer.error) : NULL;
    int exit_code = tool_check(tool, key, &answer);
    if (exit_code == EXIT_OK)
        puts(tool->json ? "true" : "OK");
    return exit_code;
}
