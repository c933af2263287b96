/* SPDX-License-Identifier: Apache-2.0 */
/* The SIGBUS handler as the rest of a process sees it: whose signal it was, and what becomes of
 * handlers that stood there before, come later, or go again. What must end a process is tried in a
 * child. Hashes nothing. */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "views.h"

/* The sanitizers' own handlers would stand where the tests want none. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "handle_sigbus=0";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "handle_sigbus=0";
}

/* A mapping that is none of the engine's, all of whose pages are lost. */
static volatile const uint8_t *foreign_lost(void)
{
    int fd = full_file();
    const uint8_t *data = mmap(NULL, WINDOW, PROT_READ, MAP_SHARED, fd, 0);

    NEED(data != MAP_FAILED && ftruncate(fd, 0) == 0);
    close(fd);
    return data;
}

/* Be one of the threads that the handler stands for. */
static void enter(struct pyhash_views *views)
{
    memset(views, 0, sizeof *views);
    CHECK(pyhash_reader_mmap.open(views, WINDOW, 1) == PYHASH_OK, "open");
}

static void leave(struct pyhash_views *views)
{
    pyhash_reader_mmap.close(views);
}

/* --- other people's handlers ----------------------------------------------------------------- */

static volatile sig_atomic_t nhandled;
static volatile const uint8_t *handled_address;
static struct sigaction saved;

