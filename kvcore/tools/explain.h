/* What the code of a failure leaves out: which of a command's keys it was about, and what is wrong with it.
 *
 * The server answers with a code and, often, no more: ENOENT of a rename may mean the key itself or the directory that
 * it was to go to. So the store is asked again, by stat, after the fact. What has changed meanwhile leaves the code
 * unexplained; it never makes another failure of it.
 */
#ifndef KV_TOOLS_EXPLAIN_H
#define KV_TOOLS_EXPLAIN_H

#include "kvcore/tools/tool.h"

#include <stdio.h>

/* Writes a sentence fragment and returns true, or writes nothing. The operation is tool->last_op. */
bool explain_one(struct tool *tool, const char *key, int code, FILE *out);

/* The same for a command on two names. */
bool explain_pair(struct tool *tool, const char *from, const char *to, int code, FILE *out);

/* What to do next, or NULL where nothing helps. Static. */
const char *explain_next(enum kv_op op, int code);

#endif
