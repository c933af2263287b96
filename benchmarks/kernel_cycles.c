/* SPDX-License-Identifier: Apache-2.0 */
/* Core cycles per byte of kernels, by a clock that is measured: virtual machines have no cycle
 * counter, and the time stamp counter runs at another rate than the core. A chain of dependent
 * additions, one cycle each, right before and right after every slice tells the core's clock.
 *
 * usage: kernel_cycles PLACE SLICES SEED KERNEL...   PLACE: cache | memory
 *        kernel_cycles                               how many of which instruction fit a cycle
 *
 * Kernels take turns, one span each (16 chunks of 64 KiB, 0.3 to 3 ms). `cache` gives all of them the
 * same span; `memory` gives every slice a span that nobody has touched for 2 GiB of others. Prints
 * one line for each slice: kernel, cycles per byte, core clock in GHz, and how far a loop of
 * independent additions got per cycle around it, which falls when somebody else uses the core. */
#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <x86intrin.h>

#include "cpu_features.h"
#include "kernel.h"

#define CHUNK_BYTES 65536
#define SPAN_BYTES (16 * CHUNK_BYTES)
#define MEMORY_SPANS 2048
#define CHAIN_ADDS 20000
#define MAX_KERNELS 16

static double tsc_hz;

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void measure_tsc(void)
{
    double start = seconds_now();
    uint64_t ticks = __rdtsc();

    while (seconds_now() - start < 0.2)
        continue;
    tsc_hz = (double)(__rdtsc() - ticks) / (seconds_now() - start);
}

/* Ticks for that many additions, each waiting for the one before: core cycles. */
static uint64_t chain_ticks(void)
{
    uint64_t x = 1, n = CHAIN_ADDS / 20, start = __rdtsc();

    __asm__ volatile("1:\n\t"
                     ".rept 20\n\tadd %0, %0\n\t.endr\n\t"
                     "dec %1\n\tjnz 1b"
                     : "+r"(x), "+r"(n));
    return __rdtsc() - start;
}

/* The shorter chain of two: the longer one was interrupted. */
static double cycles_per_tick(uint64_t before, uint64_t after)
{
    return (double)CHAIN_ADDS / (double)(before < after ? before : after);
}

/* Additions per cycle of a loop that waits for nothing. */
static double probe_width(double clock)
{
    uint64_t a = 1, b = 1, c = 1, d = 1, n = CHAIN_ADDS / 20, start = __rdtsc();

    __asm__ volatile("1:\n\t"
                     ".rept 10\n\t"
                     "add $1, %0\n\tadd $1, %1\n\tadd $1, %2\n\tadd $1, %3\n\t"
                     ".endr\n\t"
                     "dec %4\n\tjnz 1b"
                     : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(n));
    return 2.0 * CHAIN_ADDS / ((double)(__rdtsc() - start) * clock);
}

/* One span, as many chunks at a time as the kernel has lanes. */
static void hash_span(const struct pyhash_kernel *kernel, const uint8_t *span)
{
    struct pyhash_lanes state = { 0 };

    for (unsigned chunk = 0; chunk < 16; chunk += kernel->lanes) {
        const uint8_t *data[PYHASH_MAX_LANES];

        for (unsigned j = 0; j < kernel->lanes; j++)
            data[j] = span + (chunk + j) * CHUNK_BYTES;
        kernel->compress(&state, data, CHUNK_BYTES / PYHASH_BLOCK_BYTES);
    }
}

static void measure_slice(const struct pyhash_kernel *kernel, const uint8_t *span)
{
    uint64_t before = chain_ticks(), start, ticks, after;
    double clock, width;

    start = __rdtsc();
    hash_span(kernel, span);
    ticks = __rdtsc() - start;
    after = chain_ticks();
    clock = cycles_per_tick(before, after);
    width = probe_width(clock);
    printf("%s %.4f %.3f %.2f\n", kernel->name, (double)ticks * clock / SPAN_BYTES,
           clock * tsc_hz / 1e9, width);
}

static int measure_kernels(const char *place, unsigned nslices, unsigned seed, char **names,
                           int nnames)
{
    const struct pyhash_kernel *kernels[MAX_KERNELS];
    size_t nspans = strcmp(place, "memory") == 0 ? MEMORY_SPANS : 1, next = 0;
    uint8_t *memory = mmap(NULL, nspans * SPAN_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED || nnames > MAX_KERNELS)
        return 1;
    for (size_t i = 0; i < nspans * SPAN_BYTES; i += 8)
        *(uint64_t *)(void *)(memory + i) = i * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < nnames; i++) {
        kernels[i] = pyhash_select_kernel(names[i], pyhash_cpu_features());
        if (!kernels[i])
            return 2;
        hash_span(kernels[i], memory);
    }
    srand(seed);
    for (unsigned slice = 0; slice < nslices * (unsigned)nnames; slice++) {
        measure_slice(kernels[rand() % nnames], memory + next * SPAN_BYTES);
        next = (next + 1) % nspans;
    }
    return 0;
}

