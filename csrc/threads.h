/* SPDX-License-Identifier: Apache-2.0 */
/* Run work on several threads and wait for all of them. */
#ifndef PYHASH_THREADS_H
#define PYHASH_THREADS_H

/* Call work(shared) on up to `nthreads` - 1 new threads and own(shared) on the caller's, at once, and
 * return when all calls have. Threads that the system will not start are done without: `own` must
 * take its share from `shared` until nothing is left, whatever the number of others. New threads
 * have all signals blocked but the synchronous ones, so handlers of the program run where it
 * expects. */
void pyhash_run_threads(unsigned nthreads, void (*work)(void *shared), void (*own)(void *shared),
                        void *shared);

#endif
