/* SPDX-License-Identifier: Apache-2.0 */
/* Survive pages of our own mappings that cannot be had. Everybody else's SIGBUS goes where it
 * would have gone without us. */
#ifndef PYHASH_MAP_GUARD_H
#define PYHASH_MAP_GUARD_H

#include "io.h"

/* From now until pyhash_map_guard_leave, a fault of this thread in one of `views` puts zeros in
 * place of the whole view and sets views->lost to the address. 0, or -1 when the signal handler
 * could not be installed. The handler stands only while some thread is inside, and chains. SIGBUS
 * is unblocked for the thread until it leaves. A thread enters once at a time. */
int pyhash_map_guard_enter(struct pyhash_views *views);
void pyhash_map_guard_leave(void);

#endif
