/* SPDX-License-Identifier: Apache-2.0 */
/* What the C tests share: a check that says where and with what it failed, and random numbers
 * that are the same in every run. Knows nothing of the engine. */
#ifndef PYHASH_TEST_CHECK_H
#define PYHASH_TEST_CHECK_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* End the program unless the condition holds; the rest is a format and what belongs to it. */
#define CHECK(condition, ...)                                                        \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #condition);  \
            fprintf(stderr, __VA_ARGS__);                                            \
            fprintf(stderr, "\n");                                                   \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

/* The same for calls of the system, which a test needs but does not test. */
#define NEED(condition) CHECK(condition, "errno %d, %s", errno, strerror(errno))

struct random {
    uint64_t state;
};

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* 0 .. limit-1; the bias does not matter here. */
static inline size_t random_below(struct random *random, size_t limit)
{
    return (size_t)(random_next(random) % limit);
}

static inline void random_fill(struct random *random, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = random_next(random);

        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

/* Memory that a test cannot do without. */
static inline void *need_memory(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);

    NEED(memory != NULL);
    return memory;
}

#endif
