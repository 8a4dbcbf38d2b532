/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VHD_PRIVATE_H
#define VHD_PRIVATE_H

#include <limits.h>

#include "vhd.h"

/* A message: two names of files, and why. */
#define VHD_TEXT_MAX	(2 * PATH_MAX + 1024)

static inline uint64_t vhd_round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

/* Bytes of the batmap in memory: no block needs a check. */
static inline size_t vhd_batmap_room(const struct vhd_image *image)
{
	uint64_t bytes = vhd_batmap_bytes(image->footer.current_size);
	uint64_t blocks = image->header.max_bat / 8 + 1;

	return blocks > bytes ? blocks : bytes;
}

/* Send a message; returns @error, so that it can end a function. */
int vhd_msg(const struct vhd_ctx *ctx, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Text for an error of open(). Where something is not permitted it names the
 * user: tapdisk2 is another one than who tries the same by hand, and root may
 * not open what is on some network and FUSE file systems.
 */
const char *vhd_why(int error, char *buf, size_t size);

/* Whole transfers; a short read is -EIO. 0 or -errno. */
int vhd_pread(int fd, void *buf, size_t len, uint64_t off);
int vhd_pwrite(int fd, const void *buf, size_t len, uint64_t off);

/*
 * Sort in place, in n log n steps whatever a hostile image has in its BAT.
 * qsort() is not used in what tapdisk2 calls: how much memory it takes, and
 * by which system calls it finds that out, depends on the C library and on
 * the size of the array, and tapdisk2 may not make any system call it likes.
 */
void vhd_sort(uint32_t *values, size_t nr);

/* Open one image, no parents. @fd is the image's, even if this fails. */
int vhd_image_load(const struct vhd_ctx *ctx, int fd, const char *path,
		   unsigned int flags, bool raw, struct vhd_image **image);

/* Read and decode a locator's name. */
int vhd_locator_read(const struct vhd_image *image,
		     const struct vhd_locator *loc, char *name);

/* Take the lock on an image; waits a moment for I/O of a dead program. */
int vhd_lock(const struct vhd_ctx *ctx, int fd, bool exclusive,
	     const char *path);
/*
 * Lock an image that may have readers against writers, and besides: @merge, to
 * merge into it, against all others who merge or make children of it; else
 * against those who merge.
 */
int vhd_lock_merge(const struct vhd_ctx *ctx, int fd, bool merge,
		   const char *path);

/* explain.c */

/**
 * struct vhd_note - a context that keeps the last message
 * @ctx: for a function whose reason may not be the cause
 * @text: the message, "" if there was none
 */
struct vhd_note {
	struct vhd_ctx ctx;
	char text[VHD_TEXT_MAX];
};

void vhd_note_init(struct vhd_note *note, const struct vhd_ctx *ctx);
/*
 * The last footer of a file that has but zeros behind it, near the end.
 * Return: 0; -ENOENT: there is none; or another -errno.
 */
int vhd_footer_find(const struct vhd_image *image, uint64_t *off,
		    struct vhd_footer *footer);
/*
 * Say why there is no footer, neither at the end, for @reason, nor in @copy,
 * the first sector. Return: -EINVAL.
 */
int vhd_explain_footer(const struct vhd_image *image, const uint8_t *copy,
		       const char *reason);

#endif /* VHD_PRIVATE_H */
