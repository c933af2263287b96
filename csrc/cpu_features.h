/* SPDX-License-Identifier: Apache-2.0 */
/* What this processor can run, as bits. A pure function of the processor. */
#ifndef PYHASH_CPU_FEATURES_H
#define PYHASH_CPU_FEATURES_H

#include <stdint.h>

#define PYHASH_CPU_AVX2 (UINT32_C(1) << 0)   /* AVX2, and the system saves 256-bit registers */
#define PYHASH_CPU_AVX512 (UINT32_C(1) << 1) /* AVX-512 F and BW, and 512-bit registers are saved */
#define PYHASH_CPU_SHANI (UINT32_C(1) << 2)  /* SHA extensions, with SSSE3 and SSE4.1 */
#define PYHASH_CPU_ARM_SHA2 (UINT32_C(1) << 3) /* ARMv8 SHA-256 instructions */

uint32_t pyhash_cpu_features(void);

#endif
