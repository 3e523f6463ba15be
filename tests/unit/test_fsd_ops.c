/* The operations, from the kernel's message to the kernel's answer, without a kernel: messages are put together here
 * and given to libfuse's session, whose answers are caught; the store is a stand-in that notes what it is asked and
 * answers as the test says, at once or later.
 */
#include "fsd/fs.h"
#include "kvcore/base/error.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

enum { ASKED_MAX = 16 };

/* The stand-in for a store. */
struct stand_in {
    struct backend backend; /* first */
    struct kv_request asked[ASKED_MAX];
    char names[ASKED_MAX][256];
    uint64_t released[64];
    size_t released_count, count;
    struct kv_reply replies[ASKED_MAX]; /* in the order of the questions; zeroed: success */
    bool later;                         /* answers only when the test says so */
    bool away;
    struct kv_call *waiting;
    int cancelled; /* the last code */
};

static struct stand_in store;
static struct fs fs;
static uv_loop_t loop;
static struct fuse_session *session;
static uint64_t unique;
/* The last answer to the kernel. */
static char answer[1 << 17];
static size_t answer_len;
static int answers;

/* --- the stand-in --- */

static const struct kv_reply *submit(struct backend *backend, const struct kv_request *request, struct kv_call *call)
{
    struct stand_in *stand_in = (struct stand_in *)backend;
    assert_in_range(stand_in->count, 0, ASKED_MAX - 1);
    size_t i = stand_in->count++;
    stand_in->asked[i] = *request;
    snprintf(stand_in->names[i], sizeof stand_in->names[i], "%.*s", (int)request->node.name.len,
             request->node.name.data ? request->node.name.data : "");
    for (size_t n = 0; n < request->node_count; n++)
        stand_in->released[stand_in->released_count++] = request->nodes[n].id;
    if (!stand_in->later)
        return &stand_in->replies[i];
    stand_in->waiting = call;
    return NULL;
}

static void cancel(struct backend *backend, struct kv_call *call, int code)
{
    struct stand_in *stand_in = (struct stand_in *)backend;
    assert_ptr_equal(call, stand_in->waiting);
    stand_in->cancelled = code;
}

static bool connected(struct backend *backend) { return !((struct stand_in *)backend)->away; }

static const struct backend_ops stand_in_ops = {submit, cancel, connected};

/* The answer that was to come later. */
static void deliver(const struct kv_reply *reply)
{
    struct kv_call *call = store.waiting;
    assert_non_null(call);
    store.waiting = NULL;
    call->on_reply(call, reply);
}

/* --- the kernel's side --- */

static ssize_t on_read(int fd, void *data, size_t len, void *user)
{
    (void)fd, (void)data, (void)len, (void)user;
    return -1;
}

static ssize_t on_writev(int fd, struct iovec *iov, int count, void *user)
{
    (void)fd, (void)user;
    answer_len = 0;
    for (int i = 0; i < count; i++) {
        assert_in_range(answer_len + iov[i].iov_len, 0, sizeof answer);
        memcpy(answer + answer_len, iov[i].iov_base, iov[i].iov_len);
        answer_len += iov[i].iov_len;
    }
    answers++;
    return (ssize_t)answer_len;
}

static void send_message(uint32_t opcode, uint64_t id, const void *body, size_t body_len, const char *name)
{
    static char message[1 << 16];
    size_t name_len = name ? strlen(name) + 1 : 0;
    struct fuse_in_header header = {.len = (uint32_t)(sizeof header + body_len + name_len),
                                    .opcode = opcode,
                                    .unique = ++unique,
                                    .nodeid = ino_of_id(id),
                                    .uid = 1000,
                                    .gid = 1001};
    memcpy(message, &header, sizeof header);
    if (body_len)
        memcpy(message + sizeof header, body, body_len);
    if (name_len)
        memcpy(message + sizeof header + body_len, name, name_len);
    struct fuse_buf buffer = {.mem = message, .size = header.len};
    fuse_session_process_buf(session, &buffer);
}

static int answered_error(void) { return -((struct fuse_out_header *)answer)->error; }

static const void *answered(void) { return answer + sizeof(struct fuse_out_header); }

