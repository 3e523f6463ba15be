/* openload: sets at a fixed rate, whatever the server does meanwhile, and how late their answers come.
 *
 *   openload HOST PORT RATE SECONDS KEYS
 *
 * Each millisecond its share of RATE requests is due, `set dirNNN/fileNNNNNN` with 64 bytes for a random one of KEYS.
 * What a request took is counted from when it was due, not from when it could be sent: so a pause of the server shows
 * in all that should have been answered in it. Prints p50, p99, p99.9 and the longest, in milliseconds.
 */
#include "kvcore/rpc/message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TICK_NS = 1000000, VALUE_BYTES = 64, PER_DIRECTORY = 1000, READ_BYTES = 1 << 20 };

struct load {
    int fd;
    struct buf out, in;
    int64_t *due_ns; /* of each request, in order */
    double *took_ms;
    size_t total, sent, answered;
    uint64_t chance;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int open_connection(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || fd < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void add_set(struct load *load, int64_t due_ns, unsigned keys)
{
    static char value[VALUE_BYTES];
    char key[32];
    load->chance = load->chance * 6364136223846793005ull + 1442695040888963407ull;
    unsigned number = (unsigned)((load->chance >> 33) % keys);
    snprintf(key, sizeof key, "dir%03u/file%06u", number / PER_DIRECTORY, number);
    struct kv_request request = {
        .op = KV_OP_SET, .node = kv_ref_key(bytes_of(key)), .value = bytes_make(value, sizeof value)};
    if (encode_request(&load->out, (uint32_t)load->sent, &request) < 0)
        fail("encode");
    load->due_ns[load->sent++] = due_ns;
}

static void send_out(struct load *load)
{
    ssize_t sent = load->out.len ? write(load->fd, load->out.data, load->out.len) : 0;
    if (sent < 0 && errno != EAGAIN)
        fail("write");
    if (sent > 0)
        buf_consume(&load->out, (size_t)sent);
}

static void receive(struct load *load)
{
    if (buf_reserve(&load->in, READ_BYTES) < 0)
        fail("memory");
    ssize_t got = read(load->fd, load->in.data + load->in.len, READ_BYTES);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        fail("read");
    if (got < 0)
        return;
    load->in.len += (size_t)got;
    int64_t now = now_ns();
    size_t at = 0;
    for (;;) {
        struct frame_scan scan = {0};
        if (frame_scan(&scan, load->in.data + at, load->in.len - at) != 1)
            break;
        at += scan.at;
        load->took_ms[load->answered] = (double)(now - load->due_ns[load->answered]) / 1e6;
        load->answered++;
    }
    buf_consume(&load->in, at);
}

static void run(struct load *load, unsigned rate, unsigned keys)
{
    int64_t start = now_ns(), due = start;
    double owed = 0;
    while (load->answered < load->total) {
        for (; load->sent < load->total && due <= now_ns(); due += TICK_NS)
            for (owed += rate / 1000.0; owed >= 1 && load->sent < load->total; owed--)
                add_set(load, due, keys);
        send_out(load);
        int64_t left = load->sent < load->total ? due - now_ns() : 100000000;
        struct timespec wait = {0, left > 0 ? left : 0};
        struct pollfd poll_fd = {load->fd, (short)(POLLIN | (load->out.len ? POLLOUT : 0)), 0};
        if (ppoll(&poll_fd, 1, &wait, NULL) > 0 && poll_fd.revents & ~POLLOUT)
            receive(load);
    }
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: openload HOST PORT RATE SECONDS KEYS\n");
        return 2;
    }
    unsigned rate = (unsigned)atoi(argv[3]), seconds = (unsigned)atoi(argv[4]);
    struct load load = {.fd = open_connection(argv[1], atoi(argv[2])), .total = (size_t)rate * seconds, .chance = 1};
    load.due_ns = calloc(load.total + 1, sizeof *load.due_ns);
    load.took_ms = calloc(load.total + 1, sizeof *load.took_ms);
    if (!load.due_ns || !load.took_ms)
        fail("memory");
    run(&load, rate, (unsigned)atoi(argv[5]));
    qsort(load.took_ms, load.total, sizeof *load.took_ms, by_size);
    printf("%.3f %.3f %.3f %.3f\n", load.took_ms[load.total / 2], load.took_ms[load.total * 99 / 100],
           load.took_ms[load.total * 999 / 1000], load.took_ms[load.total - 1]);
    return 0;
}
