/* SPDX-License-Identifier: Apache-2.0 */
/* pyhash_hash_ranges against the straight recursion: every reader, thread count and kernel, shards of
 * all the sizes where something changes, ranges within shards, thousands of small ones, empty ones in
 * between; and requests that make no sense. Files here are well; test_faults.c has the others.
 *
 * usage: test_engine [quick]     quick: fewer combinations, for sanitizers */
#include <fcntl.h>
#include <sys/stat.h>

#include "check.h"
#include "kernel_turns.h"
#include "pyhash.h"
#include "straight.h"
#include "temp_file.h"

/* One shard, on disk and in memory, and what must come out. */
struct sample {
    int fd;
    size_t size;
    uint8_t *data, *nodes;
    uint8_t digest[DIGEST];
};

/* One range to hash. `digest` is NULL where the range does not start at 0. */
struct part {
    const struct sample *sample;
    size_t start, end;
    const uint8_t *nodes, *digest;
};

/* WAY_COLD: the automatic reader, the file's pages dropped from the page cache before. */
enum way { WAY_AUTO, WAY_MMAP, WAY_BUFFERED, WAY_DIRECT, WAY_COLD, WAY_MEMORY, WAY_MIXED, NWAYS };

enum want { WANT_NODES = 1, WANT_DIGESTS = 2 };

struct setup {
    enum way way;
    unsigned threads;
    int want;
};

static int quick;

static struct sample make_sample(struct random *random, size_t size)
{
    struct sample sample = { .fd = temp_file(), .size = size, .data = need_memory(size) };

    random_fill(random, sample.data, size);
    write_at(sample.fd, sample.data, size, 0);
    NEED(fdatasync(sample.fd) == 0);
    sample.nodes = need_memory(straight_span_count(size) * DIGEST);
    straight_span_nodes(sample.data, size, sample.nodes);
    straight_sha256(sample.data, size, sample.digest);
    return sample;
}

/* Drive every other window out of the page cache, so that AUTO has to mix its two ways. */
static void cool(const struct sample *sample)
{
    for (size_t at = 0; at < sample->size; at += 8 * SPAN)
        posix_fadvise(sample->fd, (off_t)at, (off_t)(4 * SPAN), POSIX_FADV_DONTNEED);
}

static void drop_sample(struct sample *sample)
{
    close(sample->fd);
    free(sample->data);
    free(sample->nodes);
}

static struct part whole(const struct sample *sample)
{
    return (struct part){ sample, 0, sample->size, sample->nodes, sample->digest };
}

static struct random choices = { .state = 5 };

/* A kernel for each number of messages, whatever is best: no choice may change a result. */
static const char *const *next_choice(void)
{
    static const char *names[16];

    for (unsigned i = 0; i < 16; i++)
        names[i] = i > 0 && random_below(&choices, 2) ? names[i - 1] : next_kernel();
    return names;
}

static const char *const with_one_unknown[16] = {
    "portable", "portable", "portable", "portable", "portable", "portable", "portable", "portable",
    "portable", "portable", "portable", "portable", "portable", "portable", "sse2_x4",  "portable",
};

static struct pyhash_options options_of(const struct setup *setup)
{
    static const uint32_t readers[NWAYS] = {
        PYHASH_READER_AUTO, PYHASH_READER_MMAP, PYHASH_READER_BUFFERED, PYHASH_READER_DIRECT,
        PYHASH_READER_AUTO, PYHASH_READER_AUTO, PYHASH_READER_BUFFERED,
    };

    struct pyhash_options options = { .threads = setup->threads, .reader = readers[setup->way] };

    if (random_below(&choices, 2))
        options.kernel = next_kernel();
    else
        options.kernel_for = next_choice();
    return options;
}

static struct pyhash_range range_of(const struct part *part, size_t index, enum way way)
{
    int in_memory = way == WAY_MEMORY || (way == WAY_MIXED && index % 2);

