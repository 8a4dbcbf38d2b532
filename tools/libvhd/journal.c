// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Changes of metadata that are done or undone, whole.
 *
 * The journal is a file beside the image. It holds what the change writes
 * over: the beginning of the file and the footer, and the file's size. What
 * the change only adds needs not be undone, it is cut off.
 *
 *	1	journal written under another name, fsync, renamed, fsync of
 *		its folder: a journal is whole
 *	2	cookie of the footer at the end "v_poison", fdatasync
 *	3	cookie of the copy at 0 "v_poison", fdatasync
 *	4	the change, except for the footers, fdatasync
 *	5	new copy at 0, fdatasync
 *	6	new footer at the end, fdatasync
 *	7	journal removed
 *
 * So the copy at 0 tells all: good, the image is the old one (before 3) or the
 * new one (after 5), and its footer at the end is to be finished. Poisoned,
 * nobody but vhd_revert() can open the image: the end has no footer either,
 * whatever a guest wrote there. An undo takes the steps 4 to 7 with what is in
 * the journal, and can be interrupted as well.
 *
 * A fixed image has no copy at 0: there the footer at the end tells.
 */
#include <endian.h>
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

#define VHD_JOURNAL_MAGIC	"vhdundo1"
#define VHD_POISON		"v_poison"
/* The metadata of the largest disk with the smallest blocks is 8.5 MB. */
#define VHD_JOURNAL_MAX		(16U << 20)

/* First sector of a journal; the contents of the ranges follow. */
struct vhd_journal_head {
	char magic[8];
	uint64_t file_size;
	uint64_t off[VHD_JOURNAL_RANGES];
	uint64_t len[VHD_JOURNAL_RANGES];
	uint32_t type;		/* of the image */
	uint32_t sum;		/* of the contents */
	uint8_t uuid[16];
	uint32_t checksum;	/* of the sector */
	uint8_t zero[VHD_SECTOR - 76];
} __attribute__((packed));

_Static_assert(sizeof(struct vhd_journal_head) == VHD_SECTOR, "head");

#define VHD_JOURNAL_SUM_AT	72

static int vhd_journal_remove(const struct vhd_ctx *ctx, const char *path)
{
	int ret = unlink(path) ? -errno : vhd_sync_folder(path);

	return ret ? vhd_msg(ctx, ret, "%s: cannot remove the journal: %s",
			     path, strerror(-ret)) : 0;
}

static int vhd_journal_create(const char *path, const void *buf, size_t len)
{
	char part[PATH_MAX];
	int fd, ret;

	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
		return -ENAMETOOLONG;
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	if (fd < 0)
		return -errno;
	ret = vhd_pwrite(fd, buf, len, 0);
	if (!ret && fsync(fd))
		ret = -errno;
	close(fd);
	if (!ret)
		ret = vhd_rename_new(part, path);
	if (ret)
		unlink(part);
	return ret ? ret : vhd_sync_folder(path);
}

static int vhd_journal_write(const struct vhd_journal *j,
			     const struct vhd_range *range)
{
	const struct vhd_image *image = j->image;
	struct vhd_journal_head *head;
	size_t len = range[0].len + range[1].len;
	uint8_t *buf = calloc(1, VHD_SECTOR + len);
	int ret;

	if (!buf)
		return -ENOMEM;
	head = (struct vhd_journal_head *)buf;
	memcpy(head->magic, VHD_JOURNAL_MAGIC, 8);
	head->file_size = htobe64(image->file_size);
	head->type = htobe32(image->footer.type);
	memcpy(head->uuid, image->footer.uuid, 16);
	ret = vhd_pread(image->fd, buf + VHD_SECTOR, range[0].len,
			range[0].off);
	if (!ret)
		ret = vhd_pread(image->fd, buf + VHD_SECTOR + range[0].len,
				range[1].len, range[1].off);
	for (int i = 0; i < VHD_JOURNAL_RANGES; i++) {
		head->off[i] = htobe64(range[i].off);
		head->len[i] = htobe64(range[i].len);
	}
	head->sum = htobe32(vhd_checksum(buf + VHD_SECTOR, len, len));
	head->checksum = htobe32(vhd_checksum(buf, VHD_SECTOR,
					      VHD_JOURNAL_SUM_AT));
	if (!ret)
		ret = vhd_journal_create(j->path, buf, VHD_SECTOR + len);
	free(buf);
	return ret ? vhd_msg(j->ctx, ret, "%s: cannot write the journal: %s",
			     j->path, strerror(-ret)) : 0;
}

/* Write the first @len bytes of a footer, and wait. */
static int vhd_footer_put(int fd, const uint8_t *buf, size_t len, uint64_t off)
{
	int ret = vhd_pwrite(fd, buf, len, off);

	return ret ? ret : fdatasync(fd) ? -errno : 0;
}

