/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-128 of spans: against digests that the xxHash library gave (python-xxhash 4.1.0, library
 * 0.8.4), with and without AVX2; of files by every reader, warm and cold; a file that ends before
 * the piece; and nothing written beyond. */
#include "check.h"
#include "cpu_features.h"
#include "pyhash.h"
#include "straight.h"
#include "temp_file.h"
#include "xxh3.h"

#define KNOWN 3
#define SPANS 11

/* Of the span whose byte i is (i * (2k + 1)) ^ (i >> 8) ^ (i >> 16) * (k + 3), modulo 256. */
static const char *const known[KNOWN] = {
    "cec3c3c8dc60ea8870e5a243f6928cf5",
    "fbed84c26f8aa9af934066f8054aec93",
    "38d55250d781fa5e369569db298514c8",
};
static const char zeros[] = "b6ef17a3448492b6918780b90550bf34";

static const uint8_t canary[PYHASH_XXH3_BYTES] = "untouched, all";
static uint8_t *data;

static void fill(uint8_t *span, size_t k)
{
    for (size_t i = 0; i < SPAN; i++)
        span[i] = (uint8_t)((i * (2 * k + 1)) ^ i >> 8 ^ (i >> 16) * (k + 3));
}

static void expect(const uint8_t *digest, const char *expected, const char *what)
{
    char text[2 * PYHASH_XXH3_BYTES + 1];

    for (size_t i = 0; i < PYHASH_XXH3_BYTES; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    CHECK(strcmp(text, expected) == 0, "%s: %s, not %s", what, text, expected);
}

static void test_spans(void)
{
    const uint32_t features[] = { 0, pyhash_cpu_features() };
    uint8_t digest[PYHASH_XXH3_BYTES];
    uint8_t *odd = need_memory(SPAN + 1);

    for (size_t f = 0; f < 2; f++) {
        for (size_t k = 0; k < KNOWN; k++) {
            pyhash_xxh3_span(data + k * SPAN, features[f], digest);
            expect(digest, known[k], features[f] & PYHASH_CPU_AVX2 ? "AVX2" : "portable");
            memcpy(odd + 1, data + k * SPAN, SPAN);
            pyhash_xxh3_span(odd + 1, features[f], digest);
            expect(digest, known[k], "at an odd address");
        }
        memset(odd, 0, SPAN);
        pyhash_xxh3_span(odd, features[f], digest);
        expect(digest, zeros, "zeros");
    }
    free(odd);
    if (!(features[1] & PYHASH_CPU_AVX2))
        printf("NOTE: no AVX2 here: the portable path alone was tried\n");
}

static void check_piece(int fd, size_t first, size_t last, uint32_t reader)
{
    struct pyhash_range piece = { .fd = fd, .start = first * SPAN, .end = last * SPAN };
    struct pyhash_options options = { .reader = reader, .others = reader % 3 };
    uint8_t digests[(SPANS + 2) * PYHASH_XXH3_BYTES];
    struct pyhash_error error;
    enum pyhash_status status;

    memcpy(digests + (last - first) * PYHASH_XXH3_BYTES, canary, PYHASH_XXH3_BYTES);
    status = pyhash_xxh3_spans(&piece, &options, digests, &error);
    CHECK(status == PYHASH_OK, "%s, errno %d, reader %u", pyhash_status_text(status),
          error.os_errno, reader);
    for (size_t i = first; i < last; i++)
        expect(digests + (i - first) * PYHASH_XXH3_BYTES, known[i % KNOWN], "of a file");
    CHECK(memcmp(digests + (last - first) * PYHASH_XXH3_BYTES, canary, PYHASH_XXH3_BYTES) == 0,
          "wrote beyond [%zu, %zu)", first, last);
}

static void test_files(void)
{
    int fd = temp_file();

    for (size_t i = 0; i < SPANS; i++)
        write_at(fd, data + i % KNOWN * SPAN, SPAN, i * SPAN);
    write_at(fd, data, 5, SPANS * SPAN);
    NEED(fdatasync(fd) == 0);
    for (uint32_t reader = 0; reader < PYHASH_READER_COUNT; reader++) {
        for (size_t first = 0; first <= SPANS; first++) {
            posix_fadvise(fd, 0, 0, first % 2 ? POSIX_FADV_NORMAL : POSIX_FADV_DONTNEED);
            check_piece(fd, first, SPANS, reader);
        }
        check_piece(fd, 2, 3, reader);
    }
    close(fd);
}

static void test_refusals(void)
{
    struct pyhash_options options = { 0 };
    struct pyhash_error error;
    uint8_t digests[2 * PYHASH_XXH3_BYTES];
    int fd = temp_file();
    struct pyhash_range piece = { .fd = fd, .end = SPAN };
    const char *names[16] = { 0 };

    write_at(fd, data, SPAN + 7, 0);
    CHECK(pyhash_xxh3_spans(NULL, &options, digests, &error) == PYHASH_ERR_ARGUMENT, "no piece");
    CHECK(pyhash_xxh3_spans(&piece, NULL, digests, &error) == PYHASH_ERR_ARGUMENT, "no options");
    CHECK(pyhash_xxh3_spans(&piece, &options, NULL, &error) == PYHASH_ERR_ARGUMENT, "nowhere");
    CHECK(pyhash_xxh3_spans(&piece, &options, digests, NULL) == PYHASH_ERR_ARGUMENT, "no error");
    options.kernel = "portable";
    CHECK(pyhash_xxh3_spans(&piece, &options, digests, &error) == PYHASH_ERR_ARGUMENT, "kernel");
    options = (struct pyhash_options){ .kernel_for = names };
    CHECK(pyhash_xxh3_spans(&piece, &options, digests, &error) == PYHASH_ERR_ARGUMENT, "names");
    options = (struct pyhash_options){ .reader = PYHASH_READER_COUNT };
    CHECK(pyhash_xxh3_spans(&piece, &options, digests, &error) == PYHASH_ERR_ARGUMENT, "reader");
    options = (struct pyhash_options){ 0 };
    piece.end = SPAN + 7;
    CHECK(pyhash_xxh3_spans(&piece, &options, digests, &error) == PYHASH_ERR_ARGUMENT, "not whole");
    for (uint32_t reader = 0; reader < PYHASH_READER_COUNT; reader++) {
        options.reader = reader;
        piece = (struct pyhash_range){ .fd = fd, .start = SPAN, .end = 2 * SPAN };
        CHECK(pyhash_xxh3_spans(&piece, &options, digests, &error) == PYHASH_ERR_SHRANK, "short");
        CHECK(error.offset == SPAN + 7, "ends at %llu", (unsigned long long)error.offset);
    }
    close(fd);
}

int main(void)
{
    data = need_memory(KNOWN * SPAN);
    for (size_t k = 0; k < KNOWN; k++)
        fill(data + k * SPAN, k);
    test_spans();
    test_files();
    test_refusals();
    free(data);
    return 0;
}
