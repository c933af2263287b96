/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's whole public interface. Python's declarations are the text between the two
 * markers, verbatim, so it holds no preprocessor lines. Every function may be called from any
 * number of threads at once; none keeps a pointer that it was given. Sizes and offsets are bytes,
 * ranges half-open. Format v1 (docs/format-v1.md) fixes chunk = 65,536 bytes, span = 16 chunks. */
#ifndef PYHASH_H
#define PYHASH_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

/* What a call came to. Each value has its own exception in Python. */
enum pyhash_status {
    PYHASH_OK = 0,
    PYHASH_ERR_ARGUMENT = 1,      /* the request itself makes no sense */
    PYHASH_ERR_MEMORY = 2,        /* an allocation failed */
    PYHASH_ERR_KERNEL = 3,        /* no such kernel, or this processor cannot run it */
    PYHASH_ERR_NOT_REGULAR = 4,   /* a descriptor is not a regular file */
    PYHASH_ERR_READ = 5,          /* the system refused a read: os_errno says why */
    PYHASH_ERR_SHRANK = 6,        /* the file ends before the range does */
    PYHASH_ERR_CANCELLED = 7,     /* control->cancel was set */
    PYHASH_STATUS_COUNT = 8
};

/* How bytes of a file are reached. */
enum pyhash_reader {
    PYHASH_READER_AUTO = 0,       /* local file systems: mmap where any page of a piece is in the
                                     page cache, direct where none is; all others: buffered. The
                                     first file of a call is asked for its file system */
    PYHASH_READER_MMAP = 1,       /* windows of the file, mapped and let go of again */
    PYHASH_READER_BUFFERED = 2,   /* pread into a small buffer that is used again and again */
    PYHASH_READER_DIRECT = 3,     /* O_DIRECT, announced ahead by io_uring; past the page cache */
    PYHASH_READER_COUNT = 4
};

/* What a call did another way than was asked for; bits of pyhash_control.notes. */
enum pyhash_note {
    PYHASH_NOTE_NO_DIRECT = 1,    /* a file system without O_DIRECT: read through the page cache */
    PYHASH_NOTE_NO_URING = 2      /* no io_uring here: nothing was read ahead */
};

/* Where a call failed; filled in only when the status is not PYHASH_OK. */
struct pyhash_error {
    int32_t os_errno;             /* errno of the failed system call, or 0 */
    uint64_t range_index;         /* which range of the call */
    uint64_t offset;              /* first byte of that file that could not be read */
};

/* Shared with a running call; all fields are read and written atomically. */
struct pyhash_control {
    uint64_t bytes_done;          /* grows while the call runs; starts at what the caller set */
    uint32_t cancel;              /* set to 1 to stop the call within some milliseconds */
    uint32_t notes;               /* out: bits of enum pyhash_note */
};

/* One run of bytes to hash: of an open file, or of memory when fd is -1. */
struct pyhash_range {
    int32_t fd;                   /* open for reading; stays the caller's; -1: use memory */
    const uint8_t *memory;        /* `end` bytes of the caller's, unchanged during the call */
    uint64_t start;               /* first byte; a multiple of 1 MiB */
    uint64_t end;                 /* one past the last byte: a multiple of 1 MiB or the shard's end */
    uint8_t *span_nodes;          /* out: 32 bytes for each span of the range; NULL: not wanted */
    uint8_t *file_digest;         /* out: 32 bytes, SHA-256 of the range in one piece, which must
                                     start at 0; NULL: not wanted */
    uint8_t *into;                /* out: `end - start` bytes of the caller's, to which the range is
                                     read and where it is hashed: what was hashed is what is there.
                                     NULL: not wanted. For all file ranges of a call or for none,
                                     and only with a digest; on a multiple of 4096, reads past the
                                     page cache go straight there. After an error it holds bytes
                                     of which nothing is known */
};

