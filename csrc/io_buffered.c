/* SPDX-License-Identifier: Apache-2.0 */
/* pread into one buffer that is used again and again, small enough to stay in a core's cache. */
#include "io.h"

#include <stdlib.h>

#include "merkle.h"

/* Direct I/O and vector loads both like pages. */
#define ALIGNMENT 4096

/* One span is the smallest view; more only when the caller follows several files at once. */
static enum pyhash_status open_views(struct pyhash_views *views, size_t wanted, unsigned nthreads)
{
    views->nthreads = nthreads;
    views->capacity = wanted > PYHASH_SPAN_BYTES ? wanted : PYHASH_SPAN_BYTES;
    views->max_views = PYHASH_MAX_VIEWS;
    if (views->is_into)
        return PYHASH_OK;
    views->buffer = aligned_alloc(ALIGNMENT, views->capacity);
    return views->buffer ? PYHASH_OK : PYHASH_ERR_MEMORY;
}

static enum pyhash_status acquire(struct pyhash_views *views, int fd, uint64_t offset, size_t size,
                                  struct pyhash_error *error)
{
    uint8_t *buffer = views->is_into ? views->into : views->buffer + views->used;
    enum pyhash_status status = pyhash_read(buffer, fd, offset, size, 0, error);

    if (status != PYHASH_OK)
        return status;
    views->view[views->nviews++] = (struct pyhash_view){
        .data = buffer, .size = size, .fd = fd, .offset = offset,
    };
    views->used += size;
    return PYHASH_OK;
}

static enum pyhash_status release(struct pyhash_views *views, unsigned *index,
                                  struct pyhash_error *error)
{
    enum pyhash_status status = pyhash_check_views(views, index, error);

    views->nviews = 0;
    views->used = 0;
    return status;
}

static void close_views(struct pyhash_views *views)
{
    free(views->buffer);
}

const struct pyhash_reader_ops pyhash_reader_buffered = {
    .max_view = PYHASH_SPAN_BYTES,
    .open = open_views,
    .acquire = acquire,
    .release = release,
    .close = close_views,
};
