#include "kvcore/server/store.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/server/exec.h"

#include <stdlib.h>

enum {
    EXPIRE_PER_REQUEST = 16,
    SCRATCH_KEPT_BYTES_MAX = 4 << 20,
    EVICT_PER_REQUEST = 100000,  /* a request that would need more of them gone is refused */
    EVICT_SLACK_BYTES = 1 << 16, /* beside a request's values: names, directories, indexes that grow */
    /* What a record takes at most, about: for itself, for a name taken away or a node changed, and for each byte of a
     * key, which may be a directory to make. */
    RECORD_BASE_BYTES = 4096,
    RECORD_NAME_BYTES = 512,
    RECORD_KEY_FACTOR = 32,
};

int store_init(struct store *store, const struct store_options *options)
{
    *store = (struct store){.options = *options};
    evict_init(&store->evict, options->eviction);
    store->started_ms = clock_mono_ms(options->clock);
    store->last_time_ns = clock_real_ns(options->clock);
    store->tree =
        tree_new(options->hash_seed, options->root_uid, options->root_gid, options->root_mode, store->last_time_ns);
    return store->tree ? 0 : -ENOMEM;
}

void store_close(struct store *store)
{
    tree_free(store->tree);
    for (size_t i = 0; i < sizeof store->scratch / sizeof store->scratch[0]; i++)
        buf_close(&store->scratch[i]);
    *store = (struct store){0};
}

void store_adopt(struct store *store, struct tree *tree, uint64_t index, int64_t last_time_ns)
{
    CHECK(store->index == 0);
    tree_free(store->tree);
    store->tree = tree;
    store->index = index;
    if (last_time_ns > store->last_time_ns)
        store->last_time_ns = last_time_ns;
}

void store_session_begin(struct store *store, struct session *session)
{
    *session = (struct session){.id = ++store->next_session};
    session->authenticated = !store->options.password || !store->options.password[0];
    store->sessions++;
}

void store_add_sink(struct store *store, struct store_sink *sink)
{
    sink->next = store->sinks;
    store->sinks = sink;
}

void store_add_info_source(struct store *store, struct store_info_source *source)
{
    source->next = store->info_sources;
    store->info_sources = source;
}

void store_remove_info_source(struct store *store, struct store_info_source *source)
{
    struct store_info_source **at = &store->info_sources;
    while (*at && *at != source)
        at = &(*at)->next;
    if (*at)
        *at = source->next;
}

/* --- executing --- */

static exec_handler *const handlers[KV_OP_COUNT] = {
#define X(symbol, name, args, options, flags, reply) [KV_OP_##symbol] = exec_##symbol,
    KV_OP_LIST(X)
#undef X
};

/* Starts a request of its own for the store's or a client's doing. */
static struct exec exec_begin(struct store *store, struct session *session, const struct kv_request *request,
                              struct kv_reply *reply)
{
    struct exec exec = {.store = store, .tree = store->tree, .session = session, .request = request, .reply = reply};
    exec.index = store->index + 1;
    return exec;
}

/* The time of a change: the clock's, but later than the change before, whatever the clock does. */
static void exec_stamp(struct exec *exec)
{
    int64_t now = clock_real_ns(exec->store->options.clock);
    exec->now_ns = now > exec->store->last_time_ns ? now : exec->store->last_time_ns + 1;
}

static void exec_end(struct exec *exec)
{
    if (!exec->changed)
        return;
    exec->store->index = exec->index;
    exec->store->last_time_ns = exec->now_ns;
    for (struct store_sink *sink = exec->store->sinks; sink; sink = sink->next)
        if (sink->on_end)
            sink->on_end(sink, exec->index);
}

/* May the store change something of its own accord? Else it does so when there is room again. */
static bool may_shrink(struct store *store, uint64_t record_bytes)
{
    struct store_backing *backing = store->backing;
    return !backing || backing->admit(backing, record_bytes, true, NULL) == 0;
}

/* Takes every name of a node that is no directory away, in nobody's name. */
static int drop_node(struct exec *exec, struct node *node)
{
    char name[NAME_BYTES_MAX];
    struct session *session = exec->session;
    exec->session = NULL; /* time or want of memory does it, not who came upon it */
    CHECK(!node_is_dir(node));
    int rc = 0;
    for (uint32_t names = node_nlink(node); rc == 0 && names > 0; names--) {
        struct dentry *dentry = node->flags & NODE_LINKED ? &node_ext(node)->links->dentry : &node->dentry;
        struct effect effect = exec_effect(exec, EFFECT_UNLINK);
        memcpy(name, dentry->name, dentry->name_len); /* the sinks read it when the dentry is gone */
        effect.dir = dentry->dir->id;
        effect.name = bytes_make(name, dentry->name_len);
        rc = exec_apply(exec, &effect);
        node = effect.ret_node;
    }
    exec->session = session;
    return rc;
}

