/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ring device as tapdisk2 sees it. The real one is a few ioctls; unit
 * tests put a device of their own in its place.
 */
#ifndef TD_RING_H
#define TD_RING_H

#include <stdint.h>
#include <xen/blktap2.h>

/**
 * struct td_ring_ops - operations on a ring device, 0 or -errno
 * @open: open the device of a minor, the descriptor or -errno
 * @close: close it
 * @setup: enter direct mode
 * @file: BLKTAP_IOCTL_DIRECT_FILE
 * @xfer: BLKTAP_IOCTL_DIRECT_XFER
 * @create: create or take over the disk
 * @resize: let the disk grow to a number of sectors of 512 bytes
 * @remove: remove the disk
 * @set_name: set the name that sysfs shows
 */
struct td_ring_ops {
	int (*open)(int minor);
	void (*close)(int fd);
	int (*setup)(int fd, struct blktap_direct_setup *setup);
	int (*file)(int fd, const struct blktap_direct_file *file);
	int (*xfer)(int fd, struct blktap_direct_xfer *xfer);
	int (*create)(int fd, struct blktap_device_info *info);
	int (*resize)(int fd, uint64_t sectors);
	int (*remove)(int fd);
	int (*set_name)(int minor, const char *name);
};

extern const struct td_ring_ops td_ring_kernel;

/* What is used: &td_ring_kernel but in unit tests. */
extern const struct td_ring_ops *td_ring;

#endif /* TD_RING_H */
