/* SPDX-License-Identifier: Apache-2.0 */
/* One message by the ARMv8 SHA-256 instructions. The rounds are in the template. */
#include "../../cpu_features.h"
#include "../../kernel.h"

#if defined(__aarch64__)

#define LANES 1
#include "sha2_template.h"

const struct pyhash_kernel pyhash_kernel_sha2 = {
    .name = "sha2",
    .required_features = PYHASH_CPU_ARM_SHA2,
    .lanes = LANES,
    .compress = compress,
};

#endif
