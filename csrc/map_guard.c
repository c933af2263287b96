/* SPDX-License-Identifier: Apache-2.0 */
/* The SIGBUS handler. A handler is process-wide, so this file holds the engine's only writable
 * state: who is inside, and whose handler stood there before, under a lock; and, per thread, which
 * views are its own.
 *
 * The handler maps zeros over the view and returns, so the kernel runs on to its end and the
 * worker then sees that the result is worth nothing: no jump out of compiled code, nothing leaked. */
#include "map_guard.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

static struct {
    pthread_mutex_t lock;
    unsigned inside;             /* threads between enter and leave */
    struct sigaction before;     /* valid while inside > 0 */
} guard = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Written before the first fault can happen, so the handler never allocates thread storage. */
static _Thread_local struct pyhash_views *own_views;

/* Set while a handler of somebody else runs: should it hand the signal back to us, it stops here. */
static _Thread_local int chaining;

static int replace_view(struct pyhash_views *views, const uint8_t *address)
{
    for (unsigned i = 0; i < views->nviews; i++) {
        const struct pyhash_view *view = &views->view[i];
        void *base = (void *)(uintptr_t)view->data;

        if (address < view->data || address >= view->data + view->size)
            continue;
        if (mmap(base, view->size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base) {
            views->lost = address;
            return 1;
        }
    }
    return 0;
}

/* Where the signal would have gone without us; where that is nowhere, the fault repeats and ends the
 * process as it would have. */
static void chain(int number, siginfo_t *info, void *context)
{
    const struct sigaction *before = &guard.before;

    if (chaining) {
        signal(SIGBUS, SIG_DFL);
        return;
    }
    chaining = 1;
    if (before->sa_flags & SA_SIGINFO)
        before->sa_sigaction(number, info, context);
    else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
        before->sa_handler(number);
    else
        signal(SIGBUS, SIG_DFL);
    chaining = 0;
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    if (own_views && replace_view(own_views, info->si_addr))
        return;
    chain(number, info, context);
}

static int is_installed(void)
{
    struct sigaction now;

    return sigaction(SIGBUS, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO)
           && now.sa_sigaction == on_sigbus;
}

static int install(void)
{
    struct sigaction ours = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK };

    sigemptyset(&ours.sa_mask);
    return sigaction(SIGBUS, &ours, &guard.before);
}

int pyhash_map_guard_enter(struct pyhash_views *views)
{
    int result = 0;

    pthread_mutex_lock(&guard.lock);
    /* Somebody may have put a handler over ours meanwhile: go on top of it again. */
    if (!is_installed())
        result = install();
    if (result == 0) {
        guard.inside++;
        own_views = views;
    }
    pthread_mutex_unlock(&guard.lock);
    return result;
}

void pyhash_map_guard_leave(void)
{
    pthread_mutex_lock(&guard.lock);
    own_views = NULL;
    if (--guard.inside == 0 && is_installed())
        sigaction(SIGBUS, &guard.before, NULL);
    pthread_mutex_unlock(&guard.lock);
}
