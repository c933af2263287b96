/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel of the list against NIST's vectors and against the straight SHA-256: every length
 * from 0 to 4096 at every count from 1 to 2 x lanes + 1, running states, unequal lengths side by
 * side, and pages that must not be touched. Ends with a report of what ran how. Knows no tree and
 * no file.
 *
 * usage: test_kernels VECTORS [quick | emulated KERNEL...]
 *   quick      fewer lengths and counts, for sanitizers
 *   emulated   fewer counts, and the kernels that are named, all of which must run */
#include <sys/mman.h>
#include <unistd.h>

#include "cavp.h"
#include "check.h"
#include "cpu_features.h"
#include "sha256.h"
#include "straight.h"

#define MAX_LENGTH 4096
#define MAX_MESSAGES (2 * PYHASH_MAX_LANES + 1)

enum how { NATIVE, MODELLED, MISSING, NOT_NAMED };

struct subject {
    const struct pyhash_kernel *kernel;
    enum how how;
};

#define PYHASH_KERNEL(symbol) extern const struct pyhash_kernel symbol;
#include "kernel_list.h"
#undef PYHASH_KERNEL
#if defined(__x86_64__)
extern const struct pyhash_kernel pyhash_kernel_avx512_x16_modelled;
#endif

static struct subject subjects[] = {
#define PYHASH_KERNEL(symbol) { &symbol, NATIVE },
#include "kernel_list.h"
#undef PYHASH_KERNEL
#if defined(__x86_64__)
    { &pyhash_kernel_avx512_x16_modelled, MODELLED },
#endif
};

#define NSUBJECTS (sizeof subjects / sizeof subjects[0])

static int quick, emulated;

static void check_digest(const struct pyhash_kernel *kernel, const char *what, size_t number,
                         const uint8_t *actual, const uint8_t *expected)
{
    CHECK(memcmp(actual, expected, DIGEST) == 0, "%s: %s %zu", kernel->name, what, number);
}

/* --- NIST's vectors -------------------------------------------------------------------------- */

static struct cavp cavp;

/* All of them at once, which mixes lengths of 0 to 6400 bytes, then one by one in every lane. */
static void test_cavp_messages(const struct pyhash_kernel *kernel)
{
    struct pyhash_job jobs[MAX_VECTORS];
    uint8_t digests[MAX_VECTORS][DIGEST];

    for (size_t i = 0; i < cavp.nvectors; i++)
        jobs[i] = (struct pyhash_job){ .data = cavp.vectors[i].message,
                                       .size = cavp.vectors[i].size, .digest = digests[i] };
    pyhash_sha256_jobs(kernel, jobs, cavp.nvectors);
    for (size_t i = 0; i < cavp.nvectors; i++)
        check_digest(kernel, "CAVP message", i, digests[i], cavp.vectors[i].digest);
    for (size_t i = 0; i < cavp.nvectors; i++) {
        memset(digests, 0, sizeof digests);
        for (size_t j = 0; j < kernel->lanes; j++)
            jobs[j] = (struct pyhash_job){ .data = cavp.vectors[i].message,
                                           .size = cavp.vectors[i].size, .digest = digests[j] };
        pyhash_sha256_jobs(kernel, jobs, kernel->lanes);
        for (size_t j = 0; j < kernel->lanes; j++)
            check_digest(kernel, "CAVP message in each lane", i, digests[j], cavp.vectors[i].digest);
    }
}

