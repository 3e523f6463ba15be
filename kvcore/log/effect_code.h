/* One effect as bytes, inside a record. docs/formats.md has them. */
#ifndef KV_LOG_EFFECT_CODE_H
#define KV_LOG_EFFECT_CODE_H

#include "kvcore/base/buf.h"
#include "kvcore/tree/effect.h"

/* What an effect has where it says nothing else: the record's. */
struct effect_base {
    uint64_t version;
    int64_t time_ns;
};

/* Appends it. The kind must be a valid one. -ENOMEM; nothing is appended then. */
int effect_encode(struct buf *out, const struct effect_base *base, const struct effect *effect);

/* Reads the effect that begins at bytes[*at] and moves *at behind it. What it gives can be handed to tree_apply: all
 * that effect.h leaves to the maker has been checked. Borrows from the bytes. -EBADMSG. */
int effect_decode(struct bytes bytes, size_t *at, const struct effect_base *base, struct effect *ret_effect);

#endif
