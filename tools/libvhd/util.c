// SPDX-License-Identifier: LGPL-2.1-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "vhd_private.h"

int vhd_msg(const struct vhd_ctx *ctx, int error, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	if (ctx->message) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		ctx->message(ctx->opaque, text);
	}
	return error;
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

/*
 * The lock belongs to the open file description, so I/O that a killed program
 * left in the kernel still holds it until it is through. That is wanted: what
 * we read must be final. It takes moments, so try for a second.
 */
int vhd_lock(const struct vhd_ctx *ctx, int fd, bool exclusive,
	     const char *path)
{
	struct flock lock = {
		.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
	};
	const struct timespec pause = { .tv_nsec = 50000000 };
	int i;

	for (i = 0; i < 20; i++) {
		if (!fcntl(fd, F_OFD_SETLK, &lock))
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			return vhd_msg(ctx, -errno, "%s: cannot lock: %m",
				       path);
		nanosleep(&pause, NULL);
	}
	return vhd_msg(ctx, -EBUSY,
		       "%s: in use: cannot lock it %s, another program has it open%s",
		       path, exclusive ? "for writing" : "for reading",
		       exclusive ? "" : " for writing");
}
