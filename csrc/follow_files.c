/* SPDX-License-Identifier: Apache-2.0 */
/* Plain SHA-256 of whole files, each one serial stream: a worker follows as many as it has lanes
 * for, and takes the next when one ends. Who follows which leaves no trace in the result. */
#include "call.h"

/* A file that a worker follows from its start to its end. */
struct slot {
    size_t index;
    uint64_t offset;
    int busy;
    struct pyhash_stream stream;
};

/* A worker's hand of files. The list is dealt out like cards, for the longest are in front: whoever
 * came first and filled its slots would have them all, and work alone in the end. */
struct hand {
    uint64_t next; /* of its own cards */
    unsigned left; /* cards that it is dealt at first */
};

static int claim(struct pyhash_call *call, uint64_t index)
{
    return index < call->nranges
           && __atomic_exchange_n(&call->taken[index], 1, __ATOMIC_RELAXED) == 0;
}

/* The next file for a worker: one of its hand, later whichever is left, those of workers that never
 * began among them. The number of ranges when there is none. */
static uint64_t take_file(struct pyhash_call *call, struct hand *hand)
{
    uint64_t index;

    while (hand->left > 0) {
        index = hand->next;
        hand->next += call->nthreads;
        hand->left--;
        if (claim(call, index))
            return index;
    }
    do
        index = __atomic_fetch_add(&call->next_range, 1, __ATOMIC_RELAXED);
    while (index < call->nranges && !claim(call, index));
    return index < call->nranges ? index : call->nranges;
}

static unsigned fill_slots(struct pyhash_call *call, struct hand *hand, struct slot *slots, unsigned nslots)
{
    unsigned busy = 0;

    for (unsigned s = 0; s < nslots; s++) {
        if (!slots[s].busy) {
            uint64_t index = take_file(call, hand);

            if (index == call->nranges)
                continue;
            slots[s] = (struct slot){ .index = (size_t)index, .busy = 1 };
            memcpy(slots[s].stream.state, pyhash_sha256_initial, sizeof slots[s].stream.state);
        }
        busy++;
    }
    return busy;
}

/* Take the same number of whole spans of every file in a slot, and hash them together. */
static int advance_slots(struct pyhash_call *call, struct pyhash_batch *batch, struct slot *slots,
                         unsigned nslots, unsigned busy)
{
    size_t share = batch->views.capacity / PYHASH_SPAN_BYTES / busy * PYHASH_SPAN_BYTES;

    share = share < call->max_view ? share : call->max_view;
    for (unsigned s = 0; s < nslots; s++) {
        struct slot *slot = &slots[s];
        const struct pyhash_range *range = &call->ranges[slot->index];
        uint64_t rest = range->end - slot->offset;
        struct pyhash_piece piece = { .index = slot->index, .offset = slot->offset };

        if (!slot->busy)
            continue;
        piece.size = rest < share ? (size_t)rest : share;
        if (!pyhash_call_add(call, batch, &piece, &slot->stream))
            return 0;
        slot->offset += piece.size;
        slot->busy = slot->offset < range->end;
        rest -= piece.size;
        if (slot->busy && call->reader->announce)
            pyhash_batch_announce(batch, range, slot->offset, rest < share ? (size_t)rest : share);
    }
    return pyhash_call_run(call, batch);
}

void pyhash_follow_files(struct pyhash_call *call, struct pyhash_batch *batch)
{
    struct slot slots[PYHASH_MAX_VIEWS] = { 0 };
    unsigned nslots = call->nslots < batch->views.max_views ? call->nslots : batch->views.max_views;
    struct hand hand = { __atomic_fetch_add(&call->nfollowers, 1, __ATOMIC_RELAXED), nslots };
    unsigned busy;

    while (!pyhash_call_should_stop(call) && (busy = fill_slots(call, &hand, slots, nslots)) > 0) {
        if (!advance_slots(call, batch, slots, nslots, busy))
            return;
    }
}
