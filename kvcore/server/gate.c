#include "kvcore/server/gate.h"

#include "kvcore/base/check.h"

/* Writes come in the order of their indexes; a read may wait for an older one, and seldom for one much older. */
void gate_park(struct gate *gate, struct gate_wait *wait)
{
    struct gate_wait *before = gate->last;
    CHECK(wait->on_open && !wait->next && !wait->previous && gate->first != wait);
    while (before && before->index > wait->index)
        before = before->previous;
    wait->previous = before;
    wait->next = before ? before->next : gate->first;
    *(before ? &before->next : &gate->first) = wait;
    *(wait->next ? &wait->next->previous : &gate->last) = wait;
    gate->count++;
}

void gate_leave(struct gate *gate, struct gate_wait *wait)
{
    CHECK(gate->count > 0);
    *(wait->previous ? &wait->previous->next : &gate->first) = wait->next;
    *(wait->next ? &wait->next->previous : &gate->last) = wait->previous;
    wait->next = wait->previous = NULL;
    gate->count--;
}

void gate_open(struct gate *gate, uint64_t index)
{
    while (gate->first && gate->first->index <= index) {
        struct gate_wait *wait = gate->first;
        gate_leave(gate, wait);
        wait->on_open(wait, 0);
    }
}

/* As many as there are now: what one of them parks again in its callback waits for something new. */
void gate_fail(struct gate *gate, int error)
{
    CHECK(error < 0);
    for (size_t left = gate->count; left > 0 && gate->first; left--) {
        struct gate_wait *wait = gate->first;
        gate_leave(gate, wait);
        wait->on_open(wait, wait->reads ? 0 : error);
    }
}
