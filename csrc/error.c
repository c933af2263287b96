/* SPDX-License-Identifier: Apache-2.0 */
/* Status to text. No state, no I/O: where a call failed is told by struct pyhash_error. */
#include "common.h"
#include "pyhash.h"

static const char *const texts[PYHASH_STATUS_COUNT] = {
    [PYHASH_OK] = "no error",
    [PYHASH_ERR_ARGUMENT] = "the request makes no sense",
    [PYHASH_ERR_MEMORY] = "out of memory",
    [PYHASH_ERR_KERNEL] = "no such kernel, or this processor cannot run it",
    [PYHASH_ERR_NOT_REGULAR] = "not a regular file",
    [PYHASH_ERR_READ] = "the system refused a read",
    [PYHASH_ERR_SHRANK] = "the file ended early",
    [PYHASH_ERR_CANCELLED] = "cancelled",
};

PYHASH_EXPORT const char *pyhash_status_text(enum pyhash_status status)
{
    if ((unsigned)status >= PYHASH_STATUS_COUNT || texts[status] == NULL)
        return "unknown status";
    return texts[status];
}