static int begin(void **state)
{
    (void)state;
    static const struct fuse_custom_io io = {.writev = on_writev, .read = on_read};
    char *argv[] = {(char *)(uintptr_t) "test", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    store = (struct stand_in){.backend.ops = &stand_in_ops};
    answers = 0;
    unique = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(fs_init(&fs, &loop, &store.backend, &(struct attr_view){0}), 0);
    session = fuse_session_new(&args, &fs_ops, sizeof fs_ops, &fs);
    fuse_opt_free_args(&args);
    assert_non_null(session);
    fs.session = session;
    assert_int_equal(fuse_session_custom_io(session, &io, open("/dev/null", O_RDWR)), 0);
    struct fuse_init_in init = {.major = 7, .minor = 31, .max_readahead = 131072, .flags = ~0u};
    send_message(FUSE_INIT, 0, &init, sizeof init, NULL);
    assert_int_equal(answered_error(), 0);
    answers = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    fuse_session_destroy(session);
    fs_close(&fs);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

static struct kv_reply attr_of(uint64_t id, uint32_t mode)
{
    return (struct kv_reply){.kind = KV_REPLY_ATTR, .attr = {.id = id, .mode = mode, .nlink = 1}};
}

static struct kv_reply number(uint64_t value) { return (struct kv_reply){.kind = KV_REPLY_UINT, .uint = value}; }

static struct kv_reply failure(int code) { return (struct kv_reply){.error = code}; }

static void look_up(uint64_t id, const char *name)
{
    store.replies[store.count] = attr_of(id, S_IFREG | 0644);
    send_message(FUSE_LOOKUP, 1, NULL, 0, name);
    assert_int_equal(answered_error(), 0);
}

static void forget(uint64_t id, uint64_t lookups)
{
    send_message(FUSE_FORGET, id, &(struct fuse_forget_in){.nlookup = lookups}, sizeof(struct fuse_forget_in), NULL);
    fs_turn_end(&fs);
}

/* --- names --- */

static void lookup_asks_by_directory_and_name_and_answers_with_the_nodes_id(void **state)
{
    (void)state;
    look_up(42, "name");
    assert_int_equal(store.asked[0].op, KV_OP_STAT);
    assert_int_equal(store.asked[0].node.kind, KV_REF_NAME);
    assert_int_equal(store.asked[0].node.id, 1);
    assert_string_equal(store.names[0], "name");
    const struct fuse_entry_out *entry = answered();
    assert_int_equal(id_of_ino(entry->nodeid), 42);
    assert_int_equal(entry->attr.ino, 42);
    assert_true(entry->attr_valid > 1000000 && entry->entry_valid > 1000000);
}

static void kernel_keeps_nothing_of_a_shared_store(void **state)
{
    (void)state;
    store.backend.shared = true;
    look_up(42, "name");
    const struct fuse_entry_out *entry = answered();
    assert_int_equal(entry->attr_valid + entry->attr_valid_nsec + entry->entry_valid + entry->entry_valid_nsec, 0);
    store.replies[1] = failure(-ENOENT);
    send_message(FUSE_LOOKUP, 1, NULL, 0, "none");
    assert_int_equal(answered_error(), ENOENT);
}

static void kernel_keeps_that_a_name_is_not_there_where_nobody_else_can_make_it(void **state)
{
    (void)state;
    store.replies[0] = failure(-ENOENT);
    send_message(FUSE_LOOKUP, 1, NULL, 0, "none");
    assert_int_equal(answered_error(), 0);
    const struct fuse_entry_out *entry = answered();
    assert_int_equal(entry->nodeid, 0);
    assert_true(entry->entry_valid > 1000000);
}

static void too_long_name_is_refused_without_asking(void **state)
{
    (void)state;
    char name[257];
    memset(name, 'x', 256);
    name[256] = '\0';
    send_message(FUSE_LOOKUP, 1, NULL, 0, name);
    assert_int_equal(answered_error(), ENAMETOOLONG);
    send_message(FUSE_MKDIR, 1, &(struct fuse_mkdir_in){.mode = 0755}, sizeof(struct fuse_mkdir_in), name);
    assert_int_equal(answered_error(), ENAMETOOLONG);
    assert_int_equal(store.count, 0);
}

static void new_node_belongs_to_who_asks(void **state)
{
    (void)state;
    store.replies[0] = attr_of(43, S_IFDIR | 0750);
    send_message(FUSE_MKDIR, 7, &(struct fuse_mkdir_in){.mode = 0750}, sizeof(struct fuse_mkdir_in), "dir");
    assert_int_equal(store.asked[0].op, KV_OP_MKDIR);
    assert_int_equal(store.asked[0].node.id, 7);
    assert_int_equal(store.asked[0].options, KV_OPT_MODE | KV_OPT_UMASK | KV_OPT_UID | KV_OPT_GID);
    assert_int_equal(store.asked[0].uid, 1000);
    assert_int_equal(store.asked[0].gid, 1001);
    assert_int_equal(store.asked[0].mode & 07777, 0750);
    assert_int_equal(inodes_lookups(&fs.inodes, 43), 1);
}

static void exclusive_create_says_so_and_truncating_create_empties_what_was_there(void **state)
{
    (void)state;
    struct fuse_create_in create = {.flags = O_WRONLY | O_CREAT | O_EXCL, .mode = 0600};
    store.replies[0] = attr_of(44, S_IFREG | 0600);
    send_message(FUSE_CREATE, 1, &create, sizeof create, "file");
    assert_true(store.asked[0].options & KV_OPT_NX);
    assert_int_equal(store.count, 1);

    create.flags = O_WRONLY | O_CREAT | O_TRUNC;
    store.replies[1] = attr_of(45, S_IFREG | 0600);
    store.replies[1].attr.size = 10;
    store.replies[2] = attr_of(45, S_IFREG | 0600);
    send_message(FUSE_CREATE, 1, &create, sizeof create, "other");
    assert_false(store.asked[1].options & KV_OPT_NX);
    assert_int_equal(store.asked[2].op, KV_OP_SETATTR);
    assert_int_equal(store.asked[2].options, KV_OPT_SIZE);
    assert_int_equal(store.asked[2].size, 0);
    assert_int_equal(((const struct fuse_entry_out *)answered())->attr.size, 0);
}

static void node_that_is_not_there_by_id_is_stale(void **state)
{
    (void)state;
    store.replies[0] = failure(-ENOENT);
    send_message(FUSE_GETATTR, 42, &(struct fuse_getattr_in){0}, sizeof(struct fuse_getattr_in), NULL);
    assert_int_equal(answered_error(), ESTALE);
}

static void rename_passes_its_flags_on_and_refuses_others(void **state)
{
    (void)state;
    char body[sizeof(struct fuse_rename2_in) + 4];
    struct fuse_rename2_in rename = {.newdir = ino_of_id(9), .flags = RENAME_NOREPLACE};
    memcpy(body, &rename, sizeof rename);
    memcpy(body + sizeof rename, "old", 4);
    send_message(FUSE_RENAME2, 8, body, sizeof body, "new");
    assert_int_equal(answered_error(), 0);
    assert_int_equal(store.asked[0].options, KV_OPT_HOLD | KV_OPT_NOREPLACE);
    assert_int_equal(store.asked[0].node.id, 8);
    assert_int_equal(store.asked[0].target.id, 9);
    rename.flags = RENAME_WHITEOUT;
    memcpy(body, &rename, sizeof rename);
    send_message(FUSE_RENAME2, 8, body, sizeof body, "new");
    assert_int_equal(answered_error(), EINVAL);
    assert_int_equal(store.count, 1);
}

/* --- held nodes --- */

static void unlinked_node_is_released_when_the_kernel_has_forgotten_it(void **state)
{
    (void)state;
    look_up(42, "name");
    look_up(42, "name");
    store.replies[2] = number(42);
    send_message(FUSE_UNLINK, 1, NULL, 0, "name");
    assert_int_equal(answered_error(), 0);
    assert_int_equal(store.asked[2].options, KV_OPT_HOLD);
    forget(42, 1);
    assert_int_equal(store.released_count, 0);
    forget(42, 1);
    assert_int_equal(store.released_count, 1);
    assert_int_equal(store.released[0], 42);
}

/* As the device hands it on. */
static void make_unnamed(uint64_t id)
{
    struct kv_reply made = attr_of(id, S_IFREG | 0600);
    made.attr.nlink = 0;
    store.replies[0] = made;
    struct fuse_create_in create = {.flags = O_RDWR, .mode = S_IFREG | 0600};
    fs.asks_unnamed = true;
    send_message(FUSE_CREATE, 5, &create, sizeof create, "/");
    fs.asks_unnamed = false;
}

static void file_made_without_a_name_is_released_when_the_kernel_has_forgotten_it(void **state)
{
    (void)state;
    make_unnamed(42);
    assert_int_equal(answered_error(), 0);
    assert_int_equal(store.asked[0].op, KV_OP_TMPFILE);
    assert_int_equal(store.asked[0].node.kind, KV_REF_ID);
    assert_int_equal(store.asked[0].node.id, 5);
    assert_int_equal(inodes_lookups(&fs.inodes, 42), 1);
    forget(42, 1);
    assert_int_equal(store.released_count, 1);
    assert_int_equal(store.released[0], 42);
}

static void file_made_without_a_name_is_released_once_it_has_one(void **state)
{
    (void)state;
    make_unnamed(42);
    store.replies[1] = attr_of(42, S_IFREG | 0600);
    struct fuse_link_in link = {.oldnodeid = ino_of_id(42)};
    send_message(FUSE_LINK, 1, &link, sizeof link, "name");
    fs_turn_end(&fs);
    assert_int_equal(store.released_count, 1);
    assert_int_equal(store.released[0], 42);
    forget(42, 2);
    assert_int_equal(store.released_count, 1);
}

static void unlinked_node_that_the_kernel_does_not_know_is_released_at_once(void **state)
{
    (void)state;
    store.replies[0] = number(42);
    send_message(FUSE_UNLINK, 1, NULL, 0, "name");
    fs_turn_end(&fs);
    assert_int_equal(store.released_count, 1);
    assert_int_equal(store.released[0], 42);
}

static void forgetting_what_is_not_held_asks_the_store_nothing(void **state)
{
    (void)state;
    look_up(42, "name");
    forget(42, 1);
    forget(1, 1);
    assert_int_equal(store.count, 1);
}

static void releases_go_together_and_one_batch_at_a_time(void **state)
{
    (void)state;
    for (uint64_t id = 40; id < 44; id++) {
        store.replies[store.count] = number(id);
        send_message(FUSE_UNLINK, 1, NULL, 0, "name");
    }
    store.later = true;
    fs_turn_end(&fs);
    assert_int_equal(store.count, 5);
    assert_int_equal(store.released_count, 4);
    store.later = false;
    store.replies[5] = number(50);
    send_message(FUSE_UNLINK, 1, NULL, 0, "name");
    fs_turn_end(&fs);
    assert_int_equal(store.released_count, 4);
    deliver(&(struct kv_reply){0});
    assert_int_equal(store.released_count, 5);
    assert_int_equal(store.released[4], 50);
}

/* --- waiting --- */

static void getattr(uint64_t id)
{
    send_message(FUSE_GETATTR, id, &(struct fuse_getattr_in){0}, sizeof(struct fuse_getattr_in), NULL);
}

static void interrupt(uint64_t of)
{
    send_message(FUSE_INTERRUPT, 0, &(struct fuse_interrupt_in){.unique = of}, sizeof(struct fuse_interrupt_in), NULL);
}

static void answer_that_comes_later_goes_to_its_request(void **state)
{
    (void)state;
    store.later = true;
    getattr(42);
    uint64_t asked = unique;
    assert_int_equal(answers, 0);
    struct kv_reply reply = attr_of(42, S_IFREG | 0644);
    deliver(&reply);
    assert_int_equal(answers, 1);
    assert_int_equal(((struct fuse_out_header *)answer)->unique, asked);
}

static void interrupted_request_has_time_to_finish_while_the_server_is_there(void **state)
{
    (void)state;
    store.later = true;
    getattr(42);
    interrupt(unique);
    assert_int_equal(store.cancelled, 0);
    struct kv_reply reply = attr_of(42, S_IFREG | 0644);
    deliver(&reply);
    assert_int_equal(answered_error(), 0);
    assert_int_equal(answers, 1);
    assert_null(fs.first);
}

static void interrupted_request_ends_when_its_time_is_over(void **state)
{
    (void)state;
    store.later = true;
    getattr(42);
    interrupt(unique);
    uint64_t start = uv_now(&loop);
    uv_run(&loop, UV_RUN_ONCE); /* the timer */
    assert_in_range(uv_now(&loop) - start, FS_GRACE_MS - 100, FS_GRACE_MS + 500);
    assert_int_equal(store.cancelled, -EINTR);
    struct kv_reply reply = failure(-EINTR);
    deliver(&reply);
    assert_int_equal(answered_error(), EINTR);
}

static void interrupted_request_ends_at_once_while_the_server_is_away(void **state)
{
    (void)state;
    store.later = store.away = true;
    getattr(42);
    interrupt(unique);
    assert_int_equal(store.cancelled, -EINTR);
    struct kv_reply reply = failure(-EINTR);
    deliver(&reply);
    assert_int_equal(answered_error(), EINTR);
}

static void root_has_attributes_even_if_no_server_was_ever_there(void **state)
{
    (void)state;
    store.later = store.away = true;
    getattr(FUSE_ROOT_ID);
    assert_int_equal(answers, 1);
    assert_int_equal(answered_error(), 0);
    const struct fuse_attr_out *attr = answered();
    assert_true(S_ISDIR(attr->attr.mode));
    assert_int_equal(attr->attr_valid, 0);
    assert_int_equal(store.count, 0);
}

static void root_is_shown_as_last_known_when_the_server_fails(void **state)
{
    (void)state;
    store.replies[0] = attr_of(FUSE_ROOT_ID, S_IFDIR | 01777);
    getattr(FUSE_ROOT_ID);
    store.later = true;
    getattr(FUSE_ROOT_ID);
    struct kv_reply reply = failure(-ETIMEDOUT);
    deliver(&reply);
    assert_int_equal(answered_error(), 0);
    assert_int_equal(((const struct fuse_attr_out *)answered())->attr.mode, S_IFDIR | 01777);
}

/* --- data, listings, xattrs --- */

static void read_joins_the_stores_pieces(void **state)
{
    (void)state;
    struct bytes pieces[] = {bytes_of("one "), bytes_of("two "), bytes_of("three")};
    store.replies[0] = (struct kv_reply){.kind = KV_REPLY_BYTES, .pieces = pieces, .count = 3, .bytes = 13};
    struct fuse_read_in read_in = {.offset = 5, .size = 100};
    send_message(FUSE_READ, 42, &read_in, sizeof read_in, NULL);
    assert_int_equal(store.asked[0].offset, 5);
    assert_int_equal(store.asked[0].length, 100);
    assert_int_equal(answer_len, sizeof(struct fuse_out_header) + 13);
    assert_memory_equal(answered(), "one two three", 13);
}

static void write_goes_to_its_offset_and_append_to_the_end(void **state)
{
    (void)state;
    struct fuse_write_in out = {.offset = 7, .size = 3, .flags = O_WRONLY};
    send_message(FUSE_WRITE, 42, &out, sizeof out, "ab");
    assert_int_equal(((const struct fuse_write_out *)answered())->size, 3);
    assert_int_equal(store.asked[0].op, KV_OP_WRITE);
    assert_int_equal(store.asked[0].offset, 7);
    assert_int_equal(store.asked[0].value.len, 3);
    out.flags = O_WRONLY | O_APPEND;
    store.replies[1] = number(100);
    send_message(FUSE_WRITE, 42, &out, sizeof out, "ab");
    assert_int_equal(((const struct fuse_write_out *)answered())->size, 3);
    assert_int_equal(store.asked[1].op, KV_OP_APPEND);
    assert_int_equal(store.asked[1].node.id, 42);
    out.write_flags = FUSE_WRITE_CACHE;
    send_message(FUSE_WRITE, 42, &out, sizeof out, "ab");
    assert_int_equal(store.asked[2].op, KV_OP_WRITE);
}

static void write_at_the_far_end_takes_as_much_as_there_is_room_for(void **state)
{
    (void)state;
    struct fuse_write_in out = {.offset = VALUE_BYTES_MAX - 1, .size = 3, .flags = O_WRONLY};
    send_message(FUSE_WRITE, 42, &out, sizeof out, "ab");
    assert_int_equal(((const struct fuse_write_out *)answered())->size, 1);
    assert_int_equal(store.asked[0].value.len, 1);
    out.offset = VALUE_BYTES_MAX;
    send_message(FUSE_WRITE, 42, &out, sizeof out, "ab");
    assert_int_equal(store.asked[1].value.len, 3); /* the store refuses it */
}

static void fallocate_has_the_modes_that_keep_every_byte_in_its_place(void **state)
{
    (void)state;
    static const struct {
        uint32_t mode;
        uint32_t options;
    } cases[] = {{0, 0},
                 {FALLOC_FL_KEEP_SIZE, KV_OPT_KEEP_SIZE},
                 {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, KV_OPT_HOLE},
                 {FALLOC_FL_ZERO_RANGE, KV_OPT_ZERO},
                 {FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, KV_OPT_ZERO | KV_OPT_KEEP_SIZE}};
    struct fuse_fallocate_in in = {.offset = 7, .length = 9};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        in.mode = cases[i].mode;
        send_message(FUSE_FALLOCATE, 42, &in, sizeof in, NULL);
        assert_int_equal(answered_error(), 0);
        assert_int_equal(store.asked[i].op, KV_OP_FALLOCATE);
        assert_int_equal(store.asked[i].options, cases[i].options);
        assert_int_equal(store.asked[i].offset, 7);
        assert_int_equal(store.asked[i].length, 9);
    }
    size_t asked = store.count;
    static const uint32_t others[] = {FALLOC_FL_PUNCH_HOLE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE,
                                      FALLOC_FL_UNSHARE_RANGE};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        in.mode = others[i];
        send_message(FUSE_FALLOCATE, 42, &in, sizeof in, NULL);
        assert_int_equal(answered_error(), EOPNOTSUPP);
    }
    assert_int_equal(store.count, asked);
}

