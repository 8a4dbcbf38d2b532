// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The public interface to what makes and changes images: a thin layer over
 * vhd.h, which is not public and may change. Everything that a program built
 * years ago may hand in is taken apart here: flags, and structs that had
 * fewer or have more fields.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "api.h"
#include "vhd_edit.h"

/* A struct of any version fits in that; else struct_size is not set. */
#define VHD_API_STRUCT_MAX	4096

struct vhd_ctx vhd_api_ctx(const struct vhd_messages *msg, bool any_parent)
{
	return (struct vhd_ctx) {
		.message = msg ? msg->message : NULL,
		.opaque = msg ? msg->opaque : NULL,
		.parent_dirs = any_parent ? "/" : NULL,
	};
}

int vhd_api_flags(const struct vhd_ctx *ctx, const char *path,
		  unsigned int flags, unsigned int allowed)
{
	if (!(flags & ~allowed))
		return 0;
	return vhd_msg(ctx, -EINVAL, "%s: flags are 0x%x, must be of 0x%x",
		       path, flags, allowed);
}

static int vhd_api_size(const struct vhd_ctx *ctx, const char *path,
			const void *theirs, size_t *given)
{
	memcpy(given, theirs, sizeof(*given));
	if (*given >= sizeof(*given) && *given <= VHD_API_STRUCT_MAX)
		return 0;
	return vhd_msg(ctx, -EINVAL,
		       "%s: struct_size is %zu, must be sizeof of the struct, %zu to %d",
		       path, *given, sizeof(*given), VHD_API_STRUCT_MAX);
}

int vhd_api_take(const struct vhd_ctx *ctx, const char *path,
		 const void *theirs, void *ours, size_t size)
{
	const uint8_t *bytes = theirs;
	size_t given, i;
	int ret;

	memset(ours, 0, size);
	if (!theirs)
		return 0;
	ret = vhd_api_size(ctx, path, theirs, &given);
	if (ret)
		return ret;
	for (i = size; i < given; i++)
		if (bytes[i])
			return vhd_msg(ctx, -E2BIG,
				       "%s: struct_size is %zu, and byte %zu is %u; this library knows %zu bytes, the rest must be 0",
				       path, given, i, bytes[i], size);
	memcpy(ours, theirs, given < size ? given : size);
	return 0;
}

int vhd_api_give(const struct vhd_ctx *ctx, const char *path, void *theirs,
		 const void *ours, size_t size)
{
	size_t given;
	int ret;

	ret = vhd_api_size(ctx, path, theirs, &given);
	if (ret)
		return ret;
	memset(theirs, 0, given);
	memcpy(theirs, ours, given < size ? given : size);
	memcpy(theirs, &given, sizeof(given));
	return 0;
}

/* Sizes too large for bytes are too large for a disk anyway. */
static uint64_t vhd_api_bytes(uint64_t sectors)
{
	return sectors > VHD_DISK_MAX / VHD_SECTOR ? VHD_DISK_MAX + 1 :
	       sectors * VHD_SECTOR;
}

static int vhd_api_create(const char *path, const char *parent,
			  const struct vhd_create_opts *opts,
			  const struct vhd_messages *msg)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, true);
	struct vhd_create_opts o;
	struct vhd_create spec;
	int ret;

	ret = vhd_api_take(&ctx, path, opts, &o, sizeof(o));
	if (!ret)
		ret = vhd_api_flags(&ctx, path, o.flags, parent ?
				    VHD_DISK_RAW_PARENT | VHD_DISK_SKIP_EMPTY :
				    VHD_DISK_FIXED);
	if (ret)
		return ret;
	spec = (struct vhd_create) {
		.path = path,
		.size = vhd_api_bytes(o.sectors),
		.size_max = vhd_api_bytes(o.sectors_max),
		.fixed = o.flags & VHD_DISK_FIXED,
		.parent = parent,
		.parent_raw = o.flags & VHD_DISK_RAW_PARENT,
		.keep_empty = !(o.flags & VHD_DISK_SKIP_EMPTY),
		.depth_max = o.depth_max < VHD_CHAIN_MAX ? o.depth_max :
			     VHD_CHAIN_MAX,
	};
	return vhd_create(&ctx, &spec);
}

