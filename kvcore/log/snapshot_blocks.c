#include "kvcore/log/snapshot_blocks.h"

#include "kvcore/base/check.h"
#include "kvcore/base/error.h"
#include "kvcore/base/limits.h"

enum { EMPTY_KEPT = 4 };

static void list_init(struct block_list *list) { *list = (struct block_list){NULL, &list->first}; }

static void list_add(struct block_list *list, struct block *block)
{
    block->next = NULL;
    *list->end = block;
    list->end = &block->next;
}

static struct block *list_take(struct block_list *list)
{
    struct block *block = list->first;
    if (!block)
        return NULL;
    list->first = block->next;
    if (!list->first)
        list->end = &list->first;
    return block;
}

void blocks_init(struct blocks *blocks, struct mem *mem)
{
    *blocks = (struct blocks){.mem = mem};
    pthread_mutex_init(&blocks->lock, NULL);
    list_init(&blocks->ready);
    list_init(&blocks->used);
}

static void release_chunks(struct blocks *blocks, struct block *block)
{
    for (size_t i = 0; i < block->piece_count; i++)
        chunk_release(block->pieces[i].chunk, blocks->mem);
    block->piece_count = 0;
}

static void free_block(struct blocks *blocks, struct block *block)
{
    if (!block)
        return;
    release_chunks(blocks, block);
    mem_free(blocks->mem, block->pieces);
    mem_free(blocks->mem, block->bytes);
    mem_free(blocks->mem, block);
}

void blocks_close(struct blocks *blocks)
{
    if (!blocks->mem)
        return;
    struct block *block;
    while ((block = list_take(&blocks->ready)) || (block = list_take(&blocks->used)))
        free_block(blocks, block);
    while ((block = blocks->empty)) {
        blocks->empty = block->next;
        free_block(blocks, block);
    }
    free_block(blocks, blocks->open);
    pthread_mutex_destroy(&blocks->lock);
    *blocks = (struct blocks){0};
}

/* --- the store's thread --- */

static void recycle(struct blocks *blocks)
{
    for (unsigned left = BLOCKS_A_RECYCLE; left; left--) {
        pthread_mutex_lock(&blocks->lock);
        struct block *block = list_take(&blocks->used);
        pthread_mutex_unlock(&blocks->lock);
        if (!block)
            return;
        release_chunks(blocks, block);
        if (blocks->empty_count == EMPTY_KEPT || block->capacity > 2 * BLOCK_BYTES) {
            free_block(blocks, block);
            continue;
        }
        block->next = blocks->empty;
        blocks->empty = block;
        blocks->empty_count++;
    }
}

static struct block *new_block(struct blocks *blocks)
{
    struct block *block = blocks->empty;
    if (block) {
        blocks->empty = block->next;
        blocks->empty_count--;
    } else {
        block = mem_calloc(blocks->mem, sizeof *block);
    }
    if (!block)
        return NULL;
    block->kind = BLOCK_NODES;
    block->len = 0;
    block->length = BLOCK_HEAD_BYTES;
    return block;
}

static void close_open(struct blocks *blocks)
{
    struct block *block = blocks->open;
    if (!block)
        return;
    CHECK(block->length <= BLOCK_BYTES_MAX);
    blocks->open = NULL;
    blocks->bytes += block->length;
    pthread_mutex_lock(&blocks->lock);
    list_add(&blocks->ready, block);
    blocks->waiting_bytes += block->length;
    pthread_mutex_unlock(&blocks->lock);
}

/* So many bytes of room in the open block; NULL: it has failed. */
static char *make_room(struct blocks *blocks, size_t bytes)
{
    if (blocks->open && blocks->open->length >= BLOCK_BYTES)
        close_open(blocks);
    if (!blocks->open) {
        blocks->open = blocks->error ? NULL : new_block(blocks);
        blocks->base = (struct image_base){0};
    }
    struct block *block = blocks->open;
    if (!block)
        goto err_memory;
    if (block->capacity - block->len < bytes) {
        size_t capacity = block->capacity ? 2 * block->capacity : BLOCK_BYTES + BLOCK_BYTES / 16;
        capacity = capacity < block->len + bytes ? block->len + bytes : capacity;
        char *grown = mem_realloc(blocks->mem, block->bytes, capacity);
        if (!grown)
            goto err_memory;
        block->bytes = grown;
        block->capacity = capacity;
    }
    return block->bytes + block->len;

err_memory:
    blocks_break(blocks, -ENOMEM);
    return NULL;
}

/* The room up to `end` is filled. */
static void commit(struct blocks *blocks, const char *end)
{
    struct block *block = blocks->open;
    size_t len = (size_t)(end - block->bytes);
    CHECK(len <= block->capacity);
    block->length += len - block->len;
    block->len = len;
}

int blocks_put_slots(struct blocks *blocks, const uint64_t next_sequence[SLOTS])
{
    char *at = make_room(blocks, SLOTS_BYTES_MAX);
    if (!at)
        return blocks->error;
    blocks->open->kind = BLOCK_SLOTS;
    commit(blocks, at + slots_encode(next_sequence, at));
    close_open(blocks);
    return 0;
}

