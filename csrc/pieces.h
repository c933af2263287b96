/* SPDX-License-Identifier: Apache-2.0 */
/* One piece of one open file, view after view, on the calling thread. Its caller cuts files into
 * pieces for as many threads as it has. */
#ifndef PYHASH_PIECES_H
#define PYHASH_PIECES_H

#include "io.h"

/* Is this a piece of a file that pyhash_walk_piece can walk, with what is needed to say how? */
int pyhash_is_piece(const struct pyhash_range *piece, const struct pyhash_options *options,
                    const uint8_t *digests, const struct pyhash_error *error);

/* Give every view of the piece to `take`, in order; of the options only `reader` and `others`
 * count. Unless this returns PYHASH_OK, what was computed from the views is worth nothing. */
enum pyhash_status pyhash_walk_piece(const struct pyhash_range *piece,
                                     const struct pyhash_options *options,
                                     void (*take)(void *state, const struct pyhash_view *view),
                                     void *state, struct pyhash_error *error);

#endif
