/* SPDX-License-Identifier: Apache-2.0 */
/* The little of io_uring that reading needs, by raw system calls: submit reads, wait for one.
 * A ring belongs to one thread. */
#ifndef PYHASH_URING_H
#define PYHASH_URING_H

#include "common.h"

struct io_uring_sqe;
struct io_uring_cqe;

struct pyhash_ring {
    int fd;                          /* -1: there is none */
    int is_registered;               /* the buffer was accepted as a fixed one */
    unsigned npending;
    unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    void *sq_map, *cq_map;
    size_t sq_bytes, cq_bytes, sqes_bytes;
};

/* Make a ring for `entries` reads at a time into [buffer, buffer + size); NULL: into anything. 0, or -1 where the
 * system has no io_uring or does not let us use it; the ring is then usable for nothing but
 * pyhash_ring_close. */
int pyhash_ring_open(struct pyhash_ring *ring, unsigned entries, void *buffer, size_t size);

/* Start one read; no more than `entries` may be pending. `tag` comes back. 0 or -1. */
int pyhash_ring_read(struct pyhash_ring *ring, int fd, void *data, unsigned size, uint64_t offset,
                     uint64_t tag);

/* Wait for any pending read to end. `result`: bytes read, or a negative errno. 0 or -1. */
int pyhash_ring_wait(struct pyhash_ring *ring, uint64_t *tag, int *result);

/* Wait for all that is pending, then let go. The buffer may be freed afterwards. */
void pyhash_ring_close(struct pyhash_ring *ring);

#endif
