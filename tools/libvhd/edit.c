// SPDX-License-Identifier: LGPL-2.1-or-later
/* Small changes of an image that no guest uses. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_edit.h"

static int vhd_edit_failed(const struct vhd_image *image, int ret)
{
	return vhd_msg(&image->ctx, ret, "%s: cannot write: %s", image->path,
		       strerror(-ret));
}

int vhd_journal_name(const char *path, char *name)
{
	char real[PATH_MAX];

	if (!realpath(path, real))
		return -errno;
	return snprintf(name, PATH_MAX, "%s%s", real, VHD_JOURNAL_SUFFIX) <
	       PATH_MAX ? 0 : -ENAMETOOLONG;
}

int vhd_edit_open(const struct vhd_ctx *ctx, const char *path,
		  unsigned int flags, struct vhd_image **image)
{
	char journal[PATH_MAX];
	int ret;

	if (!vhd_journal_name(path, journal) && !access(journal, F_OK)) {
		ret = vhd_revert(ctx, path, journal);
		if (ret)
			return ret;
	}
	return vhd_open(ctx, path, flags | VHD_OPEN_RDWR | VHD_OPEN_LOCK,
			image);
}

int vhd_edit_sizable(const struct vhd_image *image)
{
	if (!image->bdev)
		return 0;
	return vhd_msg(&image->ctx, -ENOTSUP,
		       "%s: is a block device, must be a regular file for this: the place of the footer would have to change; copy it to a file first",
		       image->path);
}

void vhd_batmap_renew(struct vhd_image *image)
{
	if (!image->batmap_map || image->batmap_good)
		return;
	memset(image->batmap_map, 0, vhd_batmap_room(image));
	image->batmap.version = VHD_BATMAP_VERSION;
	image->batmap_good = true;
}

static int vhd_footer_put_sync(const struct vhd_image *image,
			       const uint8_t *buf, uint64_t off)
{
	int ret = vhd_pwrite(image->fd, buf, VHD_FOOTER_SIZE, off);

	return !ret && fdatasync(image->fd) ? -errno : ret;
}

/*
 * One at the end that differs from the copy at 0 is a fault, and they cannot
 * be written at once. So the one at the end goes first, then the copy, which
 * counts meanwhile, is switched, a single sector; then the end is written
 * anew. The copy must be good before that. A fixed disk has but the one at
 * the end.
 */
int vhd_footer_write(struct vhd_image *image)
{
	uint64_t off = vhd_round_up(image->footer_off, VHD_SECTOR);
	uint8_t buf[VHD_FOOTER_SIZE], copy[VHD_FOOTER_SIZE];
	uint8_t none[VHD_FOOTER_SIZE] = { 0 };
	int ret = 0;

	if (image->footer_lost)
		ret = vhd_edit_sizable(image);
	if (ret)
		return ret;
	vhd_footer_build(&image->footer, buf);
	if (image->footer.type != VHD_TYPE_FIXED) {
		ret = vhd_pread(image->fd, copy, sizeof(copy), 0);
		if (!ret && memcmp(copy, image->footer_buf, sizeof(copy)))
			ret = vhd_footer_put_sync(image, image->footer_buf, 0);
		if (!ret && memcmp(buf, image->footer_buf, sizeof(buf)) &&
		    !image->footer_lost)
			ret = vhd_footer_put_sync(image, none, off);
		if (!ret)
			ret = vhd_footer_put_sync(image, buf, 0);
	}
	/* One of 511 bytes grows by the one that it lacks. */
	if (!ret)
		ret = vhd_footer_put_sync(image, buf, off);
	if (ret)
		return vhd_edit_failed(image, ret);
	memcpy(image->footer_buf, buf, sizeof(buf));
	image->footer_off = off;
	return 0;
}

int vhd_set_hidden(const struct vhd_ctx *ctx, const char *path, uint8_t hidden)
{
	struct vhd_image *image;
	int ret;

	if (hidden > 1)
		return vhd_msg(ctx, -EINVAL, "%s: hidden is %u, must be 0 or 1",
			       path, hidden);
	ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	image->footer.hidden = hidden;
	ret = vhd_footer_write(image);
	vhd_close(image);
	return ret;
}

