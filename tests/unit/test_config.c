/* kvcored's configuration, its data directory, and where it listens. */
#include "kvcore/base/error.h"
#include "kvcore/server/config.h"
#include "kvcore/server/datadir.h"
#include "kvcore/server/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
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

static void comments_leave_the_count_of_lines_alone(void **state)
{
    (void)state;
    static const char *const comments[] = {
        "# one\n# two # three\n",
        "// one\n/* two */\n",
        "/* one\n two */\n",
        "dir = /tmp/d # one\n   // two\n",
        "dir = /srv//d#one\n\n",
        "dir = \"a # b // c /* d\\\" # e\"\n#\n",
        "dir = '# a' // '\n\n",
        "dir = '${' # }'\n\n",
        "dir = ${KVFS_TEST_UNSET:-#}\n/**/\n",
        "dir = \"${KVFS_TEST_UNSET:-\"}#\"\n#\n",
    };
    static const char *const wrong[] = {"maxmemroy = 2gb\n", "maxmemory = lots\n", "listen = {\"[::1\"}\n",
                                        "unix = \"\"\n",     "log-level = loud\n", "listen = {a, b, \"\"}\n"};
    for (size_t i = 0; i < sizeof comments / sizeof comments[0]; i++)
        for (size_t j = 0; j < sizeof wrong / sizeof wrong[0]; j++) {
            struct config config;
            char text[256];
            snprintf(text, sizeof text, "%s%s# the end\n", comments[i], wrong[j]);
            assert_true(read_text(&config, text) < 0);
            if (!strstr(why, ":3: "))
                fail_msg("\"%s\" of:\n%s", why, text);
        }
}

static void each_value_of_a_list_has_its_own_line(void **state)
{
    (void)state;
    struct config config;
    assert_true(read_text(&config, "# the nodes\nlisten = {\n  a:1,\n  b:99999,\n  c:3\n}\n") < 0);
    assert_non_null(strstr(why, ":4: "));
    assert_true(read_text(&config, "listen = {a:1}\n# more\nlisten += {b:99999}\n") < 0);
    assert_non_null(strstr(why, ":3: "));
    assert_true(read_text(&config, "maxmemory = 1gb\nmaxmemory = 0\n") < 0);
    assert_non_null(strstr(why, ":2: "));
}

static void comment_signs_in_a_value_are_part_of_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *dir;
    } cases[] = {
        {"dir = \"a # b // c /* d */ e\" # f\n", "a # b // c /* d */ e"},
        {"dir = '# \\' //' // f\n", "# ' //"},
        {"dir = /srv//d//e # f", "/srv//d//e"},
        {"dir = /srv/d#f", "/srv/d"},
        {"/* dir = a */ dir = b /* dir = c */", "b"},
        {"dir = \"${KVFS_TEST_UNSET:-\"#}\"", "\"#"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config config;
        assert_int_equal(read_text(&config, cases[i].text), 0);
        assert_string_equal(config.dir, cases[i].dir);
    }
}

static void an_empty_file_changes_nothing(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "\n", "# only a comment", "/* without an end"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++) {
        struct config config;
        assert_int_equal(read_text(&config, empty[i]), 0);
        assert_int_equal(config.connections_max, 16384);
    }
}

static void paths_and_addresses_are_neither_empty_nor_cut(void **state)
{
    (void)state;
    struct config config;
    char path[sizeof config.dir + 1];
    config_init(&config);
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(config_set_dir(&config, path, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "longer than 4095 bytes"));
    assert_int_equal(config_set_unix(&config, path, why, sizeof why), -EINVAL);
    assert_string_equal(config.dir, "");
    assert_int_equal(config_set_dir(&config, path + 1, why, sizeof why), 0);
    assert_string_equal(config.dir, path + 1);
    assert_int_equal(config_set_dir(&config, "", why, sizeof why), -EINVAL);
    assert_int_equal(config_set_unix(&config, "", why, sizeof why), -EINVAL);
    assert_int_equal(config_add_listen(&config, "", why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "empty"));
}

/* --- where a node listens --- */

static void a_socket_whose_queue_is_full_is_alive(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/kvfs-test-socket-%ld", (long)getpid());
    unlink(address.sun_path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), waiting[2];
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 0), 0);
    for (int i = 0; i < 2; i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(waiting[i], (struct sockaddr *)&address, sizeof address) < 0)
            assert_int_equal(errno, EAGAIN);
    }
    alarm(3); /* it would hang */
    assert_int_equal(endpoint_clear(address.sun_path, why, sizeof why), -EADDRINUSE);
    alarm(0);
    close(waiting[0]);
    close(waiting[1]);
    close(listener);
    assert_int_equal(endpoint_clear(address.sun_path, why, sizeof why), 0);
    assert_int_equal(access(address.sun_path, F_OK), -1);
}

static void a_relative_socket_is_named_from_the_root(void **state)
{
    (void)state;
    char path[256];
    assert_int_equal(chdir("/usr/bin"), 0);
    assert_int_equal(endpoint_absolute("s.sock", path, sizeof path), 0);
    assert_string_equal(path, "/usr/bin/s.sock");
    assert_int_equal(endpoint_absolute("../s.sock", path, sizeof path), 0);
    assert_string_equal(path, "/usr/s.sock");
    assert_int_equal(endpoint_absolute("../../s.sock", path, sizeof path), 0);
    assert_string_equal(path, "/s.sock");
    assert_int_equal(endpoint_absolute("/usr/../s.sock", path, sizeof path), 0);
    assert_string_equal(path, "/usr/../s.sock");
    assert_int_equal(endpoint_absolute("nowhere/s.sock", path, sizeof path), -ENOENT);
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
        cmocka_unit_test(comments_leave_the_count_of_lines_alone),
        cmocka_unit_test(each_value_of_a_list_has_its_own_line),
        cmocka_unit_test(comment_signs_in_a_value_are_part_of_it),
        cmocka_unit_test(an_empty_file_changes_nothing),
        cmocka_unit_test(paths_and_addresses_are_neither_empty_nor_cut),
        cmocka_unit_test(a_socket_whose_queue_is_full_is_alive),
        cmocka_unit_test(a_relative_socket_is_named_from_the_root),
        cmocka_unit_test(a_value_that_makes_no_sense_is_refused_with_the_reason),
        cmocka_unit_test(a_node_open_to_other_machines_needs_a_password),
        cmocka_unit_test(a_data_directory_has_one_owner),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
