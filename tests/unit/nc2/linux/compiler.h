/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NC2_LINUX_COMPILER_H
#define NC2_LINUX_COMPILER_H

#include "nc2_shim.h"

#define barrier()		__atomic_signal_fence(__ATOMIC_SEQ_CST)
#define READ_ONCE(x)		((typeof(x))nc2_shim_load(&(x), sizeof(x)))
#define WRITE_ONCE(x, v)	nc2_shim_store(&(x), sizeof(x), v, false)

#endif /* NC2_LINUX_COMPILER_H */
