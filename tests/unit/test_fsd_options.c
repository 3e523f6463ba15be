/* The command lines of kvfs and mount.kvfs, and what is said about a mount point. */
#include "fsd/mountpoint.h"
#include "fsd/options.h"
#include "kvcore/base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct options options;
static char why[512];

/* Parses a command line whose words are separated by single spaces. */
static int parse(const char *line)
{
    static char words[1024];
    char *argv[32];
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    options_close(&options);
    options = (struct options){0};
    why[0] = '\0';
    return options_parse(argc, argv, &options, why, sizeof why);
}

static int close_options(void **state)
{
    (void)state;
    options_close(&options);
    options = (struct options){0};
    return 0;
}

static const char *to_fuse(void) { return options.mount_options.data ? options.mount_options.data : ""; }

static void two_names_are_store_and_mount_point(void **state)
{
    (void)state;
    assert_int_equal(parse("kvfs kv://host:1234 /mnt"), 0);
    assert_int_equal(options.store.kind, ADDRESS_TCP);
    assert_int_equal(options.store.port, 1234);
    assert_string_equal(options.mountpoint, "/mnt");
    assert_int_equal(options.timeout_ms, 0);
    assert_false(options.foreground);
}

static void one_name_is_the_mount_point_of_the_users_own_store(void **state)
{
    (void)state;
    setenv("XDG_DATA_HOME", "/data", 1);
    assert_int_equal(parse("kvfs /mnt"), 0);
    assert_int_equal(options.store.kind, ADDRESS_DIRECTORY);
    assert_string_equal(options.store.path, "/data/kvfs");
    unsetenv("XDG_DATA_HOME");
    setenv("HOME", "/home/u", 1);
    assert_int_equal(parse("kvfs /mnt"), 0);
    assert_string_equal(options.store.path, "/home/u/.local/share/kvfs");
    unsetenv("HOME");
    assert_int_equal(parse("kvfs /mnt"), -EINVAL);
    assert_non_null(strstr(why, "no store given"));
}

static void relative_names_become_absolute(void **state)
{
    (void)state;
    assert_int_equal(chdir("/usr"), 0);
    assert_int_equal(parse("kvfs data mnt"), 0);
    assert_string_equal(options.store.path, "/usr/data");
    assert_string_equal(options.store.text, "/usr/data");
    assert_string_equal(options.mountpoint, "/usr/mnt");
    assert_int_equal(parse("kvfs kv+unix://s.sock mnt"), 0);
    assert_string_equal(options.store.path, "/usr/s.sock");
}

static void password_is_not_in_the_text_that_mount_shows(void **state)
{
    (void)state;
    assert_int_equal(parse("kvfs kv://:geheim@host /mnt"), 0);
    assert_string_equal(options.store.password, "geheim");
    assert_null(strstr(options.store.text, "geheim"));
}

static void options_come_in_any_place_and_any_form(void **state)
{
    (void)state;
    assert_int_equal(parse("kvfs -o ro,uid=5 /s -f /mnt -oallow_other,gid=6 -o umask=027"), 0);
    assert_string_equal(to_fuse(), ",ro,allow_other");
    assert_true(options.view.has_uid && options.view.has_gid && options.view.has_umask);
    assert_int_equal(options.view.uid, 5);
    assert_int_equal(options.view.gid, 6);
    assert_int_equal(options.view.umask, 027);
    assert_true(options.foreground);
    assert_int_equal(parse("kvfs -- -s -m"), 0);
    assert_non_null(strstr(options.mountpoint, "/-m"));
}

static void soft_fails_after_timeo_and_hard_never(void **state)
{
    (void)state;
    assert_int_equal(parse("kvfs /s /mnt -o soft"), 0);
    assert_int_equal(options.timeout_ms, 5000);
    assert_int_equal(parse("kvfs /s /mnt -o timeo=7,soft"), 0);
    assert_int_equal(options.timeout_ms, 7000);
    assert_int_equal(parse("kvfs /s /mnt -o timeo=7"), 0);
    assert_int_equal(options.timeout_ms, 0);
    assert_int_equal(parse("kvfs /s /mnt -o soft,hard"), 0);
    assert_int_equal(options.timeout_ms, 0);
}

static void unknown_option_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const lines[] = {"kvfs /s /mnt -o ro,frobnicate", "kvfs /s /mnt --frobnicate",
                                        "kvfs -frobnicate /s /mnt", "kvfs /s /mnt -o frobnicate=1"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(parse(lines[i]), -EINVAL);
        assert_non_null(strstr(why, "frobnicate"));
    }
    assert_int_equal(parse("kvfs /s /mnt -o rox"), -EINVAL);
    assert_int_equal(parse("kvfs /s /mnt -o uid"), -EINVAL);
}

static void bad_numbers_are_refused_with_the_option(void **state)
{
    (void)state;
    static const char *const bad[] = {"uid=x",      "uid=",    "uid=-1",   "gid=4294967295",    "umask=8",
                                      "umask=1000", "timeo=0", "timeo=1s", "uid=1 /more /names"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "kvfs /s /mnt -o %s", bad[i]);
        assert_int_equal(parse(line), -EINVAL);
        assert_true(why[0]);
    }
}

static void wrong_count_of_names_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse("kvfs"), -EINVAL);
    assert_int_equal(parse("kvfs /a /b /c"), -EINVAL);
    assert_non_null(strstr(why, "/c"));
    assert_int_equal(parse("kvfs /s /mnt -o"), -EINVAL);
}

