/* kvcored: a store node. Reads its options, makes the engine and the server, says that it is ready, and runs the loop
 * until SIGTERM, SIGINT or SIGHUP, which close everything in order.
 *
 * Exit status: 0 stopped as asked; 1 could not start; 2 usage.
 */
#include "kvcore/base/error.h"
#include "kvcore/base/log.h"
#include "kvcore/base/version.h"
#include "kvcore/server/config.h"
#include "kvcore/server/endpoint.h"
#include "kvcore/server/engine.h"
#include "kvcore/server/server.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

const char *argp_program_version = "kvcored " KVFS_VERSION;

enum {
    OPTION_UNIX = 256,
    OPTION_PASSWORD_FILE,
    OPTION_MAXMEMORY,
    OPTION_EVICTION,
    OPTION_CONNECTIONS,
    OPTION_DURABILITY,
    OPTION_PERSISTENCE,
    OPTION_SAVE,
    OPTION_KEEP_SNAPSHOTS,
    OPTION_SNAPSHOT_AT_EXIT,
    OPTION_LEASE,
    OPTION_LOG_LEVEL
};

static const struct argp_option options[] = {
    {"config", 'c', "FILE", 0, "read FILE first; what the command line says wins", 0},
    {"dir", 'd', "DIR", 0, "the data directory; one process owns it at a time", 0},
    {"listen", 'l', "HOST:PORT", 0,
     "listen there (may be repeated; port 0: the system chooses; default 127.0.0.1:7400)", 0},
    {"unix", OPTION_UNIX, "PATH", 0, "listen on a Unix socket; alone, no TCP port is opened", 0},
    {"password-file", OPTION_PASSWORD_FILE, "FILE", 0, "clients must give the password in FILE's first line", 0},
    {"maxmemory", OPTION_MAXMEMORY, "SIZE", 0,
     "past it writes fail with ENOSPC (512mb, 4gb; default: 3/4 of the machine's)", 0},
    {"maxmemory-policy", OPTION_EVICTION, "POLICY", 0,
     "or files are given up instead: noeviction (default), allkeys-lru, allkeys-lfu, volatile-ttl", 0},
    {"durability", OPTION_DURABILITY, "LEVEL", 0,
     "an answer waits until its change is in memory, written (default) or synced to the disk", 0},
    {"persistence", OPTION_PERSISTENCE, "MODE", 0,
     "what the data directory holds: log+snapshots (default), log, snapshots or none", 0},
    {"save", OPTION_SAVE, "RULES", 0,
     "a snapshot after SECONDS if there were CHANGES: \"900 1 60 10000\"; \"\": only when the log has grown", 0},
    {"keep-snapshots", OPTION_KEEP_SNAPSHOTS, "N", 0, "how many are kept (default 2)", 0},
    {"snapshot-at-exit", OPTION_SNAPSHOT_AT_EXIT, "yes|no", 0,
     "take a last one when told to stop (default no; yes with snapshots alone)", 0},
    {"max-connections", OPTION_CONNECTIONS, "N", 0, "how many clients at once (default 16384)", 0},
    {"lease", OPTION_LEASE, "TIME", 0,
     "how long a mount that does not answer may keep others waiting (2s, 500ms; default 10s)", 0},
    {"log-level", OPTION_LOG_LEVEL, "LEVEL", 0, "error, warning, info (default) or debug", 0},
    {0},
};

/* The command line overrides the file, so the file is found and read first. */
struct command_line {
    struct config *config;
    bool reading_file; /* first pass: only --config counts */
    bool listen_given;
};

