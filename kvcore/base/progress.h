/* A progress bar on a terminal: one line that is drawn over, at most ten times a second. On anything else nothing. */
#ifndef KV_BASE_PROGRESS_H
#define KV_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "loading"; borrowed */
    bool shown;       /* stderr is a terminal */
    bool drawn;
    int64_t last_ms;
};

void progress_begin(struct progress *progress, const char *what);
void progress_set(struct progress *progress, uint64_t done, uint64_t total);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
