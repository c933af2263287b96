/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen lanes in 512-bit registers, with rotates and three-input logic in one instruction
 * each. The transpose goes half through memory: 128-bit copies into a staging buffer cost load
 * and store ports, which are idle, instead of the shuffle port, which is the bottleneck. */
#include "../../cpu_features.h"
#include "../../kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define LANES 16
#define LANES_TARGET PYHASH_TARGET("avx512f,avx512bw")
#define VEC __m512i

/* One block of all lanes: row[q][j][k] is words 4q .. 4q+3 of lane 4k + j. */
struct stage {
    _Alignas(64) __m128i row[4][4][4];
};
#define STAGE struct stage

#define V_LOAD(p) _mm512_load_si512((const void *)(p))
#define V_STORE(p, v) _mm512_store_si512((void *)(p), v)
#define V_SET1(x) _mm512_set1_epi32((int)(x))
#define V_ADD(x, y) _mm512_add_epi32(x, y)
#define V_XOR(x, y) _mm512_xor_si512(x, y)
#define V_SHR(x, n) _mm512_srli_epi32(x, n)
#define V_ROTR(x, n) _mm512_ror_epi32(x, n)
/* The constants are the truth tables of the three functions (Intel SDM, VPTERNLOG). */
#define V_XOR3(x, y, z) _mm512_ternarylogic_epi32(x, y, z, 0x96)
#define V_CH(e, f, g) _mm512_ternarylogic_epi32(e, f, g, 0xca)
#define V_MAJ(a, b, c, ab, bc) ((void)(ab), (void)(bc), _mm512_ternarylogic_epi32(a, b, c, 0xe8))

LANES_TARGET PYHASH_INLINE void stage_quarter(struct stage *stage, const uint8_t *const *data,
                                              size_t offset, int q)
{
#pragma GCC unroll 16
    for (int lane = 0; lane < LANES; lane++) {
        const __m128i *words = (const __m128i *)(const void *)(data[lane] + offset + 16 * (size_t)q);

        _mm_store_si128(&stage->row[q][lane % 4][lane / 4], _mm_loadu_si128(words));
    }
}

/* 4x4 transpose of 32-bit words within each 128 bits. Bytes are swapped first, not last: clang 14
 * merges a last VPSHUFB with the unpacking before it into five narrower instructions. */
LANES_TARGET PYHASH_INLINE void load_quarter(__m512i w[16], const struct stage *stage,
                                             const uint8_t *const *data, size_t offset, int q)
{
    const __m512i swap = _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203);
    __m512i row[4], low[2], high[2];

    (void)data, (void)offset;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++)
        row[j] = _mm512_shuffle_epi8(_mm512_load_si512((const void *)stage->row[q][j]), swap);
    low[0] = _mm512_unpacklo_epi32(row[0], row[1]);
    high[0] = _mm512_unpackhi_epi32(row[0], row[1]);
    low[1] = _mm512_unpacklo_epi32(row[2], row[3]);
    high[1] = _mm512_unpackhi_epi32(row[2], row[3]);
    w[4 * q] = _mm512_unpacklo_epi64(low[0], low[1]);
    w[4 * q + 1] = _mm512_unpackhi_epi64(low[0], low[1]);
    w[4 * q + 2] = _mm512_unpacklo_epi64(high[0], high[1]);
    w[4 * q + 3] = _mm512_unpackhi_epi64(high[0], high[1]);
}

#include "../sha256_lanes_template.h"

const struct pyhash_kernel pyhash_kernel_avx512_x16 = {
    .name = "avx512_x16",
    .required_features = PYHASH_CPU_AVX512,
    .lanes = LANES,
    .compress = compress,
};

#endif