static void seeks_for_data_and_holes_go_to_the_store(void **state)
{
    (void)state;
    struct fuse_lseek_in in = {.offset = 5, .whence = SEEK_HOLE};
    store.replies[0] = number(77);
    send_message(FUSE_LSEEK, 42, &in, sizeof in, NULL);
    assert_int_equal(((const struct fuse_lseek_out *)answered())->offset, 77);
    assert_int_equal(store.asked[0].op, KV_OP_SEEK);
    assert_int_equal(store.asked[0].offset, 5);
    assert_int_equal(store.asked[0].options, KV_OPT_HOLE);
    in.whence = SEEK_DATA;
    store.replies[1] = failure(-ENXIO);
    send_message(FUSE_LSEEK, 42, &in, sizeof in, NULL);
    assert_int_equal(answered_error(), ENXIO);
    assert_int_equal(store.asked[1].options, 0);
    in.whence = SEEK_END;
    send_message(FUSE_LSEEK, 42, &in, sizeof in, NULL);
    assert_int_equal(answered_error(), EINVAL);
    assert_int_equal(store.count, 2);
}

static void copy_of_a_range_is_left_to_the_store(void **state)
{
    (void)state;
    struct fuse_copy_file_range_in in = {.off_in = 1, .nodeid_out = ino_of_id(43), .off_out = 2, .len = 100};
    store.replies[0] = number(60);
    send_message(FUSE_COPY_FILE_RANGE, 42, &in, sizeof in, NULL);
    assert_int_equal(((const struct fuse_write_out *)answered())->size, 60);
    assert_int_equal(store.asked[0].op, KV_OP_COPY);
    assert_int_equal(store.asked[0].node.id, 42);
    assert_int_equal(store.asked[0].offset, 1);
    assert_int_equal(store.asked[0].target.id, 43);
    assert_int_equal(store.asked[0].target_offset, 2);
    assert_int_equal(store.asked[0].length, 100);
    store.replies[1] = failure(-EINVAL);
    send_message(FUSE_COPY_FILE_RANGE, 42, &in, sizeof in, NULL);
    assert_int_equal(answered_error(), EINVAL);
}