/*
 * Change bytes in the header of the batmap that its checksum does not cover;
 * one sector is written at once.
 */
static int vhd_batmap_patch(struct vhd_image *image, unsigned int off,
			    const void *bytes, size_t len, const char *what)
{
	uint8_t buf[VHD_BATMAP_HEADER_SIZE];
	int ret;

	if (!image->batmap_map)
		return vhd_msg(&image->ctx, -ENOTSUP,
			       "%s: has no batmap, which the %s is part of",
			       image->path, what);
	ret = vhd_pread(image->fd, buf, sizeof(buf), image->batmap_off);
	memcpy(buf + off, bytes, len);
	if (!ret)
		ret = vhd_pwrite(image->fd, buf, sizeof(buf),
				 image->batmap_off);
	if (!ret && fdatasync(image->fd))
		ret = -errno;
	return ret ? vhd_edit_failed(image, ret) : 0;
}

int vhd_set_marker(const struct vhd_ctx *ctx, const char *path, uint8_t marker)
{
	struct vhd_image *image;
	int ret;

	ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	ret = vhd_batmap_patch(image, 28, &marker, 1, "marker");
	vhd_close(image);
	return ret;
}

#define VHD_KEYHASH_OFF		29	/* 1, nonce, hash */

int vhd_keyhash_get(const struct vhd_image *image, struct vhd_keyhash *key)
{
	uint8_t buf[VHD_BATMAP_HEADER_SIZE];
	const uint8_t *at = buf + VHD_KEYHASH_OFF;
	int ret;

	if (!image->batmap_map)
		return -ENOENT;
	ret = vhd_pread(image->fd, buf, sizeof(buf), image->batmap_off);
	if (ret)
		return vhd_msg(&image->ctx, ret,
			       "%s: cannot read the batmap: %s", image->path,
			       strerror(-ret));
	if (!*at)
		return -ENOENT;
	if (*at != 1)
		return vhd_msg(&image->ctx, -EINVAL,
			       "%s: batmap: key hash: cookie is %u, must be 0 (none) or 1",
			       image->path, *at);
	memcpy(key->nonce, at + 1, sizeof(key->nonce));
	memcpy(key->hash, at + 1 + sizeof(key->nonce), sizeof(key->hash));
	return 0;
}

int vhd_keyhash_set(const struct vhd_ctx *ctx, const char *path,
		    const struct vhd_keyhash *key)
{
	uint8_t buf[1 + sizeof(key->nonce) + sizeof(key->hash)] = { 1 };
	struct vhd_image *image;
	int ret;

	memcpy(buf + 1, key->nonce, sizeof(key->nonce));
	memcpy(buf + 1 + sizeof(key->nonce), key->hash, sizeof(key->hash));
	ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	if (vhd_is_flat(image) || image->data_end != image->meta_end)
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: must be a dynamic or differencing image without blocks to get a key hash: what it holds is not encrypted",
			      path);
	else
		ret = vhd_batmap_patch(image, VHD_KEYHASH_OFF, buf,
				       sizeof(buf), "key hash");
	vhd_close(image);
	return ret;
}

/*
 * Before the new parent is locked: @child is locked, so a loop would look like
 * an image in use.
 */
static int vhd_new_parent_loops(const struct vhd_image *child,
				const char *path)
{
	struct vhd_image *parent;
	const struct vhd_image *i;
	int ret;

	ret = vhd_open(&child->ctx, path, VHD_OPEN_PARENTS | VHD_OPEN_HEADERS,
		       &parent);
	if (ret)
		return ret;
	for (i = parent; i && !ret; i = i->parent)
		if (i->dev == child->dev && i->ino == child->ino)
			ret = vhd_msg(&child->ctx, -ELOOP,
				      "%s: cannot be the parent of %s: it is the image itself or a child of it",
				      path, child->path);
	vhd_close(parent);
	return ret;
}

/* Open the image that is to be the parent of @child, and see that it can be. */
static int vhd_new_parent_open(const struct vhd_image *child,
			       const char *path, bool raw,
			       struct vhd_image **parent)
{
	const struct vhd_ctx *ctx = &child->ctx;
	int ret;

