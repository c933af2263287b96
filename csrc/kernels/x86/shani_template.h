/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 by the SHA extensions, LANES messages interleaved. Included once by each kernel that
 * uses them, which defines LANES, 1 or 2, before. One message alone leaves the unit idle while
 * each SHA256RNDS2 waits for the one before; a second one fills those gaps.
 *
 * The instructions keep the state as two registers, ABEF and CDGH (Intel SDM, SHA256RNDS2). */
#include <immintrin.h>

#define SHANI_TARGET PYHASH_TARGET("sha,ssse3,sse4.1")

/* Bytes ahead of the block being hashed; one or two streams are also followed by the hardware's
 * prefetchers, so this only helps across their page boundaries. */
#define PREFETCH_BYTES 1024

#define EACH_LANE _Pragma("GCC unroll 2") for (int j = 0; j < LANES; j++)

#define STATE_ABEF 0
#define STATE_CDGH 1

/* Four rounds with message words m[i]; the high half of the sum goes with the second pair. */
#define FOUR_ROUNDS(i, t)                                                                       \
    EACH_LANE                                                                                   \
    {                                                                                           \
        __m128i sum_ = _mm_add_epi32(                                                           \
            m[j][i], _mm_loadu_si128((const __m128i *)(const void *)(pyhash_sha256_k + (t))));  \
        s[j][STATE_CDGH] = _mm_sha256rnds2_epu32(s[j][STATE_CDGH], s[j][STATE_ABEF], sum_);     \
        s[j][STATE_ABEF] = _mm_sha256rnds2_epu32(s[j][STATE_ABEF], s[j][STATE_CDGH],            \
                                                 _mm_shuffle_epi32(sum_, 0x0e));                \
    }

/* Words t .. t+3 of the schedule from the sixteen before, which lie in m[i] .. m[i+3]. */
#define EXPAND(i)                                                                               \
    EACH_LANE                                                                                   \
    {                                                                                           \
        __m128i w9_ = _mm_alignr_epi8(m[j][((i) + 3) & 3], m[j][((i) + 2) & 3], 4);             \
        m[j][i] = _mm_sha256msg1_epu32(m[j][i], m[j][((i) + 1) & 3]);                           \
        m[j][i] = _mm_sha256msg2_epu32(_mm_add_epi32(m[j][i], w9_), m[j][((i) + 3) & 3]);       \
    }

#define SIXTEEN_ROUNDS(t)                                                                       \
    do {                                                                                        \
        EXPAND(0) FOUR_ROUNDS(0, t)                                                             \
        EXPAND(1) FOUR_ROUNDS(1, t + 4)                                                         \
        EXPAND(2) FOUR_ROUNDS(2, t + 8)                                                         \
        EXPAND(3) FOUR_ROUNDS(3, t + 12)                                                        \
    } while (0)

SHANI_TARGET static void load_state(__m128i s[2], const struct pyhash_lanes *state, int lane)
{
    const uint32_t(*h)[PYHASH_MAX_LANES] = state->word;

    s[STATE_ABEF] = _mm_set_epi32((int)h[0][lane], (int)h[1][lane], (int)h[4][lane], (int)h[5][lane]);
    s[STATE_CDGH] = _mm_set_epi32((int)h[2][lane], (int)h[3][lane], (int)h[6][lane], (int)h[7][lane]);
}

SHANI_TARGET static void store_state(struct pyhash_lanes *state, int lane, const __m128i s[2])
{
    uint32_t(*h)[PYHASH_MAX_LANES] = state->word;

    for (int i = 0; i < 2; i++) {
        h[2 * i][lane] = (uint32_t)_mm_extract_epi32(s[i], 3);
        h[2 * i + 1][lane] = (uint32_t)_mm_extract_epi32(s[i], 2);
        h[2 * i + 4][lane] = (uint32_t)_mm_extract_epi32(s[i], 1);
        h[2 * i + 5][lane] = (uint32_t)_mm_extract_epi32(s[i], 0);
    }
}

SHANI_TARGET static void compress(struct pyhash_lanes *state, const uint8_t *const *data,
                                  size_t nblocks)
{
    const __m128i swap = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i s[LANES][2];

    EACH_LANE load_state(s[j], state, j);
    for (size_t offset = 0; offset < nblocks * PYHASH_BLOCK_BYTES; offset += PYHASH_BLOCK_BYTES) {
        __m128i m[LANES][4], before[LANES][2];

        EACH_LANE
        {
            const __m128i *block = (const __m128i *)(const void *)(data[j] + offset);

            __builtin_prefetch(data[j] + offset + PREFETCH_BYTES);
            before[j][STATE_ABEF] = s[j][STATE_ABEF];
            before[j][STATE_CDGH] = s[j][STATE_CDGH];
            for (int i = 0; i < 4; i++)
                m[j][i] = _mm_shuffle_epi8(_mm_loadu_si128(block + i), swap);
        }
        FOUR_ROUNDS(0, 0)
        FOUR_ROUNDS(1, 4)
        FOUR_ROUNDS(2, 8)
        FOUR_ROUNDS(3, 12)
        SIXTEEN_ROUNDS(16);
        SIXTEEN_ROUNDS(32);
        SIXTEEN_ROUNDS(48);
        EACH_LANE
        {
            s[j][STATE_ABEF] = _mm_add_epi32(s[j][STATE_ABEF], before[j][STATE_ABEF]);
            s[j][STATE_CDGH] = _mm_add_epi32(s[j][STATE_CDGH], before[j][STATE_CDGH]);
        }
    }
    EACH_LANE store_state(state, j, s[j]);
}
