/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 rounds over LANES messages side by side: vector element j belongs to lane j. Included
 * once by each vector kernel, which defines before:
 *
 *   LANES                  8 or 16
 *   LANES_TARGET           target attribute of the functions
 *   VEC                    vector of LANES 32-bit words
 *   V_LOAD(p) V_STORE(p,v) aligned, of LANES words
 *   V_SET1(x)              x in every lane
 *   V_ADD V_XOR(x,y)       lane by lane
 *   V_ROTR(x,n) V_SHR(x,n) by a constant n
 *   V_XOR3(x,y,z)          x ^ y ^ z
 *   V_CH(e,f,g)            e ? f : g, bit by bit
 *   V_MAJ(a,b,c,ab,bc)     majority, bit by bit; ab is a ^ b and bc is b ^ c, for those without a
 *                        three-input instruction
 *   STAGE                  a type that holds input on its way to load_quarter (may be char)
 *   stage_quarter(s,d,o,q) look at words 4q .. 4q+3 at offset o of all lanes d, into s
 *   load_quarter(w,s,d,o,q) words 4q .. 4q+3 of the block at offset o, big-endian, into w[4q..]
 *
 * Loops are unrolled by pragma where all indices must be constants for `w` to live in registers;
 * -O2 of gcc 12 does not unroll by itself. The last 48 rounds stay a loop of three: unrolled they
 * were no faster with gcc and slower with clang (docs/kernels.md).
 *
 * Staging and prefetch for the next block are spread over the rounds of this one. Prefetch
 * matters: with 16 streams the hardware's own prefetchers give up, and without it data that is
 * not in cache hashes at down to half the speed (measured on Cascade Lake). */

/* How far ahead of the block being hashed each lane is prefetched, bytes. 256 to 2048 measured
 * within 3 % of each other; 512 is eight blocks, so about the latency of DRAM. */
#define PREFETCH_BYTES 512

#define SUM0(x) V_XOR3(V_ROTR(x, 2), V_ROTR(x, 13), V_ROTR(x, 22))
#define SUM1(x) V_XOR3(V_ROTR(x, 6), V_ROTR(x, 11), V_ROTR(x, 25))
#define SIGMA0(x) V_XOR3(V_ROTR(x, 7), V_ROTR(x, 18), V_SHR(x, 3))
#define SIGMA1(x) V_XOR3(V_ROTR(x, 17), V_ROTR(x, 19), V_SHR(x, 10))

/* One round (FIPS 180-4, 6.2.2, step 3) with the roles of the eight variables rotated instead of
 * their values. `bc` is b ^ c on entry, which is a ^ b of the round before. What does not need the
 * round before is summed up first: left alone, compilers put h + wt + kt at the end of the chain
 * that the next round waits for, which costs 2 to 3 %. */
#define ROUND(a, b, c, d, e, f, g, h, wt, kt)                                            \
    do {                                                                                 \
        VEC ab_ = V_XOR(a, b), early_ = V_ADD(h, V_ADD(wt, V_SET1(kt))), t1_;            \
        PYHASH_KEEP(early_);                                                             \
        t1_ = V_ADD(V_ADD(early_, V_CH(e, f, g)), SUM1(e));                              \
        d = V_ADD(d, t1_);                                                               \
        h = V_ADD(V_ADD(t1_, SUM0(a)), V_MAJ(a, b, c, ab_, bc));                         \
        bc = ab_;                                                                        \
    } while (0)

#define EXPAND(t)                                                                      \
    (w[(t) & 15] = V_ADD(V_ADD(w[(t) & 15], SIGMA0(w[((t) + 1) & 15])),                \
                         V_ADD(w[((t) + 9) & 15], SIGMA1(w[((t) + 14) & 15]))))

