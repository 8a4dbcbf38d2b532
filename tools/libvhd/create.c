// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * New images. The file is made under its own name with O_EXCL, so nothing is
 * overwritten, and removed again if anything fails. Layout as tap's: copy of
 * the footer, header, BAT, batmap, three locators of one sector each, footer.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "vhd_edit.h"

struct vhd_new {
	const struct vhd_ctx *ctx;
	struct vhd_create *spec;
	int fd;
	char dir[PATH_MAX];	/* real path of the folder */
	struct vhd_footer footer;
	struct vhd_header header;
	struct vhd_batmap batmap;
	uint64_t batmap_off;
	uint64_t end;		/* where the footer goes */
	char locator[VHD_NAME_MAX];	/* relative path of the parent */
};

static int vhd_new_failed(const struct vhd_new *new, int error)
{
	return vhd_msg(new->ctx, error, "%s: cannot write: %s",
		       new->spec->path, strerror(-error));
}

static int vhd_new_size(struct vhd_new *new, uint64_t size, const char *what)
{
	uint64_t max = new->spec->same_size ? VHD_DISK_LIMIT : VHD_DISK_MAX;

	if (size && size <= max && !(size % VHD_SECTOR))
		return 0;
	return vhd_msg(new->ctx, size > max ? -EFBIG : -EINVAL,
		       "%s: %s is %" PRIu64 " bytes, must be a multiple of 512 from 512 to %llu (2040 GiB): the block table has 32-bit sector numbers",
		       new->spec->path, what, size, VHD_DISK_MAX);
}

static int vhd_new_footer(struct vhd_new *new, uint64_t size, uint32_t type)
{
	struct vhd_footer *f = &new->footer;
	int ret;

	ret = vhd_new_size(new, size, "size");
	if (ret)
		return ret;
	f->features = VHD_FEATURE_RESERVED;
	f->version = VHD_VERSION;
	f->data_offset = type == VHD_TYPE_FIXED ? VHD_NO_OFFSET :
			 VHD_FOOTER_SIZE;
	f->timestamp = time(NULL) - VHD_EPOCH;
	memcpy(f->creator, VHD_CREATOR_TAP, 4);
	f->creator_version = VHD_CREATOR_VERSION;
	f->original_size = size;
	f->current_size = size;
	vhd_geometry(size / VHD_SECTOR, f);
	f->type = type;
	uuid_generate(f->uuid);
	return 0;
}

/* BAT and batmap for a disk of @size bytes, which may be more than it has. */
static int vhd_new_header(struct vhd_new *new, uint64_t size)
{
	struct vhd_header *h = &new->header;
	int ret;

	if (size < new->footer.current_size)
		size = new->footer.current_size;
	ret = vhd_new_size(new, size, "size to reserve metadata for");
	if (ret)
		return ret;
	h->data_offset = VHD_NO_OFFSET;
	h->table_offset = VHD_FOOTER_SIZE + VHD_HEADER_SIZE;
	h->version = VHD_VERSION;
	h->block_size = VHD_BLOCK_SIZE;
	h->max_bat = (size + VHD_BLOCK_SIZE - 1) / VHD_BLOCK_SIZE;
	new->batmap_off = h->table_offset +
			  vhd_round_up(4ULL * h->max_bat, VHD_SECTOR);
	new->batmap.offset = new->batmap_off + VHD_BATMAP_HEADER_SIZE;
	new->batmap.sectors = vhd_batmap_bytes(size) / VHD_SECTOR;
	new->batmap.version = VHD_BATMAP_VERSION;
	new->batmap.checksum = vhd_batmap_checksum(NULL, 0);
	new->end = new->batmap.offset +
		   (uint64_t)new->batmap.sectors * VHD_SECTOR;
	return 0;
}

