/* What kvcored is told: a configuration file (libconfuse's syntax: `word = value`), then the command line, which wins.
 *
 *   listen = {"127.0.0.1:7400"}   unix = "/run/kvfs/kvcored.sock"   dir = "/var/lib/kvfs"
 *   password = "..."              password-file = "/etc/kvfs/password"
 *   maxmemory = "4gb"             maxmemory-policy = "allkeys-lru"
 *   max-connections = 16384       lease = "10s"                log-level = "info"
 *   and how the data directory is kept (keeping.h)
 *
 * An unknown word is an error, so that a mistyped one is not an option silently left at its default.
 */
#ifndef KV_SERVER_CONFIG_H
#define KV_SERVER_CONFIG_H

#include "kvcore/base/log.h"
#include "kvcore/rpc/address.h"
#include "kvcore/server/keeping.h"
#include "kvcore/tree/evict.h"

#include <stdint.h>

#define LISTEN_MAX 16

struct config {
    struct address listen[LISTEN_MAX];
    unsigned listen_count;
    char unix_path[4096];      /* "": none */
    char dir[4096];            /* "": none */
    char password[256];        /* "": none */
    uint64_t memory_bytes_max; /* 0: the default */
    enum evict_policy eviction;
    uint32_t connections_max;
    struct keeping keeping;
    uint32_t lease_ms;
    enum log_level log_level;
};

/* The defaults: nowhere to listen (kvcored adds 127.0.0.1:7400 when the user names nothing), no directory. */
void config_init(struct config *config);

/* Reads a file into it. Negative with a sentence in `why`, which names file and line. */
int config_read(struct config *config, const char *path, char *why, size_t why_bytes);

/* Set one value from text. Negative with a sentence in `why`. */
int config_add_listen(struct config *config, const char *text, char *why, size_t why_bytes);
int config_set_unix(struct config *config, const char *text, char *why, size_t why_bytes);
int config_set_dir(struct config *config, const char *text, char *why, size_t why_bytes);
int config_set_memory(struct config *config, const char *text, char *why, size_t why_bytes);
int config_set_eviction(struct config *config, const char *text, char *why, size_t why_bytes);
int config_set_connections(struct config *config, const char *text, char *why, size_t why_bytes);
int config_set_lease(struct config *config, const char *text, char *why, size_t why_bytes);
int config_set_log_level(struct config *config, const char *text, char *why, size_t why_bytes);
int config_read_password(struct config *config, const char *path, char *why, size_t why_bytes);

/* May a node run so? -EACCES when it would be open to other machines without a password. */
int config_check(const struct config *config, char *why, size_t why_bytes);

#endif
