/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_HEX_H
#define _COMPAT_LINUX_HEX_H

#include <linux/version.h>

/* 6.4 ("kernel.h: split the hexadecimal related helpers to hex.h"). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include_next <linux/hex.h>
#else
#include <linux/kernel.h>
#endif

#endif /* _COMPAT_LINUX_HEX_H */
