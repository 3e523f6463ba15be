#include "kvcore/tools/bench.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Connections in the making at one time: more would overflow the listener's backlog, and wait a second each. The first
 * goes alone, to find out which address works. */
enum { CONNECTING_MAX = 128, PROGRESS_MS = 250 };

enum client_state { CLIENT_NEW, CLIENT_CONNECTING, CLIENT_GREETING, CLIENT_READY, CLIENT_RETRYING, CLIENT_GONE };

struct bench_client {
    struct conn conn;
    uv_connect_t connect;
    struct bench *bench;
    enum client_state state;
    unsigned outstanding;
    uint64_t sent_ns;
    uint64_t now_ns; /* of this batch of answers; 0: not asked yet */
};

struct bench {
    struct bench_options options;
    uv_loop_t loop;
    struct conn_hub hub;
    uv_timer_t timer; /* progress, and the watch for silence */
    struct addrinfo *found;
    struct addrinfo *address; /* of those found, the one in use */
    struct bench_client *clients;
    unsigned started, ready;
    uint64_t chance;
    int error; /* why it cannot go on */
    char why[ERROR_TEXT_BYTES];
    /* The run at hand. */
    const char *name;
    const struct bench_batch *batch;
    struct bench_result *result;
    uint64_t requests, issued;
    uint64_t start_ns, end_ns;
    uint64_t seen_answered, silent_since_ns;
    bool shown;
};

__attribute__((format(printf, 3, 4))) static void give_up(struct bench *bench, int code, const char *format, ...)
{
    if (!bench->error) {
        va_list args;
        va_start(args, format);
        vsnprintf(bench->why, sizeof bench->why, format, args);
        va_end(args);
        bench->error = code;
    }
    uv_stop(&bench->loop);
}

/* --- a run ------------------------------------------------------------------------------------------------------ */

static void batch_send(struct bench_client *client, uint64_t now_ns)
{
    struct bench *bench = client->bench;
    uint64_t left = bench->requests - bench->issued;
    unsigned count = left < bench->batch->count ? (unsigned)left : bench->batch->count;
    if (count == 0)
        return;
    int rc = bench_batch_append(bench->batch, count, bench->options.keyspace, &bench->chance, &client->conn.out);
    if (rc < 0) {
        give_up(bench, rc, "no memory for a batch");
        return;
    }
    bench->issued += count;
    client->outstanding = count;
    client->sent_ns = now_ns;
}

static void error_count(struct bench_result *result, enum kv_op op, const struct kv_reply *reply)
{
    if (op == KV_OP_GET && reply->error == -ENOENT) {
        result->misses++;
        return;
    }
    if (result->errors++ == 0) {
        result->first_error = reply->error;
        memcpy(result->first_text, reply->text, sizeof result->first_text);
    }
}

