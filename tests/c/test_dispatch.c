/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernel is chosen, asked for every processor that there could be: the choice is a pure
 * function of a name and the features. Computes no digest. */
#include "check.h"
#include "cpu_features.h"
#include "kernel.h"
#include "pyhash.h"

/* What the list should be, written down a second time. */
static const struct {
    const char *name;
    uint32_t features, lanes;
} expected[] = {
#if defined(__x86_64__)
    { "avx512_x16", PYHASH_CPU_AVX512, 16 },
    { "shani_x2", PYHASH_CPU_SHANI, 2 },
    { "avx2_x8", PYHASH_CPU_AVX2, 8 },
    { "shani", PYHASH_CPU_SHANI, 1 },
#elif defined(__aarch64__)
    { "sha2_x2", PYHASH_CPU_ARM_SHA2, 2 },
    { "sha2", PYHASH_CPU_ARM_SHA2, 1 },
#endif
    { "portable", 0, 1 },
};

#define NEXPECTED (sizeof expected / sizeof expected[0])
#define ALL_FEATURES \
    (PYHASH_CPU_AVX2 | PYHASH_CPU_AVX512 | PYHASH_CPU_SHANI | PYHASH_CPU_ARM_SHA2)

static void check_choice(const char *name, uint32_t features)
{
    const struct pyhash_kernel *kernel = pyhash_select_kernel(name, features);
    const char *wanted = NULL;

    for (size_t i = 0; i < NEXPECTED && !wanted; i++) {
        if (!(expected[i].features & ~features) && (!name || strcmp(name, expected[i].name) == 0))
            wanted = expected[i].name;
    }
    if (!wanted)
        CHECK(kernel == NULL, "%s with features %#x", name, features);
    else
        CHECK(kernel && strcmp(kernel->name, wanted) == 0, "%s with features %#x",
              name ? name : "(any)", features);
}

static void test_every_subset(void)
{
    for (uint32_t features = 0; features <= ALL_FEATURES; features++) {
        check_choice(NULL, features);
        check_choice(NULL, features | ~ALL_FEATURES);
        check_choice("", features);
        check_choice("Portable", features);
        check_choice("avx2_x8 ", features);
        check_choice("avx2", features);
        for (size_t i = 0; i < NEXPECTED; i++)
            check_choice(expected[i].name, features);
    }
}

static void test_list(void)
{
    struct pyhash_kernel_info info;

    CHECK(pyhash_kernel_count() == NEXPECTED, "%zu kernels", pyhash_kernel_count());
    for (size_t i = 0; i < NEXPECTED; i++) {
        CHECK(pyhash_kernel_at(i, &info) == PYHASH_OK, "kernel %zu", i);
        CHECK(strcmp(info.name, expected[i].name) == 0, "kernel %zu is %s", i, info.name);
        CHECK(info.lanes == expected[i].lanes, "%s has %u lanes", info.name, info.lanes);
        CHECK(info.supported == !(expected[i].features & ~pyhash_cpu_features()), "%s", info.name);
    }
    CHECK(pyhash_kernel_at(NEXPECTED, &info) == PYHASH_ERR_ARGUMENT, "one too far");
    CHECK(pyhash_kernel_at(SIZE_MAX, &info) == PYHASH_ERR_ARGUMENT, "far too far");
    CHECK(pyhash_kernel_at(0, NULL) == PYHASH_ERR_ARGUMENT, "nowhere to write");
}

/* GCC's own runtime asks the processor too; it must come to the same. */
static void test_features(void)
{
    uint32_t features = pyhash_cpu_features();

    CHECK(features == pyhash_cpu_features() && !(features & ~ALL_FEATURES), "%#x", features);
#if defined(__x86_64__) && !defined(__clang__)
    __builtin_cpu_init();
    CHECK(!(features & PYHASH_CPU_AVX2) == !__builtin_cpu_supports("avx2"), "%#x", features);
    CHECK(!(features & PYHASH_CPU_AVX512)
              == !(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")),
          "%#x", features);
#endif
}

static void test_texts(void)
{
    for (int status = PYHASH_OK; status < PYHASH_STATUS_COUNT; status++) {
        const char *text = pyhash_status_text((enum pyhash_status)status);

        CHECK(strcmp(text, "unknown status") != 0 && text[0] != '\0', "status %d", status);
        for (int other = 0; other < status; other++)
            CHECK(strcmp(text, pyhash_status_text((enum pyhash_status)other)) != 0, "%s", text);
    }
    CHECK(strcmp(pyhash_status_text(PYHASH_STATUS_COUNT), "unknown status") == 0, "one too far");
    CHECK(strcmp(pyhash_status_text((enum pyhash_status)-1), "unknown status") == 0, "negative");
}

int main(void)
{
    test_every_subset();
    test_list();
    test_features();
    test_texts();
    return 0;
}
