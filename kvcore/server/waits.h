/* Answers that wait for recalls. Pure: events and times in, what is ready or overdue out.
 *
 *   waits_prepare   before a request runs: from here on nothing can fail
 *   waits_for       it has to wait until this party has acknowledged this ticket (as often as it has to)
 *   waits_take      the request has run: NULL, nothing to wait for; else what its answer is to be parked with
 *   waits_acknowledged, waits_party_gone      -> waits_next_ready says whose answers may leave
 *
 * A party that has let an answer wait for the whole term is overdue (waits_overdue): the owner ends its session, which
 * is waits_party_gone. So no answer waits for longer than a term.
 */
#ifndef KV_SERVER_WAITS_H
#define KV_SERVER_WAITS_H

#include "kvcore/base/buf.h"
#include "kvcore/server/durability.h"

#include <sys/queue.h>

struct wait_edge;
TAILQ_HEAD(wait_edges, wait_edge);

/* Who is waited for. Embedded by its owner; zeroed: nobody waits for it. */
struct wait_party {
    struct wait_edges edges; /* the oldest first */
    struct wait_edge *last;  /* of the wait that is being gathered */
    TAILQ_ENTRY(wait_party) list;
    bool listed; /* somebody waits for it */
};

/* One answer. */
struct wait {
    struct buf answer;
    uint32_t id;            /* of the request */
    struct store_wait safe; /* what it has to wait for then */
    void *owner;            /* NULL: it is not wanted any more */
    /* The rest is private. */
    size_t left;
    int64_t since_ms;
    bool blind;                            /* no memory to say for whom: it waits for a whole term */
    TAILQ_ENTRY(wait) list;                /* ready, or blind */
    struct wait *owner_next, **owner_link; /* the owner's */
};

TAILQ_HEAD(wait_list, wait);
TAILQ_HEAD(wait_parties, wait_party);

struct waits {
    size_t count; /* answers that wait */
    uint64_t total;
    struct wait *next; /* for the request that runs */
    struct wait_list ready, blind;
    struct wait_parties parties;
};

void waits_init(struct waits *waits);
/* No party may be waited for any more. */
void waits_close(struct waits *waits);

void waits_party_init(struct wait_party *party);
/* It has acknowledged all it ever will. */
void waits_party_gone(struct waits *waits, struct wait_party *party);

/* -ENOMEM. */
int waits_prepare(struct waits *waits);
void waits_for(struct waits *waits, struct wait_party *party, uint64_t ticket, int64_t now_ms);
struct wait *waits_take(struct waits *waits);

void waits_acknowledged(struct waits *waits, struct wait_party *party, uint64_t ticket);

/* Since when has the one that waits longest for this party? False: nobody does. */
bool waits_since(const struct wait_party *party, int64_t *ret_ms);

/* Blind waits that are older than the term become ready. */
void waits_tick(struct waits *waits, int64_t now_ms, int64_t term_ms);

/* The next answer that may leave, in the order in which they became ready; the caller sends it and calls wait_free. */
struct wait *waits_next_ready(struct waits *waits);
void wait_free(struct wait *wait);

/* Whose answer it is, at the head of that owner's list. wait_disown: the owner is gone. */
void wait_own(struct wait *wait, void *owner, struct wait **list);
void wait_disown_all(struct wait **list);

#endif
