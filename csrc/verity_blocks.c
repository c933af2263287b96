/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of the blocks of an open file, which fs-verity's tree begins with. */
#include <stdlib.h>

#include "cpu_features.h"
#include "pieces.h"
#include "sha256.h"

/* fs-verity's. */
#define VERITY_BLOCK_BYTES 4096
/* Jobs that are made at a time. */
#define BATCH 256

/* What one call holds. */
struct blocks {
    const struct pyhash_kernel *kernel;
    uint64_t start;
    uint8_t *digests;
    struct pyhash_job jobs[BATCH];
    uint8_t last[VERITY_BLOCK_BYTES]; /* a block that the file does not fill, and zeros */
};

static uint8_t *digest_at(const struct blocks *blocks, uint64_t offset)
{
    return blocks->digests
           + (size_t)((offset - blocks->start) / VERITY_BLOCK_BYTES) * PYHASH_DIGEST_BYTES;
}

static void hash_view(void *state, const struct pyhash_view *view)
{
    struct blocks *blocks = state;
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

PYHASH_EXPORT enum pyhash_status pyhash_hash_verity_blocks(const struct pyhash_range *piece,
                                                           const struct pyhash_options *options,
                                                           uint8_t *digests,
                                                           struct pyhash_error *error)
{
    const struct pyhash_kernel *kernel;
    struct blocks *blocks;
    enum pyhash_status status;

    if (!pyhash_is_piece(piece, options, digests, error))
        return PYHASH_ERR_ARGUMENT;
    *error = (struct pyhash_error){ 0 };
    kernel = pyhash_select_kernel(options->kernel, pyhash_cpu_features());
    if (!kernel)
        return PYHASH_ERR_KERNEL;
    blocks = calloc(1, sizeof *blocks);
    if (!blocks)
        return PYHASH_ERR_MEMORY;
    blocks->kernel = kernel;
    blocks->start = piece->start;
    blocks->digests = digests;
    status = pyhash_walk_piece(piece, options, hash_view, blocks, error);
    free(blocks);
    return status;
}
