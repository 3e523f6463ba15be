/* How far long work is, on one line of stderr that is written again and again; nothing where stderr is no terminal. */
#ifndef KV_BASE_PROGRESS_H
#define KV_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "import"; static */
    bool wanted;      /* stderr is a terminal, and nobody asked for quiet */
    bool shown;       /* the line stands there */
    uint64_t started_ns;
    uint64_t shown_ns;
};

void progress_begin(struct progress *progress, const char *what, bool quiet);

/* Cheap to call often: writes a few times a second. `total_bytes` 0: nobody knows; then rates are shown, else a bar and
 * the time that is left. */
void progress_show(struct progress *progress, uint64_t items, uint64_t bytes, uint64_t total_bytes);

/* The same of work whose parts are nothing that a person counts: the bar alone. */
void progress_show_part(struct progress *progress, uint64_t done, uint64_t total);

/* Takes the line away: before a message, and at the end. */
void progress_clear(struct progress *progress);

/* "512 B", "1.4 MiB" */
struct size_text {
    char text[16];
};
struct size_text progress_size(uint64_t bytes);

#endif
