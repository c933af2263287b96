/* SPDX-License-Identifier: Apache-2.0 */
/* Files without a name, which are gone with their descriptor. Nothing about hashing. */
#ifndef PYHASH_TEST_TEMP_FILE_H
#define PYHASH_TEST_TEMP_FILE_H

#include <fcntl.h>
#include <unistd.h>

#include "check.h"

/* Write all of `data` at `offset`. */
static inline void write_at(int fd, const uint8_t *data, size_t size, size_t offset)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);

        NEED(n > 0);
        data += n;
        size -= (size_t)n;
        offset += (size_t)n;
    }
}

/* An empty file in $TMPDIR, which should be on a disk: that is what AUTO maps. */
static inline int temp_file(void)
{
    const char *folder = getenv("TMPDIR");
    char name[4096];
    int fd;

    snprintf(name, sizeof name, "%s/pyhash-test-XXXXXX", folder ? folder : "/tmp");
    fd = mkstemp(name);
    NEED(fd >= 0 && unlink(name) == 0);
    return fd;
}

#endif
