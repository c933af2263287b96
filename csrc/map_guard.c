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

/* Others may put a handler over ours while it stands, and chain to it for ever after. Ours can
 * then only go on top again as another function with a `before` of its own: one function that both
 * call would be before and after itself, and a fault of nobody's would go round in a circle. */
#define LEVELS 4

static struct {
    pthread_mutex_t lock;
    unsigned inside;                   /* threads between enter and leave */
    unsigned levels;                   /* of ours that are installed, the lowest first */
    struct sigaction before[LEVELS];   /* what stood below each; written before it is installed */
} guard = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Written before the first fault can happen, so the handler never allocates thread storage. */
static _Thread_local struct pyhash_views *own_views;
static _Thread_local int was_blocked;

static int replace_view(struct pyhash_views *views, const uint8_t *address)
{
    for (unsigned i = 0; i < views->nviews; i++) {
        const struct pyhash_view *view = &views->view[i];
        void *base = (void *)(uintptr_t)view->data;

        if (!view->is_mapped || address < view->data || address >= view->data + view->size)
            continue;
        if (mmap(base, view->size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base) {
            views->lost = address;
            return 1;
        }
    }
    return 0;
}

static void handle(const struct sigaction *before, int number, siginfo_t *info, void *context)
{
    /* Only the kernel's signals (> 0) have an address; kill() has a process number there. */
    const int is_fault = info->si_code > 0;

    if (is_fault && own_views && replace_view(own_views, info->si_addr))
        return;
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    } else if (is_fault || before->sa_handler == SIG_DFL) {
        /* Not ours and nobody's: let the fault repeat and end the process as it would have. What
         * was sent does not repeat by itself. */
        signal(SIGBUS, SIG_DFL);
        if (!is_fault)
            raise(SIGBUS);
    }
}

#define LEVEL(n)                                                         \
    static void on_sigbus_##n(int number, siginfo_t *info, void *context) \
    {                                                                    \
        handle(&guard.before[n], number, info, context);                 \
    }
LEVEL(0)
LEVEL(1)
LEVEL(2)
LEVEL(3)

static void (*const handlers[LEVELS])(int, siginfo_t *, void *) = {
    on_sigbus_0, on_sigbus_1, on_sigbus_2, on_sigbus_3,
};

/* Which level of ours is that? LEVELS: none, it is somebody else's. */
static unsigned level_of(const struct sigaction *action)
{
    unsigned level = 0;

    if (!(action->sa_flags & SA_SIGINFO))
        return LEVELS;
    while (level < LEVELS && action->sa_sigaction != handlers[level])
        level++;
    return level;
}

/* Have one of ours on top. Those above the one that is there have been thrown off again. */
static int install(void)
{
    struct sigaction now, ours = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
    unsigned level;

    if (sigaction(SIGBUS, NULL, &now) != 0)
        return -1;
    level = level_of(&now);
    if (level < LEVELS) {
        guard.levels = level + 1;
        return 0;
    }
    if (guard.levels == LEVELS)
        return -1;
    guard.before[guard.levels] = now;
    ours.sa_sigaction = handlers[guard.levels];
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGBUS, &ours, NULL) != 0)
        return -1;
    guard.levels++;
    return 0;
}

/* Where somebody else's is on top, ours stays below it: it may be chained to. */
static void uninstall(void)
{
    struct sigaction now;
    unsigned level;

    if (sigaction(SIGBUS, NULL, &now) != 0)
        return;
    level = level_of(&now);
    if (level < LEVELS && sigaction(SIGBUS, &guard.before[level], NULL) == 0)
        guard.levels = level;
}

/* A thread that blocks SIGBUS would be ended by its first fault. */
static void unblock(void)
{
    sigset_t bus, before;

    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &bus, &before);
    was_blocked = sigismember(&before, SIGBUS) == 1;
}

static void block_again(void)
{
    sigset_t bus;

    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    if (was_blocked)
        pthread_sigmask(SIG_BLOCK, &bus, NULL);
}

int pyhash_map_guard_enter(struct pyhash_views *views)
{
    int result;

    pthread_mutex_lock(&guard.lock);
    result = install();
    if (result == 0)
        guard.inside++;
    pthread_mutex_unlock(&guard.lock);
    if (result == 0) {
        own_views = views;
        unblock();
    }
    return result;
}

void pyhash_map_guard_leave(void)
{
    own_views = NULL;
    block_again();
    pthread_mutex_lock(&guard.lock);
    if (--guard.inside == 0)
        uninstall();
    pthread_mutex_unlock(&guard.lock);
}