static void on_answer(struct bench_client *client, const struct message *message)
{
    struct bench *bench = client->bench;
    struct bench_result *result = bench->result;
    struct kv_reply reply;
    if (client->outstanding == 0 || message->type != MESSAGE_RESPONSE || message->id >= bench->batch->count ||
        decode_result(bench->hub.decoder, bench->batch->op, 0, &reply) < 0) {
        give_up(bench, -EPROTO, "%s: an answer makes no sense", bench->options.address.text);
        return;
    }
    if (!client->now_ns)
        client->now_ns = uv_hrtime();
    histogram_add(&result->latency_ns, client->now_ns - client->sent_ns);
    if (reply.error)
        error_count(result, bench->batch->op, &reply);
    result->answered++;
    if (--client->outstanding > 0)
        return;
    batch_send(client, client->now_ns);
    if (result->answered == bench->requests) {
        bench->end_ns = client->now_ns;
        uv_stop(&bench->loop);
    }
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static void connect_more(struct bench *bench);

static void on_hello_answer(struct bench_client *client, const struct message *message)
{
    struct bench *bench = client->bench;
    struct kv_reply reply;
    if (message->type != MESSAGE_RESPONSE || decode_result(bench->hub.decoder, KV_OP_HELLO, 0, &reply) < 0) {
        give_up(bench, -EPROTO, "%s: what answers there is no kvfs store", bench->options.address.text);
        return;
    }
    if (reply.error) {
        give_up(bench, reply.error, "%s: %s", bench->options.address.text,
                reply.text[0] ? reply.text : error_text(reply.error));
        return;
    }
    client->state = CLIENT_READY;
    if (++bench->ready == bench->options.clients)
        uv_stop(&bench->loop);
    else
        connect_more(bench);
}

static void on_message(struct conn *conn, const struct message *message)
{
    struct bench_client *client = conn->owner;
    if (client->bench->error)
        return;
    if (client->state == CLIENT_READY)
        on_answer(client, message);
    else
        on_hello_answer(client, message);
}

static void on_batch_end(struct conn *conn)
{
    struct bench_client *client = conn->owner;
    client->now_ns = 0;
}

static void on_close(struct conn *conn, int error)
{
    struct bench_client *client = conn->owner;
    struct bench *bench = client->bench;
    if (client->state == CLIENT_RETRYING && !bench->error) {
        bench->started--;
        bench->address = bench->address->ai_next;
        *client = (struct bench_client){0};
        connect_more(bench);
        return;
    }
    bool nonsense = error == -EPROTO || error == -E2BIG;
    client->state = CLIENT_GONE;
    give_up(bench, nonsense ? -EPROTO : -ECONNRESET, "%s: %s", bench->options.address.text,
            nonsense ? "what answers there is no kvfs store"
            : error  ? uv_strerror(error)
                     : "the server closed a connection");
}

static const struct conn_handler handler = {
    .on_message = on_message, .on_batch_end = on_batch_end, .on_close = on_close};

static int greet(struct bench_client *client)
{
    struct kv_request hello = {.op = KV_OP_HELLO, .options = KV_OPT_CLIENT, .name = bytes_of("kv bench")};
    const char *password = client->bench->options.address.password;
    if (password[0]) {
        hello.options |= KV_OPT_PASSWORD;
        hello.value = bytes_of(password);
    }
    client->state = CLIENT_GREETING;
    int rc = conn_start(&client->conn);
    if (rc == 0)
        rc = encode_request(&client->conn.out, 0, &hello);
    conn_flush(&client->conn);
    return rc;
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct bench_client *client = connect->data;
    struct bench *bench = client->bench;
    if (status == UV_ECANCELED)
        return;
    if (status == 0)
        status = greet(client);
    if (status == 0)
        return;
    if (bench->ready == 0 && bench->address && bench->address->ai_next) {
        client->state = CLIENT_RETRYING; /* "localhost" is ::1 and 127.0.0.1; only one may be listened on */
        conn_close(&client->conn, status);
        return;
    }
    give_up(bench, -ECONNREFUSED, "%s: %s", bench->options.address.text, uv_strerror(status));
}

static int client_start(struct bench *bench, struct bench_client *client)
{
    bool unix_socket = bench->options.address.kind == ADDRESS_UNIX;
    client->bench = bench;
    client->connect.data = client;
    client->conn.reads_always = true;
    int rc = conn_init(&client->conn, &bench->hub, unix_socket, &handler, client);
    if (rc < 0)
        return rc;
    client->state = CLIENT_CONNECTING;
    if (unix_socket)
        uv_pipe_connect(&client->connect, &client->conn.pipe, bench->options.address.path, on_connect);
    else
        rc = uv_tcp_connect(&client->connect, &client->conn.tcp, bench->address->ai_addr, on_connect);
    return rc;
}

static void connect_more(struct bench *bench)
{
    while (bench->started < bench->options.clients &&
           bench->started - bench->ready < (bench->ready ? CONNECTING_MAX : 1)) {
        int rc = client_start(bench, &bench->clients[bench->started++]);
        if (rc < 0) {
            give_up(bench, -ECONNREFUSED, "%s: %s", bench->options.address.text, uv_strerror(rc));
            return;
        }
    }
}

/* --- the watch -------------------------------------------------------------------------------------------------- */

static void progress_show(struct bench *bench, uint64_t now_ns)
{
    double seconds = (double)(now_ns - bench->start_ns) / 1e9;
    fprintf(stderr, "\r%s: %.0f requests per second, %d%%\033[K", bench->name,
            (double)bench->result->answered / seconds, (int)(bench->result->answered * 100 / bench->requests));
    bench->shown = true;
}

/* Everything that comes counts as a sign of life: connections at first, then answers. */
static void on_tick(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    uint64_t now_ns = uv_hrtime(), answered = bench->hub.bytes_in;
    if (bench->options.progress && bench->result)
        progress_show(bench, now_ns);
    if (answered != bench->seen_answered) {
        bench->seen_answered = answered;
        bench->silent_since_ns = now_ns;
    } else if (bench->options.timeout_ms && (now_ns - bench->silent_since_ns) / 1000000 >= bench->options.timeout_ms) {
        give_up(bench, -ETIMEDOUT, "%s: no answer within %g s", bench->options.address.text,
                bench->options.timeout_ms / 1000.0);
    }
}

/* Runs the loop until something stops it. */
static int watch(struct bench *bench)
{
    bench->silent_since_ns = uv_hrtime();
    uv_timer_start(&bench->timer, on_tick, PROGRESS_MS, PROGRESS_MS);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&bench->timer);
    if (bench->shown)
        fprintf(stderr, "\r\033[K");
    bench->shown = false;
    return bench->error;
}

