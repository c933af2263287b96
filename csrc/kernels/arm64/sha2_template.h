/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by the ARMv8 cryptographic extension, LANES messages interleaved. Included once by each
 * kernel that uses it, which defines LANES, 1 or 2, before. One message alone leaves the unit idle
 * while each SHA256H waits for the one before; a second one fills those gaps.
 *
 * SHA256H and SHA256H2 do four rounds on the state as two registers, ABCD and EFGH (Arm ARM,
 * C7.2, "SHA256H"). */
#if defined(__clang__) && __clang_major__ < 16 && !defined(__ARM_FEATURE_SHA2)
/* Until version 16, Clang's arm_neon.h shows these intrinsics only where the whole file may use
 * them, and not to a function with the target attribute. */
#define __ARM_FEATURE_SHA2 1
#include <arm_neon.h>
#undef __ARM_FEATURE_SHA2
#else
#include <arm_neon.h>
#endif

/* GCC's "+crypto" is older than its "+sha2" (GCC 8), and covers it. */
#if defined(__clang__)
#define SHA2_TARGET PYHASH_TARGET("sha2")
#else
#define SHA2_TARGET PYHASH_TARGET("+crypto")
#endif

/* Bytes ahead of the block being hashed. Not measured: no such machine was at hand. */
#define PREFETCH_BYTES 1024

#define EACH_LANE _Pragma("GCC unroll 2") for (int j = 0; j < LANES; j++)

/* Four rounds with message words m[i], and with `expand` the words that come sixteen later. */
#define FOUR_ROUNDS(i, t, expand)                                                              \
    EACH_LANE                                                                                  \
    {                                                                                          \
        uint32x4_t sum_ = vaddq_u32(m[j][i], vld1q_u32(pyhash_sha256_k + (t)));                \
        uint32x4_t abcd_ = abcd[j];                                                            \
        if (expand)                                                                            \
            m[j][i] = vsha256su1q_u32(vsha256su0q_u32(m[j][i], m[j][((i) + 1) & 3]),           \
                                      m[j][((i) + 2) & 3], m[j][((i) + 3) & 3]);               \
        abcd[j] = vsha256hq_u32(abcd[j], efgh[j], sum_);                                       \
        efgh[j] = vsha256h2q_u32(efgh[j], abcd_, sum_);                                        \
    }

#define SIXTEEN_ROUNDS(t, expand)       \
    do {                                \
        FOUR_ROUNDS(0, t, expand)       \
        FOUR_ROUNDS(1, t + 4, expand)   \
        FOUR_ROUNDS(2, t + 8, expand)   \
        FOUR_ROUNDS(3, t + 12, expand)  \
    } while (0)

SHA2_TARGET static void compress(struct pyhash_lanes *state, const uint8_t *const *data,
                                 size_t nblocks)
{
    uint32_t(*h)[PYHASH_MAX_LANES] = state->word;
    uint32x4_t abcd[LANES], efgh[LANES];

    EACH_LANE
    {
        abcd[j] = (uint32x4_t){ h[0][j], h[1][j], h[2][j], h[3][j] };
        efgh[j] = (uint32x4_t){ h[4][j], h[5][j], h[6][j], h[7][j] };
    }
    for (size_t offset = 0; offset < nblocks * PYHASH_BLOCK_BYTES; offset += PYHASH_BLOCK_BYTES) {
        uint32x4_t m[LANES][4], abcd_before[LANES], efgh_before[LANES];

        EACH_LANE
        {
            __builtin_prefetch(data[j] + offset + PREFETCH_BYTES);
            abcd_before[j] = abcd[j];
            efgh_before[j] = efgh[j];
            /* Left to itself GCC keeps this loop, and with it the message in memory. */
            _Pragma("GCC unroll 4") for (size_t i = 0; i < 4; i++)
                m[j][i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data[j] + offset + 16 * i)));
        }
        SIXTEEN_ROUNDS(0, 1);
        SIXTEEN_ROUNDS(16, 1);
        SIXTEEN_ROUNDS(32, 1);
        SIXTEEN_ROUNDS(48, 0);
        EACH_LANE
        {
            abcd[j] = vaddq_u32(abcd[j], abcd_before[j]);
            efgh[j] = vaddq_u32(efgh[j], efgh_before[j]);
        }
    }
    EACH_LANE
    {
        for (int i = 0; i < 4; i++) {
            h[i][j] = abcd[j][i];
            h[4 + i][j] = efgh[j][i];
        }
    }
}
