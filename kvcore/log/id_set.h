/* A set of node ids: one bit for each, in pages of ID_SET_PAGE neighbours that are there while one of them is in. */
#ifndef KV_LOG_ID_SET_H
#define KV_LOG_ID_SET_H

#include "kvcore/tree/radix.h"

enum { ID_SET_PAGE = 512 };

/* A zeroed struct is an empty set. */
struct id_set {
    struct radix pages;
};

void id_set_close(struct id_set *set, struct mem *mem);
bool id_set_has(const struct id_set *set, uint64_t id);
/* -ENOMEM. */
int id_set_add(struct id_set *set, struct mem *mem, uint64_t id);
/* Forgets the page that the id lies in: nobody will ask for it any more. */
void id_set_drop_page(struct id_set *set, struct mem *mem, uint64_t id);

#endif
