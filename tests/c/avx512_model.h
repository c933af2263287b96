/* SPDX-License-Identifier: Apache-2.0 */
/* The AVX-512 intrinsics that kernels/x86/avx512_x16.c uses, in plain C, written from Intel's
 * published operation descriptions (Intrinsics Guide; SDM volume 2). Given to the compiler with
 * -include, it makes that very source run on processors without AVX-512: its digests can be
 * proved there, its speed cannot. An intrinsic that is missing here does not compile. */
#ifndef PYHASH_TEST_AVX512_MODEL_H
#define PYHASH_TEST_AVX512_MODEL_H

#if defined(__x86_64__)

#include <immintrin.h> /* first, so that it cannot be included once the names below are taken */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

/* The compiler must not use the real instructions for anything here. */
#undef PYHASH_TARGET
#define PYHASH_TARGET(isa)
#undef PYHASH_KEEP
#define PYHASH_KEEP(vector)

#define pyhash_kernel_avx512_x16 pyhash_kernel_avx512_x16_modelled

typedef struct {
    uint32_t dword[16]; /* [0] is bits 31..0 */
} model512;

#define MODEL static __attribute__((noinline)) model512
#define EACH_DWORD for (unsigned i = 0; i < 16; i++)

/* The aligned forms fault on addresses that are no multiple of 64. */
static inline void model_check_aligned(const void *address)
{
    if ((uintptr_t)address % 64 != 0)
        abort();
}

MODEL model_load(const void *from)
{
    model512 r;

    model_check_aligned(from);
    memcpy(&r, from, sizeof r);
    return r;
}

static inline void model_store(void *to, model512 a)
{
    model_check_aligned(to);
    memcpy(to, &a, sizeof a);
}

MODEL model_set1(int a)
{
    model512 r;

    EACH_DWORD r.dword[i] = (uint32_t)a;
    return r;
}

/* VBROADCASTI32X4 of (d, c, b, a), a lowest. */
MODEL model_set4(int d, int c, int b, int a)
{
    const uint32_t four[4] = { (uint32_t)a, (uint32_t)b, (uint32_t)c, (uint32_t)d };
    model512 r;

    EACH_DWORD r.dword[i] = four[i % 4];
    return r;
}

/* VPADDD. */
MODEL model_add(model512 a, model512 b)
{
    EACH_DWORD a.dword[i] += b.dword[i];
    return a;
}

/* VPXORD. */
MODEL model_xor(model512 a, model512 b)
{
    EACH_DWORD a.dword[i] ^= b.dword[i];
    return a;
}

/* VPSRLD: counts above 31 give zero. */
MODEL model_srli(model512 a, unsigned imm8)
{
    EACH_DWORD a.dword[i] = imm8 > 31 ? 0 : a.dword[i] >> imm8;
    return a;
}

/* VPRORD: the count is taken modulo 32. */
MODEL model_ror(model512 a, int imm8)
{
    const unsigned n = (unsigned)imm8 % 32;

    EACH_DWORD a.dword[i] = a.dword[i] >> n | a.dword[i] << (32 - n) % 32;
    return a;
}

/* VPTERNLOGD: each result bit is imm8[a << 2 | b << 1 | c] of the three bits at its place. */
MODEL model_ternarylogic(model512 a, model512 b, model512 c, int imm8)
{
    model512 r = { { 0 } };

    for (int index = 0; index < 8; index++) {
        if (!(imm8 >> index & 1))
            continue;
        EACH_DWORD r.dword[i] |= (index & 4 ? a.dword[i] : ~a.dword[i])
                                 & (index & 2 ? b.dword[i] : ~b.dword[i])
                                 & (index & 1 ? c.dword[i] : ~c.dword[i]);
    }
    return r;
}

/* VPUNPCKLDQ, VPUNPCKHDQ, VPUNPCKLQDQ, VPUNPCKHQDQ: within each 128 bits. */
MODEL model_unpack_dwords(model512 a, model512 b, unsigned first)
{
    model512 r;

    for (unsigned at = 0; at < 16; at += 4) {
        r.dword[at] = a.dword[at + first];
        r.dword[at + 1] = b.dword[at + first];
        r.dword[at + 2] = a.dword[at + first + 1];
        r.dword[at + 3] = b.dword[at + first + 1];
    }
    return r;
}

MODEL model_unpack_qwords(model512 a, model512 b, unsigned first)
{
    model512 r;

    for (unsigned at = 0; at < 16; at += 4) {
        r.dword[at] = a.dword[at + first];
        r.dword[at + 1] = a.dword[at + first + 1];
        r.dword[at + 2] = b.dword[at + first];
        r.dword[at + 3] = b.dword[at + first + 1];
    }
    return r;
}

/* VPSHUFB: within each 128 bits, byte i becomes the byte that control byte i names by its low
 * four bits, or zero where the control's top bit is set. */
MODEL model_shuffle_bytes(model512 a, model512 control)
{
    uint8_t from[64], by[64], to[64];
    model512 r;

    memcpy(from, &a, sizeof from);
    memcpy(by, &control, sizeof by);
    for (unsigned i = 0; i < 64; i++)
        to[i] = by[i] & 0x80 ? 0 : from[i / 16 * 16 + by[i] % 16];
    memcpy(&r, to, sizeof r);
    return r;
}

/* Without optimisation some of these are macros of the compiler's header. */
#undef _mm512_srli_epi32
#undef _mm512_ror_epi32
#undef _mm512_ternarylogic_epi32

#define __m512i model512
#define _mm512_load_si512(p) model_load(p)
#define _mm512_store_si512(p, a) model_store(p, a)
#define _mm512_set1_epi32(a) model_set1(a)
#define _mm512_set4_epi32(d, c, b, a) model_set4(d, c, b, a)
#define _mm512_add_epi32(a, b) model_add(a, b)
#define _mm512_xor_si512(a, b) model_xor(a, b)
#define _mm512_srli_epi32(a, imm8) model_srli(a, imm8)
#define _mm512_ror_epi32(a, imm8) model_ror(a, imm8)
#define _mm512_ternarylogic_epi32(a, b, c, imm8) model_ternarylogic(a, b, c, imm8)
#define _mm512_unpacklo_epi32(a, b) model_unpack_dwords(a, b, 0)
#define _mm512_unpackhi_epi32(a, b) model_unpack_dwords(a, b, 2)
#define _mm512_unpacklo_epi64(a, b) model_unpack_qwords(a, b, 0)
#define _mm512_unpackhi_epi64(a, b) model_unpack_qwords(a, b, 2)
#define _mm512_shuffle_epi8(a, b) model_shuffle_bytes(a, b)

#endif
#endif
