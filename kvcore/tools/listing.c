#include "kvcore/tools/listing.h"

#include <stddef.h>

void listing_begin(struct listing *listing, struct tool *tool, struct kv_ref dir, bool with_attr)
{
    *listing = (struct listing){.tool = tool, .dir = dir, .with_attr = with_attr, .limit = LISTING_DEFAULT};
}

int listing_after(struct listing *listing, struct bytes after)
{
    return buf_append(&listing->after, after.data, after.len);
}

void listing_limit(struct listing *listing, uint32_t limit)
{
    listing->limit = limit;
    listing->one_page = true;
}

static int page_turn(struct listing *listing)
{
    struct kv_request request = {
        .op = KV_OP_LS, .node = listing->dir, .options = KV_OPT_LIMIT, .limit = listing->limit};
    const struct kv_reply *page = &listing->page.reply;
    if (listing->with_attr)
        request.options |= KV_OPT_LONG;
    if (page->count) {
        struct bytes last = page->entries[page->count - 1].name;
        listing->after.len = 0;
        int rc = buf_append(&listing->after, last.data, last.len);
        if (rc < 0)
            return kv_reply_fail(&listing->page.reply, rc, "no memory for a name");
    }
    if (listing->after.len) {
        request.options |= KV_OPT_AFTER;
        request.after = buf_bytes(&listing->after);
    }
    listing->at = 0;
    reply_copy_set(&listing->page, tool_call(listing->tool, &request));
    /* A short page is not the end: what has expired is left out of it. */
    listing->last = page->error || listing->one_page || page->count == 0;
    return page->error;
}

int listing_peek(struct listing *listing, const struct kv_entry **ret_entry)
{
    const struct kv_reply *page = &listing->page.reply;
    if (page->error)
        return page->error;
    if (listing->at == page->count && !listing->last) {
        int rc = page_turn(listing);
        if (rc < 0)
            return rc;
    }
    if (listing->at == page->count)
        return 0;
    *ret_entry = &page->entries[listing->at];
    return 1;
}

int listing_next(struct listing *listing, const struct kv_entry **ret_entry)
{
    int rc = listing_peek(listing, ret_entry);
    if (rc > 0)
        listing->at++;
    return rc;
}

void listing_skip_page(struct listing *listing) { listing->at = listing->page.reply.count; }

void listing_end(struct listing *listing)
{
    buf_close(&listing->after);
    reply_copy_close(&listing->page);
}
