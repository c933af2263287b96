/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of the blocks of an open file, which fs-verity's tree begins with. One thread; its caller
 * cuts files into pieces for as many as it has. */
#include <stdlib.h>

#include "cpu_features.h"
#include "io.h"
#include "merkle.h"
#include "sha256.h"

/* fs-verity's. */
#define VERITY_BLOCK_BYTES 4096
/* Jobs that are made at a time. */
#define BATCH 256

/* What one call holds. */
struct blocks {
    const struct pyhash_kernel *kernel;
    const struct pyhash_reader_ops *reader;
    const struct pyhash_range *piece;
    uint8_t *digests;
    struct pyhash_views views;
    struct pyhash_job jobs[BATCH];
    uint8_t last[VERITY_BLOCK_BYTES]; /* a block that the file does not fill, and zeros */
};

static uint8_t *digest_at(const struct blocks *blocks, uint64_t offset)
{
    return blocks->digests
           + (size_t)((offset - blocks->piece->start) / VERITY_BLOCK_BYTES) * PYHASH_DIGEST_BYTES;
}

static void hash_view(struct blocks *blocks, const struct pyhash_view *view)
{
    size_t done = 0;

    while (done < view->size) {
        size_t n = 0;

        for (; n < BATCH && done < view->size; n++, done += VERITY_BLOCK_BYTES) {
            const uint8_t *data = view->data + done;

            if (view->size - done < VERITY_BLOCK_BYTES) {
                memset(blocks->last, 0, sizeof blocks->last);
                memcpy(blocks->last, data, view->size - done);
                data = blocks->last;
            }
            blocks->jobs[n] = (struct pyhash_job){
                .data = data, .size = VERITY_BLOCK_BYTES,
                .digest = digest_at(blocks, view->offset + done),
            };
        }
        pyhash_sha256_jobs(blocks->kernel, blocks->jobs, n);
    }
}

/* The next view from `offset` on; 0: there is no room for it now, or nothing left. */
static size_t next_size(const struct blocks *blocks, uint64_t offset, size_t used, unsigned nviews)
{
    uint64_t rest = blocks->piece->end - offset;
    size_t most = blocks->reader->max_view, room = blocks->views.capacity - used, size;

    size = rest < most ? (size_t)rest : most;
    return nviews < blocks->views.max_views && size <= room ? size : 0;
}

static void announce(struct blocks *blocks, uint64_t offset)
{
    size_t size, used = 0;

    if (!blocks->reader->announce)
        return;
    for (unsigned n = 0; (size = next_size(blocks, offset, used, n)) > 0; n++) {
        blocks->reader->announce(&blocks->views, blocks->piece->fd, offset, size);
        offset += size;
        used += size;
    }
}

/* Views from `*offset` on, as many as there is room for. */
static enum pyhash_status hash_views(struct blocks *blocks, uint64_t *offset,
                                     struct pyhash_error *error)
{
    struct pyhash_views *views = &blocks->views;
    struct pyhash_error none = { 0 };
    unsigned index = 0;
    size_t size;

    announce(blocks, *offset);
    while ((size = next_size(blocks, *offset, views->used, views->nviews)) > 0) {
        enum pyhash_status status
            = blocks->reader->acquire(views, blocks->piece->fd, *offset, size, error);

        if (status != PYHASH_OK) {
            blocks->reader->release(views, &index, &none);
            return status;
        }
        *offset += size;
    }
    for (unsigned n = 0; n < views->nviews; n++)
        hash_view(blocks, &views->view[n]);
    return blocks->reader->release(views, &index, error);
}

PYHASH_EXPORT enum pyhash_status pyhash_hash_verity_blocks(const struct pyhash_range *piece,
                                                           const struct pyhash_options *options,
                                                           uint8_t *digests,
                                                           struct pyhash_error *error)
{
    struct blocks *blocks;
    enum pyhash_status status;
    uint64_t offset;

    if (!piece || !options || !digests || !error || piece->fd < 0 || options->kernel_for
        || piece->start % PYHASH_SPAN_BYTES != 0 || piece->end < piece->start
        || piece->end > INT64_MAX)
        return PYHASH_ERR_ARGUMENT;
    *error = (struct pyhash_error){ 0 };
    status = pyhash_check_file(piece->fd, piece->end, error);
    if (status != PYHASH_OK)
        return status;
    blocks = calloc(1, sizeof *blocks);
    if (!blocks)
        return PYHASH_ERR_MEMORY;
    blocks->piece = piece;
    blocks->digests = digests;
    blocks->kernel = pyhash_select_kernel(options->kernel, pyhash_cpu_features());
    blocks->reader = pyhash_select_reader(options->reader, piece->fd);
    status = !blocks->kernel ? PYHASH_ERR_KERNEL
             : !blocks->reader ? PYHASH_ERR_ARGUMENT
             : blocks->reader->open(&blocks->views, blocks->reader->max_view,
                                    options->threads > 0 ? options->threads : 1);
    if (status == PYHASH_OK) {
        for (offset = piece->start; offset < piece->end && status == PYHASH_OK;)
            status = hash_views(blocks, &offset, error);
        blocks->reader->close(&blocks->views);
    }
    free(blocks);
    return status;
}