#define PORT_ROUNDS 201

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* How many of an instruction a core can begin in a cycle: ten independent chains of it. */
#define PORT(name, target, op)                                                           \
    target static void port_##name(void)                                                 \
    {                                                                                    \
        double widths[PORT_ROUNDS];                                                      \
        for (int round = 0; round < PORT_ROUNDS; round++) {                              \
            uint64_t n = 1000, before = chain_ticks(), start, ticks;                     \
            _mm256_zeroupper();                                                          \
            start = __rdtsc();                                                           \
            __asm__ volatile("1:\n\t" op "dec %0\n\tjnz 1b"                              \
                             : "+r"(n)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",  \
                               "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11");        \
            ticks = __rdtsc() - start;                                                   \
            widths[round] = 12000.0 / ((double)ticks * cycles_per_tick(before, chain_ticks())); \
        }                                                                                \
        qsort(widths, PORT_ROUNDS, sizeof *widths, compare);                             \
        printf("%s %.2f\n", #name, widths[PORT_ROUNDS / 2]);                             \
    }

#define TWELVE(op) ".irp i,0,1,2,3,4,5,6,7,8,9,10,11\n\t" op "\n\t.endr\n\t"
#define AVX512 PYHASH_TARGET("avx512f,avx512bw")
#define AVX2 PYHASH_TARGET("avx2")
#define SHA PYHASH_TARGET("avx2,sha,sse4.1")

PORT(zmm_rotate, AVX512, TWELVE("vprord $7, %%zmm\\i, %%zmm\\i"))
PORT(zmm_add, AVX512, TWELVE("vpaddd %%zmm\\i, %%zmm\\i, %%zmm\\i"))
PORT(zmm_ternary, AVX512, TWELVE("vpternlogd $0x96, %%zmm\\i, %%zmm\\i, %%zmm\\i"))
PORT(zmm_shuffle, AVX512, TWELVE("vpunpckldq %%zmm\\i, %%zmm\\i, %%zmm\\i"))
PORT(zmm_byte_shuffle, AVX512, TWELVE("vpshufb %%zmm\\i, %%zmm\\i, %%zmm\\i"))
PORT(zmm_mix, AVX512, ".irp i,0,3,6,9\n\tvprord $7, %%zmm\\i, %%zmm\\i\n\t.endr\n\t.irp i,1,4,7,10,2,5,8,11\n\tvpaddd %%zmm\\i, %%zmm\\i, %%zmm\\i\n\t.endr\n\t")
PORT(ymm_shift, AVX2, TWELVE("vpsrld $7, %%ymm\\i, %%ymm\\i"))
PORT(ymm_xor, AVX2, TWELVE("vpxor %%ymm12, %%ymm\\i, %%ymm\\i"))
PORT(sha256rnds2, SHA, ".irp i,1,2,3,4,5,6,7,8,9,10,11,2\n\tsha256rnds2 %%xmm0, %%xmm0, %%xmm\\i\n\t.endr\n\t")
PORT(sha256msg1, SHA, ".irp i,1,2,3,4,5,6,7,8,9,10,11,2\n\tsha256msg1 %%xmm0, %%xmm\\i\n\t.endr\n\t")
PORT(sha256msg2, SHA, ".irp i,1,2,3,4,5,6,7,8,9,10,11,2\n\tsha256msg2 %%xmm0, %%xmm\\i\n\t.endr\n\t")
PORT(sha256rnds2_chain, SHA, ".rept 12\n\tsha256rnds2 %%xmm0, %%xmm2, %%xmm1\n\t.endr\n\t")

int main(int argc, char **argv)
{
    measure_tsc();
    if (argc >= 5)
        return measure_kernels(argv[1], (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), argv + 4,
                               argc - 4);
    const uint32_t features = pyhash_cpu_features();

    if (features & PYHASH_CPU_AVX512) {
        port_zmm_rotate(), port_zmm_add(), port_zmm_ternary(), port_zmm_shuffle();
        port_zmm_byte_shuffle(), port_zmm_mix();
    }
    if (features & PYHASH_CPU_AVX2)
        port_ymm_shift(), port_ymm_xor();
    if (features & PYHASH_CPU_SHANI)
        port_sha256rnds2(), port_sha256msg1(), port_sha256msg2(), port_sha256rnds2_chain();
    return 0;
}