int vhd_disk_create(const char *path, uint64_t sectors, const char *parent,
		    unsigned int flags, const struct vhd_messages *msg)
{
	const struct vhd_create_opts opts = {
		.struct_size = sizeof(opts),
		.flags = flags,
		.sectors = sectors,
	};

	return vhd_api_create(path, parent, &opts, msg);
}

int vhd_disk_create_opts(const char *path, const struct vhd_create_opts *opts,
			 const struct vhd_messages *msg)
{
	return vhd_api_create(path, NULL, opts, msg);
}

int vhd_disk_snapshot(const char *path, const char *parent,
		      const struct vhd_create_opts *opts,
		      const struct vhd_messages *msg)
{
	if (!parent)
		return -EINVAL;
	return vhd_api_create(path, parent, opts, msg);
}

int vhd_disk_check(const char *path, unsigned int flags,
		   const struct vhd_messages *msg)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, flags &
					       VHD_DISK_ANY_PARENT);
	int ret;

	ret = vhd_api_flags(&ctx, path, flags, VHD_DISK_LEAF_ONLY |
			    VHD_DISK_ANY_PARENT);
	return ret ? ret : vhd_check(&ctx, path, 0, VHD_CHECK_BITMAPS |
				     (flags & VHD_DISK_LEAF_ONLY ? 0 :
				      VHD_CHECK_PARENTS), NULL);
}

int vhd_disk_repair(const char *path, unsigned int flags,
		    const struct vhd_messages *msg)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, false);
	int ret;

	ret = vhd_api_flags(&ctx, path, flags, VHD_DISK_USE_COPY);
	return ret ? ret : vhd_repair(&ctx, path, flags & VHD_DISK_USE_COPY);
}

int vhd_disk_coalesce(const char *path, const struct vhd_coalesce_opts *opts,
		      const struct vhd_messages *msg)
{
	struct vhd_ctx ctx = vhd_api_ctx(msg, false);
	struct vhd_coalesce_opts o;
	struct vhd_coalesce spec;
	int ret;

	ret = vhd_api_take(&ctx, path, opts, &o, sizeof(o));
	if (!ret)
		ret = vhd_api_flags(&ctx, path, o.flags, VHD_DISK_ANY_PARENT |
				    VHD_DISK_SPARSE | VHD_DISK_LIVE);
	if (ret)
		return ret;
	if (o.ancestor && o.output)
		return vhd_msg(&ctx, -EINVAL,
			       "%s: output %s excludes ancestor %s", path,
			       o.output, o.ancestor);
	ctx = vhd_api_ctx(msg, o.flags & VHD_DISK_ANY_PARENT);
	spec = (struct vhd_coalesce) {
		.path = path,
		.parent = o.parent,
		.ancestor = o.ancestor,
		.output = o.output,
		.sparse = o.flags & VHD_DISK_SPARSE,
		.live = o.flags & VHD_DISK_LIVE,
		.rate = o.rate,
		.stop = o.stop,
		.progress = { o.progress, o.opaque },
	};
	return vhd_coalesce(&ctx, &spec, o.merged);
}

/* The journal where every change of the image looks for it. */
static int vhd_api_journal(const char *path, const char *given, char *name,
			   const char **journal)
{
	*journal = given ? given : name;
	return given ? 0 : vhd_journal_name(path, name);
}

