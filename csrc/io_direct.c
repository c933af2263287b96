/* SPDX-License-Identifier: Apache-2.0 */
/* Cold data: O_DIRECT reads into buffers of our own, announced ahead through io_uring so that the
 * drive works while the lanes do, and without a page of it left in the page cache.
 *
 * Whatever this way cannot do for a piece (no O_DIRECT on this file system, no io_uring in this
 * container, a short or failed read), plain pread does for it: slower, never different. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "merkle.h"
#include "uring.h"

#define ALIGNMENT 4096
#define SLOT_BYTES (4 * PYHASH_SPAN_BYTES)
/* Reads of one worker that are under way or waiting to be hashed: the extent that is being hashed
 * and the one after it. Of all workers together enough to keep any drive busy, and no more. */
#define MAX_SLOTS 8
#define MIN_SLOTS 2
#define ALL_SLOTS 24
/* The same when the bytes go straight to the caller's memory: slots cost nothing then, and each
 * holds one span only, so that it takes as many for two extents. */
#define INTO_SLOTS 32

enum slot_state { SLOT_FREE, SLOT_PENDING, SLOT_READ, SLOT_VIEWED };

struct slot {
    enum slot_state state;
    int fd;
    uint64_t offset;
    size_t size;
    uint8_t *data;       /* where the bytes are, or will be */
    int result;          /* of the read: bytes, or a negative errno */
};

struct pyhash_direct {
    struct pyhash_ring ring;
    uint8_t *buffer;     /* nslots times SLOT_BYTES; NULL: all goes into the caller's memory */
    unsigned nslots;
    struct slot slots[INTO_SLOTS];
    int fd, direct_fd;   /* the last file, and the same file open with O_DIRECT; -1: none */
};

/* Where the bytes of the next view belong that this slot is for. */
static uint8_t *slot_data(const struct pyhash_views *views, const struct slot *slot)
{
    const struct pyhash_direct *direct = views->direct;

    return direct->buffer ? direct->buffer + (size_t)(slot - direct->slots) * SLOT_BYTES : views->into;
}

static struct slot *find_slot(struct pyhash_direct *direct, int fd, uint64_t offset)
{
    for (unsigned i = 0; i < direct->nslots; i++) {
        struct slot *slot = &direct->slots[i];

        if ((slot->state == SLOT_PENDING || slot->state == SLOT_READ) && slot->fd == fd
            && slot->offset == offset)
            return slot;
    }
    return NULL;
}

int pyhash_direct_holds(const struct pyhash_views *views, int fd, uint64_t offset)
{
    return views->direct && find_slot(views->direct, fd, offset) != NULL;
}

static struct slot *free_slot(struct pyhash_direct *direct)
{
    for (unsigned i = 0; i < direct->nslots; i++) {
        if (direct->slots[i].state == SLOT_FREE)
            return &direct->slots[i];
    }
    return NULL;
}

/* "/proc/self/fd/" and a number, without stdio. */
static void name_descriptor(char name[32], int fd)
{
    static const char prefix[] = "/proc/self/fd/";
    char digits[12];
    size_t n = 0, at = sizeof prefix - 1;

    memcpy(name, prefix, sizeof prefix);
    do {
        digits[n++] = (char)('0' + fd % 10);
        fd /= 10;
    } while (fd > 0);
    while (n > 0)
        name[at++] = digits[--n];
    name[at] = 0;
}

/* The file with a description of its own, so that the caller's keeps its flags. */
static int direct_fd(struct pyhash_views *views, int fd)
{
    struct pyhash_direct *direct = views->direct;
    char name[32];

    if (direct->fd == fd)
        return direct->direct_fd;
    if (direct->direct_fd >= 0)
        close(direct->direct_fd);
    name_descriptor(name, fd);
    direct->fd = fd;
    direct->direct_fd = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (direct->direct_fd < 0)
        views->notes |= PYHASH_NOTE_NO_DIRECT;
    return direct->direct_fd;
}

/* O_DIRECT wants whole blocks; at the end of the file the read is short by itself. Behind what is
 * the caller's nothing may be written: there, pread adds the last ones. */
static unsigned whole_blocks(const struct pyhash_direct *direct, size_t size)
{
    return (unsigned)((direct->buffer ? size + ALIGNMENT - 1 : size) / ALIGNMENT * ALIGNMENT);
}

/* Start reading one view, if there is a slot and a way to. */
static struct slot *start_read(struct pyhash_views *views, int fd, uint64_t offset, size_t size)
{
    struct pyhash_direct *direct = views->direct;
    struct slot *slot = free_slot(direct);
    unsigned wanted = whole_blocks(direct, size);
    int from;

    if (!slot || direct->ring.fd < 0 || wanted == 0)
        return NULL;
    from = direct_fd(views, fd);
    *slot = (struct slot){ SLOT_PENDING, fd, offset, size, slot_data(views, slot), 0 };
    if (from < 0
        || pyhash_ring_read(&direct->ring, from, slot->data, wanted, offset,
                            (uint64_t)(slot - direct->slots)) != 0) {
        slot->state = SLOT_FREE;
        return NULL;
    }
    return slot;
}

/* 0, or -1 when the ring does not answer: then the slot may be written to at any time. */
static int wait_for(struct pyhash_direct *direct, const struct slot *wanted)
{
    while (wanted->state == SLOT_PENDING) {
        uint64_t tag;
        int result;

        if (pyhash_ring_wait(&direct->ring, &tag, &result) != 0)
            return -1;
        direct->slots[tag].state = SLOT_READ;
        direct->slots[tag].result = result;
    }
    return 0;
}

