/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) of many messages at once over one kernel: padding, and keeping every lane
 * busy. Knows no tree, no file and no thread. */
#ifndef PYHASH_SHA256_H
#define PYHASH_SHA256_H

#include "kernel.h"

/* One message, or the next run of bytes of one. */
struct pyhash_job {
    const uint8_t *data;   /* `size` bytes, the caller's */
    uint64_t size;         /* a multiple of 64 unless `digest` is set */
    uint32_t *state;       /* in and out: the running H_0 .. H_7; NULL: a message from its start,
                              whose state nobody wants */
    uint64_t before;       /* bytes that are in `state` already; a multiple of 64 */
    uint8_t *digest;       /* out: 32 bytes, when the message ends with these; NULL: more follows */
};

/* H_0 .. H_7 of the empty message (FIPS 180-4, 5.3.3). */
extern const uint32_t pyhash_sha256_initial[8];

/* Do all jobs. They are dealt to lanes in the given order and whenever a lane falls free, so jobs
 * of any sizes mix; put the longest first, or the last one runs alone. */
void pyhash_sha256_jobs(const struct pyhash_kernel *kernel, const struct pyhash_job *jobs,
                        size_t njobs);

#endif
