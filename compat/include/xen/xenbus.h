/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_XEN_XENBUS_H
#define _COMPAT_XEN_XENBUS_H

#include_next <xen/xenbus.h>
#include <linux/version.h>

/*
 * 7.0 ("xenbus: add xenbus_device parameter to xenbus_read_driver_state()"): NULL
 * is what it was before.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
static inline enum xenbus_state compat_read_driver_state(const char *path)
{
	return xenbus_read_driver_state(NULL, path);
}

#define xenbus_read_driver_state compat_read_driver_state
#endif

#endif /* _COMPAT_XEN_XENBUS_H */