int blocks_put_node(struct blocks *blocks, const struct node *node)
{
    struct image image;
    const struct link *more;
    char *at = make_room(blocks, image_bytes_max(node));
    if (!at)
        return blocks->error;
    image_of(node, &image);
    commit(blocks, image_put(at, &blocks->base, node, &image, &more));
    blocks->counts.nodes++;
    blocks->counts.names += image.names;
    while (more) {
        at = make_room(blocks, VARINT_BYTES_MAX + IMAGE_NAMES_MAX * IMAGE_NAME_BYTES_MAX);
        if (!at)
            return blocks->error;
        commit(blocks, image_put_names(at, &more));
    }
    return 0;
}

/* The reference for a chunk at the end of the open block. -ENOMEM. */
static int add_piece(struct blocks *blocks, struct chunk *chunk)
{
    struct block *block = blocks->open;
    if (block->piece_count == block->piece_capacity) {
        size_t capacity = block->piece_capacity ? 2 * block->piece_capacity : 4;
        struct piece *pieces = mem_realloc(blocks->mem, block->pieces, capacity * sizeof *pieces);
        if (!pieces)
            return -ENOMEM;
        block->pieces = pieces;
        block->piece_capacity = capacity;
    }
    block->pieces[block->piece_count++] = (struct piece){block->len, chunk_share(chunk)};
    block->length += chunk->length;
    return 0;
}

int blocks_put_chunk(struct blocks *blocks, uint64_t id, uint64_t number, struct chunk *chunk)
{
    bool copied = chunk->length < REFERENCE_BYTES;
    char *at = make_room(blocks, IMAGE_CHUNK_HEAD_MAX + (copied ? chunk->length : 0));
    if (!at)
        return blocks->error;
    at = image_put_chunk_head(at, id, number, chunk->length);
    if (copied) {
        memcpy(at, chunk->bytes, chunk->length);
        at += chunk->length;
    }
    commit(blocks, at);
    if (!copied && add_piece(blocks, chunk) < 0)
        return blocks_break(blocks, -ENOMEM);
    blocks->counts.chunks++;
    return 0;
}

int blocks_finish(struct blocks *blocks)
{
    close_open(blocks);
    char *at = make_room(blocks, COUNTS_BYTES);
    if (!at)
        return blocks->error;
    blocks->open->kind = BLOCK_END;
    counts_encode(&blocks->counts, at);
    commit(blocks, at + COUNTS_BYTES);
    close_open(blocks);
    pthread_mutex_lock(&blocks->lock);
    blocks->complete = true;
    pthread_mutex_unlock(&blocks->lock);
    return 0;
}

uint64_t blocks_bytes(const struct blocks *blocks) { return blocks->bytes + (blocks->open ? blocks->open->length : 0); }

int blocks_break(struct blocks *blocks, int rc)
{
    blocks_fail(blocks, rc);
    return blocks->error = blocks_verdict(blocks);
}

bool blocks_are_full(struct blocks *blocks)
{
    recycle(blocks);
    return blocks_waiting(blocks) > WAITING_BYTES_MAX;
}

/* --- either thread --- */

void blocks_fail(struct blocks *blocks, int rc)
{
    pthread_mutex_lock(&blocks->lock);
    if (!blocks->verdict)
        blocks->verdict = rc;
    pthread_mutex_unlock(&blocks->lock);
}

int blocks_verdict(struct blocks *blocks)
{
    pthread_mutex_lock(&blocks->lock);
    int verdict = blocks->verdict;
    pthread_mutex_unlock(&blocks->lock);
    return verdict;
}

uint64_t blocks_waiting(struct blocks *blocks)
{
    pthread_mutex_lock(&blocks->lock);
    uint64_t waiting = blocks->waiting_bytes;
    pthread_mutex_unlock(&blocks->lock);
    return waiting;
}

/* --- the writer's thread --- */

struct block *blocks_take(struct blocks *blocks, bool *ret_complete)
{
    pthread_mutex_lock(&blocks->lock);
    struct block *block = list_take(&blocks->ready);
    *ret_complete = !block && blocks->complete;
    if (block)
        blocks->waiting_bytes -= block->length;
    pthread_mutex_unlock(&blocks->lock);
    return block;
}

void block_copy(const struct block *block, char *out)
{
    size_t from = 0;
    out += BLOCK_HEAD_BYTES;
    for (size_t i = 0; i < block->piece_count; i++) {
        const struct piece *piece = &block->pieces[i];
        memcpy(out, block->bytes + from, piece->at - from);
        out += piece->at - from;
        from = piece->at;
        memcpy(out, piece->chunk->bytes, piece->chunk->length);
        out += piece->chunk->length;
    }
    memcpy(out, block->bytes + from, block->len - from);
}

void blocks_give_back(struct blocks *blocks, struct block *block)
{
    pthread_mutex_lock(&blocks->lock);
    list_add(&blocks->used, block);
    pthread_mutex_unlock(&blocks->lock);
}