static int take_option(int key, const char *arg, struct command_line *line, char *why, size_t why_bytes)
{
    struct config *config = line->config;
    switch (key) {
    case 'd':
        return config_set_dir(config, arg, why, why_bytes);
    case 'l':
        if (!line->listen_given)
            config->listen_count = 0;
        line->listen_given = true;
        return config_add_listen(config, arg, why, why_bytes);
    case OPTION_UNIX:
        return config_set_unix(config, arg, why, why_bytes);
    case OPTION_PASSWORD_FILE:
        return config_read_password(config, arg, why, why_bytes);
    case OPTION_MAXMEMORY:
        return config_set_memory(config, arg, why, why_bytes);
    case OPTION_EVICTION:
        return config_set_eviction(config, arg, why, why_bytes);
    case OPTION_CONNECTIONS:
        return config_set_connections(config, arg, why, why_bytes);
    case OPTION_LEASE:
        return config_set_lease(config, arg, why, why_bytes);
    case OPTION_LOG_LEVEL:
        return config_set_log_level(config, arg, why, why_bytes);
    case OPTION_DURABILITY:
        return keeping_set(&config->keeping, "durability", arg, why, why_bytes);
    case OPTION_PERSISTENCE:
        return keeping_set(&config->keeping, "persistence", arg, why, why_bytes);
    case OPTION_SAVE:
        return keeping_set(&config->keeping, "save", arg, why, why_bytes);
    case OPTION_KEEP_SNAPSHOTS:
        return keeping_set(&config->keeping, "keep-snapshots", arg, why, why_bytes);
    case OPTION_SNAPSHOT_AT_EXIT:
        return keeping_set(&config->keeping, "snapshot-at-exit", arg, why, why_bytes);
    default:
        return 0;
    }
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct command_line *line = state->input;
    char why[ERROR_TEXT_BYTES];
    if (key == ARGP_KEY_ARG) {
        argp_error(state, "unexpected argument '%s'", arg);
        return ARGP_ERR_UNKNOWN;
    }
    if (key > OPTION_LOG_LEVEL || (key < OPTION_UNIX && key != 'c' && key != 'd' && key != 'l'))
        return ARGP_ERR_UNKNOWN;
    int rc = 0;
    if (line->reading_file && key == 'c')
        rc = config_read(line->config, arg, why, sizeof why);
    else if (!line->reading_file && key != 'c')
        rc = take_option(key, arg, line, why, sizeof why);
    if (rc < 0) {
        fprintf(stderr, "kvcored: %s\n", why);
        exit(key == 'c' || key == OPTION_PASSWORD_FILE ? 1 : 2);
    }
    return 0;
}

static void read_command_line(int argc, char **argv, struct config *config)
{
    static const struct argp argp = {options,
                                     parse_option,
                                     NULL,
                                     "A kvfs store node: keeps keys in memory and serves them by MessagePack-RPC.\v"
                                     "It stays in the foreground and stops on SIGTERM. See kvcored(8).",
                                     NULL,
                                     NULL,
                                     NULL};
    struct command_line line = {.config = config, .reading_file = true};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &line);
    line.reading_file = false;
    argp_parse(&argp, argc, argv, 0, NULL, &line);
    if (config->listen_count == 0 && !config->unix_path[0])
        config_add_listen(config, "127.0.0.1", (char[64]){0}, 64);
}

static const int end_signals[] = {SIGTERM, SIGINT, SIGHUP};
enum { END_SIGNALS = sizeof end_signals / sizeof end_signals[0] };

struct daemon {
    uv_loop_t loop;
    struct engine engine;
    struct server *server;
    uv_signal_t signals[END_SIGNALS];
    int signal_count; /* of them are in the loop */
    struct buf ready; /* where it listens, until that has been said */
    int exit_code;
};

static void on_engine_closed(void *user) { (void)user; }

static void on_server_closed(void *user)
{
    struct daemon *daemon = user;
    engine_close(&daemon->engine, on_engine_closed, daemon);
}

/* Closes everything in order; the loop ends when that is done. */
static void stop(struct daemon *daemon)
{
    for (int i = 0; i < daemon->signal_count; i++)
        uv_close((uv_handle_t *)&daemon->signals[i], NULL);
    server_free(daemon->server, on_server_closed, daemon);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;
    log_info("stopping: %s", strsignal(number));
    if (engine_is_loading(&daemon->engine))
        exit(0); /* nothing on disk is changed while it is read, and reading cannot be broken off */
    stop(daemon);
}

static int watch_signals(struct daemon *daemon)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < END_SIGNALS; i++) {
        uv_signal_t *signal = &daemon->signals[i];
        rc = uv_signal_init(&daemon->loop, signal);
        if (rc < 0)
            break;
        daemon->signal_count++;
        signal->data = daemon;
        rc = uv_signal_start(signal, on_signal, end_signals[i]);
    }
    return rc;
}

/* Every connection is a file descriptor: ask for all that we may have. */
static void raise_file_limit(uint32_t connections)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < connections + 64ull)
        log_warning("only %llu files may be open, fewer than max-connections (%u) needs; raise `ulimit -n`",
                    (unsigned long long)limit.rlim_cur, connections);
}