/* Lists a directory of `count` entries whose cookies are given into a buffer of `size`. Returns the offset of the last
 * one that was shown, and how many were. */
static uint64_t list(const uint64_t *cookies, size_t count, uint32_t size, uint64_t after, size_t *ret_shown)
{
    static struct kv_entry entries[300];
    static char names[300][64];
    for (size_t i = 0; i < count; i++) {
        int len = snprintf(names[i], sizeof names[i], "entry-%03zu-with-a-longish-name", i);
        entries[i] = (struct kv_entry){{names[i], (size_t)len}, true, cookies[i], {.id = 100 + i, .mode = S_IFREG}};
    }
    store.replies[store.count] = (struct kv_reply){.kind = KV_REPLY_ENTRIES, .entries = entries, .count = count};
    struct fuse_read_in read_in = {.offset = after, .size = size};
    send_message(FUSE_READDIR, 1, &read_in, sizeof read_in, NULL);
    assert_int_equal(answered_error(), 0);
    uint64_t last = 0;
    *ret_shown = 0;
    for (size_t at = sizeof(struct fuse_out_header); at < answer_len;) {
        const struct fuse_dirent *entry = (const struct fuse_dirent *)(answer + at);
        last = entry->off;
        at += FUSE_DIRENT_SIZE(entry);
        ++*ret_shown;
    }
    return last;
}

