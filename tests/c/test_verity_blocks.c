/* SPDX-License-Identifier: Apache-2.0 */
/* fs-verity's blocks of files, by every reader and around the edges of blocks, spans and windows,
 * warm and cold; a file that ends before the piece; and nothing written beyond. */
#include "check.h"
#include "kernel_turns.h"
#include "pyhash.h"
#include "straight.h"
#include "temp_file.h"

#define BLOCK ((size_t)4096)
#define MOST (9 * SPAN + 5000)

static uint8_t *data, *digests;

static const size_t ends[] = { 1,        BLOCK - 1,  BLOCK,        BLOCK + 1,     16 * BLOCK + 1,
                               SPAN - 1, SPAN,       SPAN + 1,     SPAN + BLOCK,  4 * SPAN,
                               4 * SPAN + 1, 5 * SPAN + 77, 9 * SPAN + 4999 };

static enum pyhash_status hash(const struct pyhash_range *piece,
                               const struct pyhash_options *options, struct pyhash_error *error)
{
    return pyhash_hash_verity_blocks(piece, options, digests, error);
}

static void expect(size_t start, size_t end, const char *what)
{
    size_t n = (end - start + BLOCK - 1) / BLOCK;
    uint8_t block[BLOCK], expected[DIGEST];

    for (size_t i = 0; i < n; i++) {
        size_t offset = start + i * BLOCK, size = end - offset < BLOCK ? end - offset : BLOCK;

        memset(block, 0, sizeof block);
        memcpy(block, data + offset, size);
        straight_sha256(block, BLOCK, expected);
        CHECK(memcmp(digests + i * DIGEST, expected, DIGEST) == 0, "block %zu of [%zu, %zu), %s", i,
              start, end, what);
    }
    CHECK(memcmp(digests + n * DIGEST, canary, DIGEST) == 0, "wrote beyond [%zu, %zu)", start, end);
}

static void check_piece(int fd, size_t start, size_t end, uint32_t reader)
{
    struct pyhash_range piece = { .fd = fd, .start = start, .end = end };
    struct pyhash_options options = { .reader = reader, .kernel = next_kernel(),
                                      .others = reader % 3 };
    struct pyhash_error error;
    enum pyhash_status status;

    memset(digests, 0, MOST / BLOCK * DIGEST);
    memcpy(digests + (end - start + BLOCK - 1) / BLOCK * DIGEST, canary, DIGEST);
    status = hash(&piece, &options, &error);
    CHECK(status == PYHASH_OK, "%s, errno %d, reader %u", pyhash_status_text(status),
          error.os_errno, reader);
    expect(start, end, options.kernel ? options.kernel : "any");
}

static void test_pieces(void)
{
    for (size_t e = 0; e < sizeof ends / sizeof ends[0]; e++) {
        int fd = temp_file();

        write_at(fd, data, ends[e], 0);
        NEED(fdatasync(fd) == 0);
        for (uint32_t reader = 0; reader < PYHASH_READER_COUNT; reader++) {
            for (size_t start = 0; start <= ends[e]; start += 4 * SPAN) {
                posix_fadvise(fd, 0, 0,
                              start % (8 * SPAN) ? POSIX_FADV_NORMAL : POSIX_FADV_DONTNEED);
                check_piece(fd, start, ends[e], reader);
            }
            check_piece(fd, 0, ends[e] / SPAN * SPAN, reader);
        }
        close(fd);
    }
}

static void test_refusals(void)
{
    struct pyhash_options options = { 0 };
    struct pyhash_error error;
    int fd = temp_file();
    struct pyhash_range piece = { .fd = fd, .end = SPAN };
    const char *names[16] = { 0 };

    write_at(fd, data, SPAN, 0);
    CHECK(hash(NULL, &options, &error) == PYHASH_ERR_ARGUMENT, "no piece");
    CHECK(hash(&piece, NULL, &error) == PYHASH_ERR_ARGUMENT, "no options");
    CHECK(hash(&piece, &options, NULL) == PYHASH_ERR_ARGUMENT, "no error");
    CHECK(pyhash_hash_verity_blocks(&piece, &options, NULL, &error) == PYHASH_ERR_ARGUMENT,
          "nowhere to");
    options.kernel_for = names;
    CHECK(hash(&piece, &options, &error) == PYHASH_ERR_ARGUMENT, "names");
    options = (struct pyhash_options){ .reader = PYHASH_READER_COUNT };
    CHECK(hash(&piece, &options, &error) == PYHASH_ERR_ARGUMENT, "no reader");
    options = (struct pyhash_options){ .kernel = "none" };
    CHECK(hash(&piece, &options, &error) == PYHASH_ERR_KERNEL, "no kernel");
    options = (struct pyhash_options){ 0 };
    for (uint32_t reader = 0; reader < PYHASH_READER_COUNT; reader++) {
        options.reader = reader;
        piece = (struct pyhash_range){ .fd = fd, .start = SPAN, .end = SPAN + 1 };
        CHECK(hash(&piece, &options, &error) == PYHASH_ERR_SHRANK, "short");
        CHECK(error.offset == SPAN, "ends at %llu", (unsigned long long)error.offset);
    }
    piece = (struct pyhash_range){ .fd = fd, .start = 5, .end = SPAN };
    CHECK(hash(&piece, &options, &error) == PYHASH_ERR_ARGUMENT, "start");
    piece = (struct pyhash_range){ .fd = fd, .start = SPAN, .end = 0 };
    CHECK(hash(&piece, &options, &error) == PYHASH_ERR_ARGUMENT, "order");
    piece = (struct pyhash_range){ .fd = fd, .end = UINT64_C(1) << 63 };
    CHECK(hash(&piece, &options, &error) == PYHASH_ERR_ARGUMENT, "size");
    piece = (struct pyhash_range){ .fd = -1, .memory = data, .end = SPAN };
    CHECK(hash(&piece, &options, &error) == PYHASH_ERR_ARGUMENT, "memory");
    close(fd);
    piece = (struct pyhash_range){ .fd = fd, .end = SPAN };
    CHECK(hash(&piece, &options, &error) == PYHASH_ERR_READ, "closed");
    CHECK(error.os_errno == EBADF, "errno %d", error.os_errno);
}

int main(void)
{
    struct random random = { .state = 3 };

    data = need_memory(MOST);
    digests = need_memory((MOST / BLOCK + 3) * DIGEST);
    random_fill(&random, data, MOST);
    test_pieces();
    test_refusals();
    free(data);
    free(digests);
    return 0;
}