/* How to do it. Zero everything for the defaults. */
struct pyhash_options {
    const char *kernel;           /* name, ends in NUL; NULL: first of the list that runs here */
    const char *const *kernel_for; /* 16 names: which kernel is best at 1, 2, ... 16 messages side by
                                     side, as fewer than a kernel's lanes leave the others idle;
                                     NULL: `kernel` for any number, else `kernel` must be NULL */
    uint32_t threads;             /* 0 counts as 1; the calling thread is one of them; where the
                                     system refuses more, the call goes on with those it got */
    uint32_t reader;              /* enum pyhash_reader */
    uint32_t others;              /* threads of other calls that hash meanwhile: memory for reading is
                                     shared with them */
};

/* One kernel of the list. */
struct pyhash_kernel_info {
    const char *name;             /* static */
    uint32_t lanes;               /* messages that it hashes at once */
    int32_t supported;            /* 1: this processor can run it */
};

/* Hash every range and write its span nodes and file digest.
 *
 * @param ranges   `nranges` entries, the caller's; their out-buffers must not overlap.
 * @param options  the caller's.
 * @param control  the caller's; NULL: no progress and no cancelling.
 * @param error    the caller's; filled in on failure. Must not be NULL.
 *
 * Workers take extents of 16 consecutive spans from one counter over all ranges, so one huge file
 * and a thousand small ones keep all threads equally busy. When any range wants a file digest,
 * workers follow whole files instead (a serial digest cannot be shared out) with up to one file
 * in each lane; give the longest first. Where they are fewer than threads and in the page cache, the
 * other threads take their spans. After an error the out-buffers hold nothing of use. */
enum pyhash_status pyhash_hash_ranges(const struct pyhash_range *ranges, size_t nranges,
                                      const struct pyhash_options *options,
                                      struct pyhash_control *control,
                                      struct pyhash_error *error);

/* SHA-256 of each block of 4096 bytes of a piece of a file, the last one of the file filled up with
 * zeros, as fs-verity has them: 32 bytes each to `digests`, the caller's. Of `piece` only fd, start
 * and end count; of the options kernel, reader and others: the call uses its own thread alone. After an
 * error the digests are of no use. */
enum pyhash_status pyhash_hash_verity_blocks(const struct pyhash_range *piece,
                                             const struct pyhash_options *options,
                                             uint8_t *digests, struct pyhash_error *error);

/* XXH3-128 (seed 0, most significant byte first) of each span of a piece of a file, which ends on a
 * multiple of 1 MiB: 16 bytes each to `digests`, the caller's. Finds rot, not attackers. Of `piece`
 * and of the options the same counts as for pyhash_hash_verity_blocks, but `kernel` must be NULL. */
enum pyhash_status pyhash_xxh3_spans(const struct pyhash_range *piece,
                                     const struct pyhash_options *options, uint8_t *digests,
                                     struct pyhash_error *error);

/* Fold nodes of one level to their RFC 6962 root: `nnodes` > 0 times 32 bytes, the caller's, which
 * are overwritten; the root is written to `root`, 32 bytes. Same `kernel` as in the options. */
enum pyhash_status pyhash_fold_nodes(const char *kernel, uint8_t *nodes, size_t nnodes,
                                     uint8_t *root);

/* SHA-256 of `nmessages` messages of `size` bytes each, one after the other at `messages`;
 * 32 bytes each to `digests`. For tests, calibration and benchmarks of one kernel. */
enum pyhash_status pyhash_hash_messages(const char *kernel, const uint8_t *messages,
                                        size_t nmessages, size_t size, uint8_t *digests);

/* How many kernels were built in, and the index-th of them, in order of preference. */
size_t pyhash_kernel_count(void);
enum pyhash_status pyhash_kernel_at(size_t index, struct pyhash_kernel_info *info);

/* A static English sentence for a status. */
const char *pyhash_status_text(enum pyhash_status status);

/* cffi: end */

#endif
