/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring by raw system calls: liburing would be a dependency for the sake of a hundred lines. The
 * layout of the rings and the order of accesses are those of io_uring(7). */
#include "uring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static void *map_ring(int fd, size_t size, off_t offset)
{
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

    return map == MAP_FAILED ? NULL : map;
}

static int map_rings(struct pyhash_ring *ring, const struct io_uring_params *p)
{
    uint8_t *sq, *cq;

    ring->sq_bytes = p->sq_off.array + p->sq_entries * sizeof(unsigned);
    ring->cq_bytes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    ring->sqes_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
    ring->sq_map = sq = map_ring(ring->fd, ring->sq_bytes, IORING_OFF_SQ_RING);
    ring->cq_map = cq = map_ring(ring->fd, ring->cq_bytes, IORING_OFF_CQ_RING);
    ring->sqes = map_ring(ring->fd, ring->sqes_bytes, IORING_OFF_SQES);
    if (!sq || !cq || !ring->sqes)
        return -1;
    ring->sq_tail = (unsigned *)(void *)(sq + p->sq_off.tail);
    ring->sq_mask = (unsigned *)(void *)(sq + p->sq_off.ring_mask);
    ring->sq_array = (unsigned *)(void *)(sq + p->sq_off.array);
    ring->cq_head = (unsigned *)(void *)(cq + p->cq_off.head);
    ring->cq_tail = (unsigned *)(void *)(cq + p->cq_off.tail);
    ring->cq_mask = (unsigned *)(void *)(cq + p->cq_off.ring_mask);
    ring->cqes = (struct io_uring_cqe *)(void *)(cq + p->cq_off.cqes);
    return 0;
}

static int enter(struct pyhash_ring *ring, unsigned submit, unsigned wait)
{
    unsigned flags = wait > 0 ? IORING_ENTER_GETEVENTS : 0;
    long done;

    do {
        done = syscall(SYS_io_uring_enter, ring->fd, submit, wait, flags, NULL, 0);
    } while (done < 0 && errno == EINTR);
    return done < 0 || (unsigned)done < submit ? -1 : 0;
}

int pyhash_ring_open(struct pyhash_ring *ring, unsigned entries, void *buffer, size_t size)
{
    struct io_uring_params params = { 0 };
    struct iovec all = { buffer, size };

    *ring = (struct pyhash_ring){ .fd = -1 };
    ring->fd = (int)syscall(SYS_io_uring_setup, entries, &params);
    if (ring->fd < 0)
        return -1;
    if (map_rings(ring, &params) != 0) {
        pyhash_ring_close(ring);
        return -1;
    }
    /* Saves the kernel pinning the pages for every read; refused where too little may be locked. */
    ring->is_registered = buffer
                          && syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS, &all, 1)
                                 == 0;
    return 0;
}

int pyhash_ring_read(struct pyhash_ring *ring, int fd, void *data, unsigned size, uint64_t offset,
                     uint64_t tag)
{
    /* Only this thread writes the tail; the kernel reads it in io_uring_enter. */
    unsigned tail = *ring->sq_tail, index = tail & *ring->sq_mask;
    struct io_uring_sqe *sqe = &ring->sqes[index];

    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = ring->is_registered ? IORING_OP_READ_FIXED : IORING_OP_READ;
    sqe->fd = fd;
    sqe->addr = (uint64_t)(uintptr_t)data;
    sqe->len = size;
    sqe->off = offset;
    sqe->user_data = tag;
    ring->sq_array[index] = index;
    __atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
    if (enter(ring, 1, 0) != 0) {
        __atomic_store_n(ring->sq_tail, tail, __ATOMIC_RELEASE);
        return -1;
    }
    ring->npending++;
    return 0;
}

int pyhash_ring_wait(struct pyhash_ring *ring, uint64_t *tag, int *result)
{
    unsigned head = *ring->cq_head;
    const struct io_uring_cqe *cqe;

    while (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
        if (enter(ring, 0, 1) != 0)
            return -1;
    }
    cqe = &ring->cqes[head & *ring->cq_mask];
    *tag = cqe->user_data;
    *result = cqe->res;
    __atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
    ring->npending--;
    return 0;
}

void pyhash_ring_close(struct pyhash_ring *ring)
{
    uint64_t tag;
    int result;

    if (ring->fd < 0)
        return;
    while (ring->npending > 0 && pyhash_ring_wait(ring, &tag, &result) == 0)
        continue;
    if (ring->sqes)
        munmap(ring->sqes, ring->sqes_bytes);
    if (ring->cq_map)
        munmap(ring->cq_map, ring->cq_bytes);
    if (ring->sq_map)
        munmap(ring->sq_map, ring->sq_bytes);
    close(ring->fd);
    ring->fd = -1;
}
