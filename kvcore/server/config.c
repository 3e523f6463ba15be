#include "kvcore/server/config.h"

#include "kvcore/base/error.h"
#include "kvcore/server/config_text.h"

#include <confuse.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

void config_init(struct config *config)
{
    memset(config, 0, sizeof *config);
    config->connections_max = CONNECTIONS_DEFAULT;
    keeping_init(&config->keeping);
    config->lease_ms = LEASE_TERM_MS_DEFAULT;
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
    if (!text[0]) {
        snprintf(why, why_bytes, "listen takes HOST:PORT, and is empty");
        return -EINVAL;
    }
    if (config->listen_count == LISTEN_MAX) {
        snprintf(why, why_bytes, "more than %d addresses to listen on", LISTEN_MAX);
        return -EINVAL;
    }
    int rc = address_parse_host_port(text, &config->listen[config->listen_count], why, why_bytes);
    config->listen_count += rc == 0;
    return rc;
}

/* Copies a path, which must name something. */
static int copy_path(char *into, size_t into_bytes, const char *what, const char *text, char *why, size_t why_bytes)
{
    if (!text[0]) {
        snprintf(why, why_bytes, "%s takes a path, and is empty", what);
        return -EINVAL;
    }
    return copy(into, into_bytes, what, text, why, why_bytes);
}

int config_set_unix(struct config *config, const char *text, char *why, size_t why_bytes)
{
    return copy_path(config->unix_path, sizeof config->unix_path, "unix", text, why, why_bytes);
}

