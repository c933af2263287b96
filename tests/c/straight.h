/* SPDX-License-Identifier: Apache-2.0 */
/* Expected values: SHA-256 and the tree of format v1 written as FIPS 180-4 and RFC 6962 have them,
 * one message after the other and by recursion. Of the engine it uses only the portable kernel's
 * compression function, which test_kernels.c compares with NIST's vectors. */
#ifndef PYHASH_TEST_STRAIGHT_H
#define PYHASH_TEST_STRAIGHT_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST 32
#define CHUNK ((size_t)65536)
#define SPAN (16 * CHUNK)

extern const uint32_t straight_initial[8];

/* The state after `nblocks` more blocks of 64 bytes. */
void straight_advance(uint32_t state[8], const uint8_t *data, size_t nblocks);

/* The digest of a message of which `before` bytes are in `state` already and `data` is the rest. */
void straight_resume(const uint32_t state[8], uint64_t before, const uint8_t *data, size_t size,
                     uint8_t *digest);

void straight_sha256(const uint8_t *data, size_t size, uint8_t *digest);

/* MTH of `nnodes` > 0 nodes of one level, split at the largest power of two below their number. */
void straight_fold(const uint8_t *nodes, size_t nnodes, uint8_t *root);

/* Spans of a shard of that size, and all their nodes: the tree over each span's chunks. */
size_t straight_span_count(size_t size);
void straight_span_nodes(const uint8_t *data, size_t size, uint8_t *nodes);

#endif