	ret = raw ? 0 : vhd_new_parent_loops(child, path);
	if (!ret)
		ret = vhd_parent_open(ctx, path, raw, parent);
	if (ret)
		return ret;
	if (!ret && vhd_depth(*parent) >= VHD_CHAIN_MAX)
		ret = vhd_msg(ctx, -ELOOP,
			      "%s: the chain has %d images, must have less than %d to get a child",
			      path, vhd_depth(*parent), VHD_CHAIN_MAX);
	if (ret)
		vhd_close(*parent);
	return ret;
}

/* Locators have their old sectors, or new ones behind the last block. */
static uint64_t vhd_locators_place(const struct vhd_image *image,
				   struct vhd_header *h)
{
	uint64_t end = vhd_round_up(image->data_end, VHD_SECTOR);
	unsigned int i;

	for (i = 0; i < VHD_LOCATORS; i++) {
		struct vhd_locator *loc = &h->loc[i];

		if (i >= VHD_LOCATORS_USED) {
			memset(loc, 0, sizeof(*loc));
		} else if (!loc->code || !loc->data_len ||
			   loc->data_offset % VHD_SECTOR) {
			loc->data_offset = end;
			end += VHD_SECTOR;
		}
	}
	return end;
}

/* Write header and locators where @h has them; @header: where that goes. */
static int vhd_parent_write(struct vhd_image *image,
			    const struct vhd_header *h, const char *locator,
			    uint64_t header)
{
	uint8_t buf[VHD_HEADER_SIZE];
	unsigned int i;
	ssize_t len;
	int ret = 0;

	for (i = 0; i < VHD_LOCATORS_USED && !ret; i++) {
		memset(buf, 0, VHD_SECTOR);
		len = vhd_locator_build(locator, h->loc[i].code, buf);
		ret = len < 0 ? len : vhd_pwrite(image->fd, buf, VHD_SECTOR,
						 h->loc[i].data_offset);
	}
	vhd_header_build(h, buf);
	if (!ret)
		ret = vhd_pwrite(image->fd, buf, sizeof(buf), header);
	return !ret && fdatasync(image->fd) ? -errno : ret;
}

/* The copy at 0, which counts while there is no footer at the end. */
static int vhd_copy_write(struct vhd_image *image, uint64_t header)
{
	struct vhd_footer footer = image->footer;
	uint8_t buf[VHD_FOOTER_SIZE];
	int ret;

	footer.data_offset = header;
	vhd_footer_build(&footer, buf);
	ret = vhd_pwrite(image->fd, buf, sizeof(buf), 0);
	return !ret && fdatasync(image->fd) ? -errno : ret;
}

/*
 * Header and locators do not fit into one sector, so they are not written over
 * while they count. A second set goes behind the end of the file, which then
 * has no footer there: the copy at 0 counts, and it is one sector that says
 * where the header is. It points to the second set while the first one is
 * written, and then to that again. At each step the image opens, and has its
 * old parent or the new one.
 */
static int vhd_parent_switch(struct vhd_image *image,
			     const struct vhd_header *h, const char *locator,
			     uint64_t second)
{
	uint64_t first = image->footer.data_offset;
	struct vhd_header other = *h;
	unsigned int i;
	int ret;

	for (i = 0; i < VHD_LOCATORS_USED; i++)
		other.loc[i].data_offset = second + VHD_HEADER_SIZE +
					   (uint64_t)i * VHD_SECTOR;
	ret = vhd_copy_write(image, first);
	if (!ret)
		ret = vhd_parent_write(image, &other, locator, second);
	if (ret) {
		/* The old footer is at the end again. */
		if (ftruncate(image->fd, image->file_size))
			vhd_edit_failed(image, -errno);
		return ret;
	}
	ret = vhd_copy_write(image, second);
	if (!ret)
		ret = vhd_parent_write(image, h, locator, first);
	if (!ret)
		ret = vhd_copy_write(image, first);
	return ret ? ret : vhd_trim(image);
}

