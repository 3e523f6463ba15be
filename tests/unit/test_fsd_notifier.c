/* Notices to the kernel: what is written, in which order, and when the loop hears that all has been told. */
#define FUSE_USE_VERSION 312
#include "fsd/inodes.h"
#include "fsd/notifier.h"

#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOTICES = 1000 };

static uv_loop_t loop;
static struct notifier notifier;
static struct fuse_session *session;
static uv_sem_t gate; /* the kernel lets a notice pass */
static int told_times;

/* What the kernel was told; written by the notifier's thread, read when it has said that it is done. */
static struct {
    int code;
    uint64_t id;
    int64_t offset;
    char name[16];
} seen[NOTICES + 8];
static int seen_count;

static ssize_t on_read(int fd, void *data, size_t len, void *user)
{
    (void)fd, (void)data, (void)len, (void)user;
    return -1;
}

static ssize_t on_writev(int fd, struct iovec *iov, int count, void *user)
{
    (void)fd, (void)user;
    const struct fuse_out_header *header = iov[0].iov_base;
    if (header->unique == 0) {
        uv_sem_wait(&gate);
        seen[seen_count].code = header->error;
        memcpy(&seen[seen_count].id, iov[1].iov_base, sizeof seen[0].id);
        seen[seen_count].id = id_of_ino(seen[seen_count].id);
        if (header->error == FUSE_NOTIFY_INVAL_INODE)
            seen[seen_count].offset = ((struct fuse_notify_inval_inode_out *)iov[1].iov_base)->off;
        else
            memcpy(seen[seen_count].name, iov[2].iov_base, iov[2].iov_len); /* with its terminator */
        seen_count++;
    }
    ssize_t len = 0;
    for (int i = 0; i < count; i++)
        len += (ssize_t)iov[i].iov_len;
    return len;
}

static void on_told(void *user)
{
    (void)user;
    told_times++;
}

static void on_stopped(void *user) { (void)user; }

static int begin(void **state)
{
    (void)state;
    static const struct fuse_custom_io io = {.writev = on_writev, .read = on_read};
    static const struct fuse_lowlevel_ops no_ops;
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    assert_int_equal(fuse_opt_add_arg(&args, "test"), 0);
    session = fuse_session_new(&args, &no_ops, sizeof no_ops, NULL);
    fuse_opt_free_args(&args);
    assert_int_equal(fuse_session_custom_io(session, &io, open("/dev/null", O_RDWR)), 0);
    struct {
        struct fuse_in_header header;
        struct fuse_init_in init;
    } message = {{.len = sizeof message, .opcode = FUSE_INIT, .unique = 1}, {.major = 7, .minor = 31}};
    fuse_session_process_buf(session, &(struct fuse_buf){.mem = &message, .size = sizeof message});
    seen_count = told_times = 0;
    assert_int_equal(uv_sem_init(&gate, 0), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    return notifier_start(&notifier, &loop, session, on_told, NULL);
}

static int end(void **state)
{
    (void)state;
    assert_true(notifier_stop(&notifier, on_stopped));
    uv_run(&loop, UV_RUN_DEFAULT);
    fuse_session_destroy(session);
    uv_sem_destroy(&gate);
    return uv_loop_close(&loop);
}

static void notices_reach_the_kernel_in_order_with_all_they_name(void **state)
{
    (void)state;
    assert_true(notifier_inode(&notifier, 5, true));
    assert_true(notifier_inode(&notifier, 6, false));
    assert_true(notifier_entry(&notifier, 7, bytes_make("name and more", 4)));
    for (int i = 0; i < 3; i++)
        uv_sem_post(&gate);
    while (!told_times)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(seen_count, 3);
    assert_int_equal(seen[0].code, FUSE_NOTIFY_INVAL_INODE);
    assert_int_equal(seen[0].id, 5);
    assert_int_equal(seen[0].offset, 0);
    assert_int_equal(seen[1].id, 6);
    assert_true(seen[1].offset < 0); /* attributes only */
    assert_int_equal(seen[2].code, FUSE_NOTIFY_INVAL_ENTRY);
    assert_int_equal(seen[2].id, 7);
    assert_string_equal(seen[2].name, "name");
}

static void loop_hears_that_all_is_told_only_when_it_is(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < NOTICES; i++)
        assert_true(notifier_inode(&notifier, i + 1, true));
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(told_times, 0);
    for (int i = 0; i < NOTICES; i++)
        uv_sem_post(&gate);
    while (!told_times)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(seen_count, NOTICES);
    for (uint64_t i = 0; i < NOTICES; i++)
        assert_int_equal(seen[i].id, i + 1);
}

/* The kernel holds one notice up: giving others takes no time, and stopping drops those behind it. */
static void notice_that_the_kernel_holds_up_holds_up_nobody_else(void **state)
{
    (void)state;
    assert_true(notifier_inode(&notifier, 1, true));
    for (int i = 0; i < 100; i++)
        assert_true(notifier_entry(&notifier, 1, bytes_of("x")));
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(told_times, 0);
    for (int i = 0; i < 101; i++)
        uv_sem_post(&gate);
}

/* The thread was done with the first, but when the loop gets to hear of it there is a second. */
static void loop_does_not_hear_of_an_end_that_is_none_any_more(void **state)
{
    (void)state;
    assert_true(notifier_inode(&notifier, 1, true));
    uv_sem_post(&gate);
    uv_sleep(50); /* if that is too short the test proves less, but does not fail */
    assert_true(notifier_inode(&notifier, 2, true));
    uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(told_times, 0);
    uv_sem_post(&gate);
    while (!told_times)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(seen_count, 2);
}

static void notifier_that_was_never_started_tells_nothing(void **state)
{
    (void)state;
    struct notifier idle = {0};
    assert_false(notifier_inode(&idle, 1, true));
    assert_false(notifier_entry(&idle, 1, bytes_of("x")));
    assert_false(notifier_stop(&idle, on_stopped));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(notices_reach_the_kernel_in_order_with_all_they_name, begin, end),
        cmocka_unit_test_setup_teardown(loop_hears_that_all_is_told_only_when_it_is, begin, end),
        cmocka_unit_test_setup_teardown(loop_does_not_hear_of_an_end_that_is_none_any_more, begin, end),
        cmocka_unit_test_setup_teardown(notice_that_the_kernel_holds_up_holds_up_nobody_else, begin, end),
        cmocka_unit_test(notifier_that_was_never_started_tells_nothing),
    };
    return cmocka_run_group_tests_name("fsd_notifier", tests, NULL, NULL);
}
