/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes become lists of messages for any kernel, or lists of ranges for the whole engine; what
 * comes out must be what the straight recursion says, and what makes no sense must be refused.
 * With libFuzzer, link with -fsanitize=fuzzer and -DPYHASH_LIBFUZZER. Without it, a main replays
 * the files it is given or makes up inputs, the same ones in every run.
 *
 * usage: fuzz_engine [INPUTS | FILE...]     INPUTS: how many are made up */
#include "check.h"
#include "cpu_features.h"
#include "pyhash.h"
#include "sha256.h"
#include "straight.h"
#include "temp_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- inputs ---------------------------------------------------------------------------------- */

struct input {
    const uint8_t *data;
    size_t size;
};

/* 0 .. limit-1; 0 when the input is used up. */
static size_t take(struct input *input, size_t limit)
{
    size_t value = 0;

    for (size_t room = limit; room > 1 && input->size > 0; room /= 256, input->size--)
        value = value << 8 | *input->data++;
    return value % limit;
}

/* Sizes near the places where something changes, and others. */
static size_t take_size(struct input *input, size_t limit)
{
    static const size_t places[] = { 0, 55, 64, 128, CHUNK, 2 * CHUNK, SPAN, 2 * SPAN };
    size_t size = take(input, 2) ? places[take(input, 8)] + take(input, 5) : take(input, limit);

    return size < limit ? size : limit - 1;
}

static const char *take_kernel(struct input *input)
{
    struct pyhash_kernel_info info;
    size_t index = take(input, pyhash_kernel_count() + 1);

    if (pyhash_kernel_at(index, &info) != PYHASH_OK || !info.supported)
        return NULL;
    return info.name;
}

/* The direct reader rarely: making its buffers takes longer than all the rest. */
static uint32_t take_reader(struct input *input)
{
    static const uint32_t readers[] = { PYHASH_READER_AUTO, PYHASH_READER_MMAP,
                                        PYHASH_READER_BUFFERED };

    return take(input, 32) == 31 ? PYHASH_READER_DIRECT : readers[take(input, 3)];
}

/* --- messages over one kernel ---------------------------------------------------------------- */

#define MAX_JOBS 48
#define MAX_MESSAGE 4096

struct message {
    uint8_t *copy; /* as long as the message, so that a sanitizer sees each byte too many */
    uint32_t state[8], expected_state[8];
    uint8_t digest[DIGEST], expected[DIGEST];
};

static struct pyhash_job make_job(struct input *input, struct message *message)
{
    int ends = take(input, 4) != 0, has_state = !ends || take(input, 2);
    size_t size = take_size(input, MAX_MESSAGE);
    struct random random = { .state = take(input, 256) };
    uint64_t before = 64 * (uint64_t)take(input, 1 << 16);

    size = ends ? size : size / 64 * 64;
    message->copy = need_memory(size);
    random_fill(&random, message->copy, size);
    memcpy(message->state, straight_initial, sizeof straight_initial);
    if (has_state)
        random_fill(&random, (uint8_t *)message->state, sizeof message->state);
    memcpy(message->expected_state, message->state, sizeof message->state);
    if (ends)
        straight_resume(message->state, has_state ? before : 0, message->copy, size,
                        message->expected);
    else
        straight_advance(message->expected_state, message->copy, size / 64);
    return (struct pyhash_job){
        .data = message->copy, .size = size, .state = has_state ? message->state : NULL,
        .before = has_state ? before : 0, .digest = ends ? message->digest : NULL,
    };
}

static void fuzz_jobs(struct input *input)
{
    struct message messages[MAX_JOBS];
    struct pyhash_job jobs[MAX_JOBS];
    const struct pyhash_kernel *kernel = pyhash_select_kernel(take_kernel(input),
                                                              pyhash_cpu_features());
    size_t njobs = take(input, MAX_JOBS);

    for (size_t i = 0; i < njobs; i++)
        jobs[i] = make_job(input, &messages[i]);
    pyhash_sha256_jobs(kernel, jobs, njobs);
    for (size_t i = 0; i < njobs; i++) {
        if (jobs[i].digest)
            CHECK(memcmp(messages[i].digest, messages[i].expected, DIGEST) == 0,
                  "%s: message %zu of %zu", kernel->name, i, njobs);
        else
            CHECK(memcmp(messages[i].state, messages[i].expected_state, 32) == 0,
                  "%s: state %zu of %zu", kernel->name, i, njobs);
        free(messages[i].copy);
    }
}

/* --- ranges over the engine ------------------------------------------------------------------ */

#define SHARD (3 * SPAN + 5 * CHUNK + 77)
#define MAX_RANGES 20

static struct {
    int fd;
    uint8_t *data, nodes[4 * DIGEST];
} shard;

static void make_shard(void)
{
    struct random random = { .state = 5 };

    if (shard.data)
        return;
    shard.data = need_memory(SHARD);
    shard.fd = temp_file();
    random_fill(&random, shard.data, SHARD);
    write_at(shard.fd, shard.data, SHARD, 0);
    straight_span_nodes(shard.data, SHARD, shard.nodes);
}

