/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the public interface share. */
#ifndef VHD_API_H
#define VHD_API_H

#include "libvhd.h"
#include "vhd_private.h"

struct vhd_ctx vhd_api_ctx(const struct vhd_messages *msg, bool any_parent);
/* -EINVAL if there are others than @allowed. */
int vhd_api_flags(const struct vhd_ctx *ctx, const char *path,
		  unsigned int flags, unsigned int allowed);
/*
 * The caller's struct @theirs as @ours, which has @size bytes: what it lacks
 * is 0, what we do not know must be. NULL: all 0.
 */
int vhd_api_take(const struct vhd_ctx *ctx, const char *path,
		 const void *theirs, void *ours, size_t size);
/* The other way: as much of @ours as the caller knows. */
int vhd_api_give(const struct vhd_ctx *ctx, const char *path, void *theirs,
		 const void *ours, size_t size);

#endif /* VHD_API_H */
