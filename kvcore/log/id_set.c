#include "kvcore/log/id_set.h"

#include "kvcore/base/error.h"

struct page {
    uint64_t words[ID_SET_PAGE / 64];
};

static uint64_t bit_of(uint64_t id) { return 1ull << id % 64; }
static unsigned word_of(uint64_t id) { return id % ID_SET_PAGE / 64; }

void id_set_close(struct id_set *set, struct mem *mem)
{
    uint64_t key = 0;
    for (void *page; (page = radix_next(&set->pages, key, &key)); key++)
        mem_free(mem, page);
    radix_close(&set->pages, mem);
}

bool id_set_has(const struct id_set *set, uint64_t id)
{
    const struct page *page = radix_find(&set->pages, id / ID_SET_PAGE);
    return page && page->words[word_of(id)] & bit_of(id);
}

int id_set_add(struct id_set *set, struct mem *mem, uint64_t id)
{
    struct page *page = radix_find(&set->pages, id / ID_SET_PAGE);
    if (!page) {
        page = mem_calloc(mem, sizeof *page);
        if (!page)
            return -ENOMEM;
        int rc = radix_set(&set->pages, mem, id / ID_SET_PAGE, page);
        if (rc < 0) {
            mem_free(mem, page);
            return rc;
        }
    }
    page->words[word_of(id)] |= bit_of(id);
    return 0;
}

void id_set_drop_page(struct id_set *set, struct mem *mem, uint64_t id)
{
    mem_free(mem, radix_remove(&set->pages, mem, id / ID_SET_PAGE));
}
