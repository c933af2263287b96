/* SPDX-License-Identifier: Apache-2.0 */
/* The readers from within: which one is chosen, what they say of files that shrink while they are
 * viewed, and that a lost page spoils one view and no other. Hashes nothing; the signal handler
 * as others see it has test_sigbus.c. */
#include "batch.h"
#include "views.h"

/* --- which reader ---------------------------------------------------------------------------- */

static const struct pyhash_reader_ops *const readers[] = {
    &pyhash_reader_mmap, &pyhash_reader_buffered, &pyhash_reader_direct, &pyhash_reader_auto,
};

#define NREADERS (sizeof readers / sizeof readers[0])

static void test_selection(void)
{
    const struct pyhash_reader_ops *automatic;
    int file = temp_file(), proc = open("/proc/version", O_RDONLY);

    NEED(proc >= 0);
    CHECK(pyhash_select_reader(PYHASH_READER_MMAP, proc) == &pyhash_reader_mmap, "mmap");
    CHECK(pyhash_select_reader(PYHASH_READER_BUFFERED, file) == &pyhash_reader_buffered, "buffered");
    CHECK(pyhash_select_reader(PYHASH_READER_DIRECT, file) == &pyhash_reader_direct, "direct");
    CHECK(pyhash_select_reader(PYHASH_READER_AUTO, -1) == &pyhash_reader_auto, "memory");
    CHECK(pyhash_select_reader(PYHASH_READER_AUTO, proc) == &pyhash_reader_buffered, "/proc");
    CHECK(pyhash_select_reader(PYHASH_READER_COUNT, file) == NULL, "no such reader");
    automatic = pyhash_select_reader(PYHASH_READER_AUTO, file);
    CHECK(automatic != NULL, "automatic");
    printf("reader of temporary files: %s\n",
           automatic == &pyhash_reader_auto ? "auto" : "buffered");
    close(file);
    close(proc);
}

/* A worker's views are whole spans, no fewer than asked for, and as large as promised. */
static void test_capacity(void)
{
    for (size_t r = 0; r < NREADERS; r++) {
        size_t most = readers[r]->max_view / PYHASH_SPAN_BYTES;

        CHECK(most >= 1 && most <= PYHASH_BATCH_SPANS
                  && readers[r]->max_view % PYHASH_SPAN_BYTES == 0,
              "reader %zu: %zu bytes", r, readers[r]->max_view);
        for (size_t wanted = 0; wanted <= PYHASH_MAX_VIEWS; wanted += 4) {
            for (unsigned threads = 1; threads < 5000; threads = threads * 7 + 1) {
                struct pyhash_views views = { .nviews = 0 };
                size_t spans;

                CHECK(readers[r]->open(&views, wanted * PYHASH_SPAN_BYTES, threads) == PYHASH_OK,
                      "reader %zu", r);
                spans = views.capacity / PYHASH_SPAN_BYTES;
                CHECK(views.capacity % PYHASH_SPAN_BYTES == 0 && spans >= wanted && spans >= most
                          && spans <= PYHASH_BATCH_SPANS,
                      "reader %zu: %zu bytes where %zu spans were wanted", r, views.capacity,
                      wanted);
                CHECK(views.max_views >= 1 && views.max_views <= PYHASH_MAX_VIEWS, "%u views",
                      views.max_views);
                readers[r]->close(&views);
            }
        }
    }
}

/* --- lost pages of views --------------------------------------------------------------------- */

/* Let one of two files shrink, look at its third page or not, and perhaps let it grow again. */
static void check_lost(const struct pyhash_reader_ops *reader, unsigned which, int look, int regrow,
                       enum pyhash_status expected)
{
    const size_t new_size = PAGE + 10;
    struct pyhash_views views;
    int fds[2] = { full_file(), full_file() };
    int is_mapped = reader == &pyhash_reader_mmap;
    volatile const uint8_t *data;

    memset(&views, 0, sizeof views);
    CHECK(reader->open(&views, 0, 1) == PYHASH_OK, "open");
    acquire(reader, &views, fds[0]);
    acquire(reader, &views, fds[1]);
    data = views.view[which].data;
    NEED(ftruncate(fds[which], (off_t)new_size) == 0);
    if (look) {
        CHECK(data[2 * PAGE + 5] == (is_mapped ? 0 : data[5]) || !is_mapped, "not zeros");
        CHECK(views.view[!which].data[0] == 1, "the other view was touched");
    }
    if (regrow)
        NEED(ftruncate(fds[which], (off_t)WINDOW) == 0);
    check_release(reader, &views, expected, which, regrow ? 2 * PAGE + 5 : new_size);
    acquire(reader, &views, fds[!which]);
    check_release(reader, &views, PYHASH_OK, 0, 0);
    reader->close(&views);
    close(fds[0]);
    close(fds[1]);
}

static void test_lost_views(void)
{
    for (unsigned which = 0; which < 2; which++) {
        check_lost(&pyhash_reader_mmap, which, 1, 0, PYHASH_ERR_SHRANK);
        check_lost(&pyhash_reader_mmap, which, 0, 0, PYHASH_ERR_SHRANK);
        check_lost(&pyhash_reader_mmap, which, 1, 1, PYHASH_ERR_READ);
        for (size_t r = 0; r < NREADERS; r++) {
            check_lost(readers[r], which, 1, 0, PYHASH_ERR_SHRANK);
            check_lost(readers[r], which, 0, 0, PYHASH_ERR_SHRANK);
        }
    }
}

int main(void)
{
    test_selection();
    test_capacity();
    test_lost_views();
    return 0;
}