static void listing_begins_with_the_dots_and_goes_on_behind_the_last_that_fitted(void **state)
{
    (void)state;
    uint64_t cookies[200];
    size_t shown;
    for (size_t i = 0; i < 200; i++)
        cookies[i] = 10 + i;
    uint64_t last = list(cookies, 200, 4096, 0, &shown);
    assert_in_range(shown, 40, 199);
    assert_int_equal(last, 10 + shown - 2 - 1); /* two of them are the dots */
    assert_true(store.asked[0].limit >= 4096 / 32);
    list(cookies, 3, 4096, 2, &shown);
    assert_int_equal(shown, 3);
    assert_int_equal(list(cookies, 0, 4096, 300, &shown), 0);
    assert_int_equal(shown, 0);
}

static void entries_of_equal_cookie_are_not_parted(void **state)
{
    (void)state;
    uint64_t cookies[200];
    size_t all, shown;
    for (size_t i = 0; i < 200; i++)
        cookies[i] = 10 + i;
    list(cookies, 200, 4096, 2, &all);
    cookies[all] = cookies[all - 1] = cookies[all - 2]; /* the last two that fit and the first that does not */
    uint64_t last = list(cookies, 200, 4096, 2, &shown);
    assert_int_equal(shown, all - 2);
    assert_int_equal(last, cookies[all - 3]);
}

