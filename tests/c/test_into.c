/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges that are read into the caller's memory: by every reader, the right bytes with the right
 * digests and nothing beyond them; and, what verified loading stands on, digests of the very bytes
 * that are in that memory while somebody else writes to the file all along. */
#include <pthread.h>
#include <sys/mman.h>

#include "check.h"
#include "pyhash.h"
#include "straight.h"
#include "temp_file.h"

#define MOST ((size_t)20 * SPAN)
#define GUARD 64 /* bytes behind each range that must stay as they are */

static uint8_t *data, *memory;
static uint8_t nodes[32 * DIGEST], expected[32 * DIGEST], digest[DIGEST], expected_digest[DIGEST];

static const size_t sizes[] = { 1, CHUNK - 1, CHUNK, SPAN - 1, SPAN, SPAN + 4095, 3 * SPAN + 12345,
                                MOST };

static void drop_from_cache(int fd)
{
    NEED(fdatasync(fd) == 0);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static enum pyhash_status hash_into(const struct pyhash_range *range, uint32_t reader, uint32_t threads,
                                    struct pyhash_error *error)
{
    struct pyhash_options options = { .threads = threads, .reader = reader };

    return pyhash_hash_ranges(range, 1, &options, NULL, error);
}

/* One range of the file that holds the first `size` bytes of `data`. */
static void check_range(int fd, size_t start, size_t end, uint32_t reader, size_t skew)
{
    struct pyhash_range range = { .fd = fd, .start = start, .end = end, .span_nodes = nodes,
                                  .into = memory + skew };
    struct pyhash_error error;
    enum pyhash_status status;

    memset(memory, 0xee, end - start + skew + GUARD);
    if (start == 0 && skew % 2)
        range.file_digest = digest;
    status = hash_into(&range, reader, 1 + (uint32_t)skew % 3, &error);
    CHECK(status == PYHASH_OK, "%s, errno %d", pyhash_status_text(status), error.os_errno);
    CHECK(memcmp(memory + skew, data + start, end - start) == 0, "[%zu, %zu), reader %u", start, end,
          reader);
    for (size_t i = 0; i < GUARD; i++)
        CHECK(memory[skew + end - start + i] == 0xee, "wrote beyond [%zu, %zu)", start, end);
    for (size_t i = 0; i < skew; i++)
        CHECK(memory[i] == 0xee, "wrote before [%zu, %zu)", start, end);
    straight_span_nodes(data + start, end - start, expected);
    CHECK(memcmp(nodes, expected, straight_span_count(end - start) * DIGEST) == 0, "nodes of [%zu, %zu)",
          start, end);
    if (range.file_digest) {
        straight_sha256(data, end, expected_digest);
        CHECK(memcmp(digest, expected_digest, DIGEST) == 0, "digest of %zu bytes", end);
    }
}

/* Memory on a page, and anywhere; the page cache warm and cold. */
static void test_right_bytes(void)
{
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int fd = temp_file();

        write_at(fd, data, sizes[s], 0);
        for (uint32_t reader = 0; reader < PYHASH_READER_COUNT; reader++) {
            for (size_t skew = 0; skew < 3; skew++) {
                if (sizes[s] >= SPAN && (skew == 0 || reader == PYHASH_READER_DIRECT))
                    drop_from_cache(fd);
                check_range(fd, 0, sizes[s], reader, skew);
                if (sizes[s] > 2 * SPAN)
                    check_range(fd, SPAN, sizes[s], reader, skew);
                if (sizes[s] > 9 * SPAN)
                    check_range(fd, 7 * SPAN, 9 * SPAN, reader, skew);
            }
        }
        close(fd);
    }
}

