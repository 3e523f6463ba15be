/* A directory's entries in order of their names, fetched page by page: however large it is, one page is in memory. */
#ifndef KV_TOOLS_LISTING_H
#define KV_TOOLS_LISTING_H

#include "kvcore/rpc/reply_copy.h"
#include "kvcore/tools/tool.h"

struct listing {
    struct tool *tool;
    struct kv_ref dir; /* borrowed: a key's bytes must stay */
    bool with_attr;
    uint32_t limit; /* entries a page */
    bool one_page;
    bool last;              /* no page follows */
    struct buf after;       /* the last name of the page before */
    struct reply_copy page; /* its reply also says what went wrong */
    size_t at;
};

/* The names, or with `with_attr` the attributes too. Nothing is asked for yet. */
void listing_begin(struct listing *listing, struct tool *tool, struct kv_ref dir, bool with_attr);

/* Begin behind this name; have one page only, of so many entries. -ENOMEM from the first. Before the first entry. */
int listing_after(struct listing *listing, struct bytes after);
void listing_limit(struct listing *listing, uint32_t limit);

/* 1 and the next entry, which stays until the page turns; 0 behind the last; negative: the error, also in
 * listing->page.reply. peek does not pass it. A page turns when an entry behind its last one is asked for. */
int listing_peek(struct listing *listing, const struct kv_entry **ret_entry);
int listing_next(struct listing *listing, const struct kv_entry **ret_entry);

/* Passes the rest of the page, for whoever takes its entries from listing->page.reply as a whole. */
void listing_skip_page(struct listing *listing);

void listing_end(struct listing *listing);

#endif