/* Lists 60 entries with attributes into a page of 4096 bytes. Returns how many were shown. */
static size_t list_plus(struct kv_entry *entries)
{
    store.replies[store.count] = (struct kv_reply){.kind = KV_REPLY_ENTRIES, .entries = entries, .count = 60};
    struct fuse_read_in read_in = {.offset = 2, .size = 4096};
    send_message(FUSE_READDIRPLUS, 1, &read_in, sizeof read_in, NULL);
    return (answer_len - sizeof(struct fuse_out_header)) /
           FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + strlen("name"));
}

static void listing_with_attributes_counts_only_what_was_shown(void **state)
{
    (void)state;
    struct kv_entry entries[60];
    for (uint64_t i = 0; i < 60; i++)
        entries[i] = (struct kv_entry){bytes_of("name"), true, 10 + i, {.id = 100 + i, .mode = S_IFREG}};
    size_t shown = list_plus(entries);
    assert_in_range(shown, 10, 59);
    assert_int_equal(fs.inodes.count, shown);
    assert_int_equal(inodes_lookups(&fs.inodes, 100), 1);
    entries[shown].cookie = entries[shown - 1].cookie; /* so that neither is shown */
    assert_int_equal(list_plus(entries), shown - 1);
    assert_int_equal(inodes_lookups(&fs.inodes, 100 + shown - 2), 2);
    assert_int_equal(inodes_lookups(&fs.inodes, 100 + shown - 1), 1);
    assert_int_equal(inodes_lookups(&fs.inodes, 100 + shown), 0);
}

