#include "kvcore/rpc/address.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct address address;
static char why[200];

static void stores_are_told_apart_by_their_scheme(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum address_kind kind;
        const char *host;
        int port;
        const char *path;
    } cases[] = {
        {"kv://example.org", ADDRESS_TCP, "example.org", 7400, ""},
        {"kv://example.org:1", ADDRESS_TCP, "example.org", 1, ""},
        {"kv://10.0.0.1:65535", ADDRESS_TCP, "10.0.0.1", 65535, ""},
        {"kv://[::1]", ADDRESS_TCP, "::1", 7400, ""},
        {"kv://[fe80::1%eth0]:7500", ADDRESS_TCP, "fe80::1%eth0", 7500, ""},
        {"kv://:7500", ADDRESS_TCP, "127.0.0.1", 7500, ""},
        {"kv+unix:///run/kv.sock", ADDRESS_UNIX, "", 0, "/run/kv.sock"},
        {"kv+unix://kv.sock", ADDRESS_UNIX, "", 0, "kv.sock"},
        {"/var/lib/kv", ADDRESS_DIRECTORY, "", 0, "/var/lib/kv"},
        {"data", ADDRESS_DIRECTORY, "", 0, "data"},
        {"host:7400", ADDRESS_DIRECTORY, "", 0, "host:7400"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(address_parse(cases[i].text, &address, why, sizeof why), 0);
        assert_int_equal(address.kind, cases[i].kind);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        assert_string_equal(address.path, cases[i].path);
        assert_string_equal(address.password, "");
        assert_string_equal(address.text, cases[i].text);
    }
}

static void the_password_is_kept_out_of_the_text(void **state)
{
    (void)state;
    assert_int_equal(address_parse("kv://:p@ss/:wo@host:1234", &address, why, sizeof why), 0);
    assert_string_equal(address.password, "p@ss/:wo");
    assert_string_equal(address.host, "host");
    assert_int_equal(address.port, 1234);
    assert_string_equal(address.text, "kv://host:1234");
}

static void a_wrong_store_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "the path is empty"},
        {"kv+unix://", "the path is empty"},
        {"kv://", "the address is empty: HOST, HOST:PORT or :PORT is needed"},
        {"kv://host:", "'' is not a port: 1 to 65535"},
        {"kv://host:0", "'0' is not a port: 1 to 65535"},
        {"kv://host:65536", "'65536' is not a port: 1 to 65535"},
        {"kv://host:99999999999999999999", "'99999999999999999999' is not a port: 1 to 65535"},
        {"kv://host:7400/", "'7400/' is not a port: 1 to 65535"},
        {"kv://ho st", "'ho st' is not a host name or address"},
        {"kv://a,b", "'a,b' is not a host name or address"},
        {"kv://[::1", "'[::1' lacks the closing bracket"},
        {"kv://[::1]7400", "'7400' behind the bracket: only :PORT may follow it"},
        {"kv://[host]", "'host' is not a host name or address"},
        {"kv://[]:1", "'' is not a host name or address"},
        {"kv://user:pw@host", "there are no user names here: a password is written kv://:PASSWORD@HOST"},
        {"redis://host", "stores of the kind 'redis://' are not known here; kv://, kv+unix:// or a directory are"},
        {"kv+sentinel://h",
         "stores of the kind 'kv+sentinel://' are not known here; kv://, kv+unix:// or a directory are"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(&address, 'x', sizeof address);
        assert_int_equal(address_parse(cases[i].text, &address, why, sizeof why), -EINVAL);
        assert_string_equal(why, cases[i].why);
        assert_int_equal(address.host[0], 'x');
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    char text[6000];
    static const struct {
        const char *head;
        size_t fits;
        const char *tail;
    } cases[] = {{"", 4095, ""}, {"kv+unix://", 107, ""}, {"kv://", 255, ""}, {"kv://:", 255, "@host"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t over = 0; over < 2; over++) {
            size_t head = strlen(cases[i].head);
            memcpy(text, cases[i].head, head);
            memset(text + head, 'a', cases[i].fits + over);
            strcpy(text + head + cases[i].fits + over, cases[i].tail);
            assert_int_equal(address_parse(text, &address, why, sizeof why), over ? -EINVAL : 0);
        }
    memset(text, 'a', 5000);
    text[5000] = 0;
    assert_int_equal(address_parse_host_port(text, &address, why, sizeof why), -EINVAL);
}

static void a_listener_names_a_host_a_port_or_both(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
    } cases[] = {
        {"0.0.0.0:7000", "0.0.0.0", 7000},
        {"localhost", "localhost", 7400},
        {":7001", "127.0.0.1", 7001},
        {"[::]:7002", "::", 7002},
        {"::1", "::1", 7400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(address_parse_host_port(cases[i].text, &address, why, sizeof why), 0);
        assert_int_equal(address.kind, ADDRESS_TCP);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
        assert_string_equal(address.text, cases[i].text);
    }
    assert_int_equal(address_parse_host_port("", &address, why, sizeof why), -EINVAL);
    assert_int_equal(address_parse_host_port("a:b:c", &address, why, sizeof why), -EINVAL);
}

static void loopback_is_this_machine_only(void **state)
{
    (void)state;
    static const char *const here[] = {"127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST", "::ffff:127.0.0.1"};
    static const char *const elsewhere[] = {
        "0.0.0.0",         "::", "128.0.0.1", "10.0.0.1", "127.0.0.1.example.org", "", "localhost.example.org",
        "::ffff:10.0.0.1", "::2"};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++)
        assert_true(address_is_loopback(here[i]));
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        assert_false(address_is_loopback(elsewhere[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_are_told_apart_by_their_scheme),
        cmocka_unit_test(the_password_is_kept_out_of_the_text),
        cmocka_unit_test(a_wrong_store_is_refused_with_the_reason),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_listener_names_a_host_a_port_or_both),
        cmocka_unit_test(loopback_is_this_machine_only),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