#define EIGHT_ROUNDS(t, W)                                   \
    do {                                                     \
        ROUND(s0, s1, s2, s3, s4, s5, s6, s7, W(t), k[t]);         \
        ROUND(s7, s0, s1, s2, s3, s4, s5, s6, W(t + 1), k[t + 1]); \
        ROUND(s6, s7, s0, s1, s2, s3, s4, s5, W(t + 2), k[t + 2]); \
        ROUND(s5, s6, s7, s0, s1, s2, s3, s4, W(t + 3), k[t + 3]); \
        ROUND(s4, s5, s6, s7, s0, s1, s2, s3, W(t + 4), k[t + 4]); \
        ROUND(s3, s4, s5, s6, s7, s0, s1, s2, W(t + 5), k[t + 5]); \
        ROUND(s2, s3, s4, s5, s6, s7, s0, s1, W(t + 6), k[t + 6]); \
        ROUND(s1, s2, s3, s4, s5, s6, s7, s0, W(t + 7), k[t + 7]); \
    } while (0)

#define WORD(t) w[t]

LANES_TARGET PYHASH_INLINE void prefetch_quarter(const uint8_t *const *data, size_t offset, int q)
{
#pragma GCC unroll 4
    for (int j = 0; j < LANES / 4; j++)
        __builtin_prefetch(data[q * (LANES / 4) + j] + offset + PREFETCH_BYTES);
}

LANES_TARGET static void compress(struct pyhash_lanes *state, const uint8_t *const *data,
                                  size_t nblocks)
{
    const size_t end = nblocks * PYHASH_BLOCK_BYTES;
    VEC s0 = V_LOAD(state->word[0]), s1 = V_LOAD(state->word[1]);
    VEC s2 = V_LOAD(state->word[2]), s3 = V_LOAD(state->word[3]);
    VEC s4 = V_LOAD(state->word[4]), s5 = V_LOAD(state->word[5]);
    VEC s6 = V_LOAD(state->word[6]), s7 = V_LOAD(state->word[7]);
    STAGE stage;

    for (int q = 0; q < 4; q++)
        stage_quarter(&stage, data, 0, q);
    for (size_t offset = 0; offset < end; offset += PYHASH_BLOCK_BYTES) {
        /* The last block stages itself again rather than bytes that may not exist. */
        const size_t next = offset + PYHASH_BLOCK_BYTES < end ? offset + PYHASH_BLOCK_BYTES : offset;
        const uint32_t *k = pyhash_sha256_k;
        VEC w[16], bc = V_XOR(s1, s2);
        VEC before[8] = { s0, s1, s2, s3, s4, s5, s6, s7 };

        PYHASH_HIDE(k); /* or sixteen constants are kept on the stack as whole vectors */
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++)
            load_quarter(w, &stage, data, offset, q);
        stage_quarter(&stage, data, next, 0);
        prefetch_quarter(data, offset, 0);
        EIGHT_ROUNDS(0, WORD);
        EIGHT_ROUNDS(8, WORD);
#pragma GCC unroll 1
        for (int q = 1; q < 4; q++) {
            k += 16;
            PYHASH_HIDE(k);
            stage_quarter(&stage, data, next, q);
            prefetch_quarter(data, offset, q);
            EIGHT_ROUNDS(0, EXPAND);
            EIGHT_ROUNDS(8, EXPAND);
        }
        s0 = V_ADD(s0, before[0]), s1 = V_ADD(s1, before[1]);
        s2 = V_ADD(s2, before[2]), s3 = V_ADD(s3, before[3]);
        s4 = V_ADD(s4, before[4]), s5 = V_ADD(s5, before[5]);
        s6 = V_ADD(s6, before[6]), s7 = V_ADD(s7, before[7]);
    }
    V_STORE(state->word[0], s0), V_STORE(state->word[1], s1);
    V_STORE(state->word[2], s2), V_STORE(state->word[3], s3);
    V_STORE(state->word[4], s4), V_STORE(state->word[5], s5);
    V_STORE(state->word[6], s6), V_STORE(state->word[7], s7);
}