static void xattr_that_does_not_fit_is_erange(void **state)
{
    (void)state;
    struct bytes value = bytes_of("12345");
    for (int i = 0; i < 3; i++)
        store.replies[i] = (struct kv_reply){.kind = KV_REPLY_BYTES, .pieces = &value, .count = 1, .bytes = 5};
    struct fuse_getxattr_in get = {.size = 0};
    send_message(FUSE_GETXATTR, 42, &get, sizeof get, "user.k");
    assert_int_equal(((const struct fuse_getxattr_out *)answered())->size, 5);
    get.size = 4;
    send_message(FUSE_GETXATTR, 42, &get, sizeof get, "user.k");
    assert_int_equal(answered_error(), ERANGE);
    get.size = 5;
    send_message(FUSE_GETXATTR, 42, &get, sizeof get, "user.k");
    assert_int_equal(answer_len, sizeof(struct fuse_out_header) + 5);
    send_message(FUSE_GETXATTR, 42, &get, sizeof get, "system.other");
    assert_int_equal(answered_error(), EOPNOTSUPP);
    assert_int_equal(store.count, 3);
}

static void chown_of_a_setuid_file_takes_the_bit_off_in_the_same_step(void **state)
{
    (void)state;
    store.replies[0] = attr_of(42, S_IFREG | 06755);
    send_message(FUSE_LOOKUP, 1, NULL, 0, "name");
    struct fuse_setattr_in set = {.valid = FATTR_UID, .uid = 5};
    store.replies[1] = attr_of(42, S_IFREG | 06755);
    store.replies[2] = attr_of(42, S_IFREG | 0755);
    send_message(FUSE_SETATTR, 42, &set, sizeof set, NULL);
    assert_int_equal(store.count, 3);
    assert_int_equal(store.asked[1].op, KV_OP_STAT);
    assert_int_equal(store.asked[2].op, KV_OP_SETATTR);
    assert_int_equal(store.asked[2].options, KV_OPT_UID | KV_OPT_MODE);
    assert_int_equal(store.asked[2].mode, 0755);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lookup_asks_by_directory_and_name_and_answers_with_the_nodes_id),
        TEST(kernel_keeps_nothing_of_a_shared_store),
        TEST(kernel_keeps_that_a_name_is_not_there_where_nobody_else_can_make_it),
        TEST(too_long_name_is_refused_without_asking),
        TEST(new_node_belongs_to_who_asks),
        TEST(exclusive_create_says_so_and_truncating_create_empties_what_was_there),
        TEST(node_that_is_not_there_by_id_is_stale),
        TEST(rename_passes_its_flags_on_and_refuses_others),
        TEST(unlinked_node_is_released_when_the_kernel_has_forgotten_it),
        TEST(file_made_without_a_name_is_released_when_the_kernel_has_forgotten_it),
        TEST(file_made_without_a_name_is_released_once_it_has_one),
        TEST(unlinked_node_that_the_kernel_does_not_know_is_released_at_once),
        TEST(forgetting_what_is_not_held_asks_the_store_nothing),
        TEST(releases_go_together_and_one_batch_at_a_time),
        TEST(answer_that_comes_later_goes_to_its_request),
        TEST(interrupted_request_has_time_to_finish_while_the_server_is_there),
        TEST(interrupted_request_ends_when_its_time_is_over),
        TEST(interrupted_request_ends_at_once_while_the_server_is_away),
        TEST(root_has_attributes_even_if_no_server_was_ever_there),
        TEST(root_is_shown_as_last_known_when_the_server_fails),
        TEST(read_joins_the_stores_pieces),
        TEST(write_goes_to_its_offset_and_append_to_the_end),
        TEST(write_at_the_far_end_takes_as_much_as_there_is_room_for),
        TEST(fallocate_has_the_modes_that_keep_every_byte_in_its_place),
        TEST(seeks_for_data_and_holes_go_to_the_store),
        TEST(copy_of_a_range_is_left_to_the_store),
        TEST(listing_begins_with_the_dots_and_goes_on_behind_the_last_that_fitted),
        TEST(entries_of_equal_cookie_are_not_parted),
        TEST(listing_with_attributes_counts_only_what_was_shown),
        TEST(xattr_that_does_not_fit_is_erange),
        TEST(chown_of_a_setuid_file_takes_the_bit_off_in_the_same_step),
    };
    return cmocka_run_group_tests_name("fsd_ops", tests, NULL, NULL);
}
