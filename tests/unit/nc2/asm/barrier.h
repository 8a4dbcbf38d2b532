/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NC2_ASM_BARRIER_H
#define NC2_ASM_BARRIER_H

#include "nc2_shim.h"

/* Acquires, as all loads of the shim do. */
#define virt_load_acquire(p)		nc2_shim_load(p, sizeof(u32))
/* Releases, by its last argument. */
#define virt_store_release(p, v)	nc2_shim_store(p, sizeof(u32), v, true)
/* Full. */
#define virt_mb()			nc2_shim_mb()

#endif /* NC2_ASM_BARRIER_H */
