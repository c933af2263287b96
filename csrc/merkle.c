/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6962, section 2.1: leaf = SHA-256(0x00 || data), node = SHA-256(0x01 || left || right),
 * split at the largest power of two below the count. That shape is the same as pairing neighbours
 * level by level and carrying an odd last node up unchanged, which is how it is computed here. */
#include "merkle.h"

#include "sha256.h"

#define LEAF_BYTES (1 + PYHASH_DIGEST_BYTES)
#define NODE_BYTES (1 + 2 * PYHASH_DIGEST_BYTES)

/* Messages collected before the lanes run: several rounds of the widest kernel. */
#define BATCH 64

struct batch {
    size_t njobs;
    struct pyhash_job jobs[BATCH];
    uint8_t messages[BATCH][NODE_BYTES];
};

static void run_batch(const struct pyhash_kernel *kernel, struct batch *batch)
{
    pyhash_sha256_jobs(kernel, batch->jobs, batch->njobs);
    batch->njobs = 0;
}

/* Queue SHA-256(prefix || input) -> output. The input is copied, so the output may overwrite it
 * and what lies before it, but nothing that is queued later. */
static void queue(const struct pyhash_kernel *kernel, struct batch *batch, uint8_t prefix,
                  const uint8_t *input, size_t size, uint8_t *output)
{
    uint8_t *message = batch->messages[batch->njobs];

    message[0] = prefix;
    memcpy(message + 1, input, size - 1);
    batch->jobs[batch->njobs] = (struct pyhash_job){
        .data = message, .size = size, .digest = output,
    };
    if (++batch->njobs == BATCH)
        run_batch(kernel, batch);
}

/* Queue one level: node i of the next is made of nodes 2i and 2i + 1 of this. */
static void queue_level(const struct pyhash_kernel *kernel, struct batch *batch,
                            uint8_t *nodes, uint64_t nnodes)
{
    for (uint64_t i = 0; i < nnodes / 2; i++)
        queue(kernel, batch, 0x01, nodes + 2 * i * PYHASH_DIGEST_BYTES, NODE_BYTES,
              nodes + i * PYHASH_DIGEST_BYTES);
}

/* Carry an odd last node up; only once the level's digests have been written. */
static uint64_t carry_odd(uint8_t *nodes, uint64_t nnodes)
{
    if (nnodes % 2 && nnodes > 1)
        memmove(nodes + nnodes / 2 * PYHASH_DIGEST_BYTES,
                nodes + (nnodes - 1) * PYHASH_DIGEST_BYTES, PYHASH_DIGEST_BYTES);
    return nnodes / 2 + nnodes % 2;
}

void pyhash_fold_spans(const struct pyhash_kernel *kernel, struct pyhash_span *spans, size_t nspans)
{
    struct batch batch = { .njobs = 0 };
    int more = 1;

    for (size_t s = 0; s < nspans; s++) {
        for (uint32_t c = 0; c < spans[s].nnodes; c++)
            queue(kernel, &batch, 0x00, spans[s].node[c], LEAF_BYTES, spans[s].node[c]);
    }
    run_batch(kernel, &batch);
    while (more) {
        more = 0;
        for (size_t s = 0; s < nspans; s++)
            queue_level(kernel, &batch, spans[s].node[0], spans[s].nnodes);
        run_batch(kernel, &batch);
        for (size_t s = 0; s < nspans; s++) {
            spans[s].nnodes = (uint32_t)carry_odd(spans[s].node[0], spans[s].nnodes);
            more |= spans[s].nnodes > 1;
        }
    }
}

void pyhash_fold(const struct pyhash_kernel *kernel, uint8_t *nodes, uint64_t nnodes)
{
    struct batch batch = { .njobs = 0 };

    while (nnodes > 1) {
        queue_level(kernel, &batch, nodes, nnodes);
        run_batch(kernel, &batch);
        nnodes = carry_odd(nodes, nnodes);
    }
}
