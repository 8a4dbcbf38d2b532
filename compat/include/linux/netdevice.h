/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_NETDEVICE_H
#define _COMPAT_LINUX_NETDEVICE_H

#include_next <linux/netdevice.h>
#include <linux/version.h>

/* 6.15, 291515c76415 ("net: gro: decouple GRO from the NAPI layer"). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define gro_bitmask gro.bitmask
#endif

#endif /* _COMPAT_LINUX_NETDEVICE_H */
