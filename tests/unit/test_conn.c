/* One end is a struct conn, the other mostly a bare socket of the test's, so that it says exactly what arrives when. */
#include "kvcore/base/error.h"
#include "kvcore/rpc/conn.h"
#include "tests/unit/message_random.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* The conn under test, and what it saw. */
struct end {
    struct conn conn;
    struct conn_hub hub;
    uv_loop_t loop;
    int peer; /* the other end */
    unsigned messages, batches, closes;
    unsigned tells;   /* calls of on_ahead */
    uint32_t told[4]; /* the ids it was called with for the next messages, by their number modulo 4 */
    int error;
    size_t answer_bytes;  /* a get is answered with so many */
    unsigned close_at;    /* at this message conn_close is called... */
    int close_error;      /* ... with this */
    uint64_t value_bytes; /* of all sets */
    uint64_t value_hash;
    uint64_t most_waiting; /* bytes of output after a message */
    char *answer;
};

/* Of a long value it looks at every so manieth byte. */
static uint64_t hash(uint64_t seed, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i += 1 + bytes.len / 1000000)
        seed = (seed ^ (unsigned char)bytes.data[i]) * 1099511628211ull;
    return seed;
}

static uint64_t waiting(const struct conn *conn)
{
    return conn->out.len + uv_stream_get_write_queue_size(&conn->stream);
}

static void answer(struct end *end, const struct message *message)
{
    struct kv_reply reply = {.kind = KV_REPLY_UINT, .uint = end->messages};
    struct bytes piece = {end->answer, end->answer_bytes};
    if (message->request.op == KV_OP_GET)
        reply = (struct kv_reply){.kind = KV_REPLY_BYTES, .pieces = &piece, .count = 1, .bytes = piece.len};
    assert_int_equal(encode_reply(&end->conn.out, message->id, &reply), 0);
}

static void on_message(struct conn *conn, const struct message *message)
{
    struct end *end = conn->owner;
    assert_int_equal(end->closes, 0);
    assert_int_equal(message->error, 0);
    if (end->tells && end->told[end->messages % 4])
        assert_int_equal(message->id, end->told[end->messages % 4]);
    end->told[end->messages % 4] = 0;
    end->messages++;
    if (message->request.op == KV_OP_SET) {
        end->value_bytes += message->request.value.len;
        end->value_hash = hash(end->value_hash, message->request.value);
    }
    answer(end, message);
    if (end->most_waiting < waiting(conn))
        end->most_waiting = waiting(conn);
    if (end->messages == end->close_at)
        conn_close(conn, end->close_error);
}

static void on_batch_end(struct conn *conn) { ((struct end *)conn->owner)->batches++; }

static void on_close(struct conn *conn, int error)
{
    struct end *end = conn->owner;
    end->closes++;
    end->error = error;
}

/* What will be handled is told of with the number of messages before it, and is the same then. */
static void on_ahead(struct conn *conn, const struct message *message, unsigned steps_left)
{
    struct end *end = conn->owner;
    assert_int_equal(end->closes, 0);
    assert_in_range(steps_left, 1, 3);
    end->told[(end->messages + steps_left) % 4] = message->id;
    end->tells++;
}

/* All tests run twice. */
static struct conn_handler handler = {.on_message = on_message, .on_batch_end = on_batch_end, .on_close = on_close};

static void turn(struct end *end)
{
    for (int i = 0; i < 8; i++)
        uv_run(&end->loop, UV_RUN_NOWAIT);
}

static void end_open(struct end *end)
{
    int pair[2];
    memset(end, 0, sizeof *end);
    end->answer_bytes = 10;
    end->answer = calloc(1, 2 << 20);
    assert_non_null(end->answer);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    end->peer = pair[1];
    assert_int_equal(uv_loop_init(&end->loop), 0);
    assert_int_equal(conn_hub_init(&end->hub, &end->loop), 0);
    assert_int_equal(conn_init(&end->conn, &end->hub, true, &handler, end), 0);
    assert_int_equal(uv_pipe_open(&end->conn.pipe, pair[0]), 0);
    assert_int_equal(conn_start(&end->conn), 0);
}

