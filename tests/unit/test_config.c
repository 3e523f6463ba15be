/* kvcored's configuration and its data directory. */
#include "kvcore/base/error.h"
#include "kvcore/server/config.h"
#include "kvcore/server/datadir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char why[1024];

/* Reads these lines as a file. */
static int read_text(struct config *config, const char *text)
{
    char path[] = "/tmp/kvfs-test-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    config_init(config);
    why[0] = '\0';
    int rc = config_read(config, path, why, sizeof why);
    unlink(path);
    return rc;
}

static void every_word_is_understood(void **state)
{
    (void)state;
    struct config config;
    assert_int_equal(read_text(&config,
                               "# a comment\nlisten = {\"127.0.0.1:7401\", \"[::1]:7402\"}\nunix = /tmp/x.sock\n"
                               "dir = /tmp/d\npassword = \"p w\"\nmaxmemory = 2gb\nmax-connections = 5\n"
                               "log-level = debug\n"),
                     0);
    assert_int_equal(config.listen_count, 2);
    assert_string_equal(config.listen[1].host, "::1");
    assert_int_equal(config.listen[1].port, 7402);
    assert_string_equal(config.unix_path, "/tmp/x.sock");
    assert_string_equal(config.password, "p w");
    assert_int_equal(config.memory_bytes_max, 2ull << 30);
    assert_int_equal(config.connections_max, 5);
    assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
}

static void an_unknown_word_is_refused_with_its_line(void **state)
{
    (void)state;
    struct config config;
    assert_true(read_text(&config, "dir = /tmp/d\nmaxmemroy = 2gb\n") < 0);
    assert_non_null(strstr(why, "maxmemroy"));
    assert_non_null(strstr(why, ":2:"));
}

static void a_value_that_makes_no_sense_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const char *const wrong[] = {"maxmemory = 0",          "maxmemory = -1",
                                        "maxmemory = 12parsecs",  "max-connections = 0",
                                        "log-level = loud",       "listen = {\"host:99999\"}",
                                        "maxmemory = 99999999tb", "password-file = /nowhere/at/all"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct config config;
        assert_true(read_text(&config, wrong[i]) < 0);
        assert_true(strlen(why) > 20);
    }
}

static void a_node_open_to_other_machines_needs_a_password(void **state)
{
    (void)state;
    static const struct {
        const char *listen;
        bool allowed;
    } cases[] = {{"127.0.0.1:1", true}, {"localhost:1", true}, {"[::1]:1", true},      {"127.9.9.9:1", true},
                 {"0.0.0.0:1", false},  {"[::]:1", false},     {"192.0.2.1:1", false}, {"example.org:1", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config config;
        config_init(&config);
        assert_int_equal(config_add_listen(&config, cases[i].listen, why, sizeof why), 0);
        assert_int_equal(config_check(&config, why, sizeof why), cases[i].allowed ? 0 : -EACCES);
        strcpy(config.password, "x");
        assert_int_equal(config_check(&config, why, sizeof why), 0);
    }
}

static void a_data_directory_has_one_owner(void **state)
{
    (void)state;
    char path[] = "/tmp/kvfs-test-dir-XXXXXX", inner[64], lock[96];
    struct datadir first, second;
    assert_non_null(mkdtemp(path));
    snprintf(inner, sizeof inner, "%s/a/b", path);
    assert_int_equal(datadir_open(&first, inner, why, sizeof why), 0);
    assert_int_equal(datadir_open(&second, inner, why, sizeof why), -EBUSY);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(why, pid));
    datadir_close(&first);
    assert_int_equal(datadir_open(&second, inner, why, sizeof why), 0);
    datadir_close(&second);
    snprintf(lock, sizeof lock, "%s/LOCK", inner);
    unlink(lock);
    rmdir(inner);
    snprintf(inner, sizeof inner, "%s/a", path);
    rmdir(inner);
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_word_is_understood),
        cmocka_unit_test(an_unknown_word_is_refused_with_its_line),
        cmocka_unit_test(a_value_that_makes_no_sense_is_refused_with_the_reason),
        cmocka_unit_test(a_node_open_to_other_machines_needs_a_password),
        cmocka_unit_test(a_data_directory_has_one_owner),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
