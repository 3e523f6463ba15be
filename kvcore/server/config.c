#include "kvcore/server/config.h"

#include "kvcore/base/error.h"

#include <confuse.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

void config_init(struct config *config)
{
    memset(config, 0, sizeof *config);
    config->connections_max = CONNECTIONS_DEFAULT;
    config->log_level = LOG_LEVEL_INFO;
}

/* Copies a text that must fit. */
static int copy(char *into, size_t into_bytes, const char *what, const char *text, char *why, size_t why_bytes)
{
    size_t len = strlen(text);
    if (len >= into_bytes) {
        snprintf(why, why_bytes, "%s is longer than %zu bytes", what, into_bytes - 1);
        return -EINVAL;
    }
    memcpy(into, text, len + 1);
    return 0;
}

int config_add_listen(struct config *config, const char *text, char *why, size_t why_bytes)
{
    if (config->listen_count == LISTEN_MAX) {
        snprintf(why, why_bytes, "more than %d addresses to listen on", LISTEN_MAX);
        return -EINVAL;
    }
    int rc = address_parse_host_port(text, &config->listen[config->listen_count], why, why_bytes);
    config->listen_count += rc == 0;
    return rc;
}

int config_set_memory(struct config *config, const char *text, char *why, size_t why_bytes)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {{"", 1},         {"b", 1},       {"k", 1 << 10},  {"kb", 1 << 10},   {"m", 1 << 20},
                 {"mb", 1 << 20}, {"g", 1 << 30}, {"gb", 1 << 30}, {"t", 1ull << 40}, {"tb", 1ull << 40}};
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t bytes;
        if (text[0] < '0' || text[0] > '9' || errno || strcasecmp(end, units[i].suffix) != 0 || number == 0 ||
            __builtin_mul_overflow(number, units[i].factor, &bytes))
            continue;
        config->memory_bytes_max = bytes;
        return 0;
    }
    snprintf(why, why_bytes, "maxmemory takes a size such as 512mb or 4gb, not '%s'", text);
    return -EINVAL;
}

int config_set_connections(struct config *config, const char *text, char *why, size_t why_bytes)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end || number < 1 || number > 1000000) {
        snprintf(why, why_bytes, "max-connections takes a number from 1 to 1000000, not '%s'", text);
        return -EINVAL;
    }
    config->connections_max = (uint32_t)number;
    return 0;
}

int config_set_log_level(struct config *config, const char *text, char *why, size_t why_bytes)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (int level = 0; level < 4; level++)
        if (strcmp(text, names[level]) == 0) {
            config->log_level = (enum log_level)level;
            return 0;
        }
    snprintf(why, why_bytes, "log-level takes error, warning, info or debug, not '%s'", text);
    return -EINVAL;
}

int config_read_password(struct config *config, const char *path, char *why, size_t why_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[sizeof config->password + 1];
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    int rc = len < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (rc < 0) {
        snprintf(why, why_bytes, "cannot read the password file '%s': %s", path, strerror(-rc));
        return rc;
    }
    text[len] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (!text[0]) {
        snprintf(why, why_bytes, "the password file '%s' is empty", path);
        return -EINVAL;
    }
    return copy(config->password, sizeof config->password, "the password", text, why, why_bytes);
}

/* libconfuse reports through a callback without a context of ours. */
static char parse_error[ERROR_TEXT_BYTES];

static void on_parse_error(cfg_t *cfg, const char *format, va_list args)
{
    char text[256];
    vsnprintf(text, sizeof text, format, args);
    if (!parse_error[0]) /* the first says what is wrong, the rest follows from it */
        snprintf(parse_error, sizeof parse_error, "%s:%d: %s", cfg->filename ? cfg->filename : "?", cfg->line, text);
}

static int take_strings(struct config *config, cfg_t *cfg, char *why, size_t why_bytes)
{
    const struct {
        const char *word;
        int (*set)(struct config *config, const char *text, char *why, size_t why_bytes);
    } setters[] = {{"password-file", config_read_password},
                   {"maxmemory", config_set_memory},
                   {"max-connections", config_set_connections},
                   {"log-level", config_set_log_level}};
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < cfg_size(cfg, "listen"); i++)
        rc = config_add_listen(config, cfg_getnstr(cfg, "listen", i), why, why_bytes);
    for (size_t i = 0; rc == 0 && i < sizeof setters / sizeof setters[0]; i++)
        if (cfg_getstr(cfg, setters[i].word))
            rc = setters[i].set(config, cfg_getstr(cfg, setters[i].word), why, why_bytes);
    if (rc == 0 && cfg_getstr(cfg, "unix"))
        rc = copy(config->unix_path, sizeof config->unix_path, "unix", cfg_getstr(cfg, "unix"), why, why_bytes);
    if (rc == 0 && cfg_getstr(cfg, "dir"))
        rc = copy(config->dir, sizeof config->dir, "dir", cfg_getstr(cfg, "dir"), why, why_bytes);
    if (rc == 0 && cfg_getstr(cfg, "password"))
        rc = copy(config->password, sizeof config->password, "password", cfg_getstr(cfg, "password"), why, why_bytes);
    return rc;
}

int config_read(struct config *config, const char *path, char *why, size_t why_bytes)
{
    cfg_opt_t words[] = {
        CFG_STR_LIST("listen", NULL, CFGF_NODEFAULT),
        CFG_STR("unix", NULL, CFGF_NODEFAULT),
        CFG_STR("dir", NULL, CFGF_NODEFAULT),
        CFG_STR("password", NULL, CFGF_NODEFAULT),
        CFG_STR("password-file", NULL, CFGF_NODEFAULT),
        CFG_STR("maxmemory", NULL, CFGF_NODEFAULT),
        CFG_STR("max-connections", NULL, CFGF_NODEFAULT),
        CFG_STR("log-level", NULL, CFGF_NODEFAULT),
        CFG_END(),
    };
    struct stat stat_buf;
    if (stat(path, &stat_buf) == 0 && !S_ISREG(stat_buf.st_mode)) { /* libconfuse would end the process */
        snprintf(why, why_bytes, "cannot read the configuration file '%s': it is not a file", path);
        return -EINVAL;
    }
    cfg_t *cfg = cfg_init(words, CFGF_NONE);
    if (!cfg)
        return -ENOMEM;
    cfg_set_error_function(cfg, on_parse_error);
    parse_error[0] = '\0';
    errno = 0;
    int parsed = cfg_parse(cfg, path), rc = 0;
    if (parsed == CFG_FILE_ERROR) {
        snprintf(why, why_bytes, "cannot read the configuration file '%s': %s", path, strerror(errno));
        rc = -EINVAL;
    } else if (parsed != CFG_SUCCESS) {
        snprintf(why, why_bytes, "%s; docs: kvcored.conf(5)", parse_error);
        rc = -EINVAL;
    } else {
        char reason[ERROR_TEXT_BYTES];
        rc = take_strings(config, cfg, reason, sizeof reason);
        if (rc < 0)
            snprintf(why, why_bytes, "%s: %s", path, reason);
    }
    cfg_free(cfg);
    return rc;
}

int config_check(const struct config *config, char *why, size_t why_bytes)
{
    for (unsigned i = 0; i < config->listen_count && !config->password[0]; i++) {
        if (address_is_loopback(config->listen[i].host))
            continue;
        snprintf(why, why_bytes,
                 "refuses to listen on %s:%d without a password: whoever reaches that address could read and change "
                 "everything; give --password-file, or listen on 127.0.0.1",
                 config->listen[i].host, config->listen[i].port);
        return -EACCES;
    }
    return 0;
}
