// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Journals of the vhd-util of blktap 2.x and of XenServer, for those who come
 * from there with a resize that was interrupted: to undo it, never to write
 * one.
 *
 *	0	"vjournal", uuid of the image, offset of its footer, numbers of
 *		data and metadata entries, where each kind begins
 *	entry	magic, type, size, offset in the image, checksum, 4 bytes of
 *		anything; then what was in the image there
 *
 * The checksum covers all of an entry but itself. All is big-endian, but for
 * the size of the journal, which is not needed. Types 1 and 2 are the footer at
 * the end and its copy at 0, which are poisoned while the change goes on. So
 * the copy comes last here: until then all of it can be done again.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_edit.h"

#define VHD_TAP_MAGIC		0xaaaa12344321aaaaULL
#define VHD_TAP_SIZE_MAX	(64U << 20)	/* of an entry */

enum { VHD_TAP_FOOTER = 1, VHD_TAP_COPY = 2 };

struct vhd_tap_head {
	char cookie[8];
	uint8_t uuid[16];
	uint64_t footer;
	uint32_t nr[2];		/* of data, of metadata */
	uint64_t start[2];
} __attribute__((packed));

struct vhd_tap_entry {
	uint64_t magic;
	uint32_t type;
	uint32_t size;
	uint64_t off;
	uint32_t checksum;
	uint32_t pad;
} __attribute__((packed));

struct vhd_tap {
	const struct vhd_ctx *ctx;
	const char *path;
	int fd;			/* of the journal */
	int image;
	uint64_t footer;	/* where the footer of the image was */
};

bool vhd_tap_journal(const char *path)
{
	char cookie[8] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool is = fd >= 0 && !vhd_pread(fd, cookie, sizeof(cookie), 0) &&
		  !memcmp(cookie, "vjournal", 8);

	if (fd >= 0)
		close(fd);
	return is;
}

/* Read one entry, whole, at @at; @data is to be freed. */
static int vhd_tap_load(const struct vhd_tap *t, uint64_t at,
			struct vhd_tap_entry *e, uint8_t **data)
{
	uint32_t size;
	uint8_t *buf;
	int ret;

	*data = NULL;
	ret = vhd_pread(t->fd, e, sizeof(*e), at);
	size = be32toh(e->size);
	if (ret || be64toh(e->magic) != VHD_TAP_MAGIC || !size ||
	    size > VHD_TAP_SIZE_MAX || size % VHD_SECTOR ||
	    be64toh(e->off) > VHD_FILE_MAX)
		return vhd_msg(t->ctx, ret ? ret : -EINVAL,
			       "%s: journal: there is no entry at %" PRIu64 ": it is damaged, or was not written to its end; nothing was undone",
			       t->path, at);
	buf = malloc(sizeof(*e) + size);
	if (!buf)
		return -ENOMEM;
	ret = vhd_pread(t->fd, buf, sizeof(*e) + size, at);
	if (!ret && vhd_checksum(buf, sizeof(*e) + size,
				 offsetof(struct vhd_tap_entry, checksum)) !=
	    be32toh(e->checksum))
		ret = -EINVAL;
	if (ret) {
		free(buf);
		return vhd_msg(t->ctx, ret,
			       "%s: journal: the entry at %" PRIu64 " cannot be read, or its checksum is wrong; nothing was undone",
			       t->path, at);
	}
	memmove(buf, buf + sizeof(*e), size);
	*data = buf;
	return 0;
}

static int vhd_tap_apply(const struct vhd_tap *t, const struct vhd_tap_entry *e,
			 const uint8_t *data, uint32_t type)
{
	uint32_t has = be32toh(e->type);
	int ret;

	/* Footers, each in its turn; all else in the first one. */
	if (type ? has != type : has == VHD_TAP_FOOTER || has == VHD_TAP_COPY)
		return 0;
	ret = vhd_pwrite(t->image, data, be32toh(e->size), be64toh(e->off));
	return ret ? vhd_msg(t->ctx, ret, "%s: cannot undo: %s", t->path,
			     strerror(-ret)) : 0;
}

/* All entries: only look at them, or put back those of @type (0: others). */
static int vhd_tap_walk(const struct vhd_tap *t,
			const struct vhd_tap_head *head, bool apply,
			uint32_t type)
{
	struct vhd_tap_entry e;
	uint8_t *data;
	uint64_t at;
	uint32_t i;
	int k, ret = 0;

	for (k = 0; k < 2; k++) {
		at = be64toh(head->start[k]);
		for (i = 0; i < be32toh(head->nr[k]) && !ret; i++) {
			ret = vhd_tap_load(t, at, &e, &data);
			if (!ret && apply)
				ret = vhd_tap_apply(t, &e, data, type);
			free(data);
			at += sizeof(e) + be32toh(e.size);
		}
	}
	if (!ret && apply && fdatasync(t->image))
		ret = vhd_msg(t->ctx, -errno, "%s: cannot undo: %m", t->path);
	return ret;
}

static int vhd_tap_undo_all(const struct vhd_tap *t,
			    const struct vhd_tap_head *head)
{
	uint64_t end = be64toh(head->footer) + VHD_FOOTER_SIZE;
	struct stat st;
	int ret;

	ret = vhd_tap_walk(t, head, false, 0);
	if (!ret)
		ret = vhd_tap_walk(t, head, true, 0);
	if (!ret && (fstat(t->image, &st) ||
		     (S_ISREG(st.st_mode) && ftruncate(t->image, end))))
		ret = vhd_msg(t->ctx, -errno, "%s: cannot undo: %m", t->path);
	if (!ret)
		ret = vhd_tap_walk(t, head, true, VHD_TAP_FOOTER);
	return ret ? ret : vhd_tap_walk(t, head, true, VHD_TAP_COPY);
}

int vhd_tap_undo(const struct vhd_ctx *ctx, int image, const char *path,
		 const char *journal)
{
	struct vhd_tap t = { .ctx = ctx, .path = path, .image = image };
	struct vhd_tap_head head;
	uint8_t copy[VHD_FOOTER_SIZE];
	int ret;

	t.fd = open(journal, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (t.fd < 0)
		return vhd_msg(ctx, -errno, "%s: cannot open: %m", journal);
	ret = vhd_pread(t.fd, &head, sizeof(head), 0);
	if (!ret)
		ret = vhd_pread(image, copy, sizeof(copy), 0);
	if (ret)
		vhd_msg(ctx, ret, "%s: cannot read it or its journal: %s", path,
			strerror(-ret));
	else if (memcmp(copy + 68, head.uuid, sizeof(head.uuid)))
		ret = vhd_msg(ctx, -EINVAL,
			      "%s: the journal is that of another image", path);
	else if (be64toh(head.footer) > VHD_FILE_MAX ||
		 be32toh(head.nr[0]) > 2 * VHD_BAT_MAX ||
		 be32toh(head.nr[1]) > VHD_BAT_MAX)
		ret = vhd_msg(ctx, -EINVAL, "%s: journal: bad sizes", journal);
	else
		ret = vhd_tap_undo_all(&t, &head);
	close(t.fd);
	return ret;
}