static void a_forgotten_empty_or_swapped_name_is_told_as_such(void **state)
{
    (void)state;
    assert_int_equal(parse("kvfs kv://:geheim@host"), -EINVAL);
    assert_non_null(strstr(why, "only a store is given"));
    assert_null(strstr(why, "geheim"));
    assert_int_equal(parse("kvfs /mnt kv://:geheim@host"), -EINVAL);
    assert_non_null(strstr(why, "the store comes first"));
    assert_null(strstr(why, "geheim"));
    char *const no_mountpoint[] = {"kvfs", "/s", ""}, *const no_store[] = {"kvfs", "", "/mnt"};
    assert_int_equal(options_parse(3, (char **)no_mountpoint, &options, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "mount point's name is empty"));
    assert_int_equal(options_parse(3, (char **)no_store, &options, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "store's name is empty"));
}

static void switches_and_mount_options_do_not_mix(void **state)
{
    (void)state;
    static const char *const lines[] = {"kvfs /s /mnt -o -f",       "kvfs /s /mnt -o --help", "kvfs /s /mnt -o ro,-V",
                                        "mount.kvfs /s /mnt -o -s", "kvfs /s /mnt -x-",       "kvfs -o -h"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        assert_int_equal(parse(lines[i]), -EINVAL);
        assert_non_null(strstr(why, "unknown option"));
    }
}

static void what_mount_passes_is_understood(void **state)
{
    (void)state;
    assert_int_equal(parse("/sbin/mount.kvfs kv://h /mnt -v -N /proc/1/ns/mnt -t kvfs -o "
                           "rw,nosuid,dev,noauto,user=joe,nofail,_netdev,x-systemd.automount,defaults,comment=a"),
                     0);
    assert_string_equal(to_fuse(), ",nosuid,dev");
    assert_string_equal(options.mountpoint, "/mnt");
    assert_false(options.fake);
}

static void f_means_fake_to_mount_and_foreground_to_people(void **state)
{
    (void)state;
    assert_int_equal(parse("/sbin/mount.kvfs kv://h /mnt -f"), 0);
    assert_true(options.fake && !options.foreground);
    assert_int_equal(parse("kvfs kv://h /mnt -f"), 0);
    assert_true(!options.fake && options.foreground);
    assert_int_equal(parse("kvfs kv://h /mnt -d"), 0);
    assert_true(options.foreground && options.debug);
}

static void sloppy_mount_passes_over_what_nobody_knows(void **state)
{
    (void)state;
    assert_int_equal(parse("mount.kvfs kv://h /mnt -s -o frobnicate,ro"), 0);
    assert_string_equal(to_fuse(), ",ro");
}

static void help_needs_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(parse("kvfs -h"), 0);
    assert_true(options.help);
    assert_int_equal(parse("kvfs --version"), 0);
    assert_true(options.version);
}

/* --- mount points --- */

static const char mountinfo[] = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                                "40 22 0:41 / /mnt/with\\040space rw,nosuid - fuse.kvfs kv://h rw,user_id=0\n"
                                "41 22 0:42 / /mnt/other rw - fuse.sshfs h: rw\n"
                                "42 22 0:43 / /mnt/plain rw shared:7 master:2 - fuse.kvfs /data rw\n"
                                "a line that is damaged - fuse.kvfs\n";

static void kvfs_is_found_among_the_mounts(void **state)
{
    (void)state;
    char device[32] = "";
    assert_true(mountpoint_find("/mnt/with space", mountinfo, device, sizeof device));
    assert_string_equal(device, "0:41");
    assert_true(mountpoint_find("/mnt/plain", mountinfo, device, sizeof device));
    assert_string_equal(device, "0:43");
    assert_false(mountpoint_find("/mnt/other", mountinfo, device, sizeof device));
    assert_false(mountpoint_find("/mnt", mountinfo, device, sizeof device));
    assert_false(mountpoint_find("/mnt", "", device, sizeof device));
}

static int check(const char *path, bool nonempty)
{
    char real[4096];
    return mountpoint_check(path, nonempty, real, sizeof real, why, sizeof why);
}

static void unfit_mount_points_are_refused_with_the_reason(void **state)
{
    (void)state;
    char dir[] = "/tmp/test_fsd_XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    assert_int_equal(check(dir, false), 0);
    snprintf(path, sizeof path, "%s/file", dir);
    assert_int_equal(check(path, false), -ENOENT);
    assert_non_null(strstr(why, "does not exist"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(check(path, false), -ENOTDIR);
    assert_int_equal(check(dir, false), -ENOTEMPTY);
    assert_non_null(strstr(why, "not empty"));
    assert_int_equal(check(dir, true), 0);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_names_are_store_and_mount_point),
        cmocka_unit_test(one_name_is_the_mount_point_of_the_users_own_store),
        cmocka_unit_test(relative_names_become_absolute),
        cmocka_unit_test(password_is_not_in_the_text_that_mount_shows),
        cmocka_unit_test(options_come_in_any_place_and_any_form),
        cmocka_unit_test(soft_fails_after_timeo_and_hard_never),
        cmocka_unit_test(unknown_option_is_refused_by_name),
        cmocka_unit_test(bad_numbers_are_refused_with_the_option),
        cmocka_unit_test(wrong_count_of_names_is_refused),
        cmocka_unit_test(a_forgotten_empty_or_swapped_name_is_told_as_such),
        cmocka_unit_test(switches_and_mount_options_do_not_mix),
        cmocka_unit_test(what_mount_passes_is_understood),
        cmocka_unit_test(f_means_fake_to_mount_and_foreground_to_people),
        cmocka_unit_test(sloppy_mount_passes_over_what_nobody_knows),
        cmocka_unit_test(help_needs_nothing_else),
        cmocka_unit_test(kvfs_is_found_among_the_mounts),
        cmocka_unit_test(unfit_mount_points_are_refused_with_the_reason),
    };
    return cmocka_run_group_tests_name("fsd_options", tests, NULL, close_options);
}