/* The Monte Carlo test (SHAVS, 6.4), the same chain in every lane. */
static void test_cavp_monte(const struct pyhash_kernel *kernel, size_t rounds)
{
    uint8_t message[PYHASH_MAX_LANES][3 * DIGEST], next[PYHASH_MAX_LANES][DIGEST];
    struct pyhash_job jobs[PYHASH_MAX_LANES];

    for (unsigned j = 0; j < kernel->lanes; j++) {
        memcpy(next[j], cavp.seed, DIGEST);
        jobs[j] = (struct pyhash_job){ .data = message[j], .size = sizeof message[j],
                                       .digest = next[j] };
    }
    for (size_t round = 0; round < rounds; round++) {
        for (unsigned j = 0; j < kernel->lanes; j++) {
            for (size_t third = 0; third < 3; third++)
                memcpy(message[j] + third * DIGEST, next[j], DIGEST);
        }
        for (int i = 0; i < 1000; i++) {
            pyhash_sha256_jobs(kernel, jobs, kernel->lanes);
            for (unsigned j = 0; j < kernel->lanes; j++) {
                memmove(message[j], message[j] + DIGEST, 2 * DIGEST);
                memcpy(message[j] + 2 * DIGEST, next[j], DIGEST);
            }
        }
        for (unsigned j = 0; j < kernel->lanes; j++)
            check_digest(kernel, "CAVP Monte Carlo checkpoint", round, next[j], cavp.monte[round]);
    }
}

/* --- every length, every count --------------------------------------------------------------- */

static void check_count(const struct pyhash_kernel *kernel, const uint8_t *data, size_t length,
                        size_t count, const uint8_t *expected)
{
    struct pyhash_job jobs[MAX_MESSAGES];
    uint8_t digests[MAX_MESSAGES + 1][DIGEST], untouched[DIGEST];

    memset(digests, 0xa5, sizeof digests);
    memset(untouched, 0xa5, sizeof untouched);
    for (size_t j = 0; j < count; j++)
        jobs[j] = (struct pyhash_job){ .data = length > 0 ? data + j * length : NULL,
                                       .size = length, .digest = digests[j] };
    pyhash_sha256_jobs(kernel, jobs, count);
    CHECK(memcmp(digests, expected, count * DIGEST) == 0, "%s: %zu messages of %zu bytes",
          kernel->name, count, length);
    CHECK(memcmp(digests[count], untouched, DIGEST) == 0, "%s wrote beyond", kernel->name);
}

/* How many messages the widest kernel that runs is ever given. */
static size_t most_messages(void)
{
    size_t most = 0;

    for (size_t s = 0; s < NSUBJECTS; s++) {
        if (subjects[s].how <= MODELLED && 2 * subjects[s].kernel->lanes + 1 > most)
            most = 2 * subjects[s].kernel->lanes + 1;
    }
    return most;
}

/* Lengths that are tried with all counts even where there is only time for some. */
static int is_special(size_t length)
{
    return length <= (quick ? 66 : 130) || length == MAX_LENGTH;
}

static void test_every_length(struct random *random)
{
    uint8_t *data = need_memory(MAX_MESSAGES * MAX_LENGTH);
    uint8_t expected[MAX_MESSAGES][DIGEST];
    const size_t nexpected = most_messages();

    random_fill(random, data, MAX_MESSAGES * MAX_LENGTH);
    for (size_t length = 0; length <= MAX_LENGTH; length += quick && !is_special(length) ? 7 : 1) {
        for (size_t j = 0; j < nexpected; j++)
            straight_sha256(data + j * length, length, expected[j]);
        for (size_t s = 0; s < NSUBJECTS; s++) {
            const struct pyhash_kernel *kernel = subjects[s].kernel;
            size_t most = 2 * kernel->lanes + 1;
            int is_slow = quick || emulated || subjects[s].how == MODELLED;

            if (subjects[s].how > MODELLED)
                continue;
            for (size_t count = 1; count <= most; count++) {
                if (is_slow && !is_special(length) && count != 1 + length % most)
                    continue;
                check_count(kernel, data, length, count, expected[0]);
            }
        }
    }
    free(data);
}

/* --- running states and unequal lengths ------------------------------------------------------ */

#define MAX_STREAMS 40

struct stream {
    const uint8_t *data;
    size_t size, done;
    uint32_t state[8];
    uint8_t digest[DIGEST];
    int ended;
};

