/* SPDX-License-Identifier: Apache-2.0 */
/* Collects pieces into one list of messages, so that small files and short last chunks fill the
 * lanes together. Every result is written only after the reader has said that the bytes were
 * the file's. */
#include "batch.h"

static struct pyhash_job *middle(const struct pyhash_batch *batch)
{
    return (struct pyhash_job *)batch->jobs + PYHASH_MAX_VIEWS;
}

static void empty(struct pyhash_batch *batch)
{
    batch->bytes = 0;
    batch->nspans = batch->nchunks = batch->nstreams = 0;
}

enum pyhash_status pyhash_batch_open(struct pyhash_batch *batch, size_t wanted, unsigned nthreads)
{
    enum pyhash_status status;

    memset(&batch->views, 0, sizeof batch->views);
    empty(batch);
    batch->views.is_into = batch->is_into;
    batch->views.is_spare = batch->is_spare;
    status = batch->reader->open(&batch->views, wanted, nthreads);
    /* What was copied is hashed while it is still in the core's own cache. */
    if (batch->is_into)
        batch->views.capacity = wanted > PYHASH_SPAN_BYTES ? wanted : PYHASH_SPAN_BYTES;
    return status;
}

void pyhash_batch_close(struct pyhash_batch *batch)
{
    batch->reader->close(&batch->views);
}

int pyhash_batch_fits(const struct pyhash_batch *batch, uint64_t size, size_t nspans)
{
    return batch->views.nviews < batch->views.max_views && batch->nstreams < PYHASH_MAX_VIEWS
           && batch->nspans + nspans <= PYHASH_BATCH_SPANS
           && batch->bytes + size <= batch->views.capacity;
}

static void add_chunks(struct pyhash_batch *batch, const uint8_t *data, size_t size,
                       uint8_t *nodes_out)
{
    while (size > 0) {
        struct pyhash_span *span = &batch->spans[batch->nspans];

        for (span->nnodes = 0; span->nnodes < PYHASH_SPAN_CHUNKS && size > 0; span->nnodes++) {
            size_t chunk = size < PYHASH_CHUNK_BYTES ? size : PYHASH_CHUNK_BYTES;

            middle(batch)[batch->nchunks++] = (struct pyhash_job){
                .data = data, .size = chunk, .digest = span->node[span->nnodes],
            };
            data += chunk;
            size -= chunk;
        }
        batch->nodes_out[batch->nspans++] = nodes_out;
        nodes_out += PYHASH_DIGEST_BYTES;
    }
}

static void add_stream(struct pyhash_batch *batch, const uint8_t *data, size_t size,
                       struct pyhash_stream *stream, uint64_t before, uint8_t *digest)
{
    *(middle(batch) - ++batch->nstreams) = (struct pyhash_job){
        .data = data, .size = size, .state = stream->state, .before = before, .digest = digest,
    };
}

/* Where the caller wants byte `offset` of that file; NULL: nowhere. */
static uint8_t *place_in(const struct pyhash_range *range, uint64_t offset)
{
    return range->into ? range->into + (offset - range->start) : NULL;
}

void pyhash_batch_announce(struct pyhash_batch *batch, const struct pyhash_range *range,
                           uint64_t offset, size_t size)
{
    if (range->fd >= 0 && size > 0) {
        batch->views.into = place_in(range, offset);
        batch->reader->announce(&batch->views, range->fd, offset, size);
    }
}

/* The bytes themselves: the caller's memory where it lies, a file through the reader. */
static enum pyhash_status view_piece(struct pyhash_batch *batch, const struct pyhash_range *range,
                                     const struct pyhash_piece *piece, const uint8_t **data,
                                     struct pyhash_error *error)
{
    enum pyhash_status status;

    *data = NULL;
    if (piece->size == 0)
        return PYHASH_OK;
    if (range->fd < 0) {
        *data = range->memory + piece->offset;
    } else {
        batch->views.into = place_in(range, piece->offset);
        status = batch->reader->acquire(&batch->views, range->fd, piece->offset, piece->size, error);
        if (status != PYHASH_OK)
            return status;
        *data = batch->views.view[batch->views.nviews - 1].data;
        /* From here on the bytes are the caller's, whatever becomes of the view. */
        if (range->into && *data != batch->views.into)
            *data = memcpy(batch->views.into, *data, piece->size);
        batch->range_index[batch->views.nviews - 1] = piece->index;
    }
    return PYHASH_OK;
}

enum pyhash_status pyhash_batch_add(struct pyhash_batch *batch, const struct pyhash_range *ranges,
                                    const struct pyhash_piece *piece, struct pyhash_stream *stream,
                                    struct pyhash_error *error)
{
    const struct pyhash_range *range = &ranges[piece->index];
    uint64_t span = (piece->offset - range->start) / PYHASH_SPAN_BYTES;
    int is_last = piece->offset + piece->size == range->end;
    const uint8_t *data;
    enum pyhash_status status;

    error->range_index = piece->index;
    status = view_piece(batch, range, piece, &data, error);
    if (status != PYHASH_OK)
        return status;
    if (stream)
        add_stream(batch, data, piece->size, stream, piece->offset,
                   is_last ? range->file_digest : NULL);
    if (range->span_nodes && !(stream && batch->is_split))
        add_chunks(batch, data, piece->size, range->span_nodes + span * PYHASH_DIGEST_BYTES);
    batch->bytes += piece->size;
    return PYHASH_OK;
}

/* The kernel for few messages is the better one up to `few` of them: then it takes as long as the
 * wide one with any number up to its lanes. Call that time one. Apart, n streams take n / few, and
 * their chunks, which are as many bytes, n / lanes; together they take one, as long as n is at most
 * half the lanes. */
size_t pyhash_most_apart(const struct pyhash_kernels *kernels)
{
    const struct pyhash_kernel *wide = pyhash_kernel_for(kernels, PYHASH_MAX_LANES);
    size_t few = PYHASH_MAX_LANES;

    while (few > 0 && kernels->of[few - 1] == wide)
        few--;
    return few * wide->lanes / (few + wide->lanes);
}

static void hash_jobs(const struct pyhash_batch *batch)
{
    const struct pyhash_kernels *kernels = batch->kernels;
    const struct pyhash_job *streams = middle(batch) - batch->nstreams;
    size_t nstreams = batch->nstreams, nchunks = batch->nchunks, n = nstreams + nchunks;

    if (nstreams > 0 && nchunks > 0 && nstreams <= pyhash_most_apart(kernels)) {
        pyhash_sha256_jobs(pyhash_kernel_for(kernels, nstreams), streams, nstreams);
        pyhash_sha256_jobs(pyhash_kernel_for(kernels, nchunks), middle(batch), nchunks);
    } else if (n > 0) {
        pyhash_sha256_jobs(pyhash_kernel_for(kernels, n), streams, n);
    }
}

enum pyhash_status pyhash_batch_run(struct pyhash_batch *batch, struct pyhash_error *error)
{
    enum pyhash_status status;
    unsigned view = 0;

    hash_jobs(batch);
    status = batch->reader->release(&batch->views, &view, error);
    if (status != PYHASH_OK) {
        error->range_index = batch->range_index[view];
        return status;
    }
    pyhash_fold_spans(pyhash_kernel_for(batch->kernels, batch->nchunks + 1), batch->spans, batch->nspans);
    for (size_t s = 0; s < batch->nspans; s++)
        memcpy(batch->nodes_out[s], batch->spans[s].node[0], PYHASH_DIGEST_BYTES);
    empty(batch);
    return PYHASH_OK;
}
