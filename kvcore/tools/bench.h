/* kv bench: a load generator with redis-benchmark's flags and habits.
 *
 * C connections in one loop; each sends P requests at once, waits until all P are answered, and sends the next P. So
 * there are never more than C x P requests on their way, and a latency is the time from sending a batch to the
 * answer: with -P above 1 it includes the batch's own queue, as redis-benchmark's does.
 *
 * The generator shares the machine with the server, so it must cost little. The P requests of a batch are encoded once
 * for a whole test, with message ids 0 to P-1, which no two requests on their way share. To send a batch is to copy
 * those bytes; with -r the keys' 12 digits are then overwritten in the copy. Where they lie is found by encoding
 * everything twice, with different digits, and comparing.
 */
#ifndef KV_TOOLS_BENCH_H
#define KV_TOOLS_BENCH_H

#include "kvcore/base/buf.h"
#include "kvcore/rpc/address.h"
#include "kvcore/rpc/conn.h"
#include "kvcore/tools/histogram.h"

enum {
    BENCH_CLIENTS_MAX = 60000,
    BENCH_PIPELINE_MAX = 10000,
    BENCH_BATCH_BYTES_MAX = 256 << 20,
    BENCH_KEY_DIGITS = 12,
};

struct bench_options {
    struct address address;
    uint32_t timeout_ms; /* without any answer; 0: for ever */
    unsigned clients;
    unsigned pipeline;
    size_t value_bytes;
    uint64_t requests;
    uint64_t keyspace; /* 0: one key */
    const char *prefix;
    uint64_t seed;
    bool progress; /* show it on stderr */
};

/* --- what is sent (bench_batch.c) --- */

/* A row of the table of tests. */
struct bench_test {
    const char *name;
    enum kv_op op;
    const char *key; /* what comes between the prefix and the digits; NULL: no key */
    unsigned keys;   /* of each request */
    bool value;
    bool listing; /* needs a directory of BENCH_LISTING entries first */
};

/* NULL where there is none of this name. */
const struct bench_test *bench_test_find(const char *name, size_t len);

/* P requests, ready to be sent. */
struct bench_batch {
    enum kv_op op;
    struct buf bytes;
    unsigned count;
    unsigned keys;  /* of each request */
    size_t *ends;   /* where each request ends */
    size_t *digits; /* where the digits of each key begin: keys of the first request, keys of the second, ... */
};

/* -E2BIG past BENCH_BATCH_BYTES_MAX, -ENOMEM. */
int bench_batch_build(const struct bench_test *test, const struct bench_options *options,
                      struct bench_batch *ret_batch);

/* One request that makes the directory for a test with `listing`. */
int bench_batch_build_listing(const struct bench_options *options, struct bench_batch *ret_batch);

/* Appends the first `count` requests, with keys at random below `keyspace` where it is not 0. */
int bench_batch_append(const struct bench_batch *batch, unsigned count, uint64_t keyspace, uint64_t *chance,
                       struct buf *out);

void bench_batch_close(struct bench_batch *batch);

/* --- sending it (bench_run.c) --- */

struct bench_result {
    struct histogram latency_ns;
    uint64_t elapsed_ns;
    uint64_t answered;
    uint64_t errors; /* refused by the server */
    uint64_t misses; /* no such key, where that is no error: a test reads keys that were never written */
    int first_error;
    char first_text[ERROR_TEXT_BYTES];
};

struct bench;

/* Connects all clients. 0, or a negative code with a sentence in ret_why that begins with the address. */
int bench_open(const struct bench_options *options, struct bench **ret_bench, char *ret_why, size_t why_bytes);

/* Sends `requests` requests. Errors as above: the connection, never a single request's. */
int bench_run(struct bench *bench, const char *name, const struct bench_batch *batch, uint64_t requests,
              struct bench_result *ret_result, char *ret_why, size_t why_bytes);

void bench_close(struct bench *bench);

#endif
