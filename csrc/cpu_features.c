/* SPDX-License-Identifier: Apache-2.0 */
/* Feature detection by CPUID and XGETBV, or by what the kernel hands to each process, never by
 * parsing /proc/cpuinfo: under user-mode emulation that file describes the host, not the processor
 * that runs this code. */
#include "cpu_features.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* Register state that the operating system must save before the wide registers may be used
 * (Intel SDM volume 1, 13.3): SSE and AVX; and opmask, upper halves and upper sixteen. */
#define XCR0_AVX UINT64_C(0x06)
#define XCR0_AVX512 UINT64_C(0xe6)

struct feature {
    uint32_t bit;
    uint64_t xcr0;   /* state bits that must all be set */
    uint32_t ecx1;   /* CPUID leaf 1 */
    uint32_t ebx7;   /* CPUID leaf 7, sub-leaf 0 */
};

/* The vector kernels' byte shuffle, VPSHUFB, is part of AVX2. SSSE3 is asked for as well because
 * emulators can be told to leave it out, and then refuse both; no real processor is like that. */
static const struct feature features[] = {
    { PYHASH_CPU_AVX2, XCR0_AVX, bit_AVX | bit_SSSE3, bit_AVX2 },
    { PYHASH_CPU_AVX512, XCR0_AVX512, bit_AVX | bit_SSSE3, bit_AVX2 | bit_AVX512F | bit_AVX512BW },
    { PYHASH_CPU_SHANI, 0, bit_SSSE3 | bit_SSE4_1, bit_SHA },
};

static uint64_t enabled_state(uint32_t ecx1)
{
    uint32_t low, high;

    if (!(ecx1 & bit_OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static uint32_t detect(void)
{
    uint32_t eax, ebx, ecx, edx, ecx1, found = 0;
    uint64_t xcr0;

    if (!__get_cpuid(1, &eax, &ebx, &ecx1, &edx) || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return 0;
    xcr0 = enabled_state(ecx1);
    for (unsigned i = 0; i < sizeof features / sizeof features[0]; i++) {
        const struct feature *f = &features[i];

        if ((xcr0 & f->xcr0) == f->xcr0 && (ecx1 & f->ecx1) == f->ecx1 && (ebx & f->ebx7) == f->ebx7)
            found |= f->bit;
    }
    return found;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

#define HWCAP_SHA2_BIT (UINT64_C(1) << 6) /* Linux, arch/arm64/include/uapi/asm/hwcap.h */

static uint32_t detect(void)
{
    return getauxval(AT_HWCAP) & HWCAP_SHA2_BIT ? PYHASH_CPU_ARM_SHA2 : 0;
}

#else

static uint32_t detect(void)
{
    return 0;
}

#endif

/* A virtual machine leaves its guest at every CPUID: measured, 25 microseconds for one detection, as
 * long as hashing 100 KiB. So it is done once. Threads that do it at the same time store the same. */
#define DETECTED (UINT32_C(1) << 31)

uint32_t pyhash_cpu_features(void)
{
    static uint32_t known;
    uint32_t found = __atomic_load_n(&known, __ATOMIC_RELAXED);

    if (!(found & DETECTED)) {
        found = detect() | DETECTED;
        __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    }
    return found & ~DETECTED;
}
