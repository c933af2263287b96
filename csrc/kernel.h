/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel is: one implementation of the SHA-256 compression function (FIPS 180-4, 6.2.2)
 * over some number of lanes. Padding, message order and trees are other files' concern. */
#ifndef PYHASH_KERNEL_H
#define PYHASH_KERNEL_H

#include "common.h"

#define PYHASH_BLOCK_BYTES 64
#define PYHASH_DIGEST_BYTES 32
#define PYHASH_MAX_LANES 16

/* Running states of up to 16 messages, word by word: word[i][j] is H_i of lane j, so that a
 * vector kernel loads one word of all its lanes at once. */
struct pyhash_lanes {
    _Alignas(64) uint32_t word[8][PYHASH_MAX_LANES];
};

struct pyhash_kernel {
    const char *name;             /* instruction set and lane count, never a processor's name */
    uint32_t required_features;   /* PYHASH_CPU_... bits, all of them needed */
    uint32_t lanes;               /* 1 to PYHASH_MAX_LANES */

    /* Advance the states of lanes 0 .. lanes-1 by `nblocks` > 0 blocks each. `data[j]` points at
     * nblocks * 64 readable bytes of any alignment; lanes may share them. Only hints (prefetch)
     * may touch addresses beyond. */
    void (*compress)(struct pyhash_lanes *state, const uint8_t *const *data, size_t nblocks);
};

/* The kernels of one call: which hashes n messages side by side is of[min(n, 16) - 1]. */
struct pyhash_kernels {
    const struct pyhash_kernel *of[PYHASH_MAX_LANES];
};

PYHASH_INLINE const struct pyhash_kernel *pyhash_kernel_for(const struct pyhash_kernels *kernels,
                                                            size_t nmessages)
{
    return kernels->of[(nmessages < PYHASH_MAX_LANES ? nmessages : PYHASH_MAX_LANES) - 1];
}

/* Round constants K_0 .. K_63 (FIPS 180-4, 4.2.2). */
extern const uint32_t pyhash_sha256_k[64];

/* The kernel of that name, or with NULL the first of the list that `features` allows. NULL if
 * there is none. `features` are passed in, so tests can ask what another processor would get. */
const struct pyhash_kernel *pyhash_select_kernel(const char *name, uint32_t features);

#endif
