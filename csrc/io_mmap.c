/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of the file, mapped, hashed where they lie and unmapped again, so that only a few
 * megabytes are ever resident. A page that cannot be had (the file shrank, the disk failed) is a
 * SIGBUS; map_guard.c turns that into a lost view. */
#include "io.h"

#include <errno.h>
#include <sys/mman.h>

#include "map_guard.h"
#include "merkle.h"

/* One window: enough for the lanes of any kernel, little enough that the workers of a large machine
 * together hold few pages, and read-ahead keeps up. On cold data, 4 MiB was faster than 16 MiB; on
 * data in the page cache there was no difference, nor did asking for the pages beforehand
 * (MADV_POPULATE_READ) gain what it cost. */
#define WINDOW_BYTES (4 * PYHASH_SPAN_BYTES)

static enum pyhash_status open_views(struct pyhash_views *views, size_t wanted, unsigned nthreads)
{
    views->nthreads = nthreads;
    views->capacity = wanted > WINDOW_BYTES ? wanted : (size_t)WINDOW_BYTES;
    views->max_views = PYHASH_MAX_VIEWS;
    return pyhash_map_guard_enter(views) == 0 ? PYHASH_OK : PYHASH_ERR_MEMORY;
}

static enum pyhash_status acquire(struct pyhash_views *views, int fd, uint64_t offset, size_t size,
                                  struct pyhash_error *error)
{
    void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)offset);

    if (data == MAP_FAILED) {
        error->os_errno = errno;
        error->offset = offset;
        return errno == ENOMEM ? PYHASH_ERR_MEMORY : PYHASH_ERR_READ;
    }
    views->view[views->nviews] = (struct pyhash_view){ data, size, fd, offset, 1 };
    /* The handler may run from now on: the view must be complete before it counts. */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    views->nviews++;
    views->used += size;
    return PYHASH_OK;
}

/* Were the bytes that this view showed the file's? A file that ends within a page gives zeros and
 * no fault behind its end, so its size is asked for however quiet it was. */
static enum pyhash_status check_view(const struct pyhash_view *view, const uint8_t *lost,
                                     struct pyhash_error *error)
{
    enum pyhash_status status = pyhash_check_file(view->fd, view->offset + view->size, error);

    if (status != PYHASH_OK || !lost || lost < view->data || lost >= view->data + view->size)
        return status;
    error->offset = view->offset + (uint64_t)(lost - view->data);
    error->os_errno = EIO;
    return PYHASH_ERR_READ;
}

static enum pyhash_status release(struct pyhash_views *views, unsigned *index,
                                  struct pyhash_error *error)
{
    enum pyhash_status status = PYHASH_OK;

    for (unsigned i = 0; i < views->nviews; i++) {
        const struct pyhash_view *view = &views->view[i];

        /* Those of the direct reader too, where `auto` mixes both. */
        if (status == PYHASH_OK) {
            *index = i;
            status = check_view(view, views->lost, error);
        }
        if (view->is_mapped)
            munmap((void *)(uintptr_t)view->data, view->size);
    }
    views->nviews = 0;
    views->used = 0;
    views->lost = NULL;
    return status;
}

static void close_views(struct pyhash_views *views)
{
    (void)views;
    pyhash_map_guard_leave();
}

const struct pyhash_reader_ops pyhash_reader_mmap = {
    .max_view = WINDOW_BYTES,
    .open = open_views,
    .acquire = acquire,
    .release = release,
    .close = close_views,
};
