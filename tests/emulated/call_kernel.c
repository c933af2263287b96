/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one kernel whether or not the processor has what it needs, past the dispatcher, and prints
 * the digest of "abc". On a processor that lacks the instructions it must die of SIGILL: that is
 * what shows that an emulated processor really lacks them.
 *
 * usage: call_kernel KERNEL */
#include <stdio.h>

#include "kernel.h"
#include "sha256.h"

int main(int argc, char **argv)
{
    const struct pyhash_kernel *kernel;
    struct pyhash_job job = { .data = (const uint8_t *)"abc", .size = 3 };
    uint8_t digest[PYHASH_DIGEST_BYTES];

    kernel = argc == 2 ? pyhash_select_kernel(argv[1], UINT32_MAX) : NULL;
    if (!kernel) {
        fprintf(stderr, "usage: %s KERNEL\n", argv[0]);
        return 2;
    }
    job.digest = digest;
    pyhash_sha256_jobs(kernel, &job, 1);
    for (size_t i = 0; i < sizeof digest; i++)
        printf("%02x", digest[i]);
    printf("\n");
    return 0;
}