int exec_expire(struct exec *exec, struct node *node)
{
    if (!exec->changed && !may_shrink(exec->store, (uint64_t)node_nlink(node) * RECORD_NAME_BYTES))
        return 0;
    int rc = drop_node(exec, node);
    exec->store->expired += rc == 0;
    return rc;
}

size_t store_expire(struct store *store, size_t max)
{
    if (store->tree->expiry.count == 0 || !may_shrink(store, max * RECORD_NAME_BYTES))
        return 0;
    struct exec exec = exec_begin(store, NULL, NULL, NULL);
    exec_stamp(&exec);
    size_t removed = 0;
    uint64_t id;
    while (removed < max && (id = expiry_due(store->tree, exec.now_ns))) {
        struct node *node = tree_find(store->tree, id);
        CHECK(node);
        if (exec_expire(&exec, node) < 0)
            break;
        removed++;
    }
    exec_end(&exec);
    return removed;
}

/* --- eviction --- */

/* Bytes that a request may come to need, beside what every one may. */
static uint64_t growth_of(const struct kv_request *request)
{
    uint64_t bytes = request->value.len;
    if (request->op == KV_OP_MSET)
        for (size_t i = 0; i < request->node_count; i++)
            bytes += request->values[i].len;
    if (request->op == KV_OP_COPY)
        bytes += request->length < COPY_MOVED_MAX ? request->length : COPY_MOVED_MAX;
    return bytes;
}

static bool shrinks(enum kv_op op)
{
    return op == KV_OP_DEL || op == KV_OP_UNLINK || op == KV_OP_RMDIR || op == KV_OP_RELEASE || op == KV_OP_EXPIRE ||
           op == KV_OP_PERSIST || op == KV_OP_REMOVEXATTR;
}

static bool is_kept(void *user, uint64_t id)
{
    struct store_keeper *keeper = ((struct store *)user)->keeper;
    return keeper && keeper->wants(keeper, id);
}

/* Gives files up until the request has room, or until there are none. A tree that is about to grow past what is allowed
 * is seldom near it by chance: most requests pay one comparison. */
static void make_room(struct store *store, const struct kv_request *request)
{
    uint64_t need = growth_of(request) + EVICT_SLACK_BYTES, max = store->options.memory_bytes_max;
    if (need > max || store->tree->mem.used <= max - need || shrinks(request->op) ||
        !may_shrink(store, EVICT_SLACK_BYTES))
        return;
    struct exec exec = exec_begin(store, NULL, NULL, NULL);
    exec_stamp(&exec);
    for (int left = EVICT_PER_REQUEST; left > 0 && store->tree->mem.used > max - need; left--) {
        uint64_t id = evict_next(&store->evict, store->tree, is_kept, store);
        if (!id || drop_node(&exec, tree_find(store->tree, id)) < 0)
            break;
        store->evicted++;
    }
    exec_end(&exec);
}

/* --- what stands behind it on disk --- */

static uint64_t ref_bytes(const struct kv_ref *ref) { return RECORD_NAME_BYTES + ref->name.len * RECORD_KEY_FACTOR; }

/* What the record of a request may take. */
static uint64_t record_bytes(const struct kv_request *request)
{
    uint64_t bytes = RECORD_BASE_BYTES + growth_of(request) + request->name.len + ref_bytes(&request->node) +
                     ref_bytes(&request->target);
    for (size_t i = 0; i < request->node_count; i++)
        bytes += ref_bytes(&request->nodes[i]);
    return bytes;
}

static int admit(struct store *store, const struct kv_request *request, struct kv_reply *reply)
{
    struct store_backing *backing = store->backing;
    if (!backing)
        return 0;
    int rc = backing->admit(backing, record_bytes(request), shrinks(request->op), reply);
    if (rc < 0 && reply->error == 0)
        kv_reply_fail(reply, rc, "%s: %s", kv_op_info(request->op)->name, error_text(rc));
    return rc;
}

/* The level that the answer to this request waits for. -EINVAL. */
static int level_of(struct store *store, const struct kv_request *request, enum durability *ret_level,
                    struct kv_reply *reply)
{
    enum durability asked = DURABILITY_MEMORY;
    if (request->options & KV_OPT_DURABILITY && !durability_of(request->durability, &asked))
        return kv_reply_fail(
            reply, -EINVAL, "%s: durability is memory, written or synced, not '%.*s'", kv_op_info(request->op)->name,
            request->durability.len < 32 ? (int)request->durability.len : 32, request->durability.data);
    *ret_level = asked > store->options.durability ? asked : store->options.durability;
    return 0;
}

