/* SPDX-License-Identifier: Apache-2.0 */
/* MAIN PATH. From ranges of open files to span nodes and file digests: check the request, choose
 * kernel and reader once, let every thread take work from one counter until none is left.
 *
 * Hashing a range is a pure function of its bytes: which thread took which span leaves no trace
 * in the result. */
#include <stdlib.h>

#include "call.h"
#include "cpu_features.h"
#include "threads.h"

static void fail(struct pyhash_call *call, enum pyhash_status status,
                 const struct pyhash_error *error)
{
    if (__atomic_exchange_n(&call->failed, 1, __ATOMIC_ACQ_REL) == 0) {
        call->status = status;
        call->error = *error;
    }
}

int pyhash_call_should_stop(struct pyhash_call *call)
{
    struct pyhash_error none = { 0 };

    if (call->control && __atomic_load_n(&call->control->cancel, __ATOMIC_RELAXED))
        fail(call, PYHASH_ERR_CANCELLED, &none);
    return __atomic_load_n(&call->failed, __ATOMIC_RELAXED) != 0;
}

int pyhash_call_run(struct pyhash_call *call, struct pyhash_batch *batch)
{
    struct pyhash_error error = { 0 };
    /* What is read twice is done when it has been followed, which takes longer. */
    uint64_t bytes = call->is_split && batch->nstreams == 0 ? 0 : batch->bytes;
    enum pyhash_status status = pyhash_batch_run(batch, &error);

    if (status != PYHASH_OK)
        fail(call, status, &error);
    else if (call->control)
        __atomic_fetch_add(&call->control->bytes_done, bytes, __ATOMIC_RELAXED);
    return !pyhash_call_should_stop(call);
}

int pyhash_call_add(struct pyhash_call *call, struct pyhash_batch *batch,
                    const struct pyhash_piece *piece, struct pyhash_stream *stream)
{
    struct pyhash_error error = { 0 };
    enum pyhash_status status = pyhash_batch_add(batch, call->ranges, piece, stream, &error);

    if (status != PYHASH_OK)
        fail(call, status, &error);
    return status == PYHASH_OK;
}