    if (way == WAY_COLD) {
        fdatasync(part->sample->fd);
        posix_fadvise(part->sample->fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    return (struct pyhash_range){
        .fd = in_memory ? -1 : part->sample->fd,
        .memory = in_memory && part->end > 0 ? part->sample->data : NULL,
        .start = part->start,
        .end = part->end,
    };
}

static void compare(const struct part *part, const struct pyhash_range *range, const char *kernel)
{
    size_t room = straight_span_count(part->end - part->start) * DIGEST;

    if (range->span_nodes) {
        CHECK(memcmp(range->span_nodes, part->nodes, room) == 0,
              "nodes of [%zu, %zu) of %zu, kernel %s", part->start, part->end, part->sample->size,
              kernel ? kernel : "(any)");
        CHECK(memcmp(range->span_nodes + room, canary, DIGEST) == 0, "wrote beyond the nodes");
    }
    if (range->file_digest) {
        CHECK(memcmp(range->file_digest, part->digest, DIGEST) == 0, "digest of %zu bytes, %s",
              part->end, kernel ? kernel : "(any)");
        CHECK(memcmp(range->file_digest + DIGEST, canary, DIGEST) == 0, "wrote beyond a digest");
    }
}

/* Hash all parts in one call and compare everything that the call says. */
static void check_parts(const struct part *parts, size_t nparts, struct setup setup)
{
    struct pyhash_range *ranges = need_memory(nparts * sizeof *ranges);
    struct pyhash_options options = options_of(&setup);
    struct pyhash_control control = { .bytes_done = 1000 };
    struct pyhash_error error;
    enum pyhash_status status;
    uint64_t bytes = 0;

    for (size_t i = 0; i < nparts; i++) {
        size_t room = straight_span_count(parts[i].end - parts[i].start) * DIGEST;

        if (setup.way == WAY_AUTO && (i == 0 || parts[i].sample != parts[i - 1].sample))
            cool(parts[i].sample);
        ranges[i] = range_of(&parts[i], i, setup.way);
        if (setup.want & WANT_NODES) {
            ranges[i].span_nodes = need_memory(room + DIGEST);
            memcpy(ranges[i].span_nodes + room, canary, DIGEST);
        }
        if (setup.want & WANT_DIGESTS) {
            ranges[i].file_digest = need_memory(2 * DIGEST);
            memcpy(ranges[i].file_digest + DIGEST, canary, DIGEST);
        }
        bytes += setup.want ? parts[i].end - parts[i].start : 0;
    }
    status = pyhash_hash_ranges(ranges, nparts, &options, &control, &error);
    CHECK(status == PYHASH_OK, "%s, errno %d, range %zu, byte %zu", pyhash_status_text(status),
          error.os_errno, (size_t)error.range_index, (size_t)error.offset);
    CHECK(error.os_errno == 0 && error.range_index == 0 && error.offset == 0, "an error was left");
    CHECK(control.bytes_done == 1000 + bytes, "%zu bytes of %zu", (size_t)control.bytes_done,
          (size_t)bytes);
    for (size_t i = 0; i < nparts; i++) {
        compare(&parts[i], &ranges[i], options.kernel);
        free(ranges[i].span_nodes);
        free(ranges[i].file_digest);
    }
    free(ranges);
}

/* --- whole shards ---------------------------------------------------------------------------- */

static const size_t sizes[] = {
    3 * SPAN + 12345, 0, 1, 55, 56, 63, 64, 65, 0, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7,
    15 * CHUNK, SPAN - 1, SPAN, SPAN + 1, 6 * SPAN + 1, 2 * SPAN + CHUNK, 2 * SPAN, 0,
};

#define NSIZES (sizeof sizes / sizeof sizes[0])

static void test_shards(struct random *random)
{
    struct sample samples[NSIZES];
    struct part parts[NSIZES];
    size_t most = quick ? 2 * SPAN : SIZE_MAX;
    int step = quick ? 2 : 1;

    for (size_t i = 0; i < NSIZES; i++) {
        samples[i] = make_sample(random, sizes[i] < most ? sizes[i] : most);
        parts[i] = whole(&samples[i]);
    }
    for (enum way way = 0; way < NWAYS; way++) {
        /* Making and pinning the direct reader's buffers costs more than the hashing here. */
        int rarely = quick || way == WAY_DIRECT;

        for (unsigned threads = 0; threads <= 8; threads += rarely ? 2 : 1)
            check_parts(parts, NSIZES, (struct setup){ way, threads, 1 + (int)threads % 3 });
        for (size_t i = 0; i < NSIZES; i += rarely ? 3 : 1) {
            for (int want = WANT_NODES; want <= (WANT_NODES | WANT_DIGESTS); want += step)
                check_parts(&parts[i], 1, (struct setup){ way, 1 + (unsigned)i % 4, want });
        }
        check_parts(parts, NSIZES, (struct setup){ way, 2, 0 });
        check_parts(parts, 0, (struct setup){ way, 2, WANT_NODES });
    }
    for (size_t i = 0; i < NSIZES; i++)
        drop_sample(&samples[i]);
}

/* So many spans that a worker takes the largest extents there are. */
static void test_large_shard(struct random *random)
{
    struct sample samples[2] = { make_sample(random, (quick ? 17 : 65) * SPAN + 99),
                                 make_sample(random, SPAN) };
    struct part parts[2] = { whole(&samples[0]), whole(&samples[1]) };

    for (enum way way = 0; way < WAY_MIXED; way++)
        check_parts(parts, 2, (struct setup){ way, 1 + way % 2, WANT_NODES });
    check_parts(parts, 2, (struct setup){ WAY_AUTO, 2, WANT_NODES | WANT_DIGESTS });
    /* As many threads as one can ask for: those without work must not be missed. */
    check_parts(parts, 2, (struct setup){ WAY_MMAP, 2000, WANT_NODES });
    drop_sample(&samples[0]);
    drop_sample(&samples[1]);
}

/* --- parts of shards ------------------------------------------------------------------------- */

#define NSPANS 10

static void test_ranges_within(struct random *random)
{
    struct sample sample = make_sample(random, (NSPANS - 1) * SPAN + 7 * CHUNK + 5);
    struct part parts[NSPANS * NSPANS];
    size_t nparts = 0;

    for (size_t first = 0; first < NSPANS; first++) {
        for (size_t last = first; last <= NSPANS; last += quick ? 4 : 1)
            parts[nparts++] = (struct part){
                .sample = &sample, .start = first * SPAN,
                .end = last * SPAN < sample.size ? last * SPAN : sample.size,
                .nodes = sample.nodes + first * DIGEST,
            };
    }
    for (enum way way = 0; way < NWAYS; way++) {
        check_parts(parts, nparts, (struct setup){ way, 3, WANT_NODES });
        for (size_t i = (size_t)way; i < nparts; i += quick ? 19 : 9)
            check_parts(&parts[i], 1, (struct setup){ way, 2, WANT_NODES });
    }
    drop_sample(&sample);
}

#define NSMALL 2000
#define SMALL_BYTES 70000

static void test_many_small(struct random *random)
{
    struct sample sample = make_sample(random, SMALL_BYTES);
    uint8_t (*nodes)[DIGEST] = need_memory(NSMALL * sizeof *nodes);
    uint8_t (*digests)[DIGEST] = need_memory(NSMALL * sizeof *digests);
    struct part *parts = need_memory(NSMALL * sizeof *parts);
    size_t nparts = quick ? NSMALL / 5 : NSMALL;

    for (size_t i = 0; i < nparts; i++) {
        size_t end = i % 5 == 0 ? 0 : 1 + random_below(random, i % 3 ? 3000 : SMALL_BYTES);

        straight_span_nodes(sample.data, end, nodes[i]);
        straight_sha256(sample.data, end, digests[i]);
        parts[i] = (struct part){ &sample, 0, end, nodes[i], digests[i] };
    }
    for (enum way way = 0; way < NWAYS; way++) {
        for (unsigned threads = 1; threads <= 4; threads += 3) {
            for (int want = WANT_NODES; want <= (WANT_NODES | WANT_DIGESTS); want++)
                check_parts(parts, nparts, (struct setup){ way, threads, want });
        }
    }
    drop_sample(&sample);
    free(nodes);
    free(digests);
    free(parts);
}

/* --- requests that make no sense ------------------------------------------------------------- */

static void check_refused(struct pyhash_range range, enum pyhash_status expected, const char *what)
{
    struct pyhash_range ranges[3] = { { .fd = -1 }, range, { .fd = -1 } };
    struct pyhash_options options = { .threads = 2 };
    struct pyhash_error error;
    enum pyhash_status status = pyhash_hash_ranges(ranges, 3, &options, NULL, &error);

    CHECK(status == expected, "%s: %s", what, pyhash_status_text(status));
    CHECK(error.range_index == 1, "%s: range %zu", what, (size_t)error.range_index);
}

static void test_arguments(void)
{
    uint8_t memory[64] = { 0 }, digest[DIGEST];
    struct pyhash_range range = { .fd = -1, .memory = memory, .end = 64 };
    struct pyhash_range two[2] = { range, range };
    struct pyhash_options options = { 0 };
    struct pyhash_error error;

    check_refused((struct pyhash_range){ .fd = -1, .memory = memory, .start = 1, .end = 64 },
                  PYHASH_ERR_ARGUMENT, "start within a span");
    check_refused((struct pyhash_range){ .fd = -1, .memory = memory, .start = SPAN, .end = 64 },
                  PYHASH_ERR_ARGUMENT, "end before start");
    check_refused((struct pyhash_range){ .fd = -1, .memory = memory, .end = UINT64_C(1) << 63 },
                  PYHASH_ERR_ARGUMENT, "end beyond any file");
    check_refused((struct pyhash_range){ .fd = -1, .end = 64 }, PYHASH_ERR_ARGUMENT, "no memory");
    check_refused((struct pyhash_range){ .fd = -1, .memory = memory, .start = SPAN, .end = SPAN,
                                         .file_digest = digest },
                  PYHASH_ERR_ARGUMENT, "digest of an end");
    two[1].file_digest = digest;
    CHECK(pyhash_hash_ranges(two, 2, &options, NULL, &error) == PYHASH_ERR_ARGUMENT, "one digest");
    CHECK(pyhash_hash_ranges(NULL, 0, &options, NULL, &error) == PYHASH_OK, "nothing to do");
    CHECK(pyhash_hash_ranges(NULL, 1, &options, NULL, &error) == PYHASH_ERR_ARGUMENT, "no ranges");
    CHECK(pyhash_hash_ranges(&range, 1, NULL, NULL, &error) == PYHASH_ERR_ARGUMENT, "no options");
    CHECK(pyhash_hash_ranges(&range, 1, &options, NULL, NULL) == PYHASH_ERR_ARGUMENT, "no error");
    options.reader = PYHASH_READER_COUNT;
    CHECK(pyhash_hash_ranges(&range, 1, &options, NULL, &error) == PYHASH_ERR_ARGUMENT, "reader");
    options = (struct pyhash_options){ .kernel = "sse2_x4" };
    CHECK(pyhash_hash_ranges(&range, 1, &options, NULL, &error) == PYHASH_ERR_KERNEL, "kernel");
    options.kernel_for = next_choice();
    CHECK(pyhash_hash_ranges(&range, 1, &options, NULL, &error) == PYHASH_ERR_ARGUMENT, "both");
    options = (struct pyhash_options){ .kernel_for = with_one_unknown };
    CHECK(pyhash_hash_ranges(&range, 1, &options, NULL, &error) == PYHASH_ERR_KERNEL, "one of them");
}

int main(int argc, char **argv)
{
    struct random random = { .state = 2 };

    quick = argc > 1 && strcmp(argv[1], "quick") == 0;
    test_arguments();
    test_many_small(&random);
    test_ranges_within(&random);
    test_large_shard(&random);
    test_shards(&random);
    return 0;
}