/* The newest change that an answer which changed nothing tells of. */
static uint64_t newest_told(const struct exec *exec)
{
    uint64_t newest = exec->seen ? exec->seen : 0;
    const struct kv_reply *reply = exec->reply;
    if (exec->seen && exec->store->names_index > newest)
        newest = exec->store->names_index;
    if (reply->kind == KV_REPLY_ENTRIES && reply->shape != KV_ENTRY_NAME)
        for (size_t i = 0; i < reply->count; i++)
            newest = reply->entries[i].attr.version > newest ? reply->entries[i].attr.version : newest;
    return newest;
}

/* What is written when answers leave anyway needs no look: then only `synced` can be news to a reader. */
static void set_wait(const struct exec *exec, enum durability level)
{
    struct store *store = exec->store;
    if (!store->backing)
        return;
    if (exec->request->op == KV_OP_SYNC)
        store->wait = (struct store_wait){store->index, DURABILITY_SYNCED, false};
    else if (exec->changed)
        store->wait = (struct store_wait){exec->index, level, false};
    else if (level == DURABILITY_SYNCED)
        store->wait = (struct store_wait){newest_told(exec), level, true};
}

/* What one huge answer took is not kept for ever. */
static void trim_scratch(struct store *store)
{
    for (size_t i = 0; i < sizeof store->scratch / sizeof store->scratch[0]; i++)
        if (store->scratch[i].capacity > SCRATCH_KEPT_BYTES_MAX)
            buf_close(&store->scratch[i]);
}

void store_execute(struct store *store, struct session *session, const struct kv_request *request,
                   struct kv_reply *reply)
{
    const struct kv_op_info *info = kv_op_info(request->op);
    trim_scratch(store);
    reply->error = 0;
    reply->text[0] = '\0';
    reply->leased = false;
    reply->kind = KV_REPLY_NIL;
    reply->count = 0;
    store->wait = (struct store_wait){0};
    store->wait_recall = NULL;
    store->requests++;
    store->op_counts[request->op]++;
    if (store->loading && !(info->flags & KV_OP_L)) {
        kv_reply_fail(reply, KV_LOADING, "%s: the node is loading its data, %u %% are done; try again soon", info->name,
                      store->loaded_percent);
        return;
    }
    if (!session->authenticated && !(info->flags & KV_OP_A)) {
        kv_reply_fail(reply, KV_NOAUTH, "%s: this node has a password: send it by hello first", info->name);
        return;
    }
    enum durability level = DURABILITY_MEMORY;
    if (level_of(store, request, &level, reply) < 0)
        return;
    if (store->coherence && coherence_begin(store->coherence, &session->member) < 0) {
        kv_reply_fail(reply, -ENOMEM, "%s: %s", info->name, error_text(-ENOMEM));
        return;
    }
    if (store->tree->expiry.count)
        store_expire(store, EXPIRE_PER_REQUEST);
    if (info->flags & KV_OP_W && admit(store, request, reply) < 0) {
        if (store->coherence) /* what has expired may have to be recalled all the same */
            store->wait_recall = coherence_end(store->coherence, request, reply);
        return;
    }
    if (store->evict.policy != EVICT_NONE && info->flags & KV_OP_W)
        make_room(store, request);
    struct exec exec = exec_begin(store, session, request, reply);
    if (info->flags & KV_OP_W || store->tree->expiry.count)
        exec_stamp(&exec);
    int rc = handlers[request->op](&exec);
    exec_end(&exec);
    if (rc < 0 && reply->error == 0)
        kv_reply_fail(reply, rc, "%s: %s", info->name, error_text(rc));
    set_wait(&exec, level);
    if (store->coherence)
        store->wait_recall = coherence_end(store->coherence, request, reply);
}

void store_fetch(const struct store *store, const struct kv_request *request, unsigned steps_left)
{
    if (request->node.kind == KV_REF_KEY && request->node.name.len)
        tree_fetch(store->tree, request->node.name, steps_left);
}

