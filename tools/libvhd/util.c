// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vhd_private.h"

int vhd_msg(const struct vhd_ctx *ctx, int error, const char *fmt, ...)
{
	char text[VHD_TEXT_MAX];
	va_list ap;

	if (ctx->message) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		ctx->message(ctx->opaque, text);
	}
	return error;
}

const char *vhd_why(int error, char *buf, size_t size)
{
	if (error != -EACCES && error != -EPERM)
		return strerror(-error);
	snprintf(buf, size, "%s for user %u", strerror(-error), geteuid());
	return buf;
}

int vhd_pread(int fd, void *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pread(fd, buf, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			return -EIO;
		buf = (char *)buf + n;
		len -= n;
		off += n;
	}
	return 0;
}

int vhd_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf = (const char *)buf + n;
		len -= n;
		off += n;
	}
	return 0;
}

/* Let the value at @i sink to where no child of it is larger. */
static void vhd_sift_down(uint32_t *values, size_t i, size_t nr)
{
	uint32_t value = values[i];
	size_t child;

	for (; (child = 2 * i + 1) < nr; i = child) {
		if (child + 1 < nr && values[child] < values[child + 1])
			child++;
		if (value >= values[child])
			break;
		values[i] = values[child];
	}
	values[i] = value;
}

void vhd_sort(uint32_t *values, size_t nr)
{
	uint32_t value;
	size_t i = 1;

	/* Blocks that were written in their order are sorted already. */
	while (i < nr && values[i - 1] <= values[i])
		i++;
	if (i >= nr)
		return;
	for (i = nr / 2; i--;)
		vhd_sift_down(values, i, nr);
	while (--nr) {
		value = values[0];
		values[0] = values[nr];
		values[nr] = value;
		vhd_sift_down(values, 0, nr);
	}
}

/*
 * Locks of images cover the bytes before it. The byte at it is locked too,
 * exclusively to merge into an image, shared to make it a parent.
 */
#define VHD_LOCK_END		(1LL << 62)

/*
 * The lock belongs to the open file description, so I/O that a killed program
 * left in the kernel still holds it until it is through. That is wanted: what
 * we read must be final. It takes moments, so try for a second.
 */
static int vhd_lock_range(const struct vhd_ctx *ctx, int fd,
			  const struct flock *range, const char *path)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	struct flock lock;
	int i;

	for (i = 0; i < 20; i++) {
		lock = *range;
		if (!fcntl(fd, F_OFD_SETLK, &lock))
			return 0;
		if (errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS)
			return vhd_msg(ctx, -errno,
				       "%s: cannot lock: the file system has no locks (%m): start its lock service (rpc.statd for NFS 3), or mount it with locks of this host only (NFS: -o local_lock=all), if no other host uses the file",
				       path);
		if (errno != EAGAIN && errno != EACCES)
			return vhd_msg(ctx, -errno, "%s: cannot lock: %m",
				       path);
		nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

int vhd_lock(const struct vhd_ctx *ctx, int fd, bool exclusive,
	     const char *path)
{
	const struct flock lock = {
		.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_len = VHD_LOCK_END,
	};
	int ret = vhd_lock_range(ctx, fd, &lock, path);

	if (ret != -EBUSY)
		return ret;
	return vhd_msg(ctx, -EBUSY,
		       "%s: in use: cannot lock it %s, another program has it open%s",
		       path, exclusive ? "for writing" : "for reading",
		       exclusive ? "" : " for writing");
}

int vhd_lock_merge(const struct vhd_ctx *ctx, int fd, bool merge,
		   const char *path)
{
	const struct flock lock = {
		.l_type = merge ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
		.l_start = VHD_LOCK_END,
		.l_len = 1,
	};
	int ret = vhd_lock(ctx, fd, false, path);

	if (!ret)
		ret = vhd_lock_range(ctx, fd, &lock, path);
	if (ret != -EBUSY)
		return ret;
	return vhd_msg(ctx, -EBUSY,
		       "%s: in use: another program merges into it%s", path,
		       merge ? " or makes a child of it" : "");
}
