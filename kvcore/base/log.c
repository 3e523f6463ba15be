#include "kvcore/base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

/* The one process-wide state of kvfs: where its log goes. */
static const char *log_name = "kvfs";
static enum log_level log_max = LOG_LEVEL_INFO;
static bool log_syslog;

void log_open(const char *name, enum log_level level)
{
    log_name = name;
    log_max = level;
}

void log_to_syslog(void)
{
    openlog(log_name, LOG_PID, LOG_DAEMON);
    log_syslog = true;
}

void log_line(enum log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    if (level > log_max)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (log_syslog) {
        syslog(priorities[level], "%s", line);
        return;
    }
    struct timespec now;
    struct tm local;
    char when[32];
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&now.tv_sec, &local));
    fprintf(stderr, "%s.%03ld %s %s: %s\n", when, now.tv_nsec / 1000000, log_name, names[level], line);
}
