/* What keeps the caches of many hosts coherent: leases granted with answers, recalls when something changes, and
 * answers that wait until nobody can see the old any more. Pure: the server (server.c) carries it out.
 *
 *   mount B:  write x ──> executed ──> changes_of ──> leases_recall ──> recall [7, [x, true]] ──> mount A
 *                            │                                                     its kernel drops x │
 *                            └─> answer, parked ......... leaves <── recalled [7] <───────────────────┘
 *
 * WHAT IS GUARANTEED. A change is applied at once, and what is asked of the server from then on shows it. Its answer
 * leaves when every other holder of what it changed has acknowledged the recall, or has lost its session: so once a
 * write, a rename or a removal has returned, on a mount or to a key client, nobody sees the older state.
 * While it has not returned, one may see the old and another already the new: such an answer to a reader does not
 * wait. If readers waited for each other's kernels, two that read one file at once would wait for ever, each with a
 * page locked that its own recall wants.
 *
 * TERM. A session renews its leases by any message; a mount pings every third of a term. A session that has been
 * silent for a term, or has let somebody wait for one, is lost: its leases are over, its connection is closed, and a
 * mount then drops all it has cached before it says hello again; it does so by itself a little before (a tenth) when it
 * has no answer. So a holder that is stopped or cut off delays a writer by one term at most.
 *
 * WHO HAS WHAT, from the answer that was given (grants in coherence.c):
 *   stat and what makes nodes, by [directory, name]     the entry and the node
 *   the same by id, setattr                             the node
 *   stat that finds nothing                             the entry
 *   readdir with `lease`                                each entry and each node in it
 *   rename                                              the target's entry: a kernel keeps it as valid as the source's
 * Bytes and listings need none of their own: a kernel holds them against the attributes before it shows them.
 */
#ifndef KV_SERVER_COHERENCE_H
#define KV_SERVER_COHERENCE_H

#include "kvcore/rpc/request.h"
#include "kvcore/server/leases.h"
#include "kvcore/server/waits.h"

struct clock;
struct kv_fields;
struct effect;

/* A session's part. Zeroed: it has asked for no leases. */
struct member {
    bool joined;
    bool broken; /* it could not be told of something, for want of memory: to be ended at once */
    struct lessee lessee;
    struct wait_party party;
    struct buf changes; /* recalls of the open ticket, encoded */
    size_t change_count;
    struct buf messages; /* whole messages, to be sent */
    int64_t heard_ms;
    bool to_tell;
    TAILQ_ENTRY(member) tell_list;
    TAILQ_ENTRY(member) list;
};

TAILQ_HEAD(member_list, member);

struct coherence {
    struct leases leases;
    struct waits waits;
    struct clock *clock;
    int64_t term_ms;
    struct member *current; /* whose request runs */
    bool gathering;         /* a request runs */
    struct member_list members, to_tell;
    uint64_t member_count, messages, lapsed;
};

/* -ENOMEM. */
int coherence_init(struct coherence *coherence, int64_t term_ms, uint64_t seed, struct clock *clock);
/* Every member has left. */
void coherence_close(struct coherence *coherence);

/* The session may have leases from now on. -ENOMEM. */
int coherence_join(struct coherence *coherence, struct member *member);
/* Accepts one that has not joined. */
void coherence_leave(struct coherence *coherence, struct member *member);
/* A message has come from it. */
void coherence_heard(struct coherence *coherence, struct member *member);

/* Around each request: coherence_end grants what the answer carries, marks it so, and returns what the answer has to
 * wait with; NULL: with nothing. `member` may be NULL. -ENOMEM: the request must not run. */
int coherence_begin(struct coherence *coherence, struct member *member);
void coherence_effect(struct coherence *coherence, const struct member *by, const struct effect *effect);
struct wait *coherence_end(struct coherence *coherence, const struct kv_request *request, struct kv_reply *reply);

/* The next member that something is to be told: takes its messages, to be sent now. NULL: none. -ENOMEM is noted as
 * `broken`. */
struct member *coherence_next_to_tell(struct coherence *coherence, struct buf *ret_messages);

/* -EINVAL: there was no such ticket. */
int coherence_acknowledged(struct coherence *coherence, struct member *member, uint64_t ticket);

/* A member whose session is lost; the caller ends it, which must make it leave, and asks again. */
struct member *coherence_next_lost(struct coherence *coherence);

/* How often coherence_next_lost is to be asked. */
static inline int64_t coherence_period_ms(const struct coherence *coherence)
{
    return coherence->term_ms / 16 > 0 ? coherence->term_ms / 16 : 1;
}

void coherence_info(const struct coherence *coherence, struct kv_fields *fields);

#endif