/* A slot that nothing is in: a free one, or else one whose read ahead nobody has asked for yet,
 * which is given up for it. */
static struct slot *take_slot(struct pyhash_direct *direct)
{
    struct slot *slot = free_slot(direct);

    for (unsigned i = 0; !slot && i < direct->nslots; i++) {
        if (direct->slots[i].state != SLOT_VIEWED && wait_for(direct, &direct->slots[i]) == 0)
            slot = &direct->slots[i];
    }
    return slot;
}

/* Read past the page cache without a ring; what that does not give, pread will. */
static size_t read_now(struct pyhash_views *views, uint8_t *data, int fd, uint64_t offset, size_t size)
{
    int from = direct_fd(views, fd);
    unsigned wanted = whole_blocks(views->direct, size);
    ssize_t n = from < 0 ? -1 : pread(from, data, wanted, (off_t)offset);

    return n < 0 ? 0 : (size_t)n;
}

static enum pyhash_status acquire(struct pyhash_views *views, int fd, uint64_t offset, size_t size,
                                  struct pyhash_error *error)
{
    struct pyhash_direct *direct = views->direct;
    struct slot *slot = find_slot(direct, fd, offset);
    enum pyhash_status status;
    size_t done = 0;

    if (!slot)
        slot = start_read(views, fd, offset, size);
    if (slot && wait_for(direct, slot) == 0)
        done = slot->result < 0 ? 0 : (size_t)slot->result;
    else if (slot && !direct->buffer)
        slot = NULL; /* a late answer would change what has been hashed: no other way is safe */
    else if ((slot = take_slot(direct)) != NULL)
        done = read_now(views, slot_data(views, slot), fd, offset, size);
    if (!slot) {
        error->os_errno = EIO;
        error->offset = offset;
        return PYHASH_ERR_READ;
    }
    *slot = (struct slot){ SLOT_VIEWED, fd, offset, size, slot_data(views, slot), 0 };
    status = pyhash_read(slot->data, fd, offset, size, done, error);
    if (status != PYHASH_OK) {
        slot->state = SLOT_FREE;
        return status;
    }
    views->view[views->nviews++] = (struct pyhash_view){
        .data = slot->data, .size = size, .fd = fd, .offset = offset,
    };
    views->used += size;
    return PYHASH_OK;
}

static void announce(struct pyhash_views *views, int fd, uint64_t offset, size_t size)
{
    if (!find_slot(views->direct, fd, offset))
        (void)start_read(views, fd, offset, size);
}

static enum pyhash_status release(struct pyhash_views *views, unsigned *index,
                                  struct pyhash_error *error)
{
    struct pyhash_direct *direct = views->direct;
    enum pyhash_status status = pyhash_check_views(views, index, error);

    for (unsigned i = 0; i < direct->nslots; i++) {
        if (direct->slots[i].state == SLOT_VIEWED)
            direct->slots[i].state = SLOT_FREE;
    }
    views->nviews = 0;
    views->used = 0;
    return status;
}

enum pyhash_status pyhash_direct_open(struct pyhash_views *views)
{
    unsigned nslots = ALL_SLOTS / views->nthreads;
    struct pyhash_direct *direct;

    if (views->direct)
        return PYHASH_OK;
    direct = calloc(1, sizeof *direct);
    nslots = nslots > MAX_SLOTS ? MAX_SLOTS : nslots < MIN_SLOTS ? MIN_SLOTS : nslots;
    if (views->is_into)
        nslots = INTO_SLOTS;
    else if (direct)
        direct->buffer = aligned_alloc(ALIGNMENT, nslots * SLOT_BYTES);
    if (!direct || (!direct->buffer && !views->is_into)) {
        free(direct);
        return PYHASH_ERR_MEMORY;
    }
    direct->nslots = nslots;
    direct->fd = direct->direct_fd = -1;
    if (pyhash_ring_open(&direct->ring, INTO_SLOTS, direct->buffer, nslots * SLOT_BYTES) != 0)
        views->notes |= PYHASH_NOTE_NO_URING;
    views->direct = direct;
    return PYHASH_OK;
}

int pyhash_direct_has_room(const struct pyhash_views *views)
{
    return views->direct->ring.fd >= 0 && free_slot(views->direct) != NULL;
}

static enum pyhash_status open_views(struct pyhash_views *views, size_t wanted, unsigned nthreads)
{
    enum pyhash_status status;

    views->nthreads = nthreads;
    status = pyhash_direct_open(views);
    if (status == PYHASH_OK) {
        views->capacity = wanted > SLOT_BYTES ? wanted : SLOT_BYTES;
        views->max_views = views->direct->nslots / 2;
    }
    return status;
}

static void close_views(struct pyhash_views *views)
{
    struct pyhash_direct *direct = views->direct;

    pyhash_ring_close(&direct->ring);
    if (direct->direct_fd >= 0)
        close(direct->direct_fd);
    /* Reads that never ended may still write there: then it is better lost than given back. */
    if (direct->ring.npending == 0)
        free(direct->buffer);
    free(direct);
    views->direct = NULL;
}

const struct pyhash_reader_ops pyhash_reader_direct = {
    .max_view = SLOT_BYTES,
    .open = open_views,
    .announce = announce,
    .acquire = acquire,
    .release = release,
    .close = close_views,
};
