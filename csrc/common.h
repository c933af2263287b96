/* SPDX-License-Identifier: Apache-2.0 */
/* Load and store in a given byte order, and the macros that every file needs. No state, no I/O. */
#ifndef PYHASH_COMMON_H
#define PYHASH_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__)
#define PYHASH_EXPORT __attribute__((visibility("default")))
#define PYHASH_TARGET(isa) __attribute__((target(isa)))
#define PYHASH_INLINE static inline __attribute__((always_inline))
/* The value in this vector variable must exist as it stands: no regrouping of sums across it. */
#define PYHASH_KEEP(vector) __asm__("" : "+v"(vector))
/* The compiler must not know what this pointer points at: no loads pulled out of a loop. */
#define PYHASH_HIDE(pointer) __asm__("" : "+r"(pointer))
#else
#error "pyhash needs GCC or Clang: kernels use function target attributes"
#endif

PYHASH_INLINE uint32_t pyhash_load_be32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

PYHASH_INLINE uint64_t pyhash_load_le64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

PYHASH_INLINE void pyhash_store_be32(uint8_t *p, uint32_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    memcpy(p, &v, sizeof v);
}

PYHASH_INLINE void pyhash_store_be64(uint8_t *p, uint64_t v)
{
    pyhash_store_be32(p, (uint32_t)(v >> 32));
    pyhash_store_be32(p + 4, (uint32_t)v);
}

#endif