static void end_shut(struct end *end)
{
    conn_close(&end->conn, -ECANCELED);
    turn(end);
    assert_int_equal(end->closes, 1);
    assert_int_equal(end->hub.input_bytes, 0);
    conn_hub_close(&end->hub);
    turn(end);
    assert_int_equal(uv_loop_close(&end->loop), 0);
    close(end->peer);
    free(end->answer);
}

/* Sends all of it, turning the loop when the socket is full; stops when the other end is gone. */
static void peer_send(struct end *end, const char *data, size_t len)
{
    while (len > 0 && end->closes == 0) {
        ssize_t sent = send(end->peer, data, len, MSG_NOSIGNAL);
        if (sent > 0) {
            data += sent;
            len -= (size_t)sent;
        }
        uv_run(&end->loop, UV_RUN_NOWAIT);
    }
}

/* Reads all that comes until nothing does. */
static void peer_receive(struct end *end, struct buf *into)
{
    static char room[1 << 20];
    int quiet = 0;
    while (quiet < 10) {
        ssize_t got = recv(end->peer, room, sizeof room, 0);
        quiet = got > 0 ? 0 : quiet + 1;
        if (got > 0)
            assert_int_equal(buf_append(into, room, (size_t)got), 0);
        uv_run(&end->loop, UV_RUN_NOWAIT);
    }
}

static unsigned count_messages(const struct buf *buf)
{
    unsigned count = 0;
    for (size_t at = 0; at < buf->len; count++) {
        struct frame_scan scan = {0};
        assert_int_equal(frame_scan(&scan, buf->data + at, buf->len - at), 1);
        at += scan.at;
    }
    return count;
}

static uint32_t last_id;

static void add_set(struct buf *out, struct bytes value)
{
    struct kv_request request = {.op = KV_OP_SET, .node = kv_ref_key(bytes_of("some/key")), .value = value};
    assert_int_equal(encode_request(out, ++last_id, &request), 0);
}

static void add_get(struct buf *out)
{
    struct kv_request request = {.op = KV_OP_GET, .node = kv_ref_key(bytes_of("some/key"))};
    assert_int_equal(encode_request(out, ++last_id, &request), 0);
}

static void messages_that_come_byte_by_byte_are_put_together(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0}, in = {0};
    end_open(&end);
    for (int i = 0; i < 3; i++)
        add_set(&out, bytes_of("a value"));
    for (size_t i = 0; i < out.len; i++)
        peer_send(&end, out.data + i, 1);
    turn(&end);
    assert_int_equal(end.messages, 3);
    assert_int_equal(end.batches, 3);
    assert_int_equal(end.hub.input_bytes, 0);
    assert_null(end.conn.in.data);
    peer_receive(&end, &in);
    assert_int_equal(count_messages(&in), 3);
    end_shut(&end);
    buf_close(&out);
    buf_close(&in);
}

static void a_pipeline_costs_one_read_and_one_write(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0}, in = {0};
    end_open(&end);
    for (int i = 0; i < 500; i++)
        add_set(&out, bytes_of("a value"));
    assert_int_equal(send(end.peer, out.data, out.len, 0), out.len);
    turn(&end);
    assert_int_equal(end.messages, 500);
    assert_int_equal(end.batches, 1);
    assert_int_equal(end.hub.reads, 1);
    assert_int_equal(end.hub.writes, 1);
    assert_int_equal(end.hub.bytes_in, out.len);
    peer_receive(&end, &in);
    assert_int_equal(end.hub.bytes_out, in.len);
    assert_int_equal(count_messages(&in), 500);
    end_shut(&end);
    buf_close(&out);
    buf_close(&in);
}

static void an_idle_connection_holds_no_buffer(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0};
    end_open(&end);
    add_get(&out);
    peer_send(&end, out.data, out.len);
    turn(&end);
    assert_int_equal(end.messages, 1);
    assert_null(end.conn.in.data);
    assert_null(end.conn.out.data);
    assert_null(end.conn.sending.data);
    end_shut(&end);
    buf_close(&out);
}

