/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-128 of the spans of an open file, where they lie in the page cache: nothing is copied. */
#include "cpu_features.h"
#include "merkle.h"
#include "pieces.h"
#include "xxh3.h"

/* What one call holds. */
struct spans {
    uint32_t features;
    uint64_t start;
    uint8_t *digests;
};

static void hash_view(void *state, const struct pyhash_view *view)
{
    const struct spans *spans = state;
    uint8_t *digest = spans->digests
                      + (size_t)((view->offset - spans->start) / PYHASH_SPAN_BYTES)
                            * PYHASH_XXH3_BYTES;

    for (size_t done = 0; done < view->size; done += PYHASH_SPAN_BYTES, digest += PYHASH_XXH3_BYTES)
        pyhash_xxh3_span(view->data + done, spans->features, digest);
}

PYHASH_EXPORT enum pyhash_status pyhash_xxh3_spans(const struct pyhash_range *piece,
                                                   const struct pyhash_options *options,
                                                   uint8_t *digests, struct pyhash_error *error)
{
    struct spans spans = { .features = pyhash_cpu_features(), .digests = digests };

    if (!pyhash_is_piece(piece, options, digests, error) || options->kernel
        || piece->end % PYHASH_SPAN_BYTES != 0)
        return PYHASH_ERR_ARGUMENT;
    spans.start = piece->start;
    return pyhash_walk_piece(piece, options, hash_view, &spans, error);
}
