/* SPDX-License-Identifier: Apache-2.0 */
/* Reading byte ranges of open files: what a reader is, and the table of them. A worker asks for
 * some views, hashes them, and lets go of all of them at once. */
#ifndef PYHASH_IO_H
#define PYHASH_IO_H

#include "common.h"
#include "pyhash.h"

/* Most views that are held at a time. */
#define PYHASH_MAX_VIEWS 16

/* Bytes of one file in memory, until the next pyhash_reader.release. */
struct pyhash_view {
    const uint8_t *data;
    size_t size;
    int fd;
    uint64_t offset;
};

/* What one worker holds of its reader. */
struct pyhash_views {
    struct pyhash_view view[PYHASH_MAX_VIEWS];
    unsigned nviews;
    uint8_t *buffer;                    /* buffered reader: `capacity` bytes */
    size_t capacity, used;
    const uint8_t *volatile lost;       /* mmap reader: first address whose page could not be had */
};

struct pyhash_reader_ops {
    /* Bytes that are viewed at a time: at least `wanted`; a whole number of spans. */
    size_t (*capacity)(size_t wanted);

    enum pyhash_status (*open)(struct pyhash_views *views, size_t capacity);

    /* Add a view of [offset, offset + size), offset a multiple of 1 MiB, size > 0. On failure
     * error->os_errno and error->offset are filled in. */
    enum pyhash_status (*acquire)(struct pyhash_views *views, int fd, uint64_t offset, size_t size,
                                  struct pyhash_error *error);

    /* End all views. Fails when some of their bytes were not the file's, or the file has become
     * too short for them: what was computed from them is worth nothing. `*index` is the view
     * concerned. */
    enum pyhash_status (*release)(struct pyhash_views *views, unsigned *index,
                                  struct pyhash_error *error);

    void (*close)(struct pyhash_views *views);
};

extern const struct pyhash_reader_ops pyhash_reader_mmap, pyhash_reader_buffered;

/* The reader for a request. `fd`: a file of the call, whose file system AUTO asks; -1: memory,
 * which is hashed where it lies whatever the reader.
 * NULL when there is no such reader. */
const struct pyhash_reader_ops *pyhash_select_reader(uint32_t reader, int fd);

/* Is [.., end) inside the regular file `fd`? */
enum pyhash_status pyhash_check_file(int fd, uint64_t end, struct pyhash_error *error);

#endif