static void messages_of_any_size_in_pieces_of_any_size_arrive_whole(void **state)
{
    (void)state;
    static char value[200000];
    struct chance chance = chance_start(__func__);
    struct end end;
    struct buf out = {0}, in = {0};
    uint64_t expected_hash = 0;
    end_open(&end);
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (char)chance_next(&chance);
    for (int i = 0; i < 300; i++) {
        static const size_t limits[] = {100, 17000, 66000, sizeof value};
        struct bytes bytes = {value, chance_below(&chance, limits[chance_below(&chance, 4)])};
        expected_hash = hash(expected_hash, bytes);
        add_set(&out, bytes);
    }
    for (size_t at = 0; at < out.len;) {
        size_t step = 1 + chance_below(&chance, chance_below(&chance, 2) ? 100000 : 5000);
        step = step < out.len - at ? step : out.len - at;
        peer_send(&end, out.data + at, step);
        at += step;
    }
    peer_receive(&end, &in);
    assert_int_equal(end.messages, 300);
    assert_int_equal(count_messages(&in), 300);
    assert_true(end.value_hash == expected_hash);
    assert_int_equal(end.hub.input_bytes, 0);
    end_shut(&end);
    buf_close(&out);
    buf_close(&in);
}

static void a_message_of_64_mib_arrives(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0}, in = {0};
    struct bytes value = {calloc(1, 64 << 20), 64 << 20};
    assert_non_null(value.data);
    end_open(&end);
    add_set(&out, value);
    peer_send(&end, out.data, out.len);
    peer_receive(&end, &in);
    assert_int_equal(end.messages, 1);
    assert_int_equal(end.value_bytes, 64 << 20);
    assert_int_equal(end.hub.input_bytes, 0);
    assert_null(end.conn.in.data);
    end_shut(&end);
    free((char *)value.data);
    buf_close(&out);
    buf_close(&in);
}

/* Room is made for what has come, not for what is claimed. */
static void a_claim_takes_no_memory(void **state)
{
    (void)state;
    struct end end;
    static char sent[40000] = "\x94\x00\x01\xa3set\x92\xa1k\xc6\x07\x00\x00\x00";
    end_open(&end);
    peer_send(&end, sent, 15);
    turn(&end);
    assert_in_range(end.hub.input_bytes, 15, 1024);
    peer_send(&end, sent + 15, sizeof sent - 15);
    turn(&end);
    assert_in_range(end.hub.input_bytes, sizeof sent, 2 * sizeof sent + 256);
    end_shut(&end);
}

/* A mount's write of 1 MiB: its buffer does not move as it fills. Where memory is short, it is believed no more. */
static void a_moderate_claim_gets_its_room_at_once(void **state)
{
    (void)state;
    struct end end;
    static char sent[40000] = "\x94\x00\x01\xa3set\x92\xa1k\xc6\x00\x10\x00\x00";
    end_open(&end);
    peer_send(&end, sent, sizeof sent);
    turn(&end);
    assert_in_range(end.hub.input_bytes, 1 << 20, (1 << 20) + 1024);
    end_shut(&end);
    end_open(&end);
    end.hub.input_bytes_max = 1 << 20;
    peer_send(&end, sent, sizeof sent);
    turn(&end);
    assert_in_range(end.hub.input_bytes, sizeof sent, 2 * sizeof sent + 256);
    end_shut(&end);
}

static void input_past_the_hubs_limit_closes_the_connection(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0};
    struct bytes value = {calloc(1, 8 << 20), 8 << 20};
    assert_non_null(value.data);
    end_open(&end);
    end.hub.input_bytes_max = 1 << 20;
    add_set(&out, value);
    peer_send(&end, out.data, out.len);
    turn(&end);
    assert_int_equal(end.closes, 1);
    assert_int_equal(end.error, KV_BUSY);
    assert_int_equal(end.messages, 0);
    end_shut(&end);
    free((char *)value.data);
    buf_close(&out);
}

