/* SPDX-License-Identifier: Apache-2.0 */
/* Two messages interleaved by the SHA extensions. The rounds are in the template. */
#include "../../cpu_features.h"
#include "../../kernel.h"

#if defined(__x86_64__)

#define LANES 2
#include "shani_template.h"

const struct pyhash_kernel pyhash_kernel_shani_x2 = {
    .name = "shani_x2",
    .required_features = PYHASH_CPU_SHANI,
    .lanes = LANES,
    .compress = compress,
};

#endif
