/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel for each call, so that all of them have their turn; and what must not be written over. */
#ifndef KERNEL_TURNS_H
#define KERNEL_TURNS_H

#include <string.h>

#include "check.h"
#include "pyhash.h"
#include "straight.h"

static const uint8_t canary[DIGEST] = "untouched untouched untouched u";

/* Another one each time, those that do not run here left out; NULL is among them. The portable one,
 * being slow and the one that is compared with, comes rarely. */
static const char *next_kernel(void)
{
    static size_t next;
    struct pyhash_kernel_info info;

    for (;;) {
        size_t index = next++ % (pyhash_kernel_count() + 1);

        if (index == pyhash_kernel_count())
            return NULL;
        CHECK(pyhash_kernel_at(index, &info) == PYHASH_OK, "kernel %zu", index);
        if (info.supported && (strcmp(info.name, "portable") != 0 || next % 7 == 0))
            return info.name;
    }
}

#endif
