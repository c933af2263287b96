/* SPDX-License-Identifier: Apache-2.0 */
/* Views of a small file by one reader, taken and let go of the way a worker does it, for the tests
 * of the readers and of the signal handler. */
#ifndef PYHASH_TEST_VIEWS_H
#define PYHASH_TEST_VIEWS_H

#include "check.h"
#include "io.h"
#include "temp_file.h"

#define PAGE 4096
#define WINDOW ((size_t)4 * PAGE)

/* A file of four pages, each byte of them 1 at the start of a page. */
static inline int full_file(void)
{
    static const uint8_t ones[WINDOW] = { 1 };
    int fd = temp_file();

    for (size_t page = 0; page < WINDOW; page += PAGE)
        write_at(fd, ones, PAGE, page);
    return fd;
}

/* View all of it. */
static inline void acquire(const struct pyhash_reader_ops *reader, struct pyhash_views *views, int fd)
{
    struct pyhash_error error = { 0 };
    enum pyhash_status status = reader->acquire(views, fd, 0, WINDOW, &error);

    CHECK(status == PYHASH_OK, "%s, errno %d", pyhash_status_text(status), error.os_errno);
}

/* Let go of all views; on failure it must be about that view and that byte. */
static inline void check_release(const struct pyhash_reader_ops *reader, struct pyhash_views *views,
                          enum pyhash_status expected, unsigned view, uint64_t offset)
{
    struct pyhash_error error = { 0 };
    unsigned index = 99;
    enum pyhash_status status = reader->release(views, &index, &error);

    CHECK(status == expected, "%s", pyhash_status_text(status));
    CHECK(views->nviews == 0 && views->lost == NULL, "%u views left", views->nviews);
    if (status == PYHASH_OK)
        return;
    CHECK(index == view && error.offset == offset, "view %u, byte %zu", index,
          (size_t)error.offset);
    CHECK(error.os_errno == (status == PYHASH_ERR_READ ? EIO : 0), "errno %d", error.os_errno);
}

#endif