static void a_peer_that_does_not_read_is_paused_until_it_does(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0}, in = {0};
    end_open(&end);
    end.answer_bytes = 300000;
    for (int i = 0; i < 200; i++)
        add_get(&out);
    assert_int_equal(send(end.peer, out.data, out.len, 0), out.len);
    turn(&end);
    assert_in_range(end.messages, 4, 12); /* about 1 MiB and what the socket took */
    unsigned before = end.messages;
    assert_int_equal(send(end.peer, out.data, out.len, 0), out.len);
    turn(&end);
    assert_int_equal(end.messages, before); /* not even read */

    peer_receive(&end, &in);
    assert_int_equal(end.messages, 400);
    assert_int_equal(count_messages(&in), 400);
    assert_true(end.most_waiting <= CONN_OUTPUT_PAUSE_BYTES + 300100);
    assert_int_equal(end.hub.input_bytes, 0);
    end_shut(&end);
    buf_close(&out);
    buf_close(&in);
}

static void a_pause_before_half_a_message_forgets_nothing_of_it(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0}, in = {0};
    end_open(&end);
    end.answer_bytes = 2 * CONN_OUTPUT_PAUSE_BYTES;
    add_get(&out);
    add_set(&out, bytes_of("longer than what comes after it"));
    add_get(&out);
    size_t half = out.len - 3; /* its arguments are being walked */
    assert_int_equal(send(end.peer, out.data, half, 0), half);
    turn(&end);
    assert_int_equal(end.messages, 1);
    assert_int_equal(send(end.peer, out.data + half, out.len - half, 0), out.len - half);
    peer_receive(&end, &in);
    assert_int_equal(end.messages, 3);
    assert_int_equal(count_messages(&in), 3);
    end_shut(&end);
    buf_close(&out);
    buf_close(&in);
}

/* Pushes to a paused peer are bounded too: the connection pays, not the server. */
static void output_past_the_bound_closes_the_connection(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    assert_int_equal(buf_append(&end.conn.out, end.answer, 2 << 20), 0);
    conn_flush(&end.conn);
    assert_int_equal(end.closes, 0);
    end.conn.out.len = CONN_OUTPUT_BYTES_MAX + 1u; /* as if; it is not looked at */
    conn_flush(&end.conn);
    end.conn.out.len = 0;
    turn(&end);
    assert_int_equal(end.closes, 1);
    assert_int_equal(end.error, KV_BUSY);
    end_shut(&end);
}

static void closing_while_a_write_is_under_way_reports_once(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    assert_int_equal(buf_append(&end.conn.out, end.answer, 2 << 20), 0);
    conn_flush(&end.conn);
    assert_true(waiting(&end.conn) > 0);
    conn_close(&end.conn, -ETIMEDOUT);
    conn_close(&end.conn, -EIO);
    assert_int_equal(end.closes, 0); /* not inside the call */
    turn(&end);
    assert_int_equal(end.closes, 1);
    assert_int_equal(end.error, -ETIMEDOUT);
    end_shut(&end);
}

static void a_friendly_close_flushes_first(void **state)
{
    (void)state;
    struct end end;
    struct buf in = {0};
    end_open(&end);
    assert_int_equal(buf_append(&end.conn.out, "bye", 3), 0);
    conn_close(&end.conn, 0);
    peer_receive(&end, &in);
    assert_true(bytes_equal(buf_bytes(&in), bytes_of("bye")));
    assert_int_equal(end.error, 0);
    end_shut(&end);
    buf_close(&in);
}

static void messages_behind_a_close_are_not_handled(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0}, in = {0};
    end_open(&end);
    end.close_at = 2;
    for (int i = 0; i < 5; i++)
        add_set(&out, bytes_of("v"));
    peer_send(&end, out.data, out.len);
    peer_receive(&end, &in);
    assert_int_equal(end.messages, 2);
    assert_int_equal(end.batches, 1); /* what the first two began is ended */
    assert_int_equal(count_messages(&in), 2);
    assert_int_equal(end.closes, 1);
    end_shut(&end);
    buf_close(&out);
    buf_close(&in);
}

