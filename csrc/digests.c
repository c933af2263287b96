/* SPDX-License-Identifier: Apache-2.0 */
/* The two small calls on memory: folding nodes, and plain digests by one kernel. */
#include "cpu_features.h"
#include "merkle.h"
#include "pyhash.h"
#include "sha256.h"

#define BATCH 64

PYHASH_EXPORT enum pyhash_status pyhash_fold_nodes(const char *kernel, uint8_t *nodes,
                                                   size_t nnodes, uint8_t *root)
{
    const struct pyhash_kernel *chosen = pyhash_select_kernel(kernel, pyhash_cpu_features());

    if (!nodes || nnodes == 0 || !root)
        return PYHASH_ERR_ARGUMENT;
    if (!chosen)
        return PYHASH_ERR_KERNEL;
    pyhash_fold(chosen, nodes, nnodes);
    memcpy(root, nodes, PYHASH_DIGEST_BYTES);
    return PYHASH_OK;
}

PYHASH_EXPORT enum pyhash_status pyhash_hash_messages(const char *kernel, const uint8_t *messages,
                                                      size_t nmessages, size_t size,
                                                      uint8_t *digests)
{
    const struct pyhash_kernel *chosen = pyhash_select_kernel(kernel, pyhash_cpu_features());
    struct pyhash_job jobs[BATCH];

    if ((!messages && size > 0) || !digests)
        return PYHASH_ERR_ARGUMENT;
    if (!chosen)
        return PYHASH_ERR_KERNEL;
    while (nmessages > 0) {
        size_t n = nmessages < BATCH ? nmessages : BATCH;

        for (size_t i = 0; i < n; i++) {
            jobs[i] = (struct pyhash_job){ .data = messages, .size = size, .digest = digests };
            messages += size;
            digests += PYHASH_DIGEST_BYTES;
        }
        pyhash_sha256_jobs(chosen, jobs, n);
        nmessages -= n;
    }
    return PYHASH_OK;
}