/* Steps 2 and 3; then room for a footer at @end, so that the file ends so. */
static int vhd_journal_poison(const struct vhd_image *image, uint64_t end)
{
	uint8_t poison[VHD_FOOTER_SIZE];
	int ret = 0;

	memcpy(poison, image->footer_buf, sizeof(poison));
	memcpy(poison, VHD_POISON, 8);
	if (image->footer.type != VHD_TYPE_FIXED) {
		ret = vhd_footer_put(image->fd, poison, image->file_size -
				     image->footer_off, image->footer_off);
		if (!ret)
			ret = vhd_footer_put(image->fd, poison,
					     sizeof(poison), 0);
	}
	if (!ret && end + VHD_FOOTER_SIZE > image->file_size &&
	    ftruncate(image->fd, end + VHD_FOOTER_SIZE))
		ret = -errno;
	return ret;
}

/*
 * Everything up to @meta_len, and the footer, may be written after it, and
 * what is behind the footer. The new one is to be at @end.
 */
int vhd_journal_begin(struct vhd_journal *j, const struct vhd_ctx *ctx,
		      const char *path, struct vhd_image *image,
		      uint64_t meta_len, uint64_t end)
{
	bool fixed = image->footer.type == VHD_TYPE_FIXED;
	struct vhd_range range[VHD_JOURNAL_RANGES];
	int ret = 0;

	*j = (struct vhd_journal) { ctx, path, image };
	/* Both footers must be there, and say the same. */
	if (image->footer_lost)
		ret = vhd_trim(image);
	if (!ret && !fixed)
		ret = vhd_footer_put(image->fd, image->footer_buf,
				     VHD_FOOTER_SIZE, 0);
	if (ret)
		return vhd_msg(ctx, ret, "%s: cannot write: %s", image->path,
			       strerror(-ret));
	if (meta_len > image->footer_off)
		meta_len = image->footer_off;
	range[0] = (struct vhd_range) { 0, fixed ? 0 : meta_len };
	range[1] = (struct vhd_range) { image->footer_off,
					image->file_size - image->footer_off };
	ret = vhd_journal_write(j, range);
	if (ret)
		return ret;
	ret = vhd_journal_poison(image, end);
	if (!ret)
		return 0;
	vhd_msg(ctx, ret, "%s: cannot write: %s", image->path, strerror(-ret));
	return vhd_journal_end(j, ret, NULL, 0);
}

/* Steps 4 to 7 of an undo. */
static int vhd_journal_undo(int fd, const struct vhd_journal_head *head,
			    const uint8_t *data)
{
	bool fixed = be32toh(head->type) == VHD_TYPE_FIXED;
	uint64_t meta = be64toh(head->len[0]);
	int ret = 0;

	/* All but the copy of the footer, which is the first sector. */
	if (!fixed)
		ret = vhd_pwrite(fd, data + VHD_FOOTER_SIZE,
				 meta - VHD_FOOTER_SIZE, VHD_FOOTER_SIZE);
	if (!ret && (ftruncate(fd, be64toh(head->file_size)) ||
		     fdatasync(fd)))
		ret = -errno;
	if (!ret && !fixed)
		ret = vhd_footer_put(fd, data, VHD_FOOTER_SIZE, 0);
	if (!ret)
		ret = vhd_footer_put(fd, data + meta, be64toh(head->len[1]),
				     be64toh(head->off[1]));
	return ret;
}

static int vhd_journal_bad(const struct vhd_ctx *ctx, const char *path,
			   const char *what)
{
	return vhd_msg(ctx, -EINVAL, "%s: journal: %s", path, what);
}

static int vhd_journal_check(const struct vhd_ctx *ctx, const char *path,
			     const uint8_t *buf, uint64_t size)
{
	const struct vhd_journal_head *head = (const void *)buf;
	uint64_t file = be64toh(head->file_size);
	uint64_t meta = be64toh(head->len[0]);
	uint64_t end = be64toh(head->len[1]);
	uint32_t type = be32toh(head->type);

	if (memcmp(head->magic, VHD_JOURNAL_MAGIC, 8))
		return vhd_journal_bad(ctx, path,
				       "must begin with \"" VHD_JOURNAL_MAGIC "\"");
	if (be32toh(head->checksum) != vhd_checksum(buf, VHD_SECTOR,
						    VHD_JOURNAL_SUM_AT))
		return vhd_journal_bad(ctx, path, "bad checksum");
	if (type < VHD_TYPE_FIXED || type > VHD_TYPE_DIFF || be64toh(head->off[0]) ||
	    file > VHD_FILE_MAX || end > file || meta > file - end ||
	    end < VHD_FOOTER_SIZE - 1 ||
	    be64toh(head->off[1]) != file - end || end > size ||
	    meta > size || size != VHD_SECTOR + meta + end ||
	    (type == VHD_TYPE_FIXED ? meta != 0 : meta < VHD_FOOTER_SIZE))
		return vhd_journal_bad(ctx, path, "bad sizes");
	if (be32toh(head->sum) != vhd_checksum(buf + VHD_SECTOR,
					       size - VHD_SECTOR,
					       size - VHD_SECTOR))
		return vhd_journal_bad(ctx, path, "bad checksum of the contents");
	return 0;
}

