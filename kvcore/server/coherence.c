#include "kvcore/server/coherence.h"

#include "kvcore/base/check.h"
#include "kvcore/base/clock.h"
#include "kvcore/base/error.h"
#include "kvcore/server/changes.h"
#include "kvcore/server/fields.h"

static int64_t now_of(const struct coherence *coherence) { return clock_mono_ms(coherence->clock); }

static void enqueue(struct coherence *coherence, struct member *member)
{
    if (!member->to_tell)
        TAILQ_INSERT_TAIL(&coherence->to_tell, member, tell_list);
    member->to_tell = true;
}

/* The open ticket's changes become a message. */
static void seal(struct coherence *coherence, struct member *member)
{
    if (!member->change_count)
        return;
    if (recall_encode(&member->messages, member->lessee.ticket, &member->changes, member->change_count) < 0)
        member->broken = true;
    leases_sent(&member->lessee);
    member->changes.len = member->change_count = 0;
    coherence->messages++;
}

static void on_tell(void *user, struct lessee *lessee, const struct kv_change *change, uint64_t ticket)
{
    struct coherence *coherence = user;
    struct member *member = (struct member *)((char *)lessee - offsetof(struct member, lessee));
    if (coherence->gathering && member != coherence->current)
        waits_for(&coherence->waits, &member->party, ticket, now_of(coherence));
    if (!change)
        return;
    if (recall_add(&member->changes, change) < 0)
        member->broken = true;
    else if (++member->change_count == RECALL_CHANGES_MAX)
        seal(coherence, member);
    enqueue(coherence, member);
}

int coherence_init(struct coherence *coherence, int64_t term_ms, uint64_t seed, struct clock *clock)
{
    *coherence = (struct coherence){.term_ms = term_ms, .clock = clock};
    TAILQ_INIT(&coherence->members);
    TAILQ_INIT(&coherence->to_tell);
    waits_init(&coherence->waits);
    return leases_init(&coherence->leases, seed, on_tell, coherence);
}

void coherence_close(struct coherence *coherence)
{
    CHECK(TAILQ_EMPTY(&coherence->members));
    waits_close(&coherence->waits);
    leases_close(&coherence->leases);
}

int coherence_join(struct coherence *coherence, struct member *member)
{
    if (member->joined)
        return 0;
    int rc = leases_join(&coherence->leases, &member->lessee);
    if (rc < 0)
        return rc;
    waits_party_init(&member->party);
    member->joined = true;
    member->heard_ms = now_of(coherence);
    TAILQ_INSERT_TAIL(&coherence->members, member, list);
    coherence->member_count++;
    return 0;
}

void coherence_leave(struct coherence *coherence, struct member *member)
{
    if (!member->joined)
        return;
    leases_leave(&coherence->leases, &member->lessee);
    waits_party_gone(&coherence->waits, &member->party);
    if (member->to_tell)
        TAILQ_REMOVE(&coherence->to_tell, member, tell_list);
    TAILQ_REMOVE(&coherence->members, member, list);
    coherence->member_count--;
    buf_close(&member->changes);
    buf_close(&member->messages);
    *member = (struct member){0};
}

void coherence_heard(struct coherence *coherence, struct member *member) { member->heard_ms = now_of(coherence); }

/* --- around a request --- */

int coherence_begin(struct coherence *coherence, struct member *member)
{
    int rc = waits_prepare(&coherence->waits);
    if (rc < 0)
        return rc;
    coherence->current = member && member->joined ? member : NULL;
    coherence->gathering = true;
    return 0;
}

void coherence_effect(struct coherence *coherence, const struct member *by, const struct effect *effect)
{
    struct change changes[CHANGES_MAX];
    if (!coherence->leases.holder_count)
        return;
    const struct lessee *lessee = by && by->joined ? &by->lessee : NULL;
    size_t count = changes_of(effect, changes);
    for (size_t i = 0; i < count; i++) {
        const struct change *change = &changes[i];
        struct kv_change told = {.id = change->id, .name = change->name};
        told.kind = change->name.data ? KV_CHANGE_ENTRY : change->data ? KV_CHANGE_DATA : KV_CHANGE_ATTR;
        leases_recall(&coherence->leases, &told, lessee, now_of(coherence));
    }
}

static bool grant_named(struct coherence *coherence, const struct kv_ref *ref, uint64_t id)
{
    struct lessee *lessee = &coherence->current->lessee;
    int64_t now_ms = now_of(coherence);
    return leases_grant(&coherence->leases, lessee, id, now_ms) &&
           (ref->kind != KV_REF_NAME ||
            leases_grant_entry(&coherence->leases, lessee, ref->id, ref->name, false, now_ms));
}

/* What the kernel keeps whatever the answer says, so where there is no memory for the lease the session is told to
 * forget it again. */
