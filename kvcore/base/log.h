/* Log lines of a daemon: to stderr with time and level, or to syslog(3) once it has gone to the background. Modules
 * return errors; only daemons and what runs on its own in them (a connection, a reconnect) log. */
#ifndef KV_BASE_LOG_H
#define KV_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `name` is the program's, static. Lines above `level` are left out. */
void log_open(const char *name, enum log_level level);
/* From now on to syslog. */
void log_to_syslog(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
