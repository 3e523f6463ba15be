/* Lengths of time as people type them: "10" (seconds), "10s", "500ms", "1.5h", "1h30m", "1d". */
#ifndef KV_TOOLS_DURATION_H
#define KV_TOOLS_DURATION_H

#include <stdint.h>

/* Milliseconds, 0 or more. -EINVAL: no such text, or longer than int64_t milliseconds hold. */
int duration_parse(const char *text, int64_t *ret_ms);

#endif