/* Listens everywhere; the addresses, as a client would name them, go to `ready`. */
static int listen_everywhere(struct daemon *daemon, const struct config *config, struct buf *ready, char *why,
                             size_t why_bytes)
{
    char socket_path[sizeof config->dir + 16], named[sizeof config->unix_path];
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < config->listen_count; i++) {
        int port;
        const char *host = config->listen[i].host;
        rc = server_listen_tcp(daemon->server, &config->listen[i], &port, why, why_bytes);
        if (rc == 0)
            rc = buf_printf(ready, strchr(host, ':') ? " kv://[%s]:%d" : " kv://%s:%d", host, port);
    }
    if (rc == 0 && config->unix_path[0]) {
        rc = server_listen_unix(daemon->server, config->unix_path, why, why_bytes);
        if (rc == 0)
            rc = endpoint_absolute(config->unix_path, named, sizeof named);
        if (rc == 0)
            rc = buf_printf(ready, " kv+unix://%s", named);
    }
    if (rc == 0 && config->dir[0]) { /* for `kv -s DIR` */
        snprintf(socket_path, sizeof socket_path, "%s/%s", config->dir, DATADIR_SOCKET);
        rc = server_listen_unix(daemon->server, socket_path, why, why_bytes);
    }
    return rc;
}

static void say_ready(struct daemon *daemon)
{
    server_use_journal(daemon->server, engine_journal(&daemon->engine));
    printf("kvcored %s ready:%.*s\n", KVFS_VERSION, (int)daemon->ready.len, daemon->ready.data);
    fflush(stdout);
    buf_close(&daemon->ready);
}

static void on_loaded(void *user, int rc, const char *why)
{
    struct daemon *daemon = user;
    if (rc == 0) {
        say_ready(daemon);
        return;
    }
    fprintf(stderr, "kvcored: %s\n", why);
    daemon->exit_code = 1;
    stop(daemon);
}

/* Clients may come while the data is still being loaded: they are told how far it is. */
static int serve(struct daemon *daemon, const struct config *config, char *why, size_t why_bytes)
{
    int rc = listen_everywhere(daemon, config, &daemon->ready, why, why_bytes);
    if (rc == 0)
        rc = watch_signals(daemon);
    if (rc == 0 && !engine_load(&daemon->engine, on_loaded, daemon))
        say_ready(daemon);
    return rc;
}

/* What a failure leaves to close is closed when the loop has run. */
static int start(struct daemon *daemon, const struct config *config, char *why, size_t why_bytes)
{
    struct engine_options engine = {.dir = config->dir[0] ? config->dir : NULL,
                                    .memory_bytes_max = config->memory_bytes_max,
                                    .eviction = config->eviction,
                                    .password = config->password,
                                    .mode = "server",
                                    .keeping = config->keeping,
                                    .lease_ms = config->lease_ms};
    struct server_options server = {config->connections_max, INPUT_TOTAL_BYTES_DEFAULT};
    int rc = engine_open(&daemon->engine, &daemon->loop, &engine, why, why_bytes);
    if (rc < 0)
        return rc;
    rc = server_new(&daemon->loop, &daemon->engine.store, &server, &daemon->server);
    if (rc < 0) {
        engine_close(&daemon->engine, on_engine_closed, daemon);
        return rc;
    }
    rc = serve(daemon, config, why, why_bytes);
    if (rc < 0)
        stop(daemon);
    return rc;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    static struct config config;
    char why[ERROR_TEXT_BYTES + 256] = "";
    config_init(&config);
    read_command_line(argc, argv, &config);
    log_open("kvcored", config.log_level);
    int rc = config_check(&config, why, sizeof why);
    if (rc < 0) {
        fprintf(stderr, "kvcored: %s\n", why[0] ? why : error_text(rc));
        return 1;
    }
    raise_file_limit(config.connections_max);
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&daemon.loop);
    int started = start(&daemon, &config, why, sizeof why);
    if (started < 0)
        fprintf(stderr, "kvcored: %s\n", why[0] ? why : error_text(started));
    uv_run(&daemon.loop, UV_RUN_DEFAULT);
    rc = uv_loop_close(&daemon.loop);
    if (started < 0)
        return 1;
    buf_close(&daemon.ready);
    log_info(rc == 0 ? "stopped" : "stopped with work left over; please report this");
    return daemon.exit_code;
}