static void garbage_ends_the_connection_after_the_answers_before_it(void **state)
{
    (void)state;
    static const struct {
        struct bytes garbage;
        int error;
    } cases[] = {
        {{"GET / HTTP/1.1\r\n", 16}, -EPROTO},
        {{"\x93\x01\x02\x03", 4}, -EPROTO},
        {{"\x94\x00\x01\xa3set\x92\xdd\xff\xff\xff\xff", 13}, -E2BIG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct end end;
        struct buf out = {0}, in = {0};
        end_open(&end);
        add_set(&out, bytes_of("v"));
        assert_int_equal(buf_append(&out, cases[i].garbage.data, cases[i].garbage.len), 0);
        peer_send(&end, out.data, out.len);
        peer_receive(&end, &in);
        assert_int_equal(count_messages(&in), 1);
        assert_int_equal(end.closes, 1);
        assert_int_equal(end.error, cases[i].error);
        assert_int_equal(end.batches, 1);
        end_shut(&end);
        buf_close(&out);
        buf_close(&in);
    }
}

static void a_peer_that_leaves_ends_the_connection(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    peer_send(&end, "\x94\x00\x01", 3); /* in the middle of a message */
    shutdown(end.peer, SHUT_WR);
    turn(&end);
    assert_int_equal(end.closes, 1);
    assert_int_equal(end.error, 0);
    end_shut(&end);
}

static void writing_to_a_peer_that_has_gone_is_an_error_and_no_signal(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    close(end.peer);
    end.peer = -1;
    assert_int_equal(buf_append(&end.conn.out, "hello", 5), 0);
    conn_flush(&end.conn);
    turn(&end);
    assert_int_equal(end.closes, 1);
    assert_int_equal(end.error, -EPIPE);
    end_shut(&end);
}

static void flushes_that_can_wait_become_one_write(void **state)
{
    (void)state;
    struct end end;
    struct buf in = {0};
    end_open(&end);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(buf_append(&end.conn.out, "x", 1), 0);
        conn_flush_soon(&end.conn);
    }
    assert_int_equal(end.hub.writes, 0);
    uv_run(&end.loop, UV_RUN_NOWAIT);
    assert_int_equal(end.hub.writes, 1);
    assert_false(uv_is_active((uv_handle_t *)end.hub.flusher)); /* an active one would keep the loop busy */
    peer_receive(&end, &in);
    assert_int_equal(in.len, 100);
    end_shut(&end);
    buf_close(&in);
}

static void a_connection_may_close_before_its_flush_comes(void **state)
{
    (void)state;
    struct end end;
    end_open(&end);
    assert_int_equal(buf_append(&end.conn.out, "x", 1), 0);
    conn_flush_soon(&end.conn);
    conn_close(&end.conn, -EIO);
    conn_flush_soon(&end.conn);
    turn(&end);
    assert_int_equal(end.closes, 1);
    assert_int_equal(end.hub.writes, 0);
    end_shut(&end);
}

static void corked_answers_stay_and_nothing_more_is_read_until_uncorked(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0}, in = {0};
    end_open(&end);
    add_set(&out, bytes_of("v"));
    conn_hub_cork(&end.hub, true);
    peer_send(&end, out.data, out.len);
    peer_send(&end, out.data, out.len);
    peer_receive(&end, &in);
    assert_int_equal(end.messages, 1);
    assert_int_equal(in.len, 0);
    conn_hub_cork(&end.hub, false);
    peer_receive(&end, &in);
    assert_int_equal(end.messages, 2);
    assert_int_equal(count_messages(&in), 2);
    end_shut(&end);
    buf_close(&out);
    buf_close(&in);
}

/* The peer reads well, it is the cork that made so much wait. */
static void a_connection_paused_by_the_cork_goes_on(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0}, in = {0};
    end_open(&end);
    end.answer_bytes = 150000;
    for (int i = 0; i < 100; i++)
        add_get(&out);
    conn_hub_cork(&end.hub, true);
    peer_send(&end, out.data, out.len);
    turn(&end);
    assert_in_range(end.messages, 7, 8);
    /* A socket with room for all, if we may: then no uv_write is left to report. */
    int room = 4 << 20;
    (void)setsockopt(end.conn.pipe.io_watcher.fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    conn_hub_cork(&end.hub, false);
    peer_receive(&end, &in);
    assert_int_equal(end.messages, 100);
    assert_int_equal(count_messages(&in), 100);
    end_shut(&end);
    buf_close(&out);
    buf_close(&in);
}

