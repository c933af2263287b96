/* SPDX-License-Identifier: Apache-2.0 */
/* pyhash_hash_ranges when things go wrong: descriptors that are no files, files that end early or
 * shrink while they are hashed, cancelling, and several calls at once. What comes back must be
 * the right digests or the right error, never a digest of something else. Signal handlers have
 * test_sigbus.c.
 *
 * usage: test_faults [quick]     quick: fewer rounds, for sanitizers */
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>

#include "check.h"
#include "pyhash.h"
#include "straight.h"
#include "temp_file.h"

static int quick;

/* --- descriptors ----------------------------------------------------------------------------- */

/* Hash [0, end) of a descriptor, second of three ranges, and expect failure. */
static struct pyhash_error hash_badly(int fd, uint64_t end, uint32_t reader,
                                      enum pyhash_status expected, const char *what)
{
    static uint8_t nodes[64 * DIGEST];
    struct pyhash_range ranges[3] = { { .fd = -1 },
                                      { .fd = fd, .end = end, .span_nodes = nodes },
                                      { .fd = -1 } };
    struct pyhash_options options = { .threads = 2, .reader = reader };
    struct pyhash_error error;
    enum pyhash_status status = pyhash_hash_ranges(ranges, 3, &options, NULL, &error);

    CHECK(status == expected, "%s: %s", what, pyhash_status_text(status));
    CHECK(error.range_index == 1, "%s: range %zu", what, (size_t)error.range_index);
    return error;
}

