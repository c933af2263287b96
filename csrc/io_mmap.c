/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of the file, mapped, hashed where they lie and unmapped again, so that only a few
 * megabytes are ever resident. All views of a batch lie in addresses that were set aside for them
 * and are unmapped by one call: each unmapping interrupts every processor that runs a thread of
 * this process, which cost two threads of a virtual machine 6 % of their time. A page that cannot
 * be had (the file shrank, the disk failed) is a SIGBUS; map_guard.c turns that into a lost view. */
#include "io.h"

#include <errno.h>
#include <sys/mman.h>

#include "map_guard.h"
#include "merkle.h"

/* One window: enough for the lanes of any kernel, little enough that read-ahead keeps up. On cold
 * data, 4 MiB was faster than 16 MiB; asking for the pages beforehand (MADV_POPULATE_READ) never
 * gained what it cost. */
#define WINDOW_BYTES (4 * PYHASH_SPAN_BYTES)
/* What one worker has mapped at a time: four windows, but fewer where many workers would together
 * hold much. */
#define MOST_BYTES (4 * WINDOW_BYTES)
#define ALL_BYTES (16 * WINDOW_BYTES)
/* No page of any architecture that Linux runs on is larger. */
#define PAGE_BYTES ((size_t)64 << 10)
/* A page-table entry of the next level covers this much; the kernel uses one where the page cache
 * has such a folio, and addresses and offsets agree. */
#define LARGE_PAGE_BYTES ((size_t)2 << 20)

static size_t share_of(unsigned nthreads)
{
    size_t share = ALL_BYTES / nthreads / WINDOW_BYTES * WINDOW_BYTES;

    return share < WINDOW_BYTES ? WINDOW_BYTES : share > MOST_BYTES ? MOST_BYTES : share;
}

static void *set_aside(void *where, size_t size)
{
    return mmap(where, size, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (where ? MAP_FIXED : 0), -1, 0);
}

static enum pyhash_status open_views(struct pyhash_views *views, size_t wanted, unsigned nthreads)
{
    size_t share = share_of(nthreads);

    views->nthreads = nthreads;
    views->capacity = wanted > share ? wanted : share;
    views->max_views = PYHASH_MAX_VIEWS;
    /* Each view may have to move on to where address and offset agree: those of at least a large
     * page by less than one, all others by less than a page, and they end within one. */
    views->room_bytes = 2 * views->capacity + 2 * PYHASH_MAX_VIEWS * PAGE_BYTES;
    /* Where addresses are short, views lie where they can; but a worker that others can do without
     * finds out now, before it has taken anything. */
    views->room = set_aside(NULL, views->room_bytes);
    if (views->room == MAP_FAILED)
        views->room = NULL;
    if (!views->room && views->is_spare)
        return PYHASH_ERR_MEMORY;
    if (pyhash_map_guard_enter(views) == 0)
        return PYHASH_OK;
    if (views->room)
        munmap(views->room, views->room_bytes);
    return PYHASH_ERR_MEMORY;
}

/* A mapping that failed may have left a hole, which somebody else may have filled by now. Then only
 * what lies before it is ours. */
static void mend(struct pyhash_views *views, uint8_t *where, size_t size)
{
    void *found = mmap(where, size, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

    if (found != where) {
        views->room_bytes = (size_t)(where - views->room);
        if (found != MAP_FAILED)
            munmap(found, size);
    }
}

/* The next addresses of the room that suit a view; NULL: there is no room. */
static uint8_t *place(const struct pyhash_views *views, uint64_t offset, size_t size)
{
    size_t alignment = size < LARGE_PAGE_BYTES ? PAGE_BYTES : LARGE_PAGE_BYTES;
    uint8_t *next;

    if (!views->room)
        return NULL;
    next = views->room + views->mapped;
    return next + ((size_t)offset - (uintptr_t)next) % alignment;
}

static enum pyhash_status acquire(struct pyhash_views *views, int fd, uint64_t offset, size_t size,
                                  struct pyhash_error *error)
{
    uint8_t *where = place(views, offset, size);
    void *data = mmap(where, size, PROT_READ, MAP_SHARED | (where ? MAP_FIXED : 0), fd,
                      (off_t)offset);

    if (data == MAP_FAILED) {
        error->os_errno = errno;
        error->offset = offset;
        if (where)
            mend(views, where, size);
        return error->os_errno == ENOMEM ? PYHASH_ERR_MEMORY : PYHASH_ERR_READ;
    }
    views->view[views->nviews] = (struct pyhash_view){ data, size, fd, offset, 1 };
    /* The handler may run from now on: the view must be complete before it counts. */
    __atomic_signal_fence(__ATOMIC_RELEASE);
    views->nviews++;
    views->used += size;
    if (where)
        views->mapped = (size_t)(where - views->room)
                        + (size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    return PYHASH_OK;
}

/* Were the bytes that this view showed the file's? A file that ends within a page gives zeros and
 * no fault behind its end, so its size is asked for however quiet it was. */
static enum pyhash_status check_view(const struct pyhash_view *view, const uint8_t *lost,
                                     struct pyhash_error *error)
{
    enum pyhash_status status = pyhash_check_end(view->fd, view->offset + view->size, error);

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
        if (view->is_mapped && !views->room)
            munmap((void *)(uintptr_t)view->data, view->size);
    }
    if (views->mapped > 0 && set_aside(views->room, views->mapped) == MAP_FAILED
        && status == PYHASH_OK)
        status = PYHASH_ERR_MEMORY;
    views->mapped = 0;
    views->nviews = 0;
    views->used = 0;
    views->lost = NULL;
    return status;
}

static void close_views(struct pyhash_views *views)
{
    pyhash_map_guard_leave();
    if (views->room)
        munmap(views->room, views->room_bytes);
}

const struct pyhash_reader_ops pyhash_reader_mmap = {
    .max_view = WINDOW_BYTES,
    .open = open_views,
    .acquire = acquire,
    .release = release,
    .close = close_views,
};