/* What cannot be recorded is not done: it stays until the next start finds that nobody holds it. */
void store_session_end(struct store *store, struct session *session)
{
    if (store->coherence)
        coherence_leave(store->coherence, &session->member);
    struct exec exec = exec_begin(store, session, NULL, NULL);
    exec_stamp(&exec);
    uint64_t id;
    void *times;
    bool may = radix_next(&session->held, 0, &id) && may_shrink(store, EVICT_SLACK_BYTES);
    for (uint64_t from = 0; may && (times = radix_next(&session->held, from, &id)); from = id + 1) {
        struct effect release = exec_effect(&exec, EFFECT_RELEASE);
        release.id = id;
        for (uintptr_t left = (uintptr_t)times; left > 0; left--)
            exec_apply(&exec, &release);
    }
    exec_end(&exec);
    radix_close(&session->held, &store->tree->mem);
    CHECK(store->sessions > 0);
    store->sessions--;
}

size_t store_release_orphans(struct store *store)
{
    struct exec exec = exec_begin(store, NULL, NULL, NULL);
    exec_stamp(&exec);
    size_t released = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct radix *nodes = &store->tree->slots[slot].nodes;
        struct node *node;
        uint64_t sequence;
        for (uint64_t from = 0; (node = radix_next(nodes, from, &sequence)); from = sequence + 1) {
            if (node->id == ROOT_ID || !(node->flags & NODE_EXT) || node_ext(node)->holds == 0)
                continue;
            struct effect release = exec_effect(&exec, EFFECT_RELEASE);
            release.id = node->id;
            for (uint32_t left = node_ext(node)->holds; left > 0; left--)
                exec_apply(&exec, &release);
            released++;
        }
    }
    exec_end(&exec);
    return released;
}

struct effect exec_effect(const struct exec *exec, enum effect_kind kind)
{
    return (struct effect){.kind = kind, .version = exec->index, .time_ns = exec->now_ns};
}

int exec_hold(struct exec *exec, struct session *session, uint64_t id)
{
    uintptr_t times = (uintptr_t)radix_find(&session->held, id);
    int rc = radix_set(&session->held, &exec->tree->mem, id, (void *)(times + 1));
    if (rc == 0)
        return 0;
    struct effect release = exec_effect(exec, EFFECT_RELEASE);
    release.id = id;
    exec_apply(exec, &release);
    return rc;
}

/* Does the keeper want the node that this effect would take the last name of? */
static bool keeper_wants(const struct exec *exec, const struct effect *effect)
{
    struct store_keeper *keeper = exec->store->keeper;
    bool renames = effect->kind == EFFECT_RENAME;
    if (!keeper || keeper->session == exec->session || effect->flags & EFFECT_EXCHANGE)
        return false;
    if (!renames && effect->kind != EFFECT_UNLINK && effect->kind != EFFECT_RMDIR)
        return false;
    struct node *dir = tree_find(exec->tree, renames ? effect->to_dir : effect->dir);
    struct node *node = dir && node_is_dir(dir) ? tree_lookup(dir, renames ? effect->to_name : effect->name) : NULL;
    return node && (node_is_dir(node) || node_nlink(node) == 1) && keeper->wants(keeper, node->id);
}

int exec_apply(struct exec *exec, struct effect *effect)
{
    bool kept = keeper_wants(exec, effect) && !(effect->flags & EFFECT_HOLD);
    effect->flags |= kept ? EFFECT_HOLD : 0;
    int rc = tree_apply(exec->tree, effect);
    if (rc < 0)
        return rc;
    if (kept && effect->ret_held)
        (void)exec_hold(exec, exec->store->keeper->session, effect->ret_held);
    exec->changed = true;
    effect->found = NULL; /* it may be gone, or have moved */
    if (effect->kind == EFFECT_RENAME && (effect->flags & EFFECT_EXCHANGE || node_is_dir(effect->ret_node)))
        exec->store->names_index = exec->index; /* what lies below has other keys now, and its old version */
    if (exec->store->coherence)
        coherence_effect(exec->store->coherence, exec->session ? &exec->session->member : NULL, effect);
    for (struct store_sink *sink = exec->store->sinks; sink; sink = sink->next)
        sink->on_effect(sink, exec->session, effect);
    return 0;
}

int exec_admit(struct exec *exec, uint64_t more_bytes)
{
    uint64_t used = exec->tree->mem.used, max = exec->store->options.memory_bytes_max;
    if (more_bytes <= max && used <= max - more_bytes)
        return 0;
    return kv_reply_fail(
        exec->reply, -ENOSPC,
        "%s: the store is full: it takes %llu of %llu bytes (maxmemory), and this needs up to %llu more; "
        "delete keys, raise maxmemory or choose a maxmemory-policy",
        kv_op_info(exec->request->op)->name, (unsigned long long)used, (unsigned long long)max,
        (unsigned long long)more_bytes);
}