int config_set_dir(struct config *config, const char *text, char *why, size_t why_bytes)
{
    return copy_path(config->dir, sizeof config->dir, "dir", text, why, why_bytes);
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

int config_set_eviction(struct config *config, const char *text, char *why, size_t why_bytes)
{
    char names[128] = "";
    const char *name;
    for (unsigned policy = 0; (name = evict_policy_name(policy)); policy++) {
        if (strcmp(text, name) == 0) {
            config->eviction = (enum evict_policy)policy;
            return 0;
        }
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", policy ? ", " : "", name);
    }
    snprintf(why, why_bytes, "maxmemory-policy takes one of %s, not '%s'", names, text);
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

int config_set_lease(struct config *config, const char *text, char *why, size_t why_bytes)
{
    char *end;
    double number = strtod(text, &end);
    double ms = strcmp(end, "ms") == 0 ? number : number * 1000;
    bool known = end != text && (!*end || strcmp(end, "s") == 0 || strcmp(end, "ms") == 0);
    if (known && ms >= LEASE_TERM_MS_MIN && ms <= LEASE_TERM_MS_MAX) {
        config->lease_ms = (uint32_t)ms;
        return 0;
    }
    snprintf(why, why_bytes, "lease takes a time from 100ms to 3600s, such as 10s, not '%s'", text);
    return -EINVAL;
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

/* --- the file --- */

static int set_password(struct config *config, const char *text, char *why, size_t why_bytes)
{
    return copy(config->password, sizeof config->password, "password", text, why, why_bytes);
}

#define KEEPING_SETTER(name, word)                                                                                     \
    static int name(struct config *config, const char *text, char *why, size_t why_bytes)                              \
    {                                                                                                                  \
        return keeping_set(&config->keeping, word, text, why, why_bytes);                                              \
    }
KEEPING_SETTER(set_durability, "durability")
KEEPING_SETTER(set_persistence, "persistence")
KEEPING_SETTER(set_save, "save")
KEEPING_SETTER(set_keep_snapshots, "keep-snapshots")
KEEPING_SETTER(set_snapshot_at_exit, "snapshot-at-exit")

/* The words of one value, in the order in which they are taken: password wins over password-file. */
static const struct setter {
    const char *word;
    int (*set)(struct config *config, const char *text, char *why, size_t why_bytes);
} setters[] = {{"unix", config_set_unix},
               {"dir", config_set_dir},
               {"password-file", config_read_password},
               {"password", set_password},
               {"durability", set_durability},
               {"persistence", set_persistence},
               {"save", set_save},
               {"keep-snapshots", set_keep_snapshots},
               {"snapshot-at-exit", set_snapshot_at_exit},
               {"maxmemory", config_set_memory},
               {"maxmemory-policy", config_set_eviction},
               {"max-connections", config_set_connections},
               {"lease", config_set_lease},
               {"log-level", config_set_log_level}};
enum { SETTERS = sizeof setters / sizeof setters[0] };

/* What libconfuse tells while it reads: its callbacks bring no context of ours. */
static struct {
    char error[ERROR_TEXT_BYTES]; /* the first one: it says what is wrong, the rest follows from it */
    int error_line;
    int line[SETTERS];           /* on which a word's value stands */
    int listen_line[LISTEN_MAX]; /* and each address */
} told;

static void on_parse_error(cfg_t *cfg, const char *format, va_list args)
{
    if (told.error[0])
        return;
    vsnprintf(told.error, sizeof told.error, format, args);
    told.error_line = cfg->line;
}

static int on_value(cfg_t *cfg, cfg_opt_t *opt)
{
    for (size_t i = 0; i < SETTERS; i++)
        if (strcmp(cfg_opt_name(opt), setters[i].word) == 0)
            told.line[i] = cfg->line;
    return 0;
}

/* Also told the end of the list, which changes nothing of a place known already. */
static int on_listen(cfg_t *cfg, cfg_opt_t *opt)
{
    unsigned count = cfg_opt_size(opt);
    if (count > 0 && count <= LISTEN_MAX)
        told.listen_line[count - 1] = cfg->line;
    return 0;
}

/* Takes what was read, up to the first value that makes no sense; ret_line is where that stands. */
static int take_values(struct config *config, cfg_t *cfg, int *ret_line, char *why, size_t why_bytes)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < cfg_size(cfg, "listen"); i++) {
        *ret_line = told.listen_line[i < LISTEN_MAX ? i : LISTEN_MAX - 1];
        rc = config_add_listen(config, cfg_getnstr(cfg, "listen", i), why, why_bytes);
    }
    for (size_t i = 0; rc == 0 && i < SETTERS; i++) {
        const char *text = cfg_getstr(cfg, setters[i].word);
        *ret_line = told.line[i];
        rc = text ? setters[i].set(config, text, why, why_bytes) : 0;
    }
    return rc;
}

static int parse_text(struct config *config, cfg_t *cfg, const char *text, const char *path, char *why,
                      size_t why_bytes)
{
    char reason[ERROR_TEXT_BYTES] = "";
    int line = 0;
    memset(&told, 0, sizeof told);
    cfg_set_error_function(cfg, on_parse_error);
    cfg_set_validate_func(cfg, "listen", on_listen);
    for (size_t i = 0; i < SETTERS; i++)
        cfg_set_validate_func(cfg, setters[i].word, on_value);
    if (cfg_parse_buf(cfg, text) != CFG_SUCCESS) {
        snprintf(why, why_bytes, "%s:%d: %s; docs: kvcored.conf(5)", path, told.error_line, told.error);
        return -EINVAL;
    }
    int rc = take_values(config, cfg, &line, reason, sizeof reason);
    if (rc < 0)
        snprintf(why, why_bytes, "%s:%d: %s", path, line, reason);
    return rc;
}

int config_read(struct config *config, const char *path, char *why, size_t why_bytes)
{
    cfg_opt_t words[SETTERS + 2] = {CFG_STR_LIST("listen", NULL, CFGF_NODEFAULT)};
    for (size_t i = 0; i < SETTERS; i++)
        words[i + 1] = (cfg_opt_t)CFG_STR(setters[i].word, NULL, CFGF_NODEFAULT);
    words[SETTERS + 1] = (cfg_opt_t)CFG_END();
    char *text;
    int rc = config_text_read(path, &text, why, why_bytes);
    if (rc < 0)
        return rc;
    config_text_blank_comments(text);
    cfg_t *cfg = cfg_init(words, CFGF_NONE);
    rc = cfg ? parse_text(config, cfg, text, path, why, why_bytes) : -ENOMEM;
    if (cfg)
        cfg_free(cfg);
    free(text);
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
