// SPDX-License-Identifier: GPL-2.0
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int td_ring_open(int minor)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/xen/blktap-2/blktap%d", minor);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void td_ring_close(int fd)
{
	close(fd);
}

static int td_ring_setup(int fd, struct blktap_direct_setup *setup)
{
	return ioctl(fd, BLKTAP_IOCTL_DIRECT_SETUP, setup) < 0 ? -errno : 0;
}

static int td_ring_file(int fd, const struct blktap_direct_file *file)
{
	return ioctl(fd, BLKTAP_IOCTL_DIRECT_FILE, file) < 0 ? -errno : 0;
}

static int td_ring_xfer(int fd, struct blktap_direct_xfer *xfer)
{
	return ioctl(fd, BLKTAP_IOCTL_DIRECT_XFER, xfer) < 0 ? -errno : 0;
}

static int td_ring_create(int fd, struct blktap_device_info *info)
{
	return ioctl(fd, BLKTAP_IOCTL_CREATE_DEVICE, info) < 0 ? -errno : 0;
}

static int td_ring_resize(int fd, uint64_t sectors)
{
	__u64 size = sectors;

	return ioctl(fd, BLKTAP_IOCTL_DIRECT_RESIZE, &size) < 0 ? -errno : 0;
}

static int td_ring_remove(int fd)
{
	return ioctl(fd, BLKTAP_IOCTL_REMOVE_DEVICE) < 0 ? -errno : 0;
}

static int td_ring_set_name(int minor, const char *name)
{
	char path[64];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/sys/class/blktap2/blktap%d/name", minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, name, strlen(name)) < 0)
		err = -errno;
	close(fd);
	return err;
}

const struct td_ring_ops td_ring_kernel = {
	.open = td_ring_open,
	.close = td_ring_close,
	.setup = td_ring_setup,
	.file = td_ring_file,
	.xfer = td_ring_xfer,
	.create = td_ring_create,
	.resize = td_ring_resize,
	.remove = td_ring_remove,
	.set_name = td_ring_set_name,
};

const struct td_ring_ops *td_ring = &td_ring_kernel;
