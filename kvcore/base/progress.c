#include "kvcore/base/progress.h"

#include "kvcore/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { SHOW_NS = 200000000, BAR_CELLS = 24 };

void progress_begin(struct progress *progress, const char *what, bool quiet)
{
    uint64_t now_ns = (uint64_t)clock_mono_ms(clock_system()) * 1000000;
    *progress = (struct progress){
        .what = what, .wanted = !quiet && isatty(STDERR_FILENO), .started_ns = now_ns, .shown_ns = now_ns};
}

struct size_text progress_size(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    struct size_text size;
    unsigned unit = 0;
    double amount = (double)bytes;
    for (; amount >= 1024 && unit < 5; unit++)
        amount /= 1024;
    snprintf(size.text, sizeof size.text, unit ? "%.1f %s" : "%.0f %s", amount, units[unit]);
    return size;
}

static void show_bar(uint64_t bytes, uint64_t total_bytes, double seconds)
{
    char bar[BAR_CELLS + 1];
    double part = bytes < total_bytes ? (double)bytes / (double)total_bytes : 1;
    for (int cell = 0; cell < BAR_CELLS; cell++)
        bar[cell] = cell < (int)(part * BAR_CELLS) ? '#' : '.';
    bar[BAR_CELLS] = '\0';
    fprintf(stderr, " [%s] %3.0f %%", bar, part * 100);
    if (part > 0.01)
        fprintf(stderr, ", %.0f s left", seconds * (1 - part) / part);
}

/* Is it time again? Then the line is begun. */
static bool begin_line(struct progress *progress, double *ret_seconds)
{
    uint64_t now_ns = (uint64_t)clock_mono_ms(clock_system()) * 1000000;
    if (!progress->wanted || now_ns - progress->shown_ns < SHOW_NS)
        return false;
    fprintf(stderr, "\r\033[K%s:", progress->what);
    progress->shown_ns = now_ns;
    progress->shown = true;
    *ret_seconds = (double)(now_ns - progress->started_ns) / 1e9;
    return true;
}

void progress_show(struct progress *progress, uint64_t items, uint64_t bytes, uint64_t total_bytes)
{
    double seconds;
    if (!begin_line(progress, &seconds))
        return;
    fprintf(stderr, " %" PRIu64 " entries, %s", items, progress_size(bytes).text);
    if (total_bytes)
        show_bar(bytes, total_bytes, seconds);
    else
        fprintf(stderr, ", %s/s", progress_size((uint64_t)((double)bytes / seconds)).text);
}

void progress_show_part(struct progress *progress, uint64_t done, uint64_t total)
{
    double seconds;
    if (total && begin_line(progress, &seconds))
        show_bar(done, total, seconds);
}

void progress_clear(struct progress *progress)
{
    if (progress->shown)
        fprintf(stderr, "\r\033[K");
    progress->shown = false;
}