/* The range that holds span `span` of all: the last one whose first span is not beyond it. */
static size_t find_range(const struct pyhash_call *call, uint64_t span)
{
    size_t low = 0, high = call->nranges;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (call->first_span[mid] <= span)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* Spans [first, end) of all ranges together. */
struct extent {
    uint64_t first, end;
};

/* The piece that begins at span `span`: as long as extent, range and reader let it be. */
static struct pyhash_piece next_piece(const struct pyhash_call *call, uint64_t span, uint64_t end)
{
    size_t index = find_range(call, span), most = call->max_view / PYHASH_SPAN_BYTES;
    const struct pyhash_range *range = &call->ranges[index];
    uint64_t last = call->first_span[index + 1] < end ? call->first_span[index + 1] : end;
    uint64_t nspans = last - span < most ? last - span : most;
    uint64_t offset = range->start + (span - call->first_span[index]) * PYHASH_SPAN_BYTES;
    uint64_t rest = range->end - offset, whole = nspans * PYHASH_SPAN_BYTES;

    return (struct pyhash_piece){ index, offset, (size_t)(rest < whole ? rest : whole), (size_t)nspans };
}

static struct extent take_extent(struct pyhash_call *call)
{
    const uint64_t total = call->first_span[call->nranges];
    uint64_t first = __atomic_fetch_add(&call->next_span, call->extent, __ATOMIC_RELAXED);

    if (first >= total)
        return (struct extent){ total, total };
    return (struct extent){ first, total - first < call->extent ? total : first + call->extent };
}

static void announce_extent(const struct pyhash_call *call, struct pyhash_batch *batch,
                            struct extent extent)
{
    while (call->reader->announce && extent.first < extent.end) {
        struct pyhash_piece piece = next_piece(call, extent.first, extent.end);

        pyhash_batch_announce(batch, &call->ranges[piece.index], piece.offset, piece.size);
        extent.first += piece.nspans;
    }
}

static int hash_extent(struct pyhash_call *call, struct pyhash_batch *batch, struct extent extent)
{
    while (extent.first < extent.end) {
        struct pyhash_piece piece = next_piece(call, extent.first, extent.end);

        if (!pyhash_batch_fits(batch, piece.size, piece.nspans) && !pyhash_call_run(call, batch))
            return 0;
        if (!pyhash_call_add(call, batch, &piece, NULL))
            return 0;
        extent.first += piece.nspans;
    }
    return pyhash_call_run(call, batch);
}

/* One extent is hashed while the next one is being read. */
static void take_extents(struct pyhash_call *call, struct pyhash_batch *batch)
{
    struct extent now = take_extent(call), next;

    announce_extent(call, batch, now);
    for (; now.first < now.end && !pyhash_call_should_stop(call); now = next) {
        next = take_extent(call);
        announce_extent(call, batch, next);
        if (!hash_extent(call, batch, now))
            return;
    }
}

/* A batch for the thread that asks; NULL: the system refused what it needs. */
static struct pyhash_batch *open_batch(const struct pyhash_call *call, int is_spare)
{
    struct pyhash_batch *batch = aligned_alloc(64, (sizeof *batch + 63) / 64 * 64);

    if (!batch)
        return NULL;
    batch->kernels = &call->kernels;
    batch->is_split = call->is_split;
    batch->is_into = call->is_into;
    batch->is_spare = is_spare;
    batch->reader = call->reader;
    if (pyhash_batch_open(batch, call->nslots * (size_t)PYHASH_SPAN_BYTES,
                          pyhash_sharers(call->nthreads, call->others))
        == PYHASH_OK)
        return batch;
    free(batch);
    return NULL;
}

static void work(struct pyhash_call *call, struct pyhash_batch *batch)
{
    struct pyhash_error none = { 0 };

    if (call->nslots > 0)
        pyhash_follow_files(call, batch);
    if (call->nslots == 0 || call->is_split)
        take_extents(call, batch);
    /* What an error left in the batch is let go of unhashed. */
    batch->reader->release(&batch->views, &(unsigned){ 0 }, &none);
    if (call->control)
        __atomic_fetch_or(&call->control->notes, batch->views.notes, __ATOMIC_RELAXED);
    pyhash_batch_close(batch);
    free(batch);
}

static void work_own(void *shared)
{
    struct pyhash_call *call = shared;

    work(call, call->own);
}

/* A thread that is refused what it needs is one that did not start: the others do its work. */
static void work_spare(void *shared)
{
    struct pyhash_batch *batch = open_batch(shared, 1);

    if (batch)
        work(shared, batch);
}

static enum pyhash_status check_range(const struct pyhash_range *range, struct pyhash_error *error)
{
    if (range->start % PYHASH_SPAN_BYTES != 0 || range->end < range->start
        || range->end > INT64_MAX || (range->fd < 0 && !range->memory && range->end > 0)
        || (range->file_digest && range->start != 0)
        || (range->into && (range->fd < 0 || (!range->span_nodes && !range->file_digest))))
        return PYHASH_ERR_ARGUMENT;
    return range->fd < 0 ? PYHASH_OK : pyhash_check_file(range->fd, range->end, error);
}

/* No more threads than there is work for, but one. */
static unsigned at_most(unsigned nthreads, uint64_t nparts)
{
    return nparts == 0 ? 1 : nparts < nthreads ? (unsigned)nparts : nthreads;
}

/* Fewer files than threads, whose digests cannot be shared out: let the other threads hash the
 * spans. Both read the same bytes, so only where that costs no drive anything. */
static int should_split(const struct pyhash_call *call, uint64_t nfiles)
{
    int is_split = nfiles < call->nthreads && call->reader != &pyhash_reader_direct;

    for (size_t i = 0; i < call->nranges && is_split; i++) {
        const struct pyhash_range *range = &call->ranges[i];

        is_split = range->fd < 0 || pyhash_is_resident(range->fd, range->end);
    }
    return is_split;
}

/* How many files as long as the longest would be as much work: short ones keep no lane busy. */
static uint64_t count_long(uint64_t bytes, uint64_t longest, uint64_t nfiles)
{
    uint64_t nlong = longest > 0 ? bytes / longest + (bytes % longest > longest / 2) : nfiles;

    return nlong > 0 ? nlong : 1; /* none, or more bytes than can be counted */
}

/* Check every range, number its spans, and see whether files have to be followed. */
static enum pyhash_status plan(struct pyhash_call *call, struct pyhash_error *error)
{
    uint64_t spans = 0, bytes = 0, longest = 0, nlong;
    size_t ndigests = 0, nfiles = 0, ninto = 0;

    for (size_t i = 0; i < call->nranges; i++) {
        const struct pyhash_range *range = &call->ranges[i];
        uint64_t size = range->end - range->start;
        enum pyhash_status status;

        error->range_index = i;
        status = check_range(range, error);
        if (status != PYHASH_OK)
            return status;
        call->first_span[i] = spans;
        spans += range->span_nodes ? size / PYHASH_SPAN_BYTES + (size % PYHASH_SPAN_BYTES != 0) : 0;
        ndigests += range->file_digest != NULL;
        nfiles += range->fd >= 0 && size > 0;
        bytes += size;
        longest = size > longest ? size : longest;
        ninto += range->into != NULL && size > 0;
    }
    call->first_span[call->nranges] = spans;
    if ((ndigests != 0 && ndigests != call->nranges) || (ninto != 0 && ninto != nfiles))
        return PYHASH_ERR_ARGUMENT;
    call->is_into = ninto > 0;
    call->max_view = ninto > 0 ? PYHASH_SPAN_BYTES : call->reader->max_view;
    nlong = count_long(bytes, longest, call->nranges);
    call->is_split = ndigests > 0 && spans > 0 && ninto == 0 && should_split(call, nlong);
    call->nthreads = at_most(call->nthreads, ndigests == 0 || call->is_split ? spans : call->nranges);
    if (ndigests > 0) {
        size_t share = (size_t)((nlong + call->nthreads - 1) / call->nthreads);
        int is_mixed = spans > 0 && share > pyhash_most_apart(&call->kernels);
        unsigned lanes = pyhash_kernel_for(&call->kernels, is_mixed ? SIZE_MAX : share)->lanes;

        call->nslots = share < lanes ? (unsigned)share : lanes;
    }
    /* At least four extents for each thread, or the last ones run alone. */
    call->extent = spans / (UINT64_C(4) * call->nthreads);
    call->extent = call->extent < 1 ? 1
                   : call->extent > PYHASH_BATCH_SPANS ? PYHASH_BATCH_SPANS : call->extent;
    return PYHASH_OK;
}

static int choose_kernels(struct pyhash_kernels *kernels, const struct pyhash_options *options)
{
    const uint32_t features = pyhash_cpu_features();

    for (unsigned i = 0; i < PYHASH_MAX_LANES; i++) {
        const char *name = options->kernel_for ? options->kernel_for[i] : options->kernel;

        kernels->of[i] = pyhash_select_kernel(name, features);
        if (!kernels->of[i])
            return 0;
    }
    return 1;
}

PYHASH_EXPORT enum pyhash_status pyhash_hash_ranges(const struct pyhash_range *ranges,
                                                    size_t nranges,
                                                    const struct pyhash_options *options,
                                                    struct pyhash_control *control,
                                                    struct pyhash_error *error)
{
    struct pyhash_call call = { .ranges = ranges, .nranges = nranges, .control = control };
    enum pyhash_status status;

    if (!options || !error || (nranges > 0 && !ranges))
        return PYHASH_ERR_ARGUMENT;
    *error = (struct pyhash_error){ 0 };
    call.nthreads = options->threads > 0 ? options->threads : 1;
    call.others = options->others;
    call.reader = pyhash_select_reader(options->reader, nranges > 0 ? ranges[0].fd : -1);
    if (!call.reader || (options->kernel && options->kernel_for))
        return PYHASH_ERR_ARGUMENT;
    if (!choose_kernels(&call.kernels, options))
        return PYHASH_ERR_KERNEL;
    /* Both in one: places of spans, and behind them a byte for each range. */
    call.first_span = calloc(nranges + 1, sizeof *call.first_span + sizeof *call.taken);
    if (!call.first_span)
        return PYHASH_ERR_MEMORY;
    call.taken = (uint8_t *)(call.first_span + nranges + 1);
    status = plan(&call, error);
    if (status == PYHASH_OK) {
        /* Before any other thread takes memory, and on the thread that will use it. */
        call.own = open_batch(&call, 0);
        status = call.own ? PYHASH_OK : PYHASH_ERR_MEMORY;
    }
    if (status == PYHASH_OK) {
        pyhash_run_threads(call.nthreads, work_spare, work_own, &call);
        status = call.status;
        *error = call.error;
    }
    free(call.first_span);
    return status;
}
