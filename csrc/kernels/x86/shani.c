/* SPDX-License-Identifier: Apache-2.0 */
/* One message by the SHA extensions. The rounds are in the template. */
#include "../../cpu_features.h"
#include "../../kernel.h"

#if defined(__x86_64__)

#define LANES 1
#include "shani_template.h"

const struct pyhash_kernel pyhash_kernel_shani = {
    .name = "shani",
    .required_features = PYHASH_CPU_SHANI,
    .lanes = LANES,
    .compress = compress,
};

#endif