static void test_descriptors(uint32_t reader)
{
    int pipes[2], folder = open(".", O_RDONLY | O_DIRECTORY), zero = open("/dev/zero", O_RDONLY);
    int fd = temp_file(), closed, write_only;
    char name[64];
    struct pyhash_error error;

    NEED(pipe(pipes) == 0 && folder >= 0 && zero >= 0);
    NEED(ftruncate(fd, 1000) == 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    write_only = open(name, O_WRONLY);
    closed = dup(fd);
    NEED(write_only >= 0 && closed >= 0 && close(closed) == 0);
    hash_badly(folder, 100, reader, PYHASH_ERR_NOT_REGULAR, "a directory");
    hash_badly(pipes[0], 100, reader, PYHASH_ERR_NOT_REGULAR, "a pipe");
    hash_badly(zero, 100, reader, PYHASH_ERR_NOT_REGULAR, "a device");
    error = hash_badly(closed, 100, reader, PYHASH_ERR_READ, "a closed descriptor");
    CHECK(error.os_errno == EBADF, "errno %d", error.os_errno);
    error = hash_badly(write_only, 1000, reader, PYHASH_ERR_READ, "open for writing only");
    CHECK(error.os_errno == EBADF || error.os_errno == EACCES, "errno %d", error.os_errno);
    error = hash_badly(fd, 1001, reader, PYHASH_ERR_SHRANK, "one byte too many");
    CHECK(error.offset == 1000 && error.os_errno == 0, "offset %zu", (size_t)error.offset);
    error = hash_badly(fd, INT64_MAX, reader, PYHASH_ERR_SHRANK, "far too many");
    CHECK(error.offset == 1000, "offset %zu", (size_t)error.offset);
    close(pipes[0]), close(pipes[1]), close(folder), close(zero), close(fd), close(write_only);
}

/* --- files that shrink ----------------------------------------------------------------------- */

struct shrinking {
    int fd;
    size_t size, new_size, delay;     /* the delay in turns of an empty loop */
    uint32_t stage;                   /* 1: ready to shrink, 2: the call begins; atomic */
};

static void wait_for(const uint32_t *stage, uint32_t wanted)
{
    while (__atomic_load_n(stage, __ATOMIC_ACQUIRE) < wanted)
        sched_yield();
}

static void *shrink(void *argument)
{
    struct shrinking *file = argument;

    __atomic_store_n(&file->stage, 1, __ATOMIC_RELEASE);
    wait_for(&file->stage, 2);
    for (volatile size_t turn = 0; turn < file->delay; turn++)
        ;
    NEED(ftruncate(file->fd, (off_t)file->new_size) == 0);
    return NULL;
}

/* A healthy shard, the one that shrinks, and the healthy one again. */
static enum pyhash_status hash_shrinking(struct shrinking *file, const uint8_t *data,
                                         const uint8_t *expected, struct pyhash_options options,
                                         int with_digest, struct pyhash_error *error)
{
    size_t room = straight_span_count(file->size) * DIGEST;
    uint8_t *nodes = need_memory(room), other[2][DIGEST], digests[3][DIGEST];
    uint8_t expected_digest[DIGEST];
    struct pyhash_range ranges[3] = {
        { .fd = -1, .memory = data, .end = 1000, .span_nodes = other[0] },
        { .fd = file->fd, .end = file->size, .span_nodes = nodes },
        { .fd = -1, .memory = data, .end = 1000, .span_nodes = other[1] },
    };
    enum pyhash_status status;

    for (int i = 0; i < 3 && with_digest; i++)
        ranges[i].file_digest = digests[i];
    wait_for(&file->stage, 1);
    __atomic_store_n(&file->stage, 2, __ATOMIC_RELEASE);
    status = pyhash_hash_ranges(ranges, 3, &options, NULL, error);
    if (status == PYHASH_OK) {
        CHECK(memcmp(nodes, expected, room) == 0, "nodes of bytes that were never the file's");
        if (with_digest) {
            straight_sha256(data, file->size, expected_digest);
            CHECK(memcmp(digests[1], expected_digest, DIGEST) == 0, "digest of other bytes");
        }
    }
    free(nodes);
    return status;
}

/* One file that is cut off at a random byte a random time after the call began. 1: the call saw. */
static int shrink_once(struct random *random, int fd, const uint8_t *data, size_t size,
                       const uint8_t *expected)
{
    /* The direct reader more rarely: it has to wait for the disk to have what was just written. */
    static const uint32_t readers[] = {
        PYHASH_READER_MMAP, PYHASH_READER_BUFFERED, PYHASH_READER_AUTO,
        PYHASH_READER_MMAP, PYHASH_READER_BUFFERED, PYHASH_READER_DIRECT,
    };
    struct pyhash_options options = { .threads = 1 + (uint32_t)random_below(random, 3),
                                      .reader = readers[random_below(random, 6)] };
    struct shrinking file = { .fd = fd, .size = size, .new_size = random_below(random, size),
                              .delay = random_below(random, size + 20000) };
    struct pyhash_error error;
    enum pyhash_status status;
    pthread_t thread;

    write_at(fd, data, size, 0);
    NEED(pthread_create(&thread, NULL, shrink, &file) == 0);
    status = hash_shrinking(&file, data, expected, options, random_below(random, 3) == 0, &error);
    NEED(pthread_join(thread, NULL) == 0);
    if (status == PYHASH_OK)
        return 0;
    CHECK(status == PYHASH_ERR_SHRANK && error.os_errno == 0, "%s, errno %d",
          pyhash_status_text(status), error.os_errno);
    CHECK(error.range_index == 1, "range %zu", (size_t)error.range_index);
    CHECK(error.offset >= file.new_size && error.offset < size, "byte %zu of %zu, cut at %zu",
          (size_t)error.offset, size, file.new_size);
    return 1;
}

static void test_shrinking(struct random *random)
{
    const size_t size = 3 * SPAN + 4567, rounds = quick ? 40 : 150;
    uint8_t *data = need_memory(size), *expected = need_memory(4 * DIGEST);
    size_t nshrank = 0;
    int fd = temp_file();

    random_fill(random, data, size);
    straight_span_nodes(data, size, expected);
    for (size_t round = 0; round < rounds; round++)
        nshrank += (size_t)shrink_once(random, fd, data, size, expected);
    CHECK(nshrank > 0, "in %zu rounds no call saw its file shrink", rounds);
    printf("files that shrank while being hashed: %zu of %zu calls saw it\n", nshrank, rounds);
    close(fd);
    free(data);
    free(expected);
}

/* Small files end within a page: no fault will ever tell. */
static void test_shrinking_within_page(struct random *random)
{
    uint8_t data[3000], expected[DIGEST];
    size_t nshrank = 0, rounds = quick ? 100 : 500;
    int fd = temp_file();

    random_fill(random, data, sizeof data);
    straight_span_nodes(data, sizeof data, expected);
    for (size_t round = 0; round < rounds; round++)
        nshrank += (size_t)shrink_once(random, fd, data, sizeof data, expected);
    printf("files of less than a page that shrank: %zu of %zu calls saw it\n", nshrank, rounds);
    close(fd);
}

/* --- several calls at once ------------------------------------------------------------------- */

struct caller {
    pthread_t thread;
    uint64_t seed;
};

static void *call_often(void *argument)
{
    struct caller *caller = argument;
    struct random random = { .state = caller->seed };
    const size_t size = 2 * SPAN + 99;
    uint8_t *data = need_memory(size), expected[3 * DIGEST];
    int fd = temp_file();

    random_fill(&random, data, size);
    straight_span_nodes(data, size, expected);
    for (int round = 0; round < (quick ? 6 : 25); round++)
        shrink_once(&random, fd, data, size, expected);
    close(fd);
    free(data);
    return NULL;
}

static void test_calls_at_once(void)
{
    struct caller callers[6];

    for (size_t i = 0; i < 6; i++) {
        callers[i].seed = 100 + i;
        NEED(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]) == 0);
    }
    for (size_t i = 0; i < 6; i++)
        NEED(pthread_join(callers[i].thread, NULL) == 0);
}

