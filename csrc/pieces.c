/* SPDX-License-Identifier: Apache-2.0 */
/* The reader's side of a call that hashes one piece alone: announce what fits, acquire it, have it
 * hashed, let go of it, until the piece is done. */
#include "pieces.h"

#include "merkle.h"

/* What one call holds. */
struct walk {
    const struct pyhash_reader_ops *reader;
    const struct pyhash_range *piece;
    struct pyhash_views views;
    void (*take)(void *state, const struct pyhash_view *view);
    void *state;
};

int pyhash_is_piece(const struct pyhash_range *piece, const struct pyhash_options *options,
                    const uint8_t *digests, const struct pyhash_error *error)
{
    return piece && options && digests && error && piece->fd >= 0 && !options->kernel_for
           && piece->start % PYHASH_SPAN_BYTES == 0 && piece->end >= piece->start
           && piece->end <= INT64_MAX;
}

/* The next view from `offset` on; 0: there is no room for it now, or nothing left. */
static size_t next_size(const struct walk *walk, uint64_t offset, size_t used, unsigned nviews)
{
    uint64_t rest = walk->piece->end - offset;
    size_t most = walk->reader->max_view, room = walk->views.capacity - used, size;

    size = rest < most ? (size_t)rest : most;
    return nviews < walk->views.max_views && size <= room ? size : 0;
}

static void announce(struct walk *walk, uint64_t offset)
{
    size_t size, used = 0;

    if (!walk->reader->announce)
        return;
    for (unsigned n = 0; (size = next_size(walk, offset, used, n)) > 0; n++) {
        walk->reader->announce(&walk->views, walk->piece->fd, offset, size);
        offset += size;
        used += size;
    }
}

/* Views from `*offset` on, as many as there is room for. */
static enum pyhash_status take_views(struct walk *walk, uint64_t *offset,
                                     struct pyhash_error *error)
{
    struct pyhash_views *views = &walk->views;
    struct pyhash_error none = { 0 };
    unsigned index = 0;
    size_t size;

    announce(walk, *offset);
    while ((size = next_size(walk, *offset, views->used, views->nviews)) > 0) {
        enum pyhash_status status
            = walk->reader->acquire(views, walk->piece->fd, *offset, size, error);

        if (status != PYHASH_OK) {
            walk->reader->release(views, &index, &none);
            return status;
        }
        *offset += size;
    }
    announce(walk, *offset); /* which the drive reads while these are hashed */
    for (unsigned n = 0; n < views->nviews; n++)
        walk->take(walk->state, &views->view[n]);
    return walk->reader->release(views, &index, error);
}

enum pyhash_status pyhash_walk_piece(const struct pyhash_range *piece,
                                     const struct pyhash_options *options,
                                     void (*take)(void *state, const struct pyhash_view *view),
                                     void *state, struct pyhash_error *error)
{
    struct walk walk = { .piece = piece, .take = take, .state = state };
    enum pyhash_status status;

    *error = (struct pyhash_error){ 0 };
    status = pyhash_check_file(piece->fd, piece->end, error);
    if (status != PYHASH_OK)
        return status;
    walk.reader = pyhash_select_reader(options->reader, piece->fd);
    if (!walk.reader)
        return PYHASH_ERR_ARGUMENT;
    status = walk.reader->open(&walk.views, walk.reader->max_view,
                               pyhash_sharers(1, options->others));
    if (status != PYHASH_OK)
        return status;
    for (uint64_t offset = piece->start; offset < piece->end && status == PYHASH_OK;)
        status = take_views(&walk, &offset, error);
    walk.reader->close(&walk.views);
    return status;
}
