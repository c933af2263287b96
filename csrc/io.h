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
    int is_mapped;
};

/* What one worker holds of its reader. */
struct pyhash_views {
    struct pyhash_view view[PYHASH_MAX_VIEWS];
    unsigned nviews;
    uint8_t *buffer;                    /* what is copied: all (buffered), small pieces (auto) */
    size_t capacity, used;
    size_t copied;                      /* auto: bytes of the buffer in use */
    uint8_t *room;                      /* mmap reader: addresses for all its views */
    size_t room_bytes, mapped;          /* of which so many have been given to views */
    unsigned nthreads;                  /* workers that share the machine */
    unsigned max_views;                 /* most views at a time, at most PYHASH_MAX_VIEWS */
    const uint8_t *volatile lost;       /* mmap reader: first address whose page could not be had */
    struct pyhash_direct *direct;       /* direct reader: its own state; NULL: not opened */
    int is_into;                        /* the bytes are wanted in the caller's memory; a reader
                                           that can puts them there, all others show a view */
    int is_spare;                       /* others can do without this one: what may be short later
                                           is to be had in open(), or open() fails */
    uint8_t *into;                      /* then: where, for the next announce or acquire */
    uint32_t notes;                     /* bits of enum pyhash_note */
};

/* How many threads share the memory for reading: those of a call, and `others` of calls like it. */
PYHASH_INLINE unsigned pyhash_sharers(unsigned nthreads, uint32_t others)
{
    return nthreads + (others < 1024 ? others : 1024);
}

struct pyhash_reader_ops {
    /* Most bytes of one view; a whole number of spans. */
    size_t max_view;

    /* Make ready views, which are all zeros but for is_into and is_spare, and set their capacity to
     * at least `wanted` bytes, a whole number of spans. `nthreads` workers will do the same. On
     * failure nothing is left open. */
    enum pyhash_status (*open)(struct pyhash_views *views, size_t wanted, unsigned nthreads);

    /* Say that a view will soon be asked for. Only a hint; NULL: this reader takes none. */
    void (*announce)(struct pyhash_views *views, int fd, uint64_t offset, size_t size);

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
extern const struct pyhash_reader_ops pyhash_reader_direct, pyhash_reader_auto;

/* Direct reader, for `auto`: make its buffers ready, unless they are; is there room for a view; was
 * this view announced, and is it read or being read? */
enum pyhash_status pyhash_direct_open(struct pyhash_views *views);
int pyhash_direct_has_room(const struct pyhash_views *views);
int pyhash_direct_holds(const struct pyhash_views *views, int fd, uint64_t offset);

/* The reader for a request. `fd`: a file of the call, whose file system AUTO asks; -1: memory,
 * which is hashed where it lies whatever the reader.
 * NULL when there is no such reader. */
const struct pyhash_reader_ops *pyhash_select_reader(uint32_t reader, int fd);

/* Is [.., end) inside the regular file `fd`? */
enum pyhash_status pyhash_check_file(int fd, uint64_t end, struct pyhash_error *error);

/* The same of a file that has been found regular and open for reading. */
enum pyhash_status pyhash_check_end(int fd, uint64_t end, struct pyhash_error *error);

/* Are all views still inside their files? Asked after the bytes were used: a read that meets a
 * truncation may return zeros from behind the new end, and nobody else would notice. */
enum pyhash_status pyhash_check_views(const struct pyhash_views *views, unsigned *index,
                                      struct pyhash_error *error);

/* Is nearly all of the file in the page cache, so that reading it twice costs no drive anything? 0
 * where the system does not say. */
int pyhash_is_resident(int fd, uint64_t size);

/* pread bytes [done, size) of a piece to where they belong in `data`, `size` bytes, the caller's. */
enum pyhash_status pyhash_read(uint8_t *data, int fd, uint64_t offset, size_t size, size_t done,
                               struct pyhash_error *error);

#endif
