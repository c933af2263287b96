/* SPDX-License-Identifier: Apache-2.0 */
/* Which reader a file gets, and whether a descriptor can be hashed at all. And the one loop
 * around pread. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems of this machine's own memory and disks. On all others (network, FUSE, unknown) a
 * page fault may wait for ever or fail where a read would report, so they are read, not mapped. */
static const uint32_t local_file_systems[] = {
    EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
    TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC, EROFS_SUPER_MAGIC_V1,
    UINT32_C(0x2fc12fc1), /* ZFS, which is not part of Linux */
};

static int is_local(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) != 0)
        return 0;
    for (size_t i = 0; i < sizeof local_file_systems / sizeof local_file_systems[0]; i++) {
        if ((uint32_t)fs.f_type == local_file_systems[i])
            return 1;
    }
    return 0;
}

const struct pyhash_reader_ops *pyhash_select_reader(uint32_t reader, int fd)
{
    switch (reader) {
    case PYHASH_READER_AUTO:
        return fd < 0 || is_local(fd) ? &pyhash_reader_auto : &pyhash_reader_buffered;
    case PYHASH_READER_MMAP:
        return &pyhash_reader_mmap;
    case PYHASH_READER_DIRECT:
        return &pyhash_reader_direct;
    case PYHASH_READER_BUFFERED:
        return &pyhash_reader_buffered;
    default:
        return NULL;
    }
}

enum pyhash_status pyhash_check_file(int fd, uint64_t end, struct pyhash_error *error)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0) {
        error->os_errno = errno;
        return PYHASH_ERR_READ;
    }
    /* The direct reader opens the file anew and would not notice. */
    if ((flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH)) {
        error->os_errno = EBADF;
        return PYHASH_ERR_READ;
    }
    return pyhash_check_end(fd, end, error);
}

enum pyhash_status pyhash_check_end(int fd, uint64_t end, struct pyhash_error *error)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        error->os_errno = errno;
        return PYHASH_ERR_READ;
    }
    if (!S_ISREG(st.st_mode))
        return PYHASH_ERR_NOT_REGULAR;
    if ((uint64_t)st.st_size < end) {
        error->offset = (uint64_t)st.st_size;
        return PYHASH_ERR_SHRANK;
    }
    return PYHASH_OK;
}

enum pyhash_status pyhash_check_views(const struct pyhash_views *views, unsigned *index,
                                      struct pyhash_error *error)
{
    enum pyhash_status status = PYHASH_OK;

    for (unsigned i = 0; i < views->nviews && status == PYHASH_OK; i++) {
        const struct pyhash_view *view = &views->view[i];

        *index = i;
        status = pyhash_check_end(view->fd, view->offset + view->size, error);
    }
    return status;
}

enum pyhash_status pyhash_read(uint8_t *data, int fd, uint64_t offset, size_t size, size_t done,
                               struct pyhash_error *error)
{
    while (done < size) {
        ssize_t n = pread(fd, data + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            error->os_errno = n < 0 ? errno : 0;
            error->offset = offset + done;
            return n < 0 ? PYHASH_ERR_READ : PYHASH_ERR_SHRANK;
        }
        done += (size_t)n;
    }
    return PYHASH_OK;
}