/* --- public ----------------------------------------------------------------------------------------------------- */

static int resolve(struct bench *bench)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char port[16];
    if (bench->options.address.kind == ADDRESS_UNIX)
        return 0;
    snprintf(port, sizeof port, "%d", bench->options.address.port);
    int rc = getaddrinfo(bench->options.address.host, port, &hints, &bench->found);
    bench->address = bench->found;
    if (rc == 0)
        return 0;
    give_up(bench, -ECONNREFUSED, "%s: the host name cannot be resolved: %s", bench->options.address.text,
            gai_strerror(rc));
    return -ECONNREFUSED;
}

int bench_open(const struct bench_options *options, struct bench **ret_bench, char *ret_why, size_t why_bytes)
{
    struct bench *bench = calloc(1, sizeof *bench);
    CHECK(bench);
    bench->options = *options;
    bench->chance = options->seed ? options->seed : 1;
    bench->clients = calloc(options->clients, sizeof *bench->clients);
    CHECK(bench->clients);
    CHECK(uv_loop_init(&bench->loop) == 0);
    CHECK(conn_hub_init(&bench->hub, &bench->loop) == 0);
    uv_timer_init(&bench->loop, &bench->timer);
    bench->timer.data = bench;
    if (resolve(bench) == 0)
        connect_more(bench);
    if (!bench->error)
        watch(bench);
    if (bench->error) {
        int code = bench->error;
        snprintf(ret_why, why_bytes, "%s", bench->why);
        bench_close(bench);
        return code;
    }
    *ret_bench = bench;
    return 0;
}

int bench_run(struct bench *bench, const char *name, const struct bench_batch *batch, uint64_t requests,
              struct bench_result *ret_result, char *ret_why, size_t why_bytes)
{
    *ret_result = (struct bench_result){0};
    bench->name = name;
    bench->batch = batch;
    bench->result = ret_result;
    bench->requests = requests;
    bench->issued = 0;
    bench->start_ns = uv_hrtime();
    for (unsigned i = 0; i < bench->options.clients; i++) {
        batch_send(&bench->clients[i], uv_hrtime());
        conn_flush(&bench->clients[i].conn);
    }
    int rc = watch(bench);
    ret_result->elapsed_ns = bench->end_ns - bench->start_ns;
    bench->result = NULL;
    if (rc < 0)
        snprintf(ret_why, why_bytes, "%s", bench->why);
    return rc;
}

void bench_close(struct bench *bench)
{
    bench->error = bench->error ? bench->error : -ECANCELED;
    for (unsigned i = 0; i < bench->started; i++)
        if (bench->clients[i].state != CLIENT_NEW && bench->clients[i].state != CLIENT_GONE)
            conn_close(&bench->clients[i].conn, -ECANCELED);
    uv_close((uv_handle_t *)&bench->timer, NULL);
    /* The connections' ends stop the loop; it goes on until nothing is left in it. */
    while (uv_run(&bench->loop, UV_RUN_DEFAULT))
        ;
    conn_hub_close(&bench->hub);
    while (uv_run(&bench->loop, UV_RUN_DEFAULT))
        ;
    CHECK(uv_loop_close(&bench->loop) == 0);
    if (bench->found)
        freeaddrinfo(bench->found);
    free(bench->clients);
    free(bench);
}