/* The next run of a stream: some whole blocks, perhaps none, or all the rest. */
static struct pyhash_job next_run(struct random *random, struct stream *stream)
{
    size_t blocks = (stream->size - stream->done) / 64;
    int is_last = random_below(random, 4) == 0;
    size_t size = is_last ? stream->size - stream->done
                          : 64 * random_below(random, blocks + 1);
    struct pyhash_job job = {
        .data = stream->data + stream->done, .size = size, .state = stream->state,
        .before = stream->done, .digest = is_last ? stream->digest : NULL,
    };

    stream->done += size;
    stream->ended = is_last;
    return job;
}

static void test_running_states(const struct pyhash_kernel *kernel, struct random *random,
                                const uint8_t *data)
{
    struct stream streams[MAX_STREAMS] = { { 0 } };
    struct pyhash_job jobs[MAX_STREAMS];
    uint8_t expected[DIGEST];
    size_t count = 1 + random_below(random, MAX_STREAMS), njobs;

    for (size_t i = 0; i < count; i++) {
        streams[i].data = data + random_below(random, 64);
        streams[i].size = random_below(random, random_below(random, 4) ? 300 : 6000);
        memcpy(streams[i].state, straight_initial, sizeof straight_initial);
    }
    do {
        njobs = 0;
        for (size_t i = 0; i < count; i++) {
            if (!streams[i].ended)
                jobs[njobs++] = next_run(random, &streams[i]);
        }
        pyhash_sha256_jobs(kernel, jobs, njobs);
    } while (njobs > 0);
    for (size_t i = 0; i < count; i++) {
        straight_sha256(streams[i].data, streams[i].size, expected);
        check_digest(kernel, "stream of bytes", streams[i].size, streams[i].digest, expected);
    }
}

/* A length whose bit count needs all eight bytes, from any state: the padding's length field. */
static void test_long_before(const struct pyhash_kernel *kernel, struct random *random,
                             const uint8_t *data)
{
    for (unsigned bit = 6; bit < 61; bit++) {
        uint64_t before = (UINT64_C(1) << bit) + 64 * random_below(random, 1000);
        size_t size = random_below(random, 200);
        uint8_t actual[DIGEST], expected[DIGEST];
        uint32_t state[8];

        random_fill(random, (uint8_t *)state, sizeof state);
        straight_resume(state, before, data, size, expected);
        pyhash_sha256_jobs(kernel, &(struct pyhash_job){ .data = data, .size = size, .state = state,
                                                         .before = before, .digest = actual }, 1);
        check_digest(kernel, "2 to the power of", bit, actual, expected);
    }
}

/* Lanes that a kernel does not have are not its to write. */
static void test_other_lanes(const struct pyhash_kernel *kernel, struct random *random,
                             const uint8_t *data)
{
    struct pyhash_lanes lanes, before;
    const uint8_t *pointers[PYHASH_MAX_LANES];

    random_fill(random, (uint8_t *)&lanes, sizeof lanes);
    before = lanes;
    for (unsigned j = 0; j < PYHASH_MAX_LANES; j++)
        pointers[j] = data + 65 * j;
    kernel->compress(&lanes, pointers, 3);
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned j = kernel->lanes; j < PYHASH_MAX_LANES; j++)
            CHECK(lanes.word[i][j] == before.word[i][j], "%s: lane %u", kernel->name, j);
    }
}

/* --- pages that must not be touched ---------------------------------------------------------- */

#define GUARDED_PAGES 2

