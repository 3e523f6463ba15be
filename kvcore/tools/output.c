#include "kvcore/tools/output.h"

#include "kvcore/base/check.h"
#include "kvcore/tools/tool.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

bool output_is_terminal(void) { return isatty(STDOUT_FILENO); }

/* The reason of the first failed write: stdio remembers only that there was one. */
static int first_error;

static void error_keep(void)
{
    if (!first_error)
        first_error = errno ? errno : EIO;
}

void output_bytes(struct bytes bytes)
{
    if (bytes.len && fwrite(bytes.data, 1, bytes.len, stdout) < bytes.len)
        error_keep();
}

bool output_failed(void)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        error_keep();
    return first_error != 0;
}

int output_finish(int code)
{
    if (!output_failed())
        return code;
    if (first_error == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    fprintf(stderr, "kv: writing to standard output: %s\n", strerror(first_error));
    return EXIT_FAILED;
}

/* --- names ---------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 sequence that begins here, 0 where it is none (RFC 3629, without the fine print on surrogates). */
static size_t utf8_len(struct bytes bytes, size_t at)
{
    unsigned char first = (unsigned char)bytes.data[at];
    size_t len = first < 0x80                    ? 1
                 : first >= 0xc2 && first < 0xe0 ? 2
                 : first >= 0xe0 && first < 0xf0 ? 3
                 : first < 0xf5                  ? 4
                                                 : 0;
    if (first >= 0x80 && first < 0xc2)
        return 0;
    if (at + len > bytes.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if (((unsigned char)bytes.data[at + i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* C0, DEL, and C1 in its UTF-8 form. */
static bool is_control(struct bytes bytes, size_t at)
{
    unsigned char byte = (unsigned char)bytes.data[at];
    return byte < 0x20 || byte == 0x7f || (byte == 0xc2 && (unsigned char)bytes.data[at + 1] < 0xa0);
}

enum quoting { QUOTE_NONE, QUOTE_PLAIN, QUOTE_ESCAPED };

static enum quoting quoting_of(struct bytes name)
{
    enum quoting quoting = name.len ? QUOTE_NONE : QUOTE_PLAIN;
    for (size_t at = 0, len; at < name.len; at += len) {
        len = utf8_len(name, at);
        if (len == 0 || is_control(name, at))
            return QUOTE_ESCAPED;
        if (strchr(" \"'`$&*()|;<>?[]\\!#~", name.data[at]))
            quoting = QUOTE_PLAIN;
    }
    return quoting;
}

static void quote_plain(FILE *out, struct bytes name)
{
    fputc('\'', out);
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] == '\'')
            fputs("'\\''", out);
        else
            fputc(name.data[i], out);
    fputc('\'', out);
}

static void quote_escaped(FILE *out, struct bytes name)
{
    static const char letters[] = "abtnvfr"; /* from 7 on */
    fputs("$'", out);
    for (size_t at = 0, len; at < name.len; at += len) {
        unsigned char byte = (unsigned char)name.data[at];
        len = utf8_len(name, at);
        if (byte >= 7 && byte <= 13)
            fprintf(out, "\\%c", letters[byte - 7]);
        else if (byte == '\'' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (len == 0 || byte < 0x20 || byte == 0x7f)
            fprintf(out, "\\%03o", byte);
        else if (is_control(name, at))
            fprintf(out, "\\%03o\\%03o", byte, (unsigned char)name.data[at + 1]);
        else
            fwrite(name.data + at, 1, len, out);
        len = len ? len : 1;
    }
    fputc('\'', out);
}

void output_name(FILE *out, struct bytes name, bool quoted)
{
    enum quoting quoting = quoted ? quoting_of(name) : QUOTE_NONE;
    if (quoting == QUOTE_ESCAPED)
        quote_escaped(out, name);
    else if (quoting == QUOTE_PLAIN)
        quote_plain(out, name);
    else if (name.len && fwrite(name.data, 1, name.len, out) < name.len)
        error_keep();
}

void output_quoted(FILE *out, struct bytes name)
{
    if (quoting_of(name) == QUOTE_ESCAPED)
        quote_escaped(out, name);
    else
        quote_plain(out, name);
}

/* --- JSON ----------------------------------------------------------------------------------------------------- */

/* RFC 4648, section 4. The caller frees. */
static char *base64_encode(struct bytes bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((bytes.len + 2) / 3 * 4 + 1), *to = text;
    CHECK(text);
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t left = bytes.len - at;
        uint32_t group = 0;
        for (size_t i = 0; i < 3; i++)
            group = group << 8 | (i < left ? (unsigned char)bytes.data[at + i] : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[group & 63] : '=';
    }
    *to = '\0';
    return text;
}

json_t *output_json_bytes(struct bytes bytes)
{
    json_t *value = json_stringn(bytes.len ? bytes.data : "", bytes.len);
    if (value)
        return value;
    char *text = base64_encode(bytes);
    value = json_pack("{s:s}", "base64", text);
    free(text);
    return value;
}

void output_json(json_t *value)
{
    CHECK(value);
    size_t layout = output_is_terminal() ? JSON_INDENT(2) : 0;
    if (json_dumpf(value, stdout, layout | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) < 0)
        error_keep();
    fputc('\n', stdout);
    json_decref(value);
}
