#include "kvcore/base/progress.h"

#include "kvcore/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_CELLS = 40, DRAW_MS = 100 };

void progress_begin(struct progress *progress, const char *what)
{
    *progress = (struct progress){.what = what, .shown = isatty(STDERR_FILENO) == 1};
}

void progress_set(struct progress *progress, uint64_t done, uint64_t total)
{
    char bar[BAR_CELLS + 1];
    int64_t now_ms = clock_mono_ms(clock_system());
    if (!progress->shown || total == 0 || (progress->drawn && now_ms - progress->last_ms < DRAW_MS))
        return;
    double part = done < total ? (double)done / (double)total : 1;
    size_t full = (size_t)(part * BAR_CELLS);
    memset(bar, '#', full);
    memset(bar + full, '.', BAR_CELLS - full);
    bar[BAR_CELLS] = '\0';
    fprintf(stderr, "\r%s [%s] %3d %%", progress->what, bar, (int)(part * 100));
    progress->drawn = true;
    progress->last_ms = now_ms;
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
