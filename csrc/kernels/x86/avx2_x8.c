/* SPDX-License-Identifier: Apache-2.0 */
/* Eight lanes in 256-bit registers. AVX2 has neither rotates nor three-input logic, so a rotate
 * is two shifts, and every xor that can be saved counts. */
#include "../../cpu_features.h"
#include "../../kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define LANES 8
#define LANES_TARGET PYHASH_TARGET("avx2")
#define VEC __m256i
#define STAGE char

#define V_LOAD(p) _mm256_load_si256((const __m256i *)(const void *)(p))
#define V_STORE(p, v) _mm256_store_si256((__m256i *)(void *)(p), v)
#define V_SET1(x) _mm256_set1_epi32((int)(x))
#define V_ADD(x, y) _mm256_add_epi32(x, y)
#define V_XOR(x, y) _mm256_xor_si256(x, y)
#define V_SHR(x, n) _mm256_srli_epi32(x, n)
#define V_ROTR(x, n) V_XOR(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))
#define V_XOR3(x, y, z) V_XOR(V_XOR(x, y), z)
#define V_CH(e, f, g) V_XOR(_mm256_and_si256(V_XOR(f, g), e), g)
/* b, unless a differs from b and b from c; b ^ c is left over from the round before. */
#define V_MAJ(a, b, c, ab, bc) V_XOR(_mm256_and_si256(ab, bc), b)

LANES_TARGET PYHASH_INLINE void stage_quarter(STAGE *stage, const uint8_t *const *data,
                                              size_t offset, int q)
{
    (void)stage, (void)data, (void)offset, (void)q; /* load_quarter reads the input itself */
}

/* 4x4 transpose of 32-bit words within each half; half k of row j holds lane 4k + j. */
LANES_TARGET PYHASH_INLINE void load_quarter(__m256i w[16], const STAGE *stage,
                                             const uint8_t *const *data, size_t offset, int q)
{
    const __m256i swap = _mm256_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3,
                                         12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    const size_t at = offset + 16 * (size_t)q;
    __m256i row[4], low[2], high[2];

    (void)stage;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        row[j] = _mm256_loadu2_m128i((const __m128i *)(const void *)(data[j + 4] + at),
                                     (const __m128i *)(const void *)(data[j] + at));
        row[j] = _mm256_shuffle_epi8(row[j], swap);
    }
    low[0] = _mm256_unpacklo_epi32(row[0], row[1]);
    high[0] = _mm256_unpackhi_epi32(row[0], row[1]);
    low[1] = _mm256_unpacklo_epi32(row[2], row[3]);
    high[1] = _mm256_unpackhi_epi32(row[2], row[3]);
    w[4 * q] = _mm256_unpacklo_epi64(low[0], low[1]);
    w[4 * q + 1] = _mm256_unpackhi_epi64(low[0], low[1]);
    w[4 * q + 2] = _mm256_unpacklo_epi64(high[0], high[1]);
    w[4 * q + 3] = _mm256_unpackhi_epi64(high[0], high[1]);
}

#include "../sha256_lanes_template.h"

const struct pyhash_kernel pyhash_kernel_avx2_x8 = {
    .name = "avx2_x8",
    .required_features = PYHASH_CPU_AVX2,
    .lanes = LANES,
    .compress = compress,
};

#endif
