/* SPDX-License-Identifier: Apache-2.0 */
/* A library for LD_PRELOAD that makes reads of chosen files fail, come short, or find the file
 * changed. It sees read, pread and their variants; no mappings, no io_uring, no vector reads.
 *
 *   PYHASH_FAULT_PATH    a file, or a directory for every file below it; absolute, links resolved.
 *                        Without it nothing happens. Not a part of a name: that would hit, and
 *                        change, files of the system that the process reads on its own account
 *   PYHASH_FAULT_KIND    eio       no byte from OFFSET on: up to it short, from it on EIO
 *                        short     no more than LENGTH bytes a call
 *                        eintr     every second call ends with EINTR, nothing read
 *                        truncate  after call number CALL the file is cut to LENGTH bytes
 *                        rewrite   after call number CALL the byte at OFFSET is inverted on disk
 *   PYHASH_FAULT_OFFSET  bytes from the start of the file
 *   PYHASH_FAULT_LENGTH  bytes
 *   PYHASH_FAULT_CALL    counts reads of matching files in this process, from 1
 *   PYHASH_FAULT_LOG     file that gets one line for each fault: a test must see that it happened
 *
 * Threads share the count of calls; everything else is read-only after the first call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The checked variants that fortified callers use are not in any header. */
ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t offset, size_t room);

typedef ssize_t read_function(int, void *, size_t);
typedef ssize_t pread_function(int, void *, size_t, off64_t);

enum kind { NONE, EIO_FROM, SHORT, INTERRUPT, TRUNCATE, REWRITE };

static const char *const kind_names[] = {
    [EIO_FROM] = "eio", [SHORT] = "short", [INTERRUPT] = "eintr",
    [TRUNCATE] = "truncate", [REWRITE] = "rewrite",
};

static struct {
    enum kind kind;
    const char *path, *log;
    uint64_t offset, length, call;
    read_function *read;
    pread_function *pread;
} fault;

static atomic_uint_fast64_t calls;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint64_t number(const char *name)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : 0;
}

static void configure(void)
{
    const char *kind = getenv("PYHASH_FAULT_KIND");

    fault.read = (read_function *)dlsym(RTLD_NEXT, "read");
    fault.pread = (pread_function *)dlsym(RTLD_NEXT, "pread64");
    fault.path = getenv("PYHASH_FAULT_PATH");
    fault.log = getenv("PYHASH_FAULT_LOG");
    fault.offset = number("PYHASH_FAULT_OFFSET");
    fault.length = number("PYHASH_FAULT_LENGTH");
    fault.call = number("PYHASH_FAULT_CALL");
    if (fault.path == NULL)
        return;
    for (size_t i = EIO_FROM; i < sizeof kind_names / sizeof kind_names[0]; i++) {
        if (kind != NULL && strcmp(kind, kind_names[i]) == 0)
            fault.kind = (enum kind)i;
    }
    if (fault.kind == NONE || fault.path[0] != '/' || fault.path[1] == '\0') {
        dprintf(STDERR_FILENO, "fault_shim: no fault %s for %s\n", kind ? kind : "", fault.path);
        _exit(99);
    }
}

/* Writes the path of an open file if it is one that gets faults. */
static int matches(int fd, char path[PATH_MAX])
{
    char link[32];
    ssize_t length;

    if (fault.kind == NONE)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    length = (ssize_t)strlen(fault.path);
    return strncmp(path, fault.path, (size_t)length) == 0
           && (path[length] == '\0' || path[length] == '/');
}

static void note(uint64_t offset)
{
    int log;

    if (fault.log == NULL)
        return;
    log = open(fault.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log >= 0) {
        dprintf(log, "%s %llu\n", kind_names[fault.kind], (unsigned long long)offset);
        close(log);
    }
}

static void invert_byte(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    unsigned char byte;

    if (fd < 0)
        return;
    if (fault.pread(fd, &byte, 1, (off64_t)fault.offset) == 1) {
        byte = (unsigned char)~byte;
        if (pwrite(fd, &byte, 1, (off_t)fault.offset) == 1)
            note(fault.offset);
    }
    close(fd);
}

/* Before a read: how many of size bytes may be read at offset, or -1 with errno. */
static ssize_t allow(uint64_t call, uint64_t offset, size_t size)
{
    switch (fault.kind) {
    case EIO_FROM:
        if (size == 0 || offset + size <= fault.offset)
            break;
        note(offset);
        if (offset < fault.offset)
            return (ssize_t)(fault.offset - offset);
        errno = EIO;
        return -1;
    case SHORT:
        if (size <= fault.length)
            break;
        note(offset);
        return (ssize_t)fault.length;
    case INTERRUPT:
        if (call % 2 == 0)
            break;
        note(offset);
        errno = EINTR;
        return -1;
    default:
        break;
    }
    return (ssize_t)size;
}

/* After a read: change the file if this was the call to do it. Leaves errno alone. */
static void change(uint64_t call, const char *path)
{
    int saved = errno;

    if (call == fault.call && fault.kind == TRUNCATE && truncate(path, (off_t)fault.length) == 0)
        note(fault.length);
    if (call == fault.call && fault.kind == REWRITE)
        invert_byte(path);
    errno = saved;
}

/* One read; with positioned == 0 at the descriptor's own position. */
static ssize_t faulty(int fd, void *buffer, size_t size, off64_t offset, int positioned)
{
    char path[PATH_MAX];
    uint64_t call;
    ssize_t n;
    int hit, saved = errno;

    pthread_once(&once, configure);
    hit = matches(fd, path);
    errno = saved;
    if (!hit)
        return positioned ? fault.pread(fd, buffer, size, offset) : fault.read(fd, buffer, size);
    call = atomic_fetch_add(&calls, 1) + 1;
    if (!positioned)
        offset = lseek64(fd, 0, SEEK_CUR);
    n = allow(call, (uint64_t)offset, size);
    if (n >= 0)
        n = positioned ? fault.pread(fd, buffer, (size_t)n, offset)
                       : fault.read(fd, buffer, (size_t)n);
    change(call, path);
    return n;
}

ssize_t read(int fd, void *buffer, size_t size)
{
    return faulty(fd, buffer, size, 0, 0);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    return faulty(fd, buffer, size, offset, 1);
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t offset)
{
    return faulty(fd, buffer, size, offset, 1);
}

ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room)
{
    return size > room ? (errno = EFAULT, -1) : faulty(fd, buffer, size, 0, 0);
}

ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t offset, size_t room)
{
    return size > room ? (errno = EFAULT, -1) : faulty(fd, buffer, size, offset, 1);
}

ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t offset, size_t room)
{
    return size > room ? (errno = EFAULT, -1) : faulty(fd, buffer, size, offset, 1);
}
