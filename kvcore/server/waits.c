#include "kvcore/server/waits.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"

#include <stdlib.h>

/* One answer waits for one party. */
struct wait_edge {
    struct wait *wait;
    uint64_t ticket;
    TAILQ_ENTRY(wait_edge) list;
};

void waits_init(struct waits *waits)
{
    *waits = (struct waits){0};
    TAILQ_INIT(&waits->ready);
    TAILQ_INIT(&waits->blind);
    TAILQ_INIT(&waits->parties);
}

static void drop_all(struct wait_list *list)
{
    struct wait *wait;
    while ((wait = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, wait, list);
        wait_free(wait);
    }
}

void waits_close(struct waits *waits)
{
    CHECK(TAILQ_EMPTY(&waits->parties));
    drop_all(&waits->ready);
    drop_all(&waits->blind);
    free(waits->next);
    *waits = (struct waits){0};
}

void waits_party_init(struct wait_party *party)
{
    *party = (struct wait_party){0};
    TAILQ_INIT(&party->edges);
}

int waits_prepare(struct waits *waits)
{
    if (!waits->next)
        waits->next = calloc(1, sizeof *waits->next);
    return waits->next ? 0 : -ENOMEM;
}

void waits_for(struct waits *waits, struct wait_party *party, uint64_t ticket, int64_t now_ms)
{
    struct wait *wait = waits->next;
    CHECK(wait);
    wait->since_ms = now_ms;
    if (party->last && party->last->wait == wait) {
        party->last->ticket = ticket > party->last->ticket ? ticket : party->last->ticket;
        return;
    }
    struct wait_edge *edge = calloc(1, sizeof *edge);
    if (!edge) {
        wait->blind = true;
        return;
    }
    *edge = (struct wait_edge){.wait = wait, .ticket = ticket};
    TAILQ_INSERT_TAIL(&party->edges, edge, list);
    party->last = edge;
    wait->left++;
    if (!party->listed)
        TAILQ_INSERT_TAIL(&waits->parties, party, list);
    party->listed = true;
}

struct wait *waits_take(struct waits *waits)
{
    struct wait *wait = waits->next;
    if (!wait || (!wait->left && !wait->blind))
        return NULL;
    waits->next = NULL;
    waits->count++;
    waits->total++;
    if (wait->blind)
        TAILQ_INSERT_TAIL(&waits->blind, wait, list);
    return wait;
}

static void edge_done(struct waits *waits, struct wait_party *party, struct wait_edge *edge)
{
    struct wait *wait = edge->wait;
    TAILQ_REMOVE(&party->edges, edge, list);
    if (party->last == edge)
        party->last = NULL;
    free(edge);
    if (--wait->left == 0 && !wait->blind && wait != waits->next)
        TAILQ_INSERT_TAIL(&waits->ready, wait, list);
    if (TAILQ_EMPTY(&party->edges)) {
        TAILQ_REMOVE(&waits->parties, party, list);
        party->listed = false;
    }
}

void waits_acknowledged(struct waits *waits, struct wait_party *party, uint64_t ticket)
{
    for (struct wait_edge *edge = TAILQ_FIRST(&party->edges), *next; edge; edge = next) {
        next = TAILQ_NEXT(edge, list);
        if (edge->ticket <= ticket)
            edge_done(waits, party, edge);
    }
}

void waits_party_gone(struct waits *waits, struct wait_party *party) { waits_acknowledged(waits, party, UINT64_MAX); }

bool waits_since(const struct wait_party *party, int64_t *ret_ms)
{
    const struct wait_edge *first = party->listed ? TAILQ_FIRST(&party->edges) : NULL;
    if (first)
        *ret_ms = first->wait->since_ms;
    return first;
}

void waits_tick(struct waits *waits, int64_t now_ms, int64_t term_ms)
{
    struct wait *wait;
    while ((wait = TAILQ_FIRST(&waits->blind)) && now_ms - wait->since_ms >= term_ms) {
        TAILQ_REMOVE(&waits->blind, wait, list);
        wait->blind = false;
        if (wait->left == 0)
            TAILQ_INSERT_TAIL(&waits->ready, wait, list);
    }
}

struct wait *waits_next_ready(struct waits *waits)
{
    struct wait *wait = TAILQ_FIRST(&waits->ready);
    if (!wait)
        return NULL;
    TAILQ_REMOVE(&waits->ready, wait, list);
    waits->count--;
    if (wait->owner_link) {
        *wait->owner_link = wait->owner_next;
        if (wait->owner_next)
            wait->owner_next->owner_link = wait->owner_link;
    }
    return wait;
}

void wait_free(struct wait *wait)
{
    buf_close(&wait->answer);
    free(wait);
}

void wait_own(struct wait *wait, void *owner, struct wait **list)
{
    wait->owner = owner;
    wait->owner_next = *list;
    wait->owner_link = list;
    if (*list)
        (*list)->owner_link = &wait->owner_next;
    *list = wait;
}

void wait_disown_all(struct wait **list)
{
    for (struct wait *wait = *list, *next; wait; wait = next) {
        next = wait->owner_next;
        wait->owner = NULL;
        wait->owner_next = NULL;
        wait->owner_link = NULL;
        buf_close(&wait->answer);
    }
    *list = NULL;
}
