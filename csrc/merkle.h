/* SPDX-License-Identifier: Apache-2.0 */
/* The RFC 6962 tree of format v1 over chunk digests. No I/O, no threads, no instruction sets. */
#ifndef PYHASH_MERKLE_H
#define PYHASH_MERKLE_H

#include "kernel.h"

#define PYHASH_CHUNK_BYTES UINT64_C(65536)
#define PYHASH_SPAN_CHUNKS 16
#define PYHASH_SPAN_BYTES (PYHASH_CHUNK_BYTES * PYHASH_SPAN_CHUNKS)

/* Nodes of one span while it is being folded: at most one for each chunk. */
struct pyhash_span {
    uint8_t node[PYHASH_SPAN_CHUNKS][PYHASH_DIGEST_BYTES];
    uint32_t nnodes;   /* 1 to 16 chunks */
};

/* Fold chunk digests to the span's node, in place: the result is node[0] of each. Spans are
 * independent, of any chunk counts; their messages share the lanes, level by level. */
void pyhash_fold_spans(const struct pyhash_kernel *kernel, struct pyhash_span *spans,
                       size_t nspans);

/* Fold `nnodes` > 0 consecutive nodes of one level, in place: the root is the first 32 bytes. */
void pyhash_fold(const struct pyhash_kernel *kernel, uint8_t *nodes, uint64_t nnodes);

#endif
