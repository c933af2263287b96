/* SPDX-License-Identifier: Apache-2.0 */
/* The one list of kernels and the one loop that chooses from it. Nothing is remembered: the
 * choice is made once per call and handed down as a pointer. */
#include "cpu_features.h"
#include "kernel.h"
#include "pyhash.h"

#define PYHASH_KERNEL(symbol) extern const struct pyhash_kernel symbol;
#include "kernel_list.h"
#undef PYHASH_KERNEL

#define PYHASH_KERNEL(symbol) &symbol,
static const struct pyhash_kernel *const kernels[] = {
#include "kernel_list.h"
};
#undef PYHASH_KERNEL

#define NKERNELS (sizeof kernels / sizeof kernels[0])

static int is_supported(const struct pyhash_kernel *kernel, uint32_t features)
{
    return (kernel->required_features & features) == kernel->required_features;
}

const struct pyhash_kernel *pyhash_select_kernel(const char *name, uint32_t features)
{
    for (size_t i = 0; i < NKERNELS; i++) {
        if (is_supported(kernels[i], features) && (!name || strcmp(name, kernels[i]->name) == 0))
            return kernels[i];
    }
    return NULL;
}

PYHASH_EXPORT size_t pyhash_kernel_count(void)
{
    return NKERNELS;
}

PYHASH_EXPORT enum pyhash_status pyhash_kernel_at(size_t index, struct pyhash_kernel_info *info)
{
    if (index >= NKERNELS || !info)
        return PYHASH_ERR_ARGUMENT;
    info->name = kernels[index]->name;
    info->lanes = kernels[index]->lanes;
    info->supported = is_supported(kernels[index], pyhash_cpu_features());
    return PYHASH_OK;
}
