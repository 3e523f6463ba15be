/* What goes to stdout: bytes as they are, names that a terminal survives, JSON. */
#ifndef KV_TOOLS_OUTPUT_H
#define KV_TOOLS_OUTPUT_H

#include "kvcore/base/bytes.h"

#include <jansson.h>
#include <stdio.h>

/* Is stdout a terminal? */
bool output_is_terminal(void);

/* To stdout. A failure shows in output_failed and output_finish. */
void output_bytes(struct bytes bytes);

/* A name; with `quoted`, as ls(1) quotes: 'it'\''s', $'a\nb' where it has control bytes or is no UTF-8. */
void output_name(FILE *out, struct bytes name, bool quoted);

/* The same, in quotes even where it needs none: for a name within a sentence. */
void output_quoted(FILE *out, struct bytes name);

/* A string when it is UTF-8, {"base64": ...} otherwise. */
json_t *output_json_bytes(struct bytes bytes);

/* Prints one JSON value and a newline; takes the value. */
void output_json(json_t *value);

/* Has writing to stdout failed? For whoever would go on writing for long. */
bool output_failed(void);

/* Flushes stdout. Returns the exit code: `code`, or EXIT_FAILED after a message when not everything could be written.
 * When the reader has gone (EPIPE) the program ends as it would without us: by SIGPIPE. */
int output_finish(int code);

#endif
