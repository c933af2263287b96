/* SPDX-License-Identifier: Apache-2.0 */
/* The dispatcher and the kernels on whatever processor this runs on, as lines for run.py to read.
 * The message is one block of the byte 'a', which ends where a forbidden page begins. Knows no
 * expected digest.
 *
 * usage: call_kernel           through the dispatcher: each kernel's digest or "refused", and
 *                              which kernel is chosen when none is named
 *        call_kernel KERNEL    past the dispatcher, whether or not the processor can run it: where
 *                              it cannot, this must die of SIGILL, which shows that the processor
 *                              really lacks what the dispatcher says it lacks */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu_features.h"
#include "pyhash.h"
#include "sha256.h"

static uint8_t *message_before_forbidden_page(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *base = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED || mprotect(base + page, page, PROT_NONE) != 0) {
        perror("call_kernel: memory");
        exit(2);
    }
    memset(base, 'a', page);
    return base + page - PYHASH_BLOCK_BYTES;
}

static void print_line(const char *name, const uint8_t *digest)
{
    printf("%s ", name);
    for (size_t i = 0; i < PYHASH_DIGEST_BYTES; i++)
        printf("%02x", digest[i]);
    printf("\n");
}

static void through_dispatcher(const uint8_t *message)
{
    uint8_t digest[PYHASH_DIGEST_BYTES];
    struct pyhash_kernel_info info;

    for (size_t i = 0; pyhash_kernel_at(i, &info) == PYHASH_OK; i++) {
        enum pyhash_status status =
            pyhash_hash_messages(info.name, message, 1, PYHASH_BLOCK_BYTES, digest);

        if (status == PYHASH_ERR_KERNEL && !info.supported)
            printf("%s refused\n", info.name);
        else if (status == PYHASH_OK && info.supported)
            print_line(info.name, digest);
        else
            printf("%s status %d, supported %d\n", info.name, status, info.supported);
    }
    printf("chosen %s\n", pyhash_select_kernel(NULL, pyhash_cpu_features())->name);
}

int main(int argc, char **argv)
{
    const uint8_t *message = message_before_forbidden_page();
    const struct pyhash_kernel *kernel = argc > 1 ? pyhash_select_kernel(argv[1], UINT32_MAX) : NULL;
    uint8_t digest[PYHASH_DIGEST_BYTES];

    if (argc > 2 || (argc == 2 && !kernel)) {
        fprintf(stderr, "usage: %s [KERNEL]\n", argv[0]);
        return 2;
    }
    if (!kernel) {
        through_dispatcher(message);
        return 0;
    }
    pyhash_sha256_jobs(kernel, &(struct pyhash_job){ .data = message, .size = PYHASH_BLOCK_BYTES,
                                                     .digest = digest }, 1);
    print_line(kernel->name, digest);
    return 0;
}