static int vhd_journal_load(const struct vhd_ctx *ctx, const char *path,
			    uint8_t **data)
{
	struct stat st;
	int fd, ret;

	*data = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return vhd_msg(ctx, -errno, "%s: cannot open: %m", path);
	ret = fstat(fd, &st) ? -errno : 0;
	if (!ret && (!S_ISREG(st.st_mode) || st.st_size < (off_t)VHD_SECTOR ||
		     st.st_size > (off_t)VHD_JOURNAL_MAX))
		ret = vhd_journal_bad(ctx, path,
				      "must be a file of 512 to 16777216 bytes");
	if (!ret) {
		*data = malloc(st.st_size);
		ret = *data ? vhd_pread(fd, *data, st.st_size, 0) : -ENOMEM;
	}
	close(fd);
	return ret ? ret : vhd_journal_check(ctx, path, *data, st.st_size);
}

/* 1: to be undone; 0: it is whole, but for the footer at the end. */
static int vhd_journal_needed(const struct vhd_ctx *ctx, int fd,
			      const char *path,
			      const struct vhd_journal_head *head)
{
	bool fixed = be32toh(head->type) == VHD_TYPE_FIXED;
	uint8_t buf[VHD_FOOTER_SIZE];
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)VHD_FOOTER_SIZE)
		return vhd_msg(ctx, -EINVAL,
			       "%s: must be a regular file with a footer",
			       path);
	ret = vhd_pread(fd, buf, sizeof(buf), fixed ? st.st_size -
			VHD_FOOTER_SIZE : 0);
	if (ret)
		return ret;
	/* The footer of a fixed disk is gone, and its uuid with it. */
	if (fixed && memcmp(buf, "conectix", 8))
		return 1;
	if (memcmp(buf + 68, head->uuid, 16))
		return vhd_msg(ctx, -EINVAL,
			       "%s: the journal is that of another image",
			       path);
	return !memcmp(buf, VHD_POISON, 8);
}

int vhd_revert(const struct vhd_ctx *ctx, const char *path,
	       const char *journal)
{
	bool tap = vhd_tap_journal(journal);
	struct vhd_image *image;
	uint8_t *data = NULL;
	int fd = -1, ret = 0;

	if (!tap)
		ret = vhd_journal_load(ctx, journal, &data);
	if (!ret) {
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			ret = vhd_msg(ctx, -errno, "%s: cannot open: %m", path);
		else
			ret = vhd_lock(ctx, fd, true, path);
	}
	if (!ret)
		ret = tap ? vhd_tap_undo(ctx, fd, path, journal) :
		      vhd_journal_needed(ctx, fd, path, (const void *)data);
	if (ret > 0) {
		ret = vhd_journal_undo(fd, (const void *)data,
				       data + VHD_SECTOR);
		if (ret)
			vhd_msg(ctx, ret, "%s: cannot undo: %s", path,
				strerror(-ret));
	}
	if (fd >= 0)
		close(fd);
	free(data);
	/* Opens well, and whatever was left of the footer at the end is done. */
	if (!ret)
		ret = vhd_open(ctx, path, VHD_OPEN_RDWR | VHD_OPEN_LOCK,
			       &image);
	if (ret)
		return ret;
	if (image->footer_lost)
		ret = vhd_trim(image);
	vhd_close(image);
	return ret ? ret : vhd_journal_remove(ctx, journal);
}

static int vhd_journal_undo_now(struct vhd_journal *j)
{
	uint8_t *data;
	int ret;

	ret = vhd_journal_load(j->ctx, j->path, &data);
	if (!ret)
		ret = vhd_journal_undo(j->image->fd, (const void *)data,
				       data + VHD_SECTOR);
	free(data);
	return ret;
}

int vhd_journal_end(struct vhd_journal *j, int error,
		    const struct vhd_footer *footer, uint64_t end)
{
	struct vhd_image *image = j->image;
	uint8_t buf[VHD_FOOTER_SIZE];
	int ret = error;

	if (!ret && fdatasync(image->fd))
		ret = -errno;
	if (!ret) {
		vhd_footer_build(footer, buf);
		if (footer->type != VHD_TYPE_FIXED)
			ret = vhd_footer_put(image->fd, buf, sizeof(buf), 0);
	}
	if (!ret)
		ret = vhd_footer_put(image->fd, buf, sizeof(buf), end);
	if (!ret)
		return vhd_journal_remove(j->ctx, j->path);
	if (!error)
		vhd_msg(j->ctx, ret, "%s: cannot write: %s", image->path,
			strerror(-ret));
	if (vhd_journal_undo_now(j))
		vhd_msg(j->ctx, ret,
			"%s: is not as it was; undo it with vhd-util revert -n %s -j %s",
			image->path, image->path, j->path);
	else
		vhd_journal_remove(j->ctx, j->path);
	return ret;
}