/* Each connection alone is within its bound; it is all together that are too much. */
static void output_past_the_hubs_limit_closes_the_connection(void **state)
{
    (void)state;
    struct end end;
    struct buf out = {0};
    end_open(&end);
    end.answer_bytes = 100000;
    end.hub.output_bytes_max = 350000;
    for (int i = 0; i < 5; i++)
        add_get(&out);
    conn_hub_cork(&end.hub, true);
    peer_send(&end, out.data, out.len);
    turn(&end);
    assert_int_equal(end.closes, 1);
    assert_int_equal(end.error, KV_BUSY);
    assert_int_equal(end.hub.output_bytes, 0);
    conn_hub_cork(&end.hub, false);
    end_shut(&end);
    buf_close(&out);
}

static void what_is_appended_before_the_start_is_sent_at_the_start(void **state)
{
    (void)state;
    struct end end;
    struct conn late = {0};
    int pair[2];
    char got[8];
    end_open(&end);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(conn_init(&late, &end.hub, true, &handler, &end), 0);
    assert_int_equal(buf_append(&late.out, "early", 5), 0);
    conn_flush(&late);
    conn_flush_soon(&late);
    turn(&end);
    assert_int_equal(uv_pipe_open(&late.pipe, pair[0]), 0);
    assert_int_equal(conn_start(&late), 0);
    turn(&end);
    assert_int_equal(recv(pair[1], got, sizeof got, 0), 5);
    conn_close(&late, 0);
    turn(&end);
    assert_int_equal(end.closes, 1);
    end.closes = 0;
    close(pair[1]);
    end_shut(&end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_that_come_byte_by_byte_are_put_together),
        cmocka_unit_test(a_pipeline_costs_one_read_and_one_write),
        cmocka_unit_test(an_idle_connection_holds_no_buffer),
        cmocka_unit_test(messages_of_any_size_in_pieces_of_any_size_arrive_whole),
        cmocka_unit_test(a_message_of_64_mib_arrives),
        cmocka_unit_test(a_claim_takes_no_memory),
        cmocka_unit_test(a_moderate_claim_gets_its_room_at_once),
        cmocka_unit_test(input_past_the_hubs_limit_closes_the_connection),
        cmocka_unit_test(a_peer_that_does_not_read_is_paused_until_it_does),
        cmocka_unit_test(a_pause_before_half_a_message_forgets_nothing_of_it),
        cmocka_unit_test(output_past_the_bound_closes_the_connection),
        cmocka_unit_test(closing_while_a_write_is_under_way_reports_once),
        cmocka_unit_test(a_friendly_close_flushes_first),
        cmocka_unit_test(messages_behind_a_close_are_not_handled),
        cmocka_unit_test(garbage_ends_the_connection_after_the_answers_before_it),
        cmocka_unit_test(a_peer_that_leaves_ends_the_connection),
        cmocka_unit_test(writing_to_a_peer_that_has_gone_is_an_error_and_no_signal),
        cmocka_unit_test(flushes_that_can_wait_become_one_write),
        cmocka_unit_test(a_connection_may_close_before_its_flush_comes),
        cmocka_unit_test(corked_answers_stay_and_nothing_more_is_read_until_uncorked),
        cmocka_unit_test(a_connection_paused_by_the_cork_goes_on),
        cmocka_unit_test(output_past_the_hubs_limit_closes_the_connection),
        cmocka_unit_test(what_is_appended_before_the_start_is_sent_at_the_start),
    };
    int failed = cmocka_run_group_tests_name("conn", tests, NULL, NULL);
    handler.on_ahead = on_ahead;
    return failed + cmocka_run_group_tests_name("conn that looks ahead", tests, NULL, NULL);
}
