/* SPDX-License-Identifier: Apache-2.0 */
/* The reader for local file systems: a piece of which any page is in the page cache is hashed where
 * it lies, all others are read past it, so that a check neither waits for a copy nor drives out what
 * the host has cached. Both kinds of view mix in one batch.
 *
 * A cached page is what the model's loader will get, and need not be what the drive has: bad memory
 * changes it, a fault in the kernel, or somebody who writes to the drive below the file system. So
 * no cached page is ever passed by. */
#include "io.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "merkle.h"

/* Up to this, copying a piece costs less than mapping it: two system calls, a fault and a share of
 * an unmapping, 3 to 10 microseconds. 4 KiB files are hashed three times as fast for it. */
#define MAX_COPIED_BYTES PYHASH_CHUNK_BYTES

/* Smaller pieces are not worth a read of their own past the cache. */
#define MIN_DIRECT_BYTES PYHASH_SPAN_BYTES

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* Linux 6.5; one number on all architectures */
#endif

struct cachestat_range {
    uint64_t offset, length;
};

struct cachestat {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* Is any page of that piece in the page cache? Where the system does not say, yes: a mapping is
 * right for both. */
static int is_cached(int fd, uint64_t offset, size_t size)
{
    struct cachestat_range range = { offset, size };
    struct cachestat stat;

    return syscall(SYS_cachestat, fd, &range, &stat, 0) != 0 || stat.cached > 0;
}

int pyhash_is_resident(int fd, uint64_t size)
{
    struct cachestat_range range = { 0, size };
    struct cachestat stat;
    long page = sysconf(_SC_PAGESIZE);

    return syscall(SYS_cachestat, fd, &range, &stat, 0) == 0 && page > 0
           && stat.cached >= size / (uint64_t)page / 32 * 31;
}

static int should_go_direct(struct pyhash_views *views, int fd, uint64_t offset, size_t size)
{
    if (size < MIN_DIRECT_BYTES || is_cached(fd, offset, size))
        return 0;
    /* Its buffers are made only when something turns out to be cold. */
    return pyhash_direct_open(views) == PYHASH_OK && pyhash_direct_has_room(views);
}

static enum pyhash_status open_views(struct pyhash_views *views, size_t wanted, unsigned nthreads)
{
    enum pyhash_status status = pyhash_reader_mmap.open(views, wanted, nthreads);

    if (status != PYHASH_OK)
        return status;
    views->buffer = malloc(PYHASH_MAX_VIEWS * MAX_COPIED_BYTES);
    if (!views->buffer) {
        pyhash_reader_mmap.close(views);
        return PYHASH_ERR_MEMORY;
    }
    return PYHASH_OK;
}

static enum pyhash_status copy(struct pyhash_views *views, int fd, uint64_t offset, size_t size,
                               struct pyhash_error *error)
{
    uint8_t *data = views->buffer + views->copied;
    enum pyhash_status status = pyhash_read(data, fd, offset, size, 0, error);

    if (status != PYHASH_OK)
        return status;
    views->view[views->nviews++] = (struct pyhash_view){
        .data = data, .size = size, .fd = fd, .offset = offset,
    };
    views->used += size;
    views->copied += size;
    return PYHASH_OK;
}

static void announce(struct pyhash_views *views, int fd, uint64_t offset, size_t size)
{
    if (should_go_direct(views, fd, offset, size))
        pyhash_reader_direct.announce(views, fd, offset, size);
}

static enum pyhash_status acquire(struct pyhash_views *views, int fd, uint64_t offset, size_t size,
                                  struct pyhash_error *error)
{
    if (size <= MAX_COPIED_BYTES)
        return copy(views, fd, offset, size, error);
    if (pyhash_direct_holds(views, fd, offset) || should_go_direct(views, fd, offset, size))
        return pyhash_reader_direct.acquire(views, fd, offset, size, error);
    /* Into the caller's memory a read copies as fast as one out of a mapping would be copied. */
    return views->is_into ? pyhash_reader_buffered.acquire(views, fd, offset, size, error)
                          : pyhash_reader_mmap.acquire(views, fd, offset, size, error);
}

static enum pyhash_status release(struct pyhash_views *views, unsigned *index,
                                  struct pyhash_error *error)
{
    enum pyhash_status status = pyhash_reader_mmap.release(views, index, error);

    views->copied = 0;
    if (views->direct)
        pyhash_reader_direct.release(views, index, error);
    return status;
}

static void close_views(struct pyhash_views *views)
{
    if (views->direct)
        pyhash_reader_direct.close(views);
    pyhash_reader_mmap.close(views);
    free(views->buffer);
}

const struct pyhash_reader_ops pyhash_reader_auto = {
    .max_view = 4 * PYHASH_SPAN_BYTES,
    .open = open_views,
    .announce = announce,
    .acquire = acquire,
    .release = release,
    .close = close_views,
};
