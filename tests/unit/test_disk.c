/* The machine's disk behind the seam, and the checksum of what is written there. */
#include "kvcore/base/crc32c.h"
#include "kvcore/base/disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/kvfs-disk-XXXXXX";

static int make_folder(void **state)
{
    struct disk *disk;
    strcpy(folder, "/tmp/kvfs-disk-XXXXXX");
    if (!mkdtemp(folder) || disk_system(folder, &disk) < 0)
        return -1;
    *state = disk;
    return 0;
}

static int remove_folder(void **state)
{
    disk_free(*state);
    return rmdir(folder);
}

static void count_name(const char *name, void *user)
{
    (void)name;
    ++*(int *)user;
}

static void checksum_is_the_one_of_the_standards(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void what_is_written_is_read_up_to_the_end(void **state)
{
    struct disk *disk = *state;
    struct disk_file *file;
    char bytes[16] = "";
    uint64_t size = 0;
    assert_int_equal(disk_open(disk, "a", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &file), 0);
    assert_int_equal(disk_write(file, 3, "hello", 5), 0);
    assert_int_equal(disk_read(file, 3, bytes, sizeof bytes), 5);
    assert_memory_equal(bytes, "hello", 5);
    assert_int_equal(disk_read(file, 100, bytes, sizeof bytes), 0);
    assert_int_equal(disk_allocate(file, 0, 65536), 0);
    assert_int_equal(disk_size(file, &size), 0);
    assert_int_equal(size, 8);
    assert_int_equal(disk_truncate(file, 4), 0);
    assert_int_equal(disk_read(file, 3, bytes, sizeof bytes), 1);
    assert_int_equal(disk_sync(file), 0);
    disk_close(file);
    assert_int_equal(disk_open(disk, "a", DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &file), -EEXIST);
    assert_int_equal(disk_remove(disk, "a"), 0);
}

static void renamed_file_replaces_and_is_listed_once(void **state)
{
    struct disk *disk = *state;
    struct disk_file *file;
    int names = 0;
    for (const char *name = "a"; name; name = *name == 'a' ? "b" : NULL) {
        assert_int_equal(disk_open(disk, name, DISK_WRITE | DISK_CREATE, &file), 0);
        disk_close(file);
    }
    assert_int_equal(disk_rename(disk, "a", "b"), 0);
    assert_int_equal(disk_sync_names(disk), 0);
    assert_int_equal(disk_list(disk, count_name, &names), 0);
    assert_int_equal(names, 1);
    assert_int_equal(disk_open(disk, "a", 0, &file), -ENOENT);
    assert_int_equal(disk_remove(disk, "b"), 0);
    assert_int_equal(disk_remove(disk, "b"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_is_the_one_of_the_standards),
        cmocka_unit_test_setup_teardown(what_is_written_is_read_up_to_the_end, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(renamed_file_replaces_and_is_listed_once, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
