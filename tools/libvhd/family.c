// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which images name another one as their parent. A parent does not know its
 * children, so folders are searched; a child elsewhere is not found.
 */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "vhd_edit.h"

/* Of a parent that is no VHD there is no uuid: see where the name leads. */
static bool vhd_is_child(struct vhd_image *image,
			 const struct vhd_image *parent)
{
	static const uint8_t null[16];
	struct vhd_image *found;
	bool same;

	if (vhd_is_flat(image) || image->footer.type != VHD_TYPE_DIFF)
		return false;
	if (!parent->raw)
		return !memcmp(image->header.parent_uuid, parent->footer.uuid,
			       16);
	if (memcmp(image->header.parent_uuid, null, 16) ||
	    vhd_parent_find(image, 0, &found))
		return false;
	same = found->dev == parent->dev && found->ino == parent->ino;
	vhd_close(found);
	return same;
}

/*
 * Children of a file are files: the devices in a folder may be slow, stuck or
 * empty drives, and are looked at only if the parent is one, too.
 */
int vhd_children(const struct vhd_image *parent, const char *folder,
		 int (*fn)(void *opaque, const struct vhd_image *child),
		 void *opaque)
{
	/* Most files in a folder are something else: no messages. */
	const struct vhd_ctx quiet = { .parent_dirs = "/" };
	struct vhd_image *image;
	char path[PATH_MAX];
	struct dirent *d;
	struct stat st;
	int ret = 0;
	DIR *dir;

	dir = opendir(folder);
	if (!dir)
		return vhd_msg(&parent->ctx, -errno, "%s: cannot read: %m",
			       folder);
	while (!ret && (d = readdir(dir))) {
		if (snprintf(path, sizeof(path), "%s/%s", folder, d->d_name) >=
		    (int)sizeof(path) || stat(path, &st) ||
		    !(S_ISREG(st.st_mode) ||
		      (S_ISBLK(st.st_mode) && parent->bdev)) ||
		    vhd_open(&quiet, path, VHD_OPEN_HEADERS, &image))
			continue;
		if (vhd_is_child(image, parent))
			ret = fn(opaque, image);
		vhd_close(image);
	}
	closedir(dir);
	return ret;
}

struct vhd_alone {
	const struct vhd_image *parent;
	const struct vhd_image *child;
};

static int vhd_alone_fn(void *opaque, const struct vhd_image *image)
{
	const struct vhd_alone *a = opaque;

	if (image->dev == a->child->dev && image->ino == a->child->ino)
		return 0;
	/* In the chain of the child, which was told to skip it. */
	if (!memcmp(image->footer.uuid, a->child->header.parent_uuid, 16))
		return 0;
	return vhd_msg(&a->parent->ctx, -EBUSY,
		       "%s: in use: %s is a child of it as well as %s and would change with it: delete that first, or merge into a copy (vhd-util coalesce -o)",
		       a->parent->path, image->path, a->child->path);
}

int vhd_only_child(const struct vhd_image *parent,
		   const struct vhd_image *child)
{
	struct vhd_alone a = { parent, child };
	char one[PATH_MAX], other[PATH_MAX];
	int ret;

	snprintf(one, sizeof(one), "%s", parent->path);
	snprintf(other, sizeof(other), "%s", child->path);
	dirname(one);
	dirname(other);
	ret = vhd_children(parent, one, vhd_alone_fn, &a);
	if (!ret && strcmp(one, other))
		ret = vhd_children(parent, other, vhd_alone_fn, &a);
	return ret;
}

static int vhd_no_child_fn(void *opaque, const struct vhd_image *image)
{
	const struct vhd_image *parent = opaque;

	return vhd_msg(&parent->ctx, -EBUSY,
		       "%s: in use: %s is a child of it and would lose data, too: delete that first",
		       parent->path, image->path);
}

int vhd_no_child(const struct vhd_image *image)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", image->path);
	return vhd_children(image, dirname(folder), vhd_no_child_fn,
			    (void *)image);
}