/* --- cancelling ------------------------------------------------------------------------------ */

static void *cancel(void *argument)
{
    struct pyhash_control *control = argument;

    while (__atomic_load_n(&control->bytes_done, __ATOMIC_RELAXED) == 0)
        sched_yield();
    __atomic_store_n(&control->cancel, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* So large that only cancelling can end it within the patience of whoever runs this. */
#define ENDLESS (UINT64_C(1) << 40)

static void test_cancel(uint32_t reader, unsigned threads, int with_digest)
{
    uint8_t *nodes = need_memory((size_t)(ENDLESS / SPAN * DIGEST)), digest[DIGEST];
    struct pyhash_control control = { 0 };
    struct pyhash_options options = { .threads = threads, .reader = reader };
    struct pyhash_range range = { .fd = temp_file(), .end = ENDLESS, .span_nodes = nodes,
                                  .file_digest = with_digest ? digest : NULL };
    struct pyhash_error error;
    enum pyhash_status status;
    pthread_t thread;

    NEED(ftruncate(range.fd, (off_t)ENDLESS) == 0);
    NEED(pthread_create(&thread, NULL, cancel, &control) == 0);
    status = pyhash_hash_ranges(&range, 1, &options, &control, &error);
    NEED(pthread_join(thread, NULL) == 0);
    CHECK(status == PYHASH_ERR_CANCELLED, "%s", pyhash_status_text(status));
    CHECK(control.bytes_done > 0 && control.bytes_done < ENDLESS, "%zu bytes",
          (size_t)control.bytes_done);
    status = pyhash_hash_ranges(&range, 1, &options, &control, &error);
    CHECK(status == PYHASH_ERR_CANCELLED, "cancelled before it began: %s",
          pyhash_status_text(status));
    close(range.fd);
    free(nodes);
}

int main(int argc, char **argv)
{
    struct random random = { .state = 3 };

    quick = argc > 1 && strcmp(argv[1], "quick") == 0;
    for (uint32_t reader = 0; reader < PYHASH_READER_COUNT; reader++) {
        test_descriptors(reader);
        test_cancel(reader, 1, 0);
        test_cancel(reader, 4, 0);
        test_cancel(reader, 2, 1);
    }
    test_shrinking(&random);
    test_shrinking_within_page(&random);
    test_calls_at_once();
    return 0;
}