/* Rarely one that makes no sense, and then what must be said of it. */
static struct pyhash_range make_range(struct input *input, int digests, enum pyhash_status *status)
{
    int in_memory = (int)take(input, 2);
    size_t start = digests || take(input, 3) ? 0 : SPAN * take(input, 4);
    size_t end = take(input, 8) ? start + take_size(input, 3000) : start + take_size(input, SHARD);
    struct pyhash_range range = {
        .fd = in_memory ? -1 : shard.fd, .memory = in_memory ? shard.data : NULL,
        .start = start, .end = end < SHARD ? end : SHARD,
    };

    if (range.end < range.start || take(input, 200) == 199)
        range.start = range.end + SPAN;
    if (take(input, 200) == 199 && !in_memory)
        range.end = SHARD + 1 + take(input, 1000);
    if (range.start % SPAN != 0 || range.end < range.start)
        *status = PYHASH_ERR_ARGUMENT;
    else
        *status = range.end > SHARD ? PYHASH_ERR_SHRANK : PYHASH_OK;
    return range;
}

static void check_range(const struct pyhash_range *range)
{
    uint8_t nodes[4 * DIGEST], digest[DIGEST];
    size_t start = (size_t)range->start, size = (size_t)(range->end - range->start);
    size_t whole = size / SPAN, count = straight_span_count(size);

    memcpy(nodes, shard.nodes + start / SPAN * DIGEST, whole * DIGEST);
    straight_span_nodes(shard.data + start + whole * SPAN, size - whole * SPAN,
                        nodes + whole * DIGEST);
    if (range->span_nodes)
        CHECK(memcmp(range->span_nodes, nodes, count * DIGEST) == 0, "nodes of [%zu, %zu)", start,
              start + size);
    if (range->file_digest) {
        straight_sha256(shard.data, size, digest);
        CHECK(memcmp(range->file_digest, digest, DIGEST) == 0, "digest of %zu bytes", size);
    }
}

/* One kernel for any number of messages, or one for each number. */
static struct pyhash_options take_kernels(struct input *input)
{
    static const char *names[PYHASH_MAX_LANES];

    if (take(input, 2))
        return (struct pyhash_options){ .kernel = take_kernel(input) };
    for (unsigned i = 0; i < PYHASH_MAX_LANES; i++)
        names[i] = i > 0 && take(input, 2) ? names[i - 1] : take_kernel(input);
    return (struct pyhash_options){ .kernel_for = names };
}

static void fuzz_ranges(struct input *input)
{
    struct pyhash_range ranges[MAX_RANGES];
    struct pyhash_options options = take_kernels(input);
    struct pyhash_error error;
    enum pyhash_status status, expected = PYHASH_OK, own;
    int digests = (int)take(input, 2);
    size_t nranges = take(input, MAX_RANGES), bad = 0;

    options.threads = (uint32_t)take(input, 5);
    options.reader = take_reader(input);
    make_shard();
    for (size_t i = 0; i < nranges; i++) {
        ranges[i] = make_range(input, digests, &own);
        /* What makes no sense is refused before the file is looked at. */
        if (digests && ranges[i].start != 0)
            own = PYHASH_ERR_ARGUMENT;
        if (expected == PYHASH_OK && own != PYHASH_OK) {
            expected = own;
            bad = i;
        }
        if (take(input, 8) != 7)
            ranges[i].span_nodes = need_memory(5 * DIGEST);
        if (digests)
            ranges[i].file_digest = need_memory(DIGEST);
    }
    status = pyhash_hash_ranges(ranges, nranges, &options, NULL, &error);
    CHECK(status == expected, "%s, expected: %s", pyhash_status_text(status),
          pyhash_status_text(expected));
    CHECK(error.range_index == bad, "range %zu, expected %zu", (size_t)error.range_index, bad);
    for (size_t i = 0; i < nranges; i++) {
        if (status == PYHASH_OK)
            check_range(&ranges[i]);
        free(ranges[i].span_nodes);
        free(ranges[i].file_digest);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { data, size };

    if (take(&input, 2))
        fuzz_jobs(&input);
    else
        fuzz_ranges(&input);
    return 0;
}

#ifndef PYHASH_LIBFUZZER

#define MAX_INPUT 4096

/* New random bytes, or the last input with some bytes changed and perhaps another length. */
static size_t next_input(struct random *random, uint8_t *input, size_t size)
{
    if (size == 0 || random_below(random, 4) == 0) {
        size = 1 + random_below(random, MAX_INPUT);
        random_fill(random, input, size);
        return size;
    }
    for (size_t n = 1 + random_below(random, 8); n > 0; n--)
        input[random_below(random, size)] = (uint8_t)random_next(random);
    return random_below(random, 8) ? size : 1 + random_below(random, size);
}

static void replay(const char *path)
{
    static uint8_t input[1 << 20];
    FILE *file = fopen(path, "rb");

    NEED(file != NULL);
    LLVMFuzzerTestOneInput(input, fread(input, 1, sizeof input, file));
    fclose(file);
}

int main(int argc, char **argv)
{
    char *end = argv[argc - 1];
    size_t count = argc == 2 ? strtoul(argv[1], &end, 10) : 1000, size = 0;
    struct random random = { .state = 4 };
    uint8_t input[MAX_INPUT];

    if (argc > 1 && *end != '\0') {
        for (int i = 1; i < argc; i++)
            replay(argv[i]);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        size = next_input(&random, input, size);
        LLVMFuzzerTestOneInput(input, size);
    }
    free(shard.data);
    printf("fuzz_engine: %zu inputs\n", count);
    return 0;
}

#endif
