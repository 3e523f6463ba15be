#include "kvcore/tools/bench.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <stdio.h>
#include <stdlib.h>

enum { LISTING_ENTRIES = 100, KEYS_MAX = 10 };

static const struct bench_test tests[] = {
    {"set", KV_OP_SET, "key:", 1, true, false},
    {"get", KV_OP_GET, "key:", 1, false, false},
    {"incr", KV_OP_INCR, "counter:", 1, false, false},
    {"append", KV_OP_APPEND, "append:", 1, true, false},
    {"mset", KV_OP_MSET, "{mset}key:", KEYS_MAX, true, false}, /* a tag: the keys must lie in one slot */
    {"ls", KV_OP_LS, NULL, 0, false, true},
    {"ping", KV_OP_PING, NULL, 0, false, false},
};

const struct bench_test *bench_test_find(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        if (strlen(tests[i].name) == len && memcmp(tests[i].name, name, len) == 0)
            return &tests[i];
    return NULL;
}

/* "PREFIXkey:000000000000" */
struct bench_key {
    char text[KEY_BYTES_MAX + 1];
};

static struct bench_key key_make(const struct bench_options *options, const char *stem, const char *digits)
{
    struct bench_key key;
    int len = snprintf(key.text, sizeof key.text, "%s%s%s", options->prefix, stem, digits);
    CHECK(len >= 0 && (size_t)len < sizeof key.text);
    return key;
}

#define LISTING_DIRECTORY "bench-ls"

/* One request after the other, every key with these digits. */
static int encode_all(const struct bench_test *test, const struct bench_options *options, const char *digits,
                      struct bytes value, struct bench_batch *batch)
{
    struct bench_key key = key_make(options,
                                    test->listing ? LISTING_DIRECTORY
                                    : test->key   ? test->key
                                                  : "",
                                    test->key ? digits : "");
    struct kv_ref refs[KEYS_MAX];
    struct bytes values[KEYS_MAX];
    for (unsigned i = 0; i < KEYS_MAX; i++) {
        refs[i] = kv_ref_key(bytes_of(key.text));
        values[i] = value;
    }
    struct kv_request request = {.op = test->op, .value = value};
    if (test->keys > 1) {
        request.nodes = refs;
        request.values = values;
        request.node_count = test->keys;
    } else if (test->keys || test->listing) {
        request.node = refs[0];
    }
    if (test->op == KV_OP_INCR)
        request.delta = 1;
    for (unsigned i = 0; i < options->pipeline; i++) {
        int rc = encode_request(&batch->bytes, i, &request);
        if (rc == 0 && batch->bytes.len > BENCH_BATCH_BYTES_MAX)
            rc = -E2BIG;
        if (rc < 0)
            return rc;
        batch->ends[i] = batch->bytes.len;
    }
    return 0;
}

/* Where two encodings differ are the digits. */
static void digits_find(struct bench_batch *batch, const struct buf *other)
{
    size_t found = 0, wanted = (size_t)batch->count * batch->keys;
    CHECK(other->len == batch->bytes.len);
    for (size_t at = 0; at < other->len; at++)
        if (other->data[at] != batch->bytes.data[at]) {
            CHECK(found < wanted);
            batch->digits[found++] = at;
            at += BENCH_KEY_DIGITS - 1;
        }
    CHECK(found == wanted);
}

static int batch_alloc(const struct bench_test *test, unsigned count, struct bench_batch *ret_batch)
{
    *ret_batch = (struct bench_batch){.op = test->op, .count = count, .keys = test->keys};
    ret_batch->ends = calloc(count, sizeof *ret_batch->ends);
    ret_batch->digits = calloc((size_t)count * test->keys + 1, sizeof *ret_batch->digits);
    return ret_batch->ends && ret_batch->digits ? 0 : -ENOMEM;
}

int bench_batch_build(const struct bench_test *test, const struct bench_options *options, struct bench_batch *ret_batch)
{
    struct bench_batch batch, other = {0};
    char *fill = NULL;
    int rc = batch_alloc(test, options->pipeline, &batch);
    if (rc < 0)
        goto err;
    rc = -ENOMEM;
    fill = malloc(options->value_bytes + 1);
    if (!fill)
        goto err;
    memset(fill, 'x', options->value_bytes);
    struct bytes value = {fill, test->value ? options->value_bytes : 0};
    other.ends = calloc(options->pipeline, sizeof *other.ends);
    if (!other.ends)
        goto err;
    rc = encode_all(test, options, "000000000000", value, &batch);
    if (rc == 0)
        rc = encode_all(test, options, "111111111111", value, &other);
    if (rc < 0)
        goto err;
    digits_find(&batch, &other.bytes);
    bench_batch_close(&other);
    free(fill);
    *ret_batch = batch;
    return 0;

err:
    free(fill);
    bench_batch_close(&other);
    bench_batch_close(&batch);
    return rc;
}

int bench_batch_build_listing(const struct bench_options *options, struct bench_batch *ret_batch)
{
    static const struct bench_test making = {"", KV_OP_MSET, NULL, 0, false, false};
    struct bench_key *keys = calloc(LISTING_ENTRIES, sizeof *keys);
    struct kv_ref refs[LISTING_ENTRIES];
    struct bytes values[LISTING_ENTRIES];
    struct bench_batch batch;
    int rc = batch_alloc(&making, 1, &batch);
    if (!keys)
        rc = -ENOMEM;
    for (int i = 0; i < LISTING_ENTRIES && rc == 0; i++) {
        char name[32];
        snprintf(name, sizeof name, "/%0*d", BENCH_KEY_DIGITS, i);
        keys[i] = key_make(options, LISTING_DIRECTORY, name);
        refs[i] = kv_ref_key(bytes_of(keys[i].text));
        values[i] = bytes_of("x");
    }
    struct kv_request request = {.op = KV_OP_MSET, .nodes = refs, .values = values, .node_count = LISTING_ENTRIES};
    if (rc == 0)
        rc = encode_request(&batch.bytes, 0, &request);
    free(keys);
    if (rc < 0) {
        bench_batch_close(&batch);
        return rc;
    }
    batch.ends[0] = batch.bytes.len;
    *ret_batch = batch;
    return 0;
}

/* xorshift64* (Vigna 2016) */
static uint64_t chance_next(uint64_t *chance)
{
    *chance ^= *chance >> 12;
    *chance ^= *chance << 25;
    *chance ^= *chance >> 27;
    return *chance * 2685821657736338717ull;
}

static void digits_write(char *at, uint64_t number)
{
    for (int i = BENCH_KEY_DIGITS - 1; i >= 0; i--, number /= 10)
        at[i] = (char)('0' + number % 10);
}

int bench_batch_append(const struct bench_batch *batch, unsigned count, uint64_t keyspace, uint64_t *chance,
                       struct buf *out)
{
    size_t start = out->len;
    CHECK(count >= 1 && count <= batch->count);
    int rc = buf_append(out, batch->bytes.data, batch->ends[count - 1]);
    if (rc < 0 || keyspace == 0)
        return rc;
    for (size_t i = 0; i < (size_t)count * batch->keys; i++)
        digits_write(out->data + start + batch->digits[i], chance_next(chance) % keyspace);
    return 0;
}

void bench_batch_close(struct bench_batch *batch)
{
    buf_close(&batch->bytes);
    free(batch->ends);
    free(batch->digits);
    *batch = (struct bench_batch){0};
}