/* "./x" or "../../y/x": the way from folder @dir to file @path, both real. */
static int vhd_relative(const char *dir, const char *path, char *out)
{
	size_t common = 0;
	size_t i, pos;
	int len;

	for (i = 0; dir[i] && dir[i] == path[i]; i++)
		if (dir[i] == '/')
			common = i;
	if (!dir[i] && path[i] == '/')
		common = i;
	pos = 0;
	out[0] = 0;
	for (i = common; dir[i]; i++) {
		if (dir[i] != '/' || !dir[i + 1])
			continue;
		if (pos + 4 > VHD_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(out + pos, "../", 4);
		pos += 3;
	}
	len = snprintf(out + pos, VHD_NAME_MAX - pos, "%s%s",
		       pos ? "" : "./", path + common + 1);
	return len < (int)(VHD_NAME_MAX - pos) ? 0 : -ENAMETOOLONG;
}

/* What is in the sector of each locator; returns its length or -errno. */
ssize_t vhd_locator_build(const char *name, uint32_t code, uint8_t *buf)
{
	char text[VHD_SECTOR];
	char *p;
	int len;

	if (code == VHD_PLAT_MACX) {
		len = snprintf((char *)buf, VHD_SECTOR, "file://%s", name);
		return len < (int)VHD_SECTOR ? len : -ENAMETOOLONG;
	}
	/* A relative name begins with ".\" there. */
	len = snprintf(text, sizeof(text), "%s%s",
		       strncmp(name, "./", 2) ? "./" : "", name);
	if (len >= (int)sizeof(text))
		return -ENAMETOOLONG;
	for (p = text; *p; p++)
		if (*p == '/')
			*p = '\\';
	return vhd_utf16_encode(text, false, buf, VHD_SECTOR);
}

static const uint32_t vhd_locator_codes[] = {
	VHD_PLAT_MACX, VHD_PLAT_W2KU, VHD_PLAT_W2RU,
};

/* @dir: real path of the folder of the child. */
int vhd_parent_enter(const struct vhd_ctx *ctx, const char *child,
		     const char *dir, const struct vhd_image *parent,
		     struct vhd_header *h, char *locator)
{
	char path[PATH_MAX];
	uint8_t buf[VHD_SECTOR];
	struct stat st;
	ssize_t len;
	unsigned int i;
	int ret;

	/* In a child that means a parent that is no VHD. */
	if (!parent->raw && vhd_is_zero(parent->footer.uuid, 16))
		return vhd_msg(&parent->ctx, -EINVAL,
			       "%s: has no UUID, by which a child could know it; a copy made by vhd-util copy has one",
			       parent->path);
	if (fstat(parent->fd, &st))
		return -errno;
	h->parent_timestamp = st.st_mtime - VHD_EPOCH;
	if (parent->raw)
		memset(h->parent_uuid, 0, 16);
	else
		memcpy(h->parent_uuid, parent->footer.uuid, 16);
	ret = vhd_relative(dir, parent->path, locator);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s", parent->path);
	memset(h->parent_name, 0, sizeof(h->parent_name));
	len = vhd_utf16_encode(basename(path), true, h->parent_name,
			       sizeof(h->parent_name));
	for (i = 0; len >= 0 && i < VHD_LOCATORS_USED; i++) {
		struct vhd_locator *loc = &h->loc[i];

		len = vhd_locator_build(locator, vhd_locator_codes[i], buf);
		if (len < 0)
			break;
		loc->code = vhd_locator_codes[i];
		/* Bytes, as everyone writes it; the specification: sectors. */
		loc->data_space = VHD_SECTOR;
		loc->data_len = len;
		loc->reserved = 0;
	}
	if (len < 0)
		return vhd_msg(ctx, len,
			       "%s: parent %s: the name must be valid UTF-8 that fits in 512 bytes: %s",
			       child, locator, strerror(-len));
	return 0;
}

/* Enter the parent into the header and make room for the locators. */
static int vhd_new_parent(struct vhd_new *new, const struct vhd_image *parent)
{
	unsigned int i;
	int ret;

	ret = vhd_parent_enter(new->ctx, new->spec->path, new->dir, parent,
			       &new->header, new->locator);
	for (i = 0; !ret && i < VHD_LOCATORS_USED; i++) {
		new->header.loc[i].data_offset = new->end;
		new->end += VHD_SECTOR;
	}
	return ret;
}

static int vhd_new_write(struct vhd_new *new)
{
	uint8_t *buf;
	uint64_t bat = new->header.table_offset;
	unsigned int i;
	int ret;

	/* All metadata in one buffer; at most 4 MiB. */
	buf = calloc(1, new->end + VHD_FOOTER_SIZE);
	if (!buf)
		return -ENOMEM;
	vhd_footer_build(&new->footer, buf + new->end);
	if (new->footer.type != VHD_TYPE_FIXED) {
		memcpy(buf, buf + new->end, VHD_FOOTER_SIZE);
		vhd_header_build(&new->header, buf + VHD_FOOTER_SIZE);
		memset(buf + bat, 0xff, new->batmap_off - bat);
		vhd_batmap_build(&new->batmap, buf + new->batmap_off);
	}
	for (i = 0; i < VHD_LOCATORS_USED && new->header.loc[i].code; i++)
		vhd_locator_build(new->locator, new->header.loc[i].code,
				  buf + new->header.loc[i].data_offset);
	ret = vhd_pwrite(new->fd, buf, new->end + VHD_FOOTER_SIZE, 0);
	free(buf);
	return ret ? vhd_new_failed(new, ret) : 0;
}

static int vhd_new_fixed(struct vhd_new *new)
{
	uint64_t size = new->footer.current_size;
	uint8_t buf[VHD_FOOTER_SIZE];
	int ret;

	if (new->spec->holes)
		ret = ftruncate(new->fd, size + VHD_FOOTER_SIZE) ? -errno : 0;
	else
		ret = vhd_reserve(new->fd, 0, size + VHD_FOOTER_SIZE);
	if (ret)
		return vhd_msg(new->ctx, ret,
			       "%s: cannot reserve %" PRIu64 " bytes: %s",
			       new->spec->path, size, strerror(-ret));
	vhd_footer_build(&new->footer, buf);
	ret = vhd_pwrite(new->fd, buf, sizeof(buf), size);
	return ret ? vhd_new_failed(new, ret) : 0;
}

static bool vhd_is_empty(const struct vhd_image *image)
{
	uint32_t i;

	for (i = 0; i < image->header.max_bat; i++)
		if (image->bat[i] != VHD_BAT_UNUSED)
			return false;
	return true;
}

int vhd_parent_open(const struct vhd_ctx *ctx, const char *path, bool raw,
		    struct vhd_image **parent)
{
	char real[PATH_MAX];
	int fd, ret;

	if (!raw)
		return vhd_open(ctx, path, VHD_OPEN_PARENTS | VHD_OPEN_LOCK |
				VHD_OPEN_CHILD, parent);
	fd = -1;
	if (realpath(path, real))
		fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return vhd_msg(ctx, -errno, "%s: cannot open: %m", path);
	ret = vhd_image_load(ctx, fd, real, VHD_OPEN_LOCK | VHD_OPEN_CHILD,
			     true, parent);
	if (ret || !((*parent)->file_size % VHD_SECTOR))
		return ret;
	ret = vhd_msg(ctx, -EINVAL,
		      "%s: file size is %" PRIu64 ", must be a multiple of 512 for a parent, or its end is lost: make it longer first (truncate -s %%512)",
		      path, (*parent)->file_size);
	vhd_close(*parent);
	return ret;
}

static int vhd_new_snapshot(struct vhd_new *new)
{
	struct vhd_create *spec = new->spec;
	int limit = spec->depth_max ? spec->depth_max : VHD_CHAIN_MAX;
	struct vhd_image *chain, *parent;
	int ret;

	ret = vhd_parent_open(new->ctx, spec->parent, spec->parent_raw,
			      &chain);
	if (ret)
		return ret;
	parent = chain;
	/* An empty snapshot adds nothing: link to what it was taken of. */
	if (!spec->keep_empty && chain->parent && vhd_is_empty(chain))
		parent = chain->parent;
	if (vhd_depth(parent) + 1 > limit)
		ret = vhd_msg(new->ctx, -ENOSPC,
			      "snapshot depth exceeded: current depth: %d, limit: %d",
			      vhd_depth(parent), limit);
	if (!spec->size) {
		spec->size = chain->size;
		spec->same_size = true;
	}
	if (!ret)
		ret = vhd_new_footer(new, spec->size, VHD_TYPE_DIFF);
	if (!ret)
		ret = vhd_new_header(new, spec->size_max);
	if (!ret)
		ret = vhd_new_parent(new, parent);
	if (!ret)
		ret = vhd_new_write(new);
	vhd_close(chain);
	return ret;
}

static int vhd_new_image(struct vhd_new *new)
{
	const struct vhd_create *spec = new->spec;
	int ret;

	if (spec->parent)
		return vhd_new_snapshot(new);
	ret = vhd_new_footer(new, spec->size, spec->fixed ? VHD_TYPE_FIXED :
			     VHD_TYPE_DYNAMIC);
	if (ret)
		return ret;
	if (spec->fixed)
		return vhd_new_fixed(new);
	ret = vhd_new_header(new, spec->size_max);
	return ret ? ret : vhd_new_write(new);
}

int vhd_create_in(const struct vhd_ctx *ctx, const struct vhd_create *spec,
		  int fd)
{
	struct vhd_create copy = *spec;
	struct vhd_new new = { .ctx = ctx, .spec = &copy, .fd = fd };
	char path[PATH_MAX];
	int ret;

	if (snprintf(path, sizeof(path), "%s", spec->path) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	if (!realpath(dirname(path), new.dir))
		return vhd_msg(ctx, -errno, "%s: no such folder: %m",
			       spec->path);
	ret = vhd_new_image(&new);
	if (!ret && fsync(fd))
		ret = vhd_new_failed(&new, -errno);
	if (!ret) {
		ret = vhd_sync_folder(spec->path);
		if (ret)
			vhd_new_failed(&new, ret);
	}
	return ret;
}

int vhd_create(const struct vhd_ctx *ctx, const struct vhd_create *spec)
{
	int fd, ret;

	fd = open(spec->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return vhd_msg(ctx, -errno, "%s: cannot create: %s",
			       spec->path, errno == ENOENT ?
			       "no such folder" : strerror(errno));
	ret = vhd_create_in(ctx, spec, fd);
	if (close(fd) && !ret)
		ret = vhd_msg(ctx, -errno, "%s: cannot write: %m", spec->path);
	if (ret)
		unlink(spec->path);
	return ret;
}
