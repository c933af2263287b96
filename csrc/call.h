/* SPDX-License-Identifier: Apache-2.0 */
/* One call of pyhash_hash_ranges: what its workers share, and what each of them does to a batch.
 * Not part of the public interface. */
#ifndef PYHASH_CALL_H
#define PYHASH_CALL_H

#include "batch.h"

/* What all workers of one call share. */
struct pyhash_call {
    const struct pyhash_range *ranges;
    size_t nranges;
    struct pyhash_kernels kernels;
    const struct pyhash_reader_ops *reader;
    unsigned nthreads;
    uint32_t others;             /* threads of other calls, as in the options */
    struct pyhash_control *control;
    uint64_t *first_span;        /* of each range, counted over all of them; one more at the end */
    uint64_t extent;             /* spans that a worker takes at a time */
    unsigned nslots;             /* files that a worker follows at a time */
    int is_split;                /* files are followed and spans taken by different workers */
    int is_into;                 /* all file ranges go to the caller's memory */
    size_t max_view;             /* most bytes of one view; a whole number of spans */
    uint64_t next_range, next_span; /* to be taken next; atomic */
    uint8_t *taken;              /* of each range: a worker follows it or did; atomic */
    uint32_t nfollowers;         /* workers that began to follow files; atomic */
    struct pyhash_batch *own;    /* of the calling thread */
    uint32_t failed;             /* set by the first failure; atomic */
    enum pyhash_status status;   /* of the first failure */
    struct pyhash_error error;
};

/* Has the call failed or been cancelled? */
int pyhash_call_should_stop(struct pyhash_call *call);

/* Add a piece to a batch, which must have room for it. 0: that failed, and so has the call. */
int pyhash_call_add(struct pyhash_call *call, struct pyhash_batch *batch,
                    const struct pyhash_piece *piece, struct pyhash_stream *stream);

/* Hash what was collected. 0 when the worker should stop. */
int pyhash_call_run(struct pyhash_call *call, struct pyhash_batch *batch);

/* Take files until none is left, up to `nslots` of the call side by side, each from its start to
 * its end; for every worker of the call. */
void pyhash_follow_files(struct pyhash_call *call, struct pyhash_batch *batch);

#endif
