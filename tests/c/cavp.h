/* SPDX-License-Identifier: Apache-2.0 */
/* NIST's CAVP vectors for SHA-256, read from the lines that cavp_to_text.py writes. Computes
 * nothing. */
#ifndef PYHASH_TEST_CAVP_H
#define PYHASH_TEST_CAVP_H

#include "check.h"
#include "straight.h"

#define MAX_VECTORS 256
#define MAX_LINE 16384

struct vector {
    uint8_t *message;
    size_t size;
    uint8_t digest[DIGEST];
};

struct cavp {
    struct vector vectors[MAX_VECTORS];
    size_t nvectors, nmonte;
    uint8_t seed[DIGEST], monte[MAX_VECTORS][DIGEST];
};

static inline size_t read_hex(const char *hex, uint8_t *bytes)
{
    size_t size = 0;
    unsigned byte;

    while (sscanf(hex + 2 * size, "%2x", &byte) == 1)
        bytes[size++] = (uint8_t)byte;
    return size;
}

static inline void load_cavp(struct cavp *cavp, const char *path)
{
    static char line[MAX_LINE], word[16], first[MAX_LINE], second[MAX_LINE];
    FILE *file = fopen(path, "r");

    NEED(file != NULL);
    while (fgets(line, sizeof line, file)) {
        struct vector *vector = &cavp->vectors[cavp->nvectors];

        CHECK(cavp->nvectors < MAX_VECTORS && cavp->nmonte < MAX_VECTORS, "%s is too long", path);
        CHECK(sscanf(line, "%15s %16383s %16383s", word, first, second) >= 2, "%s: %s", path, line);
        if (strcmp(word, "seed") == 0) {
            read_hex(first, cavp->seed);
        } else if (strcmp(word, "monte") == 0) {
            read_hex(first, cavp->monte[cavp->nmonte++]);
        } else {
            vector->message = need_memory(strlen(first) / 2);
            vector->size = strcmp(first, "-") == 0 ? 0 : read_hex(first, vector->message);
            CHECK(read_hex(second, vector->digest) == DIGEST, "%s: %s", path, line);
            cavp->nvectors++;
        }
    }
    fclose(file);
    CHECK(cavp->nvectors == 129 && cavp->nmonte == 100, "%s: %zu and %zu vectors", path,
          cavp->nvectors, cavp->nmonte);
}

static inline void free_cavp(struct cavp *cavp)
{
    for (size_t i = 0; i < cavp->nvectors; i++)
        free(cavp->vectors[i].message);
}

#endif