static void grant_moved(struct coherence *coherence, const struct kv_ref *ref)
{
    struct lessee *lessee = &coherence->current->lessee;
    struct kv_change entry = {.id = ref->id, .kind = KV_CHANGE_ENTRY, .name = ref->name};
    if (ref->kind == KV_REF_NAME &&
        !leases_grant_entry(&coherence->leases, lessee, ref->id, ref->name, true, now_of(coherence)))
        on_tell(coherence, lessee, &entry, lessee->ticket);
}

static void grant_listing(struct coherence *coherence, const struct kv_request *request, struct kv_reply *reply)
{
    struct kv_entry *entries = (struct kv_entry *)(uintptr_t)reply->entries; /* in the store's scratch memory */
    for (size_t i = 0; i < reply->count; i++) {
        struct kv_ref ref = kv_ref_name(request->node.id, entries[i].name);
        entries[i].attr.leased = grant_named(coherence, &ref, entries[i].attr.id);
    }
}

static void grant(struct coherence *coherence, const struct kv_request *request, struct kv_reply *reply)
{
    switch (request->op) {
    case KV_OP_STAT:
        if (reply->error == -ENOENT && request->node.kind == KV_REF_NAME)
            reply->leased = leases_grant_entry(&coherence->leases, &coherence->current->lessee, request->node.id,
                                               request->node.name, false, now_of(coherence));
        /* fall through */
    case KV_OP_CREATE:
    case KV_OP_MKNOD:
    case KV_OP_MKDIR:
    case KV_OP_SYMLINK:
    case KV_OP_SETATTR:
        if (!reply->error && request->node.kind != KV_REF_KEY)
            reply->attr.leased = grant_named(coherence, &request->node, reply->attr.id);
        return;
    case KV_OP_LINK:
        if (!reply->error && request->target.kind == KV_REF_NAME)
            reply->attr.leased = grant_named(coherence, &request->target, reply->attr.id);
        return;
    case KV_OP_READDIR:
        if (!reply->error && request->options & KV_OPT_LEASE && request->node.kind == KV_REF_ID)
            grant_listing(coherence, request, reply);
        return;
    case KV_OP_RENAME:
        if (!reply->error)
            grant_moved(coherence, &request->target);
        if (!reply->error && request->options & KV_OPT_EXCHANGE)
            grant_moved(coherence, &request->node);
        return;
    default:
        return;
    }
}

struct wait *coherence_end(struct coherence *coherence, const struct kv_request *request, struct kv_reply *reply)
{
    CHECK(coherence->gathering);
    coherence->gathering = false;
    if (coherence->current)
        grant(coherence, request, reply);
    coherence->current = NULL;
    return waits_take(&coherence->waits);
}

/* --- what becomes of it --- */

struct member *coherence_next_to_tell(struct coherence *coherence, struct buf *ret_messages)
{
    struct member *member = TAILQ_FIRST(&coherence->to_tell);
    if (!member)
        return NULL;
    TAILQ_REMOVE(&coherence->to_tell, member, tell_list);
    member->to_tell = false;
    seal(coherence, member);
    *ret_messages = member->messages;
    member->messages = (struct buf){0};
    return member;
}

int coherence_acknowledged(struct coherence *coherence, struct member *member, uint64_t ticket)
{
    if (!leases_acknowledged(&coherence->leases, &member->lessee, ticket))
        return -EINVAL;
    waits_acknowledged(&coherence->waits, &member->party, ticket);
    return 0;
}

struct member *coherence_next_lost(struct coherence *coherence)
{
    int64_t now_ms = now_of(coherence), since_ms;
    struct member *member;
    waits_tick(&coherence->waits, now_ms, coherence->term_ms);
    TAILQ_FOREACH(member, &coherence->members, list)
    {
        bool keeps_waiting = waits_since(&member->party, &since_ms) && now_ms - since_ms >= coherence->term_ms;
        if (!member->broken && !keeps_waiting && now_ms - member->heard_ms < coherence->term_ms)
            continue;
        coherence->lapsed++;
        return member;
    }
    return NULL;
}

void coherence_info(const struct coherence *coherence, struct kv_fields *fields)
{
    const struct leases *leases = &coherence->leases;
    fields_number(fields, "leases.term_ms", (uint64_t)coherence->term_ms);
    fields_number(fields, "leases.sessions", coherence->member_count);
    fields_number(fields, "leases.count", leases->count);
    fields_number(fields, "leases.max", leases->max);
    fields_number(fields, "leases.memory_bytes", leases->memory_bytes);
    fields_number(fields, "leases.granted", leases->granted);
    fields_number(fields, "leases.recalled", leases->recalled);
    fields_number(fields, "leases.recall_messages", coherence->messages);
    fields_number(fields, "leases.pushed_out", leases->pushed_out);
    fields_number(fields, "leases.damped", leases->damped);
    fields_number(fields, "leases.lapsed", coherence->lapsed);
    fields_number(fields, "leases.answers_waiting", coherence->waits.count);
    fields_number(fields, "leases.answers_waited", coherence->waits.total);
}
