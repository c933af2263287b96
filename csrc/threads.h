/* SPDX-License-Identifier: Apache-2.0 */
/* Run one function on several threads and wait for all of them. */
#ifndef PYHASH_THREADS_H
#define PYHASH_THREADS_H

/* Call work(shared) on up to `nthreads` threads at once, one of them the caller's, and return when
 * all calls have. Threads that the system will not start are done without: `work` must take its
 * share from `shared` until nothing is left, whatever the number of callers. New threads have all
 * signals blocked but the synchronous ones, so handlers of the program run where it expects. */
void pyhash_run_threads(unsigned nthreads, void (*work)(void *shared), void *shared);

#endif
