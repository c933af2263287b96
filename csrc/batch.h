/* SPDX-License-Identifier: Apache-2.0 */
/* One worker's unit of hashing: whole spans of one or several files, read together, whose chunks,
 * leaves, nodes and file digests share the lanes of one kernel. No threads. */
#ifndef PYHASH_BATCH_H
#define PYHASH_BATCH_H

#include "io.h"
#include "merkle.h"
#include "sha256.h"

#define PYHASH_BATCH_SPANS 16

/* A run of bytes of one range that becomes one view. */
struct pyhash_piece {
    size_t index;        /* of the range */
    uint64_t offset;     /* in the file */
    size_t size, nspans;
};

/* A file whose plain SHA-256 is being computed, run by run. */
struct pyhash_stream {
    uint32_t state[8];
};

struct pyhash_batch {
    const struct pyhash_kernels *kernels;
    const struct pyhash_reader_ops *reader;
    struct pyhash_views views;
    int is_split;                                      /* chunks of streams are hashed elsewhere */
    int is_into;                                       /* all bytes are wanted in caller's memory */
    int is_spare;                                      /* others can do this worker's share */
    uint64_t bytes;                                    /* of all pieces */
    size_t range_index[PYHASH_MAX_VIEWS];              /* of each view, for the error */
    size_t nspans, nchunks, nstreams;
    uint8_t *nodes_out[PYHASH_BATCH_SPANS];
    struct pyhash_span spans[PYHASH_BATCH_SPANS];

    /* Streams grow down from the middle and chunks grow up, so that both are one list with the
     * streams, which are longer, in front. */
    struct pyhash_job jobs[PYHASH_MAX_VIEWS + PYHASH_BATCH_SPANS * PYHASH_SPAN_CHUNKS];
};

/* The most streams that are better hashed by themselves than in one list with their chunks. */
size_t pyhash_most_apart(const struct pyhash_kernels *kernels);

/* `wanted`: bytes that the caller would like to have in one batch. To be opened and used by one
 * thread; on failure nothing is left open. */
enum pyhash_status pyhash_batch_open(struct pyhash_batch *batch, size_t wanted, unsigned nthreads);
void pyhash_batch_close(struct pyhash_batch *batch);

/* Would a piece of `size` bytes in `nspans` spans still fit? */
int pyhash_batch_fits(const struct pyhash_batch *batch, uint64_t size, size_t nspans);

/* Say that a piece will soon be added; only a hint to the reader, which must take such. */
void pyhash_batch_announce(struct pyhash_batch *batch, const struct pyhash_range *range,
                           uint64_t offset, size_t size);

/* Add a piece, which must fit; with `stream` also to that file's digest, which ends with the
 * range. */
enum pyhash_status pyhash_batch_add(struct pyhash_batch *batch, const struct pyhash_range *ranges,
                                    const struct pyhash_piece *piece, struct pyhash_stream *stream,
                                    struct pyhash_error *error);

/* Hash all pieces, write their results, and empty the batch. */
enum pyhash_status pyhash_batch_run(struct pyhash_batch *batch, struct pyhash_error *error);

#endif
