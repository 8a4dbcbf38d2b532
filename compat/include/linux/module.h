/* SPDX-License-Identifier: GPL-2.0 */
/*
 * In the kernel's tree a driver has the kernel's version. A module that is
 * built outside of it says the release that it comes from.
 */
#ifndef _COMPAT_LINUX_MODULE_H
#define _COMPAT_LINUX_MODULE_H

#include_next <linux/module.h>

#undef MODULE_DESCRIPTION
#define MODULE_DESCRIPTION(description_) \
	MODULE_INFO(description, description_); \
	MODULE_VERSION(XEN_PVIO_VERSION)

#endif /* _COMPAT_LINUX_MODULE_H */
