// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Chains: a differencing image and its parents.
 *
 * A child names its parent in up to eight locators and in a plain file name.
 * All of it comes out of a file that a stranger may have written, and what it
 * leads to becomes readable by a guest. So, whatever a name says:
 *
 *  - a parent that is a VHD must have the uuid that the child says;
 *  - a parent must lie below the folder of the leaf or one of
 *    vhd_ctx.parent_dirs, after all symbolic links are resolved. The file
 *    that was opened is looked at, not its name, so there is no race;
 *  - a parent is a regular file or block device; other things are not opened;
 *  - no image comes twice in a chain, and a chain has an end.
 *
 * Names are tried in the order W2RU, W2KU, MACX, Wi2r, Wi2k, file name; the
 * first that leads to the parent is taken. Relative ones start from the folder
 * of the child. Names with a drive letter mean nothing here, nor does what
 * Mac OS 9 knew a file by ("Mac ").
 *
 * A parent that something is being merged into grows and is cut now and then,
 * and may look bad to who opens it in that moment. The next name looks again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_private.h"

/*
 * Open without side effects: first a handle that can only be looked at, then
 * the file behind it.
 */
static int vhd_open_file(const char *path, bool rw, char *real)
{
	char link[64];
	struct stat st;
	ssize_t len;
	int handle, fd, ret;

	handle = open(path, O_PATH | O_CLOEXEC);
	if (handle < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
	fd = -EINVAL;
	if (!fstat(handle, &st) &&
	    (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
		len = readlink(link, real, PATH_MAX - 1);
		ret = errno;
		if (len < 0) {
			fd = -ret;
		} else {
			real[len] = 0;
			fd = open(link, (rw ? O_RDWR : O_RDONLY) | O_CLOEXEC);
			if (fd < 0)
				fd = -errno;
		}
	}
	close(handle);
	return fd;
}

static bool vhd_below(const char *path, const char *dir, size_t len)
{
	while (len && dir[len - 1] == '/')
		len--;
	return !strncmp(path, dir, len) && path[len] == '/';
}

/* May @path be a parent in the chain of @leaf? */
static bool vhd_may_be_parent(const struct vhd_image *leaf, const char *path)
{
	const char *dirs = leaf->ctx.parent_dirs;
	const char *slash = strrchr(leaf->path, '/');

	if (slash && vhd_below(path, leaf->path, slash - leaf->path))
		return true;
	while (dirs && *dirs) {
		size_t len = strcspn(dirs, ":");

		if (len && vhd_below(path, dirs, len))
			return true;
		dirs += len + (dirs[len] == ':');
	}
	return false;
}

/* A name of 8-bit characters, which may end at a NUL. */
static int vhd_locator_bytes(const uint8_t *buf, size_t len, char *name)
{
	if (len >= VHD_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, buf, len);
	name[len] = 0;
	return 0;
}

int vhd_locator_read(const struct vhd_image *image,
		     const struct vhd_locator *loc, char *name)
{
	uint8_t buf[VHD_NAME_MAX];
	int ret;

	if (!loc->data_len || loc->data_len > sizeof(buf) ||
	    loc->data_offset > image->footer_off ||
	    loc->data_len > image->footer_off - loc->data_offset)
		return -EINVAL;
	ret = vhd_pread(image->fd, buf, loc->data_len, loc->data_offset);
	if (ret)
		return ret;
	if (loc->code == VHD_PLAT_MACX) {
		size_t skip = 0;

		if (loc->data_len > 7 && !memcmp(buf, "file://", 7))
			skip = 7;
		return vhd_locator_bytes(buf + skip, loc->data_len - skip,
					 name);
	}
	if (loc->code == VHD_PLAT_WI2R || loc->code == VHD_PLAT_WI2K)
		ret = vhd_locator_bytes(buf, loc->data_len, name);
	else
		ret = vhd_utf16_decode(buf, loc->data_len, false, name,
				       VHD_NAME_MAX);
	if (ret)
		return ret;
	while (*name) {
		if (*name == '\\')
			*name = '/';
		name++;
	}
	return 0;
}

/* The names of the parent, best first; returns false after the last. */
static bool vhd_next_name(const struct vhd_image *image, unsigned int *step,
			  char *name)
{
	static const uint32_t codes[] = { VHD_PLAT_W2RU, VHD_PLAT_W2KU,
					  VHD_PLAT_MACX, VHD_PLAT_WI2R,
					  VHD_PLAT_WI2K };
	const unsigned int locators = sizeof(codes) / sizeof(codes[0]) *
				      VHD_LOCATORS;
	const struct vhd_header *h = &image->header;

	while (*step < locators) {
		unsigned int i = (*step)++;
		const struct vhd_locator *loc = &h->loc[i % VHD_LOCATORS];
		int ret;

		if (loc->code != codes[i / VHD_LOCATORS])
			continue;
		ret = vhd_locator_read(image, loc, name);
		if (!ret && *name)
			return true;
		vhd_msg(&image->ctx, 0,
			"%s: header: locator %u: %u bytes at %" PRIu64 ", must be 1 to %u bytes of a name before %" PRIu64,
			image->path, i % VHD_LOCATORS, loc->data_len,
			loc->data_offset, VHD_NAME_MAX, image->footer_off);
	}
	if ((*step)++ > locators)
		return false;
	return !vhd_utf16_decode(h->parent_name, sizeof(h->parent_name), true,
				 name, VHD_NAME_MAX) && *name;
}

int vhd_parent_name(const struct vhd_image *image, char *name)
{
	unsigned int step = 0;

	if (vhd_is_flat(image) || image->footer.type != VHD_TYPE_DIFF)
		return -ENOENT;
	return vhd_next_name(image, &step, name) ? 0 : -ENOENT;
}

static bool vhd_uuid_null(const uint8_t *uuid)
{
	static const uint8_t null[16];

	return !memcmp(uuid, null, 16);
}

/* Looked at before the lock is tried: a loop would find itself in use. */
static int vhd_check_loop(const struct vhd_image *leaf, int fd,
			  const char *path)
{
	const struct vhd_image *i;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	for (i = leaf; i; i = i->parent)
		if (i->dev == st.st_dev && i->ino == st.st_ino)
			return vhd_msg(&leaf->ctx, -ELOOP,
				       "%s: the chain of parents is a loop: %s comes twice",
				       leaf->path, path);
	if (vhd_depth(leaf) >= VHD_CHAIN_MAX)
		return vhd_msg(&leaf->ctx, -ELOOP,
			       "%s: the chain has more than %d images",
			       leaf->path, VHD_CHAIN_MAX);
	return 0;
}

/* @path is where a name leads to: is it the parent? */
static int vhd_try_parent(const struct vhd_image *leaf,
			  const struct vhd_image *child, const char *path,
			  unsigned int flags, struct vhd_image **parent)
{
	bool raw = vhd_uuid_null(child->header.parent_uuid);
	char real[PATH_MAX], why[80];
	int fd, ret;

	fd = vhd_open_file(path, false, real);
	if (fd == -EACCES || fd == -EPERM)
		return vhd_msg(&leaf->ctx, fd, "%s: parent %s: cannot open: %s",
			       child->path, path,
			       vhd_why(fd, why, sizeof(why)));
	if (fd < 0)
		return fd;
	if (!vhd_may_be_parent(leaf, real)) {
		close(fd);
		return vhd_msg(&leaf->ctx, -EACCES,
			       "%s: parent %s is outside of the folder of %s and of the allowed folders (%s)",
			       child->path, real, leaf->path,
			       leaf->ctx.parent_dirs ?
			       leaf->ctx.parent_dirs : "none");
	}
	ret = vhd_check_loop(leaf, fd, real);
	if (ret) {
		close(fd);
		return ret;
	}
	ret = vhd_image_load(&leaf->ctx, fd, real, VHD_OPEN_WHOLE | (flags &
			     ~(VHD_OPEN_RDWR | VHD_OPEN_CHILD)), raw, parent);
	if (ret || raw || flags & VHD_OPEN_ANY_UUID ||
	    !memcmp((*parent)->footer.uuid, child->header.parent_uuid, 16))
		return ret;
	vhd_close(*parent);
	*parent = NULL;
	return vhd_msg(&leaf->ctx, -EINVAL,
		       "%s: uuid of parent %s is not the parent uuid in the child's header: another image has its place; put the right one there, or vhd-util modify -n %s -p PARENT tells where it is",
		       child->path, real, child->path);
}

/* The folder of the child in front of a relative name. */
static int vhd_parent_path(const struct vhd_image *child, const char *name,
			   char *path)
{
	const char *slash = strrchr(child->path, '/');
	int len;

	if (*name == '/')
		len = snprintf(path, PATH_MAX, "%s", name);
	else
		len = snprintf(path, PATH_MAX, "%.*s/%s",
			       slash ? (int)(slash - child->path) : 1,
			       slash ? child->path : ".", name);
	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int vhd_explain_parent(const struct vhd_image *leaf,
			      const struct vhd_image *child, int error)
{
	char name[VHD_NAME_MAX];

	if (vhd_parent_name(child, name))
		return vhd_msg(&leaf->ctx, error,
			       "%s: parent not found: the image has no name of it that can be read; vhd-util modify -n %s -p PARENT tells it",
			       child->path, child->path);
	if (error != -ENOENT)
		return vhd_msg(&leaf->ctx, error, "%s: parent %s: %s",
			       child->path, name, strerror(-error));
	return vhd_msg(&leaf->ctx, error,
		       "%s: parent %s: not found: it was moved, renamed or deleted; put it back, or vhd-util modify -n %s -p PARENT tells where it is",
		       child->path, name, child->path);
}

static int vhd_find_parent(const struct vhd_image *leaf,
			   const struct vhd_image *child, unsigned int flags,
			   struct vhd_image **parent)
{
	char name[VHD_NAME_MAX], path[PATH_MAX];
	unsigned int step = 0;
	int best = -ENOENT;

	while (vhd_next_name(child, &step, name)) {
		int ret = vhd_parent_path(child, name, path);

		if (!ret)
			ret = vhd_try_parent(leaf, child, path, flags, parent);
		if (!ret)
			return 0;
		/* Any reason says more than "there is no such file". */
		if (ret != -ENOENT && best == -ENOENT)
			best = ret;
		/* Another name does not help. */
		if (ret == -EBUSY || ret == -ENOMEM || ret == -ELOOP)
			break;
	}
	return vhd_explain_parent(leaf, child, best);
}

int vhd_parent_find(struct vhd_image *image, unsigned int flags,
		    struct vhd_image **parent)
{
	return vhd_find_parent(image, image, flags, parent);
}

int vhd_parent_stand_in(struct vhd_image *image, const char *path)
{
	char real[PATH_MAX], why[80];
	int fd, ret;

	if (vhd_is_flat(image) || image->footer.type != VHD_TYPE_DIFF)
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: has no parent for which %s could stand",
			       image->path, path);
	fd = vhd_open_file(path, false, real);
	if (fd < 0)
		return vhd_msg(&image->ctx, fd, "%s: cannot open: %s", path,
			       fd == -EINVAL ?
			       "must be a regular file or block device" :
			       vhd_why(fd, why, sizeof(why)));
	ret = vhd_image_load(&image->ctx, fd, real, VHD_OPEN_LOCK, true,
			     &image->parent);
	if (ret || image->parent->sectors == image->sectors)
		return ret;
	/* Closed with the image. */
	return vhd_msg(&image->ctx, -EINVAL,
		       "%s: %" PRIu64 " sectors, %s has %" PRIu64 "; must be the same",
		       path, image->parent->sectors, image->path,
		       image->sectors);
}

int vhd_open(const struct vhd_ctx *ctx, const char *path, unsigned int flags,
	     struct vhd_image **image)
{
	struct vhd_image *leaf, *last;
	char real[PATH_MAX], why[80];
	int fd, ret;

	fd = vhd_open_file(path, flags & VHD_OPEN_RDWR, real);
	if (fd < 0)
		return vhd_msg(ctx, fd, "%s: cannot open%s: %s", path,
			       flags & VHD_OPEN_RDWR ? " for writing" : "",
			       fd == -EINVAL ?
			       "must be a regular file or block device" :
			       vhd_why(fd, why, sizeof(why)));
	ret = vhd_image_load(ctx, fd, real, flags, false, &leaf);
	if (ret)
		return ret;
	for (last = leaf; flags & VHD_OPEN_PARENTS && !vhd_is_flat(last) &&
	     last->footer.type == VHD_TYPE_DIFF; last = last->parent) {
		ret = vhd_find_parent(leaf, last, flags, &last->parent);
		if (ret) {
			vhd_close(leaf);
			return ret;
		}
	}
	*image = leaf;
	return 0;
}

int vhd_depth(const struct vhd_image *image)
{
	int depth = 0;

	for (; image; image = image->parent)
		depth++;
	return depth;
}
