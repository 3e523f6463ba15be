/* The lines of a map reply (info, statfs, hello), gathered in scratch memory. */
#ifndef KV_SERVER_FIELDS_H
#define KV_SERVER_FIELDS_H

#include "kvcore/base/buf.h"
#include "kvcore/rpc/request.h"

struct kv_fields {
    struct buf *rows;     /* struct kv_field */
    struct buf *text;     /* what texts point into, by offset until fields_finish */
    struct bytes section; /* only this section; empty: all */
    int error;
};

/* "section.field"; static name. A row of another section than asked for is left out. */
void fields_number(struct kv_fields *fields, const char *name, uint64_t number);
void fields_text(struct kv_fields *fields, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes them the reply. 0 or -ENOMEM. */
int fields_finish(struct kv_fields *fields, struct kv_reply *reply);

#endif
