/* The server's door: what becomes of a connection that it has no memory for, or no place. The Makefile has calloc
 * wrapped, so that it can fail. */
#include "kvcore/base/error.h"
#include "kvcore/server/engine.h"
#include "kvcore/server/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 5 };

static bool out_of_memory;
static unsigned failures;

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

void *__wrap_calloc(size_t count, size_t bytes)
{
    failures += out_of_memory;
    return out_of_memory ? NULL : __real_calloc(count, bytes);
}

struct fixture {
    uv_loop_t loop;
    struct engine engine;
    struct server *server;
    struct sockaddr_un address;
};

static struct fixture f;

static int setup_for(uint32_t connections_max)
{
    struct engine_options engine = {.password = "", .mode = "server"};
    struct server_options server = {connections_max, INPUT_TOTAL_BYTES_DEFAULT};
    char why[ERROR_TEXT_BYTES];
    memset(&f, 0, sizeof f);
    f.address.sun_family = AF_UNIX;
    snprintf(f.address.sun_path, sizeof f.address.sun_path, "/tmp/kvfs-test-server-%ld", (long)getpid());
    uv_loop_init(&f.loop);
    assert_int_equal(engine_open(&f.engine, &f.loop, &engine, why, sizeof why), 0);
    assert_int_equal(server_new(&f.loop, &f.engine.store, &server, &f.server), 0);
    assert_int_equal(server_listen_unix(f.server, f.address.sun_path, why, sizeof why), 0);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_for(100);
}

static int setup_for_two(void **state)
{
    (void)state;
    return setup_for(2);
}

static void on_engine_closed(void *user) { (void)user; }

static void on_server_closed(void *user)
{
    (void)user;
    engine_close(&f.engine, on_engine_closed, NULL);
}

static int teardown(void **state)
{
    (void)state;
    out_of_memory = false;
    server_free(f.server, on_server_closed, NULL);
    uv_run(&f.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    return 0;
}

static int client_connect(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&f.address, sizeof f.address), 0);
    return fd;
}

static void turn_loop(void)
{
    for (int i = 0; i < 50; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
}

/* Does the server answer? `get` of a node that is not there will do. */
static bool is_served(int fd)
{
    static const char request[] = "\x94\x00\x01\xa3get\x91\x01";
    char byte;
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        return false;
    turn_loop();
    return recv(fd, &byte, 1, 0) == 1;
}

static bool is_closed(int fd)
{
    char byte;
    ssize_t len = recv(fd, &byte, 1, 0);
    return len == 0 || (len < 0 && errno == ECONNRESET);
}

static void connections_without_memory_are_closed_and_later_ones_served(void **state)
{
    (void)state;
    int fds[CLIENTS];
    out_of_memory = true;
    failures = 0;
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_connect();
    turn_loop();
    out_of_memory = false;
    assert_true(failures > 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(is_closed(fds[i]));
        close(fds[i]);
    }
    int late = client_connect();
    turn_loop();
    assert_true(is_served(late));
    close(late);
}

static void server_closes_while_it_turns_connections_away(void **state)
{
    (void)state;
    int fds[CLIENTS];
    out_of_memory = true;
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_connect();
    uv_run(&f.loop, UV_RUN_NOWAIT);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
}

static void connections_past_the_limit_are_closed_and_counted(void **state)
{
    (void)state;
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_connect();
    turn_loop();
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(is_served(fds[i]), i < 2);
    close(fds[0]);
    turn_loop();
    int late = client_connect();
    turn_loop();
    assert_true(is_served(late));
    close(late);
    for (int i = 1; i < CLIENTS; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections_without_memory_are_closed_and_later_ones_served, setup, teardown),
        cmocka_unit_test_setup_teardown(server_closes_while_it_turns_connections_away, setup, teardown),
        cmocka_unit_test_setup_teardown(connections_past_the_limit_are_closed_and_counted, setup_for_two, teardown),
    };
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
