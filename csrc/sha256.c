/* SPDX-License-Identifier: Apache-2.0 */
/* Deals messages to the lanes of a kernel. All lanes advance together by the number of blocks
 * that the shortest of them has left; a lane that runs out is padded, finished and dealt the next
 * message. Equal messages, which is what chunks are, so run in lockstep from start to end. */
#include "sha256.h"

const uint32_t pyhash_sha256_initial[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

struct lane {
    const struct pyhash_job *job;           /* NULL: idle */
    size_t blocks_left;                     /* of the data, or of the tail once that has begun */
    int in_tail;
    uint8_t tail[2 * PYHASH_BLOCK_BYTES];   /* last bytes of the message and its padding */
};

struct deal {
    struct pyhash_lanes state;
    const uint8_t *data[PYHASH_MAX_LANES];
    struct lane lanes[PYHASH_MAX_LANES];
    const struct pyhash_job *next, *end;
};

/* Lay out what is left of the message after its whole blocks, a one bit, zeros, and its length in
 * bits (FIPS 180-4, 5.1.1). */
static void begin_tail(struct deal *d, unsigned j)
{
    struct lane *lane = &d->lanes[j];
    const struct pyhash_job *job = lane->job;
    size_t rest = (size_t)(job->size % PYHASH_BLOCK_BYTES);
    size_t size = rest < PYHASH_BLOCK_BYTES - 8 ? PYHASH_BLOCK_BYTES : 2 * PYHASH_BLOCK_BYTES;

    memset(lane->tail, 0, size);
    if (rest > 0)
        memcpy(lane->tail, job->data + (job->size - rest), rest);
    lane->tail[rest] = 0x80;
    pyhash_store_be64(lane->tail + size - 8, (job->before + job->size) * 8);
    lane->in_tail = 1;
    lane->blocks_left = size / PYHASH_BLOCK_BYTES;
    d->data[j] = lane->tail;
}

static void finish(struct deal *d, unsigned j)
{
    struct lane *lane = &d->lanes[j];

    for (int i = 0; i < 8; i++) {
        if (lane->job->digest)
            pyhash_store_be32(lane->job->digest + 4 * i, d->state.word[i][j]);
        else
            lane->job->state[i] = d->state.word[i][j];
    }
    lane->job = NULL;
}

/* What comes next when a lane has no blocks left: the tail, or the end. */
static void step_lane(struct deal *d, unsigned j)
{
    struct lane *lane = &d->lanes[j];

    if (lane->job->digest && !lane->in_tail)
        begin_tail(d, j);
    else
        finish(d, j);
}

/* Give an idle lane the next message; 0 when there is none. */
static int deal_to(struct deal *d, unsigned j)
{
    struct lane *lane = &d->lanes[j];
    const uint32_t *start;

    while (!lane->job && d->next < d->end) {
        lane->job = d->next++;
        lane->in_tail = 0;
        lane->blocks_left = (size_t)(lane->job->size / PYHASH_BLOCK_BYTES);
        d->data[j] = lane->job->data;
        start = lane->job->state ? lane->job->state : pyhash_sha256_initial;
        for (int i = 0; i < 8; i++)
            d->state.word[i][j] = start[i];
        if (lane->blocks_left == 0)
            step_lane(d, j);
    }
    return lane->job != NULL;
}

/* Fill idle lanes; the number of blocks that all busy ones can go, 0 when all is done. Lanes that
 * stay idle are pointed at a busy one's data, so that the kernel has something to read. */
static size_t refill(struct deal *d, unsigned nlanes)
{
    const uint8_t *shared = NULL;
    size_t run = SIZE_MAX;

    for (unsigned j = 0; j < nlanes; j++) {
        if (deal_to(d, j)) {
            shared = d->data[j];
            run = d->lanes[j].blocks_left < run ? d->lanes[j].blocks_left : run;
        }
    }
    if (!shared)
        return 0;
    for (unsigned j = 0; j < nlanes; j++) {
        if (!d->lanes[j].job)
            d->data[j] = shared;
    }
    return run;
}

void pyhash_sha256_jobs(const struct pyhash_kernel *kernel, const struct pyhash_job *jobs,
                        size_t njobs)
{
    struct deal d;
    size_t run;

    /* Idle lanes are computed too, and thrown away: only their states must be defined. */
    memset(&d.state, 0, sizeof d.state);
    for (unsigned j = 0; j < kernel->lanes; j++)
        d.lanes[j].job = NULL;
    d.next = jobs;
    d.end = jobs + njobs;
    while ((run = refill(&d, kernel->lanes)) > 0) {
        kernel->compress(&d.state, d.data, run);
        for (unsigned j = 0; j < kernel->lanes; j++) {
            struct lane *lane = &d.lanes[j];

            if (!lane->job)
                continue;
            d.data[j] += run * PYHASH_BLOCK_BYTES;
            lane->blocks_left -= run;
            if (lane->blocks_left == 0)
                step_lane(&d, j);
        }
    }
}
