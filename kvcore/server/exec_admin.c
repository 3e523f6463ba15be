/* Handlers of the operations on the store itself. */
#include "kvcore/base/error.h"
#include "kvcore/base/version.h"
#include "kvcore/server/exec.h"

#include <unistd.h>

/* A map reply to be filled. */
static struct kv_fields fields_begin(struct exec *exec, struct bytes section)
{
    struct kv_fields fields = {&exec->store->scratch[0], &exec->store->scratch[1], section, 0};
    fields.rows->len = fields.text->len = 0;
    return fields;
}

/* Takes as long for a wrong password as for a right one. */
static bool password_matches(const char *password, struct bytes given)
{
    size_t len = strlen(password);
    unsigned char difference = given.len != len;
    for (size_t i = 0; i < given.len; i++)
        difference |= (unsigned char)(given.data[i] ^ password[len ? i % len : 0]);
    return difference == 0;
}

int exec_HELLO(struct exec *exec)
{
    const struct kv_request *request = exec->request;
    struct session *session = exec->session;
    const char *password = exec->store->options.password;
    if (!session->authenticated && request->options & KV_OPT_PASSWORD)
        session->authenticated = password_matches(password, request->value);
    if (!session->authenticated)
        return kv_reply_fail(exec->reply, KV_NOAUTH, "hello: %s",
                             request->options & KV_OPT_PASSWORD ? "the password is wrong" : "a password is required");
    if (request->options & KV_OPT_CLIENT) {
        size_t len = request->name.len < sizeof session->client - 1 ? request->name.len : sizeof session->client - 1;
        for (size_t i = 0; i < len; i++) /* it goes to logs */
            session->client[i] =
                request->name.data[i] > ' ' && request->name.data[i] < 127 ? request->name.data[i] : '?';
        session->client[len] = '\0';
    }
    struct coherence *coherence = exec->store->coherence;
    bool leases = coherence && request->options & KV_OPT_LEASE;
    int rc = leases ? coherence_join(coherence, &session->member) : 0;
    if (rc < 0)
        return rc;
    struct kv_fields fields = fields_begin(exec, (struct bytes){0});
    fields_text(&fields, "server", "kvcored");
    fields_text(&fields, "version", "%s", KVFS_VERSION);
    fields_number(&fields, "protocol", 1);
    fields_number(&fields, "session", session->id);
    if (exec->store->loading)
        fields_number(&fields, "loading", exec->store->loaded_percent);
    if (leases)
        fields_number(&fields, "lease_ms", (uint64_t)coherence->term_ms);
    return fields_finish(&fields, exec->reply);
}

int exec_PING(struct exec *exec)
{
    int rc = exec_reply_bytes(exec, bytes_of("pong"));
    exec->reply->kind = KV_REPLY_TEXT;
    return rc;
}

int exec_RECALLED(struct exec *exec)
{
    struct coherence *coherence = exec->store->coherence;
    uint64_t ticket = exec->request->ticket;
    if (!coherence || !exec->session->member.joined)
        return kv_reply_fail(exec->reply, -EINVAL, "recalled: this session has no leases; hello asks for them");
    if (coherence_acknowledged(coherence, &exec->session->member, ticket) < 0)
        return kv_reply_fail(exec->reply, -EINVAL, "recalled: there was no recall with ticket %llu",
                             (unsigned long long)ticket);
    return 0;
}

int exec_INFO(struct exec *exec)
{
    struct store *store = exec->store;
    struct kv_fields fields = fields_begin(exec, exec->request->name);
    fields_text(&fields, "server.version", "%s", KVFS_VERSION);
    fields_text(&fields, "server.mode", "%s", store->options.mode);
    fields_number(&fields, "server.pid", (uint64_t)getpid());
    fields_number(&fields, "server.uptime_s",
                  (uint64_t)(clock_mono_ms(store->options.clock) - store->started_ms) / 1000);
    fields_number(&fields, "server.index", store->index);
    fields_number(&fields, "memory.used_bytes", store->tree->mem.used);
    fields_number(&fields, "memory.max_bytes", store->options.memory_bytes_max);
    fields_text(&fields, "memory.policy", "%s", evict_policy_name(store->evict.policy));
    fields_number(&fields, "keyspace.nodes", store->tree->node_count);
    fields_number(&fields, "keyspace.expiring", store->tree->expiry.count);
    fields_number(&fields, "keyspace.expired", store->expired);
    fields_number(&fields, "keyspace.evicted", store->evicted);
    fields_number(&fields, "stats.sessions", store->sessions);
    fields_number(&fields, "stats.requests", store->requests);
    if (store->coherence)
        coherence_info(store->coherence, &fields);
    for (struct store_info_source *source = store->info_sources; source; source = source->next)
        source->add(source, &fields);
    static const char *const calls[KV_OP_COUNT] = {
#define X(symbol, name, args, options, flags, reply) [KV_OP_##symbol] = "calls." name,
        KV_OP_LIST(X)
#undef X
    };
    for (int op = 0; op < KV_OP_COUNT; op++)
        if (store->op_counts[op])
            fields_number(&fields, calls[op], store->op_counts[op]);
    if (exec->request->name.len && fields.rows->len == 0 && fields.error == 0)
        return kv_reply_fail(exec->reply, -EINVAL, "info: there is no section '%.*s'", (int)exec->request->name.len,
                             exec->request->name.data);
    return fields_finish(&fields, exec->reply);
}

int exec_SNAPSHOT(struct exec *exec)
{
    struct store_backing *backing = exec->store->backing;
    uint64_t index;
    if (!backing || !backing->snapshot)
        return kv_reply_fail(exec->reply, -ENOTSUP,
                             "snapshot: this node keeps its data in memory alone; start it with a data directory and a "
                             "persistence that is not none");
    int rc = backing->snapshot(backing, exec->reply, &index);
    if (rc == 0)
        exec_reply_uint(exec, index);
    return rc;
}

int exec_STATFS(struct exec *exec)
{
    /* A node costs about this much with its names and a short value: how many more would fit is an estimate. */
    enum { NODE_TYPICAL_BYTES = 256 };
    uint64_t used = exec->tree->mem.used, max = exec->store->options.memory_bytes_max;
    uint64_t left = used < max ? max - used : 0;
    struct kv_fields fields = fields_begin(exec, (struct bytes){0});
    fields_number(&fields, "bytes_total", max);
    fields_number(&fields, "bytes_free", left);
    fields_number(&fields, "nodes_total", exec->tree->node_count + left / NODE_TYPICAL_BYTES);
    fields_number(&fields, "nodes_free", left / NODE_TYPICAL_BYTES);
    fields_number(&fields, "name_bytes_max", NAME_BYTES_MAX);
    return fields_finish(&fields, exec->reply);
}