static int vhd_parent_change(struct vhd_image *image,
			     const struct vhd_image *parent)
{
	struct vhd_header h = image->header;
	char locator[VHD_NAME_MAX];
	char dir[PATH_MAX];
	uint64_t second;
	int ret;

	snprintf(dir, sizeof(dir), "%s", image->path);
	image->data_end = vhd_locators_place(image, &h);
	second = vhd_round_up(image->file_size, VHD_SECTOR);
	if (second < image->data_end)
		second = image->data_end;
	ret = vhd_parent_enter(&image->ctx, image->path, dirname(dir), parent,
			       &h, locator);
	if (ret)
		return ret;
	ret = vhd_parent_switch(image, &h, locator, second);
	return ret ? vhd_edit_failed(image, ret) : 0;
}

int vhd_set_parent(const struct vhd_ctx *ctx, const char *path,
		   const char *parent, bool raw)
{
	struct vhd_image *image, *p;
	int ret;

	ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	if (image->footer.type != VHD_TYPE_DIFF)
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: footer: type is %u, must be 4 (differencing) to have a parent",
			      path, image->footer.type);
	if (!ret)
		ret = vhd_edit_sizable(image);
	if (!ret)
		ret = vhd_new_parent_open(image, parent, raw, &p);
	if (!ret) {
		ret = vhd_parent_change(image, p);
		vhd_close(p);
	}
	vhd_close(image);
	return ret;
}

int vhd_set_file_size(const struct vhd_ctx *ctx, const char *path,
		      uint64_t size)
{
	struct vhd_image *image;
	uint64_t min;
	struct stat st;
	int ret;

	ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	ret = vhd_edit_sizable(image);
	if (ret)
		goto out;
	min = vhd_round_up(image->footer.type == VHD_TYPE_FIXED ? image->size :
			   image->data_end, VHD_SECTOR) + VHD_FOOTER_SIZE;
	if (size < min || size % VHD_SECTOR || size > VHD_FILE_MAX)
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: file size %" PRIu64 " must be a multiple of 512 from %" PRIu64 ", where the data ends, to %llu",
			      path, size, min, VHD_FILE_MAX);
	if (!ret)
		ret = vhd_pwrite(image->fd, image->footer_buf,
				 VHD_FOOTER_SIZE, size - VHD_FOOTER_SIZE);
	if (!ret && (fdatasync(image->fd) || fstat(image->fd, &st)))
		ret = -errno;
	if (!ret && S_ISREG(st.st_mode) &&
	    (ftruncate(image->fd, size) || fdatasync(image->fd)))
		ret = -errno;
out:
	vhd_close(image);
	return ret;
}

int vhd_kill_data(const struct vhd_ctx *ctx, const char *path)
{
	struct vhd_image *image;
	uint32_t i;
	int ret;

	ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	if (image->footer.type == VHD_TYPE_FIXED) {
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: footer: type is 2 (fixed), must be 3 or 4 to have blocks that can be dropped",
			      path);
		goto out;
	}
	ret = vhd_edit_sizable(image);
	if (!ret)
		ret = vhd_no_child(image);
	if (ret)
		goto out;
	/* The batmap first: it must not tell of blocks that are not there. */
	if (image->batmap_map) {
		image->batmap_good = false;
		vhd_batmap_renew(image);
		ret = vhd_batmap_write(image);
	}
	for (i = 0; i < image->header.max_bat; i++)
		image->bat[i] = VHD_BAT_UNUSED;
	if (!ret)
		ret = vhd_bat_write(image, 0, image->header.max_bat - 1);
	if (!ret && fdatasync(image->fd))
		ret = -errno;
	image->data_end = image->meta_end;
	if (!ret)
		ret = vhd_trim(image);
	if (ret)
		vhd_edit_failed(image, ret);
out:
	vhd_close(image);
	return ret;
}

/*
 * Append the copy at 0, so that nothing is lost if it should not fit to the
 * image; what opens then counts.
 */
