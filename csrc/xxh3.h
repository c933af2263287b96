/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-128 of one span. Finds rot, not attackers. No state, no I/O. */
#ifndef PYHASH_XXH3_H
#define PYHASH_XXH3_H

#include <stdint.h>

#define PYHASH_XXH3_BYTES 16

/* XXH3-128 with seed 0 of one whole span, in the canonical order: most significant byte first.
 * `features` are bits of cpu_features.h. */
void pyhash_xxh3_span(const uint8_t *span, uint32_t features, uint8_t *digest);

#endif