/* Memory with a forbidden page right before and right behind. */
static uint8_t *guarded(size_t page)
{
    uint8_t *base = mmap(NULL, (GUARDED_PAGES + 2) * page, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    NEED(base != MAP_FAILED);
    NEED(mprotect(base + page, GUARDED_PAGES * page, PROT_READ | PROT_WRITE) == 0);
    return base + page;
}

/* Every lane has its own pages: all messages end, or all begin, at a forbidden one. */
static void test_guard_pages(const struct pyhash_kernel *kernel, struct random *random)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = GUARDED_PAGES * page;
    uint8_t *pages[PYHASH_MAX_LANES + 1];
    size_t count = kernel->lanes + 1;

    for (size_t j = 0; j < count; j++) {
        pages[j] = guarded(page);
        random_fill(random, pages[j], room);
    }
    for (size_t length = 0; length <= room; length += length < 130 ? 1 : quick ? 509 : 61) {
        for (int at_end = 0; at_end <= 1; at_end++) {
            struct pyhash_job jobs[PYHASH_MAX_LANES + 1];
            uint8_t digests[PYHASH_MAX_LANES + 1][DIGEST], expected[DIGEST];

            for (size_t j = 0; j < count; j++)
                jobs[j] = (struct pyhash_job){ .data = pages[j] + (at_end ? room - length : 0),
                                               .size = length, .digest = digests[j] };
            pyhash_sha256_jobs(kernel, jobs, count);
            for (size_t j = 0; j < count; j += quick ? 5 : 1) {
                straight_sha256(jobs[j].data, length, expected);
                check_digest(kernel, "guarded message of bytes", length, digests[j], expected);
            }
        }
    }
    for (size_t j = 0; j < count; j++)
        NEED(munmap(pages[j] - page, room + 2 * page) == 0);
}

/* --- all of it ------------------------------------------------------------------------------- */

static void test_subject(const struct subject *subject, struct random *random)
{
    const int is_slow = quick || emulated || subject->how == MODELLED;
    uint8_t data[8192];

    random_fill(random, data, sizeof data);
    test_cavp_messages(subject->kernel);
    test_cavp_monte(subject->kernel, quick ? 2 : is_slow ? 10 : cavp.nmonte);
    for (size_t i = 0; i < (is_slow ? 40 : 400); i++)
        test_running_states(subject->kernel, random, data);
    test_long_before(subject->kernel, random, data);
    test_other_lanes(subject->kernel, random, data);
    test_guard_pages(subject->kernel, random);
}

/* What is left to be done with it on this processor, given the names on the command line. */
static enum how how_to_run(const struct subject *subject, int nnames, char **names)
{
    uint32_t required = subject->kernel->required_features;
    int is_named = !emulated;

    for (int i = 0; i < nnames && subject->how == NATIVE; i++)
        is_named |= strcmp(names[i], subject->kernel->name) == 0;
    if (!is_named)
        return NOT_NAMED;
    if (subject->how == NATIVE && (required & pyhash_cpu_features()) != required)
        return MISSING;
    return subject->how;
}

static int report(int nnames)
{
    const char *const words[] = { emulated ? "ran emulated" : "ran natively", "ran modelled",
                                  "did not run: the processor lacks it" };
    int nran = 0, nvector = 0;

    for (size_t s = 0; s < NSUBJECTS; s++) {
        if (subjects[s].how == NOT_NAMED)
            continue;
        printf("kernel %-12s %s\n", subjects[s].kernel->name, words[subjects[s].how]);
        nran += subjects[s].how == NATIVE;
        nvector += subjects[s].how == NATIVE && subjects[s].kernel->required_features != 0;
    }
    if (nvector == 0 && !emulated)
        printf("NOTE: no SIMD kernel ran on this processor, only portable C\n");
    if (nran == 0 || (emulated && nran != nnames)) {
        printf("FAILED: %d kernels ran\n", nran);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct random random = { .state = 1 };
    const int nnames = argc > 3 ? argc - 3 : 0;

    CHECK(argc >= 2, "usage: %s VECTORS [quick | emulated KERNEL...]", argv[0]);
    quick = argc > 2 && strcmp(argv[2], "quick") == 0;
    emulated = argc > 2 && strcmp(argv[2], "emulated") == 0;
    load_cavp(&cavp, argv[1]);
    for (size_t s = 0; s < NSUBJECTS; s++) {
        subjects[s].how = how_to_run(&subjects[s], nnames, argv + argc - nnames);
        if (subjects[s].how <= MODELLED)
            test_subject(&subjects[s], &random);
    }
    test_every_length(&random);
    free_cavp(&cavp);
    return report(nnames);
}
