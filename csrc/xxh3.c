/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-128 as the xxHash specification has it for long input (doc/xxhash_spec.md, "XXH3 Algorithm
 * Description (for more than 240 bytes)", 128 bits, seed 0, default secret). The length is fixed, so
 * all that depends on it is a constant here. */
#include "xxh3.h"

#include "common.h"
#include "cpu_features.h"
#include "merkle.h"

#define STRIPE 64                     /* bytes that go through the eight accumulators at once */
#define STRIPES 16                    /* of a block: the secret moves on by 8 bytes for each */
#define BLOCK (STRIPE * STRIPES)
#define ACCUMULATORS 8
/* The last block is never scrambled: it ends in the last stripe, which has a place of its own in the
 * secret. */
#define WHOLE_BLOCKS ((PYHASH_SPAN_BYTES - 1) / BLOCK)
#define LAST_STRIPES ((PYHASH_SPAN_BYTES - 1) / STRIPE - WHOLE_BLOCKS * STRIPES)

/* How far ahead of a stripe the next ones are asked for. The hardware's own prefetchers stop at the
 * end of a page, so this reaches into the next one; 1 to 4 KiB gained some percent on Zen 3, seen
 * by hand. */
#define PREFETCH_BYTES 3072

#define SECRET_BYTES 192
#define SECRET_OF_SCRAMBLE (SECRET_BYTES - STRIPE)
#define SECRET_OF_LAST_STRIPE (SECRET_BYTES - STRIPE - 7)
#define SECRET_OF_LOW 11
#define SECRET_OF_HIGH (SECRET_BYTES - STRIPE - 11)

#define PRIME32_1 UINT32_C(0x9e3779b1)
#define PRIME32_2 UINT32_C(0x85ebca77)
#define PRIME32_3 UINT32_C(0xc2b2ae3d)
#define PRIME64_1 UINT64_C(0x9e3779b185ebca87)
#define PRIME64_2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define PRIME64_3 UINT64_C(0x165667b19e3779f9)
#define PRIME64_4 UINT64_C(0x85ebca77c2b2ae63)
#define PRIME64_5 UINT64_C(0x27d4eb2f165667c5)
#define PRIME_MX1 UINT64_C(0x165667919e3779f9)

static const uint8_t secret[SECRET_BYTES] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static void accumulate(uint64_t *sums, const uint8_t *stripe, const uint8_t *key)
{
    for (size_t i = 0; i < ACCUMULATORS; i++) {
        uint64_t value = pyhash_load_le64(stripe + 8 * i);
        uint64_t keyed = value ^ pyhash_load_le64(key + 8 * i);

        sums[i ^ 1] += value;
        sums[i] += (keyed & UINT32_MAX) * (keyed >> 32);
    }
}

static void add_blocks(uint64_t *sums, const uint8_t *data, size_t nblocks)
{
    for (; nblocks > 0; nblocks--, data += BLOCK) {
        for (size_t n = 0; n < STRIPES; n++)
            accumulate(sums, data + STRIPE * n, secret + 8 * n);
        for (size_t i = 0; i < ACCUMULATORS; i++) {
            sums[i] ^= sums[i] >> 47;
            sums[i] ^= pyhash_load_le64(secret + SECRET_OF_SCRAMBLE + 8 * i);
            sums[i] *= PRIME32_1;
        }
    }
}

#if defined(__x86_64__)

#include <immintrin.h>

/* Four of the accumulators after one stripe. The sum of a neighbour's input is a swap of halves. */
PYHASH_TARGET("avx2")
PYHASH_INLINE __m256i accumulate_four(__m256i sums, const uint8_t *stripe, const uint8_t *key)
{
    __m256i value = _mm256_loadu_si256((const __m256i *)stripe);
    __m256i keyed = _mm256_xor_si256(value, _mm256_loadu_si256((const __m256i *)key));
    __m256i product = _mm256_mul_epu32(keyed, _mm256_srli_epi64(keyed, 32));

    sums = _mm256_add_epi64(sums, _mm256_shuffle_epi32(value, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm256_add_epi64(sums, product);
}

PYHASH_TARGET("avx2")
PYHASH_INLINE __m256i scramble_four(__m256i sums, const uint8_t *key)
{
    const __m256i prime = _mm256_set1_epi32((int)PRIME32_1);
    __m256i high;

    sums = _mm256_xor_si256(sums, _mm256_srli_epi64(sums, 47));
    sums = _mm256_xor_si256(sums, _mm256_loadu_si256((const __m256i *)key));
    high = _mm256_mul_epu32(_mm256_srli_epi64(sums, 32), prime);
    return _mm256_add_epi64(_mm256_mul_epu32(sums, prime), _mm256_slli_epi64(high, 32));
}

PYHASH_TARGET("avx2")
static void add_blocks_avx2(uint64_t *sums, const uint8_t *data, size_t nblocks)
{
    __m256i low = _mm256_loadu_si256((const __m256i *)sums);
    __m256i high = _mm256_loadu_si256((const __m256i *)(sums + 4));

    for (; nblocks > 0; nblocks--, data += BLOCK) {
        for (size_t n = 0; n < STRIPES; n++) {
            /* By its number: no pointer may be made of what lies behind the span. */
            __builtin_prefetch((const void *)((uintptr_t)data + STRIPE * n + PREFETCH_BYTES));
            low = accumulate_four(low, data + STRIPE * n, secret + 8 * n);
            high = accumulate_four(high, data + STRIPE * n + 32, secret + 8 * n + 32);
        }
        low = scramble_four(low, secret + SECRET_OF_SCRAMBLE);
        high = scramble_four(high, secret + SECRET_OF_SCRAMBLE + 32);
    }
    _mm256_storeu_si256((__m256i *)sums, low);
    _mm256_storeu_si256((__m256i *)(sums + 4), high);
}

#endif

static uint64_t merge(const uint64_t *sums, const uint8_t *key, uint64_t start)
{
    uint64_t result = start;

    for (size_t i = 0; i < ACCUMULATORS; i += 2) {
        unsigned __int128 product = (unsigned __int128)(sums[i] ^ pyhash_load_le64(key + 8 * i))
                                    * (sums[i + 1] ^ pyhash_load_le64(key + 8 * i + 8));

        result += (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    result ^= result >> 37;
    result *= PRIME_MX1;
    return result ^ result >> 32;
}

void pyhash_xxh3_span(const uint8_t *span, uint32_t features, uint8_t *digest)
{
    uint64_t sums[ACCUMULATORS] = { PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3,
                                    PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1 };
    const uint64_t size = PYHASH_SPAN_BYTES;
    const uint8_t *rest = span + (size_t)WHOLE_BLOCKS * BLOCK;

#if defined(__x86_64__)
    if (features & PYHASH_CPU_AVX2)
        add_blocks_avx2(sums, span, WHOLE_BLOCKS);
    else
#endif
        add_blocks(sums, span, WHOLE_BLOCKS);
    (void)features;
    for (size_t n = 0; n < LAST_STRIPES; n++)
        accumulate(sums, rest + STRIPE * n, secret + 8 * n);
    accumulate(sums, span + PYHASH_SPAN_BYTES - STRIPE, secret + SECRET_OF_LAST_STRIPE);
    pyhash_store_be64(digest, merge(sums, secret + SECRET_OF_HIGH, ~(size * PRIME64_2)));
    pyhash_store_be64(digest + 8, merge(sums, secret + SECRET_OF_LOW, size * PRIME64_1));
}
