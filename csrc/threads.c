/* SPDX-License-Identifier: Apache-2.0 */
/* Threads live for one call: starting one takes some 20 microseconds, hashing takes far longer,
 * and nothing has to be kept, woken or forked. */
#include "threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct start {
    void (*work)(void *shared);
    void *shared;
};

static void *run(void *argument)
{
    const struct start *start = argument;

    start->work(start->shared);
    return NULL;
}

/* Every signal except those that a thread causes itself. */
static void block_signals(sigset_t *before)
{
    sigset_t set;

    sigfillset(&set);
    sigdelset(&set, SIGBUS);
    sigdelset(&set, SIGSEGV);
    sigdelset(&set, SIGFPE);
    sigdelset(&set, SIGILL);
    pthread_sigmask(SIG_BLOCK, &set, before);
}

void pyhash_run_threads(unsigned nthreads, void (*work)(void *shared), void (*own)(void *shared),
                        void *shared)
{
    struct start start = { work, shared };
    pthread_t *threads = nthreads > 1 ? calloc(nthreads - 1, sizeof *threads) : NULL;
    unsigned started = 0;
    sigset_t before;

    if (threads) {
        block_signals(&before);
        while (started < nthreads - 1 && pthread_create(&threads[started], NULL, run, &start) == 0)
            started++;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    own(shared);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
}
