/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VHD_PRIVATE_H
#define VHD_PRIVATE_H

#include "vhd.h"

static inline uint64_t vhd_round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

/* Send a message; returns @error, so that it can end a function. */
int vhd_msg(const struct vhd_ctx *ctx, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Whole transfers; a short read is -EIO. 0 or -errno. */
int vhd_pread(int fd, void *buf, size_t len, uint64_t off);
int vhd_pwrite(int fd, const void *buf, size_t len, uint64_t off);

/* Open one image, no parents. @fd is the image's, even if this fails. */
int vhd_image_load(const struct vhd_ctx *ctx, int fd, const char *path,
		   unsigned int flags, bool raw, struct vhd_image **image);

/* Read and decode a locator's name. */
int vhd_locator_read(const struct vhd_image *image,
		     const struct vhd_locator *loc, char *name);

/* Take the lock on an image; waits a moment for I/O of a dead program. */
int vhd_lock(const struct vhd_ctx *ctx, int fd, bool exclusive,
	     const char *path);
/* Of a parent in use, to merge into it; its readers do not mind. */
int vhd_lock_merge(const struct vhd_ctx *ctx, int fd, const char *path);

#endif /* VHD_PRIVATE_H */
