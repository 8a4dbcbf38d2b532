/* SPDX-License-Identifier: GPL-2.0 */
/* What the driver's pure files want of the kernel, in user space. */
#ifndef NC2_LINUX_TYPES_H
#define NC2_LINUX_TYPES_H

#include_next <linux/types.h>

#include <stdbool.h>
#include <stddef.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#endif /* NC2_LINUX_TYPES_H */
