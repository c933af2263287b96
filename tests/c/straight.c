/* SPDX-License-Identifier: Apache-2.0 */
/* See straight.h. Slow and simple on purpose: no lanes, no batches, no threads, no files. */
#include "straight.h"

#include "check.h"
#include "kernel.h"

extern const struct pyhash_kernel pyhash_kernel_portable;

/* First 32 bits of the fractional parts of the square roots of the first eight primes
 * (FIPS 180-4, 5.3.3). */
const uint32_t straight_initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

void straight_advance(uint32_t state[8], const uint8_t *data, size_t nblocks)
{
    struct pyhash_lanes lanes;

    for (unsigned i = 0; i < 8; i++)
        lanes.word[i][0] = state[i];
    if (nblocks > 0)
        pyhash_kernel_portable.compress(&lanes, &data, nblocks);
    for (unsigned i = 0; i < 8; i++)
        state[i] = lanes.word[i][0];
}

void straight_resume(const uint32_t state[8], uint64_t before, const uint8_t *data, size_t size,
                     uint8_t *digest)
{
    size_t zeros = (64 - (size + 1 + 8) % 64) % 64;
    size_t padded = size + 1 + zeros + 8;
    uint64_t bits = 8 * (before + size);
    uint8_t *copy = need_memory(padded);
    uint32_t words[8];

    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = 0x80;
    memset(copy + size + 1, 0, zeros);
    for (unsigned i = 0; i < 8; i++)
        copy[padded - 1 - i] = (uint8_t)(bits >> 8 * i);
    memcpy(words, state, sizeof words);
    straight_advance(words, copy, padded / 64);
    for (unsigned i = 0; i < DIGEST; i++)
        digest[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
    free(copy);
}

void straight_sha256(const uint8_t *data, size_t size, uint8_t *digest)
{
    straight_resume(straight_initial, 0, data, size, digest);
}

void straight_fold(const uint8_t *nodes, size_t nnodes, uint8_t *root)
{
    uint8_t message[1 + 2 * DIGEST] = { 0x01 };
    size_t split = 1;

    if (nnodes == 1) {
        memcpy(root, nodes, DIGEST);
        return;
    }
    while (split * 2 < nnodes)
        split *= 2;
    straight_fold(nodes, split, message + 1);
    straight_fold(nodes + split * DIGEST, nnodes - split, message + 1 + DIGEST);
    straight_sha256(message, sizeof message, root);
}

size_t straight_span_count(size_t size)
{
    return (size + SPAN - 1) / SPAN;
}

static void span_node(const uint8_t *data, size_t size, uint8_t *node)
{
    uint8_t leaves[16 * DIGEST];
    size_t nleaves = 0;

    for (size_t at = 0; at < size; at += CHUNK) {
        uint8_t message[1 + DIGEST] = { 0x00 };

        straight_sha256(data + at, size - at < CHUNK ? size - at : CHUNK, message + 1);
        straight_sha256(message, sizeof message, leaves + nleaves++ * DIGEST);
    }
    straight_fold(leaves, nleaves, node);
}

void straight_span_nodes(const uint8_t *data, size_t size, uint8_t *nodes)
{
    for (size_t at = 0; at < size; at += SPAN) {
        span_node(data + at, size - at < SPAN ? size - at : SPAN, nodes);
        nodes += DIGEST;
    }
}
