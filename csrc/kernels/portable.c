/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel that runs everywhere and that every other one is compared with: FIPS 180-4, 6.2.2,
 * written as the standard has it. Not fast, and not meant to be. */
#include "../kernel.h"

const uint32_t pyhash_sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

PYHASH_INLINE uint32_t rotate_right(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static void expand_message(uint32_t w[64], const uint8_t *block)
{
    for (int t = 0; t < 16; t++)
        w[t] = pyhash_load_be32(block + 4 * t);
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = rotate_right(w[t - 15], 7) ^ rotate_right(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotate_right(w[t - 2], 17) ^ rotate_right(w[t - 2], 19) ^ w[t - 2] >> 10;

        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
}

/* One round. Instead of moving the eight values along, the next round is called with their roles
 * moved. */
PYHASH_INLINE void round_once(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e,
                              uint32_t f, uint32_t g, uint32_t *h, uint32_t k_plus_w)
{
    uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
    uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
    uint32_t ch = (e & f) ^ (~e & g);
    uint32_t maj = (a & b) ^ (a & c) ^ (b & c);
    uint32_t t1 = *h + sum1 + ch + k_plus_w;

    *d += t1;
    *h = t1 + sum0 + maj;
}

static void compress_block(uint32_t state[8], const uint8_t *block)
{
    const uint32_t *k = pyhash_sha256_k;
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    uint32_t w[64];

    expand_message(w, block);
    for (int t = 0; t < 64; t += 8) {
        round_once(a, b, c, &d, e, f, g, &h, k[t] + w[t]);
        round_once(h, a, b, &c, d, e, f, &g, k[t + 1] + w[t + 1]);
        round_once(g, h, a, &b, c, d, e, &f, k[t + 2] + w[t + 2]);
        round_once(f, g, h, &a, b, c, d, &e, k[t + 3] + w[t + 3]);
        round_once(e, f, g, &h, a, b, c, &d, k[t + 4] + w[t + 4]);
        round_once(d, e, f, &g, h, a, b, &c, k[t + 5] + w[t + 5]);
        round_once(c, d, e, &f, g, h, a, &b, k[t + 6] + w[t + 6]);
        round_once(b, c, d, &e, f, g, h, &a, k[t + 7] + w[t + 7]);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void compress(struct pyhash_lanes *state, const uint8_t *const *data, size_t nblocks)
{
    uint32_t h[8];

    for (int i = 0; i < 8; i++)
        h[i] = state->word[i][0];
    for (size_t b = 0; b < nblocks; b++)
        compress_block(h, data[0] + b * PYHASH_BLOCK_BYTES);
    for (int i = 0; i < 8; i++)
        state->word[i][0] = h[i];
}

const struct pyhash_kernel pyhash_kernel_portable = {
    .name = "portable",
    .required_features = 0,
    .lanes = 1,
    .compress = compress,
};
