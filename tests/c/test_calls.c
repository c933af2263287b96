/* SPDX-License-Identifier: Apache-2.0 */
/* The two small calls, pyhash_fold_nodes and pyhash_hash_messages, against the straight recursion:
 * every kernel, and the numbers around those of lanes. */
#include "check.h"
#include "kernel_turns.h"
#include "pyhash.h"
#include "straight.h"

static void test_fold_nodes(struct random *random)
{
    uint8_t nodes[300 * DIGEST], scratch[300 * DIGEST], root[DIGEST], expected[DIGEST];

    random_fill(random, nodes, sizeof nodes);
    for (size_t n = 1; n <= 300; n++) {
        straight_fold(nodes, n, expected);
        for (size_t round = 0; round <= pyhash_kernel_count(); round++) {
            const char *kernel = next_kernel();

            memcpy(scratch, nodes, n * DIGEST);
            CHECK(pyhash_fold_nodes(kernel, scratch, n, root) == PYHASH_OK, "%zu nodes", n);
            CHECK(memcmp(root, expected, DIGEST) == 0, "%zu nodes, %s", n, kernel ? kernel : "any");
        }
    }
    CHECK(pyhash_fold_nodes(NULL, scratch, 0, root) == PYHASH_ERR_ARGUMENT, "no nodes");
    CHECK(pyhash_fold_nodes(NULL, NULL, 1, root) == PYHASH_ERR_ARGUMENT, "nowhere");
    CHECK(pyhash_fold_nodes(NULL, scratch, 1, NULL) == PYHASH_ERR_ARGUMENT, "nowhere to");
    CHECK(pyhash_fold_nodes("none", scratch, 1, root) == PYHASH_ERR_KERNEL, "no kernel");
}

static void test_hash_messages(struct random *random)
{
    static const size_t counts[] = { 0, 1, 2, 15, 16, 17, 63, 64, 65, 130 };
    uint8_t messages[130 * 200], digests[131 * DIGEST], expected[DIGEST];

    random_fill(random, messages, sizeof messages);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (size_t size = 0; size <= 200; size += 1 + size / 10) {
            memcpy(digests + counts[c] * DIGEST, canary, DIGEST);
            CHECK(pyhash_hash_messages(next_kernel(), messages, counts[c], size, digests) == 0,
                  "%zu messages of %zu bytes", counts[c], size);
            for (size_t i = 0; i < counts[c]; i++) {
                straight_sha256(messages + i * size, size, expected);
                CHECK(memcmp(digests + i * DIGEST, expected, DIGEST) == 0, "message %zu", i);
            }
            CHECK(memcmp(digests + counts[c] * DIGEST, canary, DIGEST) == 0, "wrote beyond");
        }
    }
    CHECK(pyhash_hash_messages(NULL, NULL, 3, 0, digests) == PYHASH_OK, "three empty ones");
    CHECK(pyhash_hash_messages(NULL, NULL, 1, 1, digests) == PYHASH_ERR_ARGUMENT, "nowhere");
    CHECK(pyhash_hash_messages(NULL, messages, 1, 1, NULL) == PYHASH_ERR_ARGUMENT, "nowhere to");
    CHECK(pyhash_hash_messages("", messages, 1, 1, digests) == PYHASH_ERR_KERNEL, "no kernel");
}

int main(void)
{
    struct random random = { .state = 2 };

    test_fold_nodes(&random);
    test_hash_messages(&random);
    return 0;
}
