/* A client's side of its leases: may what the server told be kept, and for how long? Pure: times in, times out.
 *
 * The server renews a session's leases when a message of it comes. All that the client knows is that this was not
 * before the message was sent; so from an answer it knows that the leases hold for a term from when it asked, and it
 * stops to trust them a tenth of a term before that is over. It asks every third of a term.
 *
 *              hello sent                ping sent                  ping sent
 *                  |--- term/3 ---------------|--- term/3 -------------|
 *                  |------------------ term - margin -----------|        trusted because of hello
 *                                             |------------------ term - margin ----------|   ... of the first pong
 */
#ifndef KV_CLIENT_LEASE_H
#define KV_CLIENT_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/* Zeroed: no leases. */
struct lease {
    int64_t term_ms;  /* 0: the server gives none, or there is no connection */
    int64_t until_ms; /* trusted until then */
    int64_t ping_ms;  /* when to ask next */
    bool held;
};

/* The server has granted leases in its answer to a hello sent at sent_ms. True: they are trusted now. */
static inline bool lease_renew(struct lease *lease, int64_t sent_ms, int64_t now_ms)
{
    int64_t until_ms = sent_ms + lease->term_ms - lease->term_ms / 10;
    if (!lease->term_ms)
        return false;
    lease->until_ms = until_ms > lease->until_ms ? until_ms : lease->until_ms;
    lease->held = now_ms < lease->until_ms;
    return lease->held;
}

static inline bool lease_begin(struct lease *lease, int64_t term_ms, int64_t sent_ms, int64_t now_ms)
{
    *lease = (struct lease){.term_ms = term_ms, .ping_ms = now_ms + term_ms / 3};
    return lease_renew(lease, sent_ms, now_ms);
}

static inline void lease_end(struct lease *lease) { *lease = (struct lease){0}; }

/* True: they were trusted, and are no more. */
static inline bool lease_lapses(struct lease *lease, int64_t now_ms)
{
    bool lapses = lease->held && now_ms >= lease->until_ms;
    lease->held = lease->held && !lapses;
    return lapses;
}

/* True: it is time to ask; the next time is set. */
static inline bool lease_pings(struct lease *lease, int64_t now_ms)
{
    bool pings = lease->term_ms && now_ms >= lease->ping_ms;
    if (pings)
        lease->ping_ms = now_ms + lease->term_ms / 3;
    return pings;
}

/* When to look again: there are leases at all (term_ms). */
static inline int64_t lease_next_ms(const struct lease *lease)
{
    return lease->held && lease->until_ms < lease->ping_ms ? lease->until_ms : lease->ping_ms;
}

#endif