/* Mends any mapping and goes on, as a program with lazily filled memory would. */
static void mend(int number, siginfo_t *info, void *context)
{
    uintptr_t page = (uintptr_t)info->si_addr / PAGE * PAGE;

    (void)number, (void)context;
    nhandled++;
    handled_address = info->si_addr;
    if (info->si_code > 0)
        mmap((void *)page, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void mend_simply(int number)
{
    uintptr_t page = (uintptr_t)handled_address / PAGE * PAGE;

    (void)number;
    nhandled++;
    mmap((void *)page, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* What Python's faulthandler does: say something, restore what stood before, signal again. */
static void say_and_repeat(int number)
{
    nhandled++;
    sigaction(number, &saved, NULL);
    raise(number);
}

static void handle_with(void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    NEED(sigaction(SIGBUS, &action, &saved) == 0);
}

static void mend_with_info(void)
{
    struct sigaction action = { .sa_sigaction = mend, .sa_flags = SA_SIGINFO | SA_NODEFER };

    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR1);
    NEED(sigaction(SIGBUS, &action, NULL) == 0);
}

static struct sigaction current(void)
{
    struct sigaction action;

    NEED(sigaction(SIGBUS, NULL, &action) == 0);
    return action;
}

static void *look_at(void *address)
{
    volatile const uint8_t *byte = address;

    return (void *)(uintptr_t)*byte;
}

static void test_restored(void)
{
    struct pyhash_views one, other;
    struct sigaction now;

    mend_with_info();
    enter(&one);
    CHECK(current().sa_sigaction != mend, "no handler while inside");
    enter(&other);
    leave(&other);
    CHECK(current().sa_sigaction != mend, "restored while one is inside");
    leave(&one);
    now = current();
    CHECK(now.sa_sigaction == mend && (now.sa_flags & SA_NODEFER) && (now.sa_flags & SA_SIGINFO)
              && sigismember(&now.sa_mask, SIGUSR1) == 1,
          "another handler than before");
    handle_with(SIG_DFL, 0);
    enter(&one);
    leave(&one);
    CHECK(current().sa_handler == SIG_DFL, "the default did not come back");
}

static void check_chained(struct pyhash_views *views, volatile const uint8_t *lost, int on_thread)
{
    int fd = full_file(), before = nhandled;
    pthread_t thread;

    acquire(&pyhash_reader_mmap, views, fd);
    NEED(ftruncate(fd, PAGE) == 0);
    CHECK(views->view[0].data[3 * PAGE] == 0 && views->lost, "our own page");
    CHECK(nhandled == before, "our own fault was handed on");
    handled_address = lost;
    if (on_thread) {
        NEED(pthread_create(&thread, NULL, look_at, (void *)(uintptr_t)lost) == 0);
        NEED(pthread_join(thread, NULL) == 0);
    } else {
        CHECK(*lost == 0, "not mended");
    }
    CHECK(nhandled == before + 1 && handled_address == lost, "handled %d times",
          (int)nhandled - before);
    check_release(&pyhash_reader_mmap, views, PYHASH_ERR_SHRANK, 0, PAGE);
    close(fd);
}

static void test_chained(void)
{
    struct pyhash_views views;

    mend_with_info();
    enter(&views);
    check_chained(&views, foreign_lost(), 0);
    check_chained(&views, foreign_lost(), 1);
    leave(&views);
    handle_with(mend_simply, 0);
    enter(&views);
    check_chained(&views, foreign_lost(), 0);
    check_chained(&views, foreign_lost(), 1);
    leave(&views);
    handle_with(SIG_DFL, 0);
}

/* A signal that a process sends has no address, whatever lies where one would be. */
static void test_forged_address(void)
{
    struct pyhash_views views;
    siginfo_t info;
    int fd = full_file(), before = nhandled;

    mend_with_info();
    enter(&views);
    acquire(&pyhash_reader_mmap, &views, fd);
    memset(&info, 0, sizeof info);
    info.si_signo = SIGBUS;
    info.si_code = SI_QUEUE;
    info.si_addr = (void *)(uintptr_t)views.view[0].data;
    NEED(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGBUS, &info) == 0);
    CHECK(nhandled == before + 1, "a signal that was sent was not handed on");
    CHECK(views.lost == NULL && views.view[0].data[0] == 1, "a signal that was sent took a view");
    check_release(&pyhash_reader_mmap, &views, PYHASH_OK, 0, 0);
    leave(&views);
    handle_with(SIG_DFL, 0);
    close(fd);
}

/* --- what ends a process --------------------------------------------------------------------- */

/* Runs in a child: 0 when it ended well, or the number of the signal that ended it. */
static int ended_by(void (*act)(void))
{
    int status;
    pid_t child = fork();

    NEED(child >= 0);
    if (child == 0) {
        NEED(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) == 0);
        alarm(20);
        act();
        _exit(0);
    }
    NEED(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "exit code %d", WEXITSTATUS(status));
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static struct pyhash_views inside, inside_too;

static void die_of_fault(void)
{
    enter(&inside);
    (void)*foreign_lost();
}

static void die_of_kill(void)
{
    enter(&inside);
    raise(SIGBUS);
}

static void die_ignoring(void)
{
    handle_with(SIG_IGN, 0);
    die_of_fault();
}

static void live_ignoring(void)
{
    int fd = full_file();

    handle_with(SIG_IGN, 0);
    enter(&inside);
    raise(SIGBUS);
    acquire(&pyhash_reader_mmap, &inside, fd);
    NEED(ftruncate(fd, 0) == 0);
    CHECK(inside.view[0].data[0] == 0, "after an ignored signal, no more handler");
    check_release(&pyhash_reader_mmap, &inside, PYHASH_ERR_SHRANK, 0, 0);
    leave(&inside);
    CHECK(current().sa_handler == SIG_IGN, "no longer ignored");
}

/* A handler that was put over ours, with ours over it again: each knows the other as the one
 * before it. */
static void die_below_two(void)
{
    enter(&inside);
    handle_with(say_and_repeat, SA_NODEFER);
    enter(&inside_too);
    (void)*foreign_lost();
}

static void die_after_all_left(void)
{
    enter(&inside);
    handle_with(say_and_repeat, SA_NODEFER);
    leave(&inside);
    enter(&inside_too);
    leave(&inside_too);
    CHECK(current().sa_handler == say_and_repeat, "their handler did not come back");
    (void)*foreign_lost();
}

static void die_after_theirs_left(void)
{
    struct sigaction theirs;

    enter(&inside);
    theirs = current();
    handle_with(say_and_repeat, SA_NODEFER);
    leave(&inside);
    NEED(sigaction(SIGBUS, &theirs, NULL) == 0);
    enter(&inside);
    (void)*foreign_lost();
}

/* Handler upon handler, again and again: refusing is right, dying or looping is not. */
static void live_below_many(void)
{
    struct pyhash_views views = { 0 };

    for (int i = 0; i < 100; i++) {
        if (pyhash_reader_mmap.open(&views, WINDOW, 1) != PYHASH_OK)
            break;
        handle_with(say_and_repeat, SA_NODEFER);
        leave(&views);
    }
    CHECK(current().sa_handler == say_and_repeat, "their handler did not come back");
}

/* Programs that wait for signals with sigwait or signalfd block them all. */
static void live_blocking(void)
{
    sigset_t all, now;
    int fd = full_file();

    sigfillset(&all);
    NEED(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
    enter(&inside);
    acquire(&pyhash_reader_mmap, &inside, fd);
    NEED(ftruncate(fd, 0) == 0);
    CHECK(inside.view[0].data[0] == 0, "not zeros");
    check_release(&pyhash_reader_mmap, &inside, PYHASH_ERR_SHRANK, 0, 0);
    leave(&inside);
    NEED(pthread_sigmask(SIG_SETMASK, NULL, &now) == 0);
    CHECK(sigismember(&now, SIGBUS) == 1 && sigismember(&now, SIGUSR1) == 1, "mask not restored");
}

static void test_endings(void)
{
    static const struct {
        const char *what;
        void (*act)(void);
        int signal;
    } cases[] = {
        { "a foreign page, nobody's handler", die_of_fault, SIGBUS },
        { "a signal that was sent, nobody's handler", die_of_kill, SIGBUS },
        { "a foreign page, ignored", die_ignoring, SIGBUS },
        { "a signal that was sent, ignored", live_ignoring, 0 },
        { "a handler between two of ours", die_below_two, SIGBUS },
        { "a handler over ours, all left", die_after_all_left, SIGBUS },
        { "a handler over ours, gone again", die_after_theirs_left, SIGBUS },
        { "handlers upon handlers", live_below_many, 0 },
        { "signals blocked", live_blocking, 0 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int signal = ended_by(cases[i].act);

        CHECK(signal == cases[i].signal, "%s: ended by signal %d, not %d", cases[i].what, signal,
              cases[i].signal);
    }
}

int main(void)
{
    test_restored();
    test_chained();
    test_forged_address();
    test_endings();
    return 0;
}