/* Many files in one call, some of them empty, each with a place of its own. */
static void test_many_files(void)
{
    enum { N = 100 };
    struct pyhash_range ranges[N];
    struct pyhash_error error;
    uint8_t (*all)[DIGEST] = need_memory(N * sizeof *all);

    for (uint32_t reader = 0; reader < PYHASH_READER_COUNT; reader++) {
        struct pyhash_options options = { .threads = 2, .reader = reader };
        size_t place = 0;

        for (size_t i = 0; i < N; i++) {
            size_t size = i % 7 == 0 ? 0 : i * 1237 + 1;

            ranges[i] = (struct pyhash_range){ .fd = temp_file(), .end = size, .span_nodes = all[i],
                                               .into = memory + place };
            write_at(ranges[i].fd, data + i, size, 0);
            place += size;
        }
        CHECK(pyhash_hash_ranges(ranges, N, &options, NULL, &error) == PYHASH_OK, "reader %u", reader);
        for (size_t i = 0; i < N; i++) {
            CHECK(memcmp(ranges[i].into, data + i, ranges[i].end) == 0, "file %zu", i);
            straight_span_nodes(data + i, ranges[i].end, expected);
            CHECK(ranges[i].end == 0 || memcmp(all[i], expected, DIGEST) == 0, "file %zu", i);
            close(ranges[i].fd);
        }
    }
    free(all);
}

static void check_status(struct pyhash_range range, uint32_t reader, enum pyhash_status wanted)
{
    struct pyhash_error error;
    enum pyhash_status status = hash_into(&range, reader, 2, &error);

    CHECK(status == wanted, "reader %u: %s", reader, pyhash_status_text(status));
}

static void test_refused(void)
{
    int fd = temp_file();
    struct pyhash_range range = { .fd = fd, .end = 2 * SPAN, .span_nodes = nodes, .into = memory };
    struct pyhash_range two[2] = { range, range };
    struct pyhash_options options = { 0 };
    struct pyhash_error error;

    write_at(fd, data, 2 * SPAN, 0);
    two[1].into = NULL;
    CHECK(pyhash_hash_ranges(two, 2, &options, NULL, &error) == PYHASH_ERR_ARGUMENT, "one of two");
    range.span_nodes = NULL;
    check_status(range, PYHASH_READER_AUTO, PYHASH_ERR_ARGUMENT);
    range = two[0];
    range.fd = -1;
    range.memory = data;
    check_status(range, PYHASH_READER_AUTO, PYHASH_ERR_ARGUMENT);
    range = two[0];
    range.end++;
    for (uint32_t reader = 0; reader < PYHASH_READER_COUNT; reader++)
        check_status(range, reader, PYHASH_ERR_SHRANK);
    close(fd);
}

/* --- somebody writes meanwhile --------------------------------------------------------------- */

struct writer {
    int fd;
    uint32_t stop;
};

static void *write_all_along(void *argument)
{
    struct writer *writer = argument;
    uint8_t block[4096];

    for (uint64_t round = 1; !__atomic_load_n(&writer->stop, __ATOMIC_RELAXED); round++) {
        memset(block, (int)round, sizeof block);
        write_at(writer->fd, block, sizeof block, round * 37 % (MOST / 4096) * 4096);
    }
    return NULL;
}

static void test_changing_file(void)
{
    struct writer writer = { .fd = temp_file() };
    pthread_t thread;

    write_at(writer.fd, data, MOST, 0);
    NEED(pthread_create(&thread, NULL, write_all_along, &writer) == 0);
    for (uint32_t round = 0; round < 2 * PYHASH_READER_COUNT; round++) {
        struct pyhash_range range = { .fd = writer.fd, .end = MOST, .span_nodes = nodes, .into = memory };
        struct pyhash_error error;

        if (round / PYHASH_READER_COUNT % 2)
            range.file_digest = digest;
        CHECK(hash_into(&range, round % PYHASH_READER_COUNT, 2, &error) == PYHASH_OK, "round %u", round);
        straight_span_nodes(memory, MOST, expected);
        CHECK(memcmp(nodes, expected, MOST / SPAN * DIGEST) == 0,
              "reader %u: not the nodes of what is in memory", round % PYHASH_READER_COUNT);
        straight_sha256(memory, MOST, expected_digest);
        CHECK(!range.file_digest || memcmp(digest, expected_digest, DIGEST) == 0, "round %u", round);
    }
    __atomic_store_n(&writer.stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    close(writer.fd);
}

int main(void)
{
    struct random random = { .state = 5 };

    data = need_memory(MOST + 1000);
    memory = mmap(NULL, MOST + SPAN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(memory != MAP_FAILED);
    random_fill(&random, data, MOST + 1000);
    test_refused();
    test_right_bytes();
    test_many_files();
    test_changing_file();
    munmap(memory, MOST + SPAN);
    free(data);
    return 0;
}