static int vhd_repair_append(const struct vhd_ctx *ctx, const char *path)
{
	uint8_t buf[VHD_FOOTER_SIZE];
	struct vhd_footer footer;
	struct vhd_image *image;
	struct stat st;
	uint64_t end;
	int fd, ret;

	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return vhd_msg(ctx, -errno, "%s: cannot open: %m", path);
	ret = vhd_lock(ctx, fd, true, path);
	if (!ret && (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
		     st.st_size < (off_t)VHD_FOOTER_SIZE))
		ret = vhd_msg(ctx, S_ISBLK(st.st_mode) ? -ENOTSUP : -EINVAL,
			      "%s: must be a regular file with a footer", path);
	if (!ret) {
		ret = vhd_pread(fd, buf, sizeof(buf), 0);
		if (ret)
			vhd_msg(ctx, ret, "%s: cannot read the footer at 0: %s",
				path, strerror(-ret));
	}
	if (!ret)
		ret = vhd_footer_parse(ctx, path, buf, 0, &footer);
	if (!ret && footer.type == VHD_TYPE_FIXED)
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: footer: type of the copy at 0 is 2 (fixed), must be 3 or 4",
			      path);
	if (ret)
		goto out;
	end = vhd_round_up(st.st_size, VHD_SECTOR);
	ret = vhd_pwrite(fd, buf, sizeof(buf), end);
	if (ret)
		vhd_msg(ctx, ret, "%s: cannot write at %" PRIu64 ": %s", path,
			end, strerror(-ret));
	else
		ret = vhd_open(ctx, path, 0, &image);
	if (!ret)
		vhd_close(image);
	else if (ftruncate(fd, st.st_size))
		vhd_msg(ctx, -errno, "%s: cannot cut off what was added: %m",
			path);
out:
	close(fd);
	return ret;
}

/*
 * A fixed image has but one footer. If something was put behind it, all zeros,
 * the file is cut off there; a device keeps its size and gets another one.
 */
static int vhd_repair_padded(const struct vhd_ctx *ctx, const char *path)
{
	struct vhd_footer footer;
	struct vhd_image *image;
	uint8_t buf[VHD_FOOTER_SIZE];
	uint64_t off;
	int fd, ret;

	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return vhd_msg(ctx, -errno, "%s: cannot open: %m", path);
	ret = vhd_image_load(ctx, fd, path, VHD_OPEN_RDWR | VHD_OPEN_LOCK,
			     true, &image);
	if (ret)
		return ret;
	/*
	 * Of another kind, or without a footer: what opens it tells why. A guest
	 * may have an image on its disk; the footer of that is elsewhere.
	 */
	if (vhd_pread(fd, buf, sizeof(buf), 0) ||
	    !memcmp(buf, "conectix", 8) || !memcmp(buf, "v_poison", 8) ||
	    vhd_footer_find(image, &off, &footer) ||
	    footer.type != VHD_TYPE_FIXED || footer.current_size != off ||
	    off + VHD_FOOTER_SIZE >= image->file_size)
		goto out;
	ret = vhd_pread(fd, buf, sizeof(buf), off);
	if (!ret && image->bdev)
		ret = vhd_pwrite(fd, buf, sizeof(buf), image->file_size -
				 sizeof(buf));
	else if (!ret && ftruncate(fd, off + VHD_FOOTER_SIZE))
		ret = -errno;
	if (!ret && fdatasync(fd))
		ret = -errno;
	if (ret)
		vhd_edit_failed(image, ret);
out:
	vhd_close(image);
	return ret;
}

int vhd_repair(const struct vhd_ctx *ctx, const char *path, bool backup)
{
	struct vhd_image *image;
	int ret;

	if (backup)
		ret = vhd_repair_append(ctx, path);
	else
		ret = vhd_repair_padded(ctx, path);
	if (!ret)
		ret = vhd_edit_open(ctx, path, 0, &image);
	if (ret)
		return ret;
	if (image->footer.type != VHD_TYPE_FIXED) {
		if (image->footer_lost || backup)
			ret = vhd_edit_sizable(image);
		if (!ret && (image->footer_lost || backup))
			ret = vhd_trim(image);
		if (!ret && image->batmap_map && !image->batmap_good) {
			vhd_batmap_renew(image);
			ret = vhd_batmap_write(image);
		}
	}
	if (ret)
		vhd_edit_failed(image, ret);
	else
		ret = vhd_footer_write(image);
	vhd_close(image);
	return ret;
}