int vhd_disk_resize(const char *path, uint64_t sectors,
		    const struct vhd_resize_opts *opts,
		    const struct vhd_messages *msg)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, false);
	struct vhd_resize_opts o;
	const char *journal;
	char name[PATH_MAX];
	int ret;

	ret = vhd_api_take(&ctx, path, opts, &o, sizeof(o));
	if (!ret)
		ret = vhd_api_flags(&ctx, path, o.flags, VHD_DISK_FAST |
				    VHD_DISK_SHRINK);
	if (!ret)
		ret = vhd_api_journal(path, o.journal, name, &journal);
	if (ret)
		return ret;
	return vhd_resize(&ctx, path, vhd_api_bytes(sectors),
			  o.flags & VHD_DISK_FAST ? NULL : journal,
			  o.flags & VHD_DISK_SHRINK);
}

int vhd_disk_revert(const char *path, const char *given,
		    const struct vhd_messages *msg)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, false);
	const char *journal;
	char name[PATH_MAX];
	int ret;

	ret = vhd_api_journal(path, given, name, &journal);
	return ret ? ret : vhd_revert(&ctx, path, journal);
}

int vhd_disk_set_parent(const char *path, const char *parent,
			unsigned int flags, const struct vhd_messages *msg)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, true);
	int ret;

	ret = vhd_api_flags(&ctx, path, flags, VHD_DISK_RAW_PARENT);
	return ret ? ret : vhd_set_parent(&ctx, path, parent,
					  flags & VHD_DISK_RAW_PARENT);
}

int vhd_disk_set_hidden(const char *path, unsigned int hidden,
			const struct vhd_messages *msg)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, false);

	return vhd_set_hidden(&ctx, path, hidden < 255 ? hidden : 255);
}

int vhd_disk_set_marker(const char *path, unsigned int marker,
			const struct vhd_messages *msg)
{
	const struct vhd_ctx ctx = vhd_api_ctx(msg, false);

	if (marker > 255)
		return vhd_msg(&ctx, -EINVAL,
			       "%s: marker is %u, must be 0 to 255", path,
			       marker);
	return vhd_set_marker(&ctx, path, marker);
}

int vhd_disk_copy(const char *from, const char *to,
		  const struct vhd_copy_opts *opts,
		  const struct vhd_messages *msg)
{
	struct vhd_ctx ctx = vhd_api_ctx(msg, false);
	struct vhd_copy_opts o;
	struct vhd_copy spec;
	int ret;

	ret = vhd_api_take(&ctx, from, opts, &o, sizeof(o));
	if (!ret)
		ret = vhd_api_flags(&ctx, from, o.flags, VHD_DISK_ANY_PARENT |
				    VHD_DISK_FROM_RAW | (o.flags &
				    VHD_DISK_FIXED ? VHD_DISK_FIXED :
				    VHD_DISK_TO_RAW));
	if (ret)
		return ret;
	ctx = vhd_api_ctx(msg, o.flags & VHD_DISK_ANY_PARENT);
	spec = (struct vhd_copy) {
		.from = from,
		.to = to,
		.from_raw = o.flags & VHD_DISK_FROM_RAW,
		.to_raw = o.flags & VHD_DISK_TO_RAW,
		.to_fixed = o.flags & VHD_DISK_FIXED,
		.align = o.align,
		.progress = { o.progress, o.opaque },
	};
	return vhd_copy(&ctx, &spec);
}

int vhd_disk_compact(const char *path, uint32_t *dropped,
		     const struct vhd_copy_opts *opts,
		     const struct vhd_messages *msg)
{
	struct vhd_ctx ctx = vhd_api_ctx(msg, false);
	struct vhd_progress progress;
	struct vhd_copy_opts o;
	int ret;

	ret = vhd_api_take(&ctx, path, opts, &o, sizeof(o));
	if (!ret)
		ret = vhd_api_flags(&ctx, path, o.flags, VHD_DISK_ANY_PARENT);
	if (ret)
		return ret;
	ctx = vhd_api_ctx(msg, o.flags & VHD_DISK_ANY_PARENT);
	progress = (struct vhd_progress) { o.progress, o.opaque };
	return vhd_compact(&ctx, path, &progress, dropped);
}
