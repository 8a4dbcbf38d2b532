// SPDX-License-Identifier: GPL-2.0
/*
 * Driver for VHD images: fixed, dynamic and differencing with their parents.
 *
 * All that is to know about VHD is in libvhd, whose engine this connects with
 * the core: the structures of the one lie within those of the other, so that
 * a request costs no memory.
 *
 * Parents must lie below the folder of the leaf or one of those named in
 * TAPDISK_VHD_PARENTS (separated by colons).
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "libvhd/engine.h"
#include "tapdisk/td_driver.h"
#include "td_log.h"

struct td_vhd {
	struct td_vbd *vbd;
	struct vhd_eng *eng;
};

/* What is handed on as it is. */
#define TD_VHD_SAME(a, b) \
	_Static_assert((int)(a) == (int)(b), #a " must be " #b)
TD_VHD_SAME(VHD_REQ_READ, BLKTAP_OP_READ);
TD_VHD_SAME(VHD_REQ_WRITE, BLKTAP_OP_WRITE);
TD_VHD_SAME(VHD_REQ_FLUSH, BLKTAP_OP_FLUSH);
TD_VHD_SAME(VHD_REQ_TRIM, BLKTAP_OP_TRIM);
TD_VHD_SAME(VHD_REQ_WRITE_ZEROES, BLKTAP_OP_WRITE_ZEROES);
TD_VHD_SAME(VHD_MAP_END, TD_MAP_END);
TD_VHD_SAME(VHD_MAP_DSYNC, TD_MAP_DSYNC);
TD_VHD_SAME(VHD_IO_READ, TD_IO_READ);
TD_VHD_SAME(VHD_IO_WRITE, TD_IO_WRITE);
TD_VHD_SAME(VHD_IO_FDATASYNC, TD_IO_FDATASYNC);
TD_VHD_SAME(VHD_IO_PUNCH, TD_IO_PUNCH);
TD_VHD_SAME(VHD_IO_RESERVE, TD_IO_RESERVE);
TD_VHD_SAME(VHD_IO_START, TD_IO_START);
TD_VHD_SAME(VHD_REQ_MAX, BLKTAP_DIRECT_IO_MAX);
TD_VHD_SAME(VHD_EXTENT_FILE, BLKTAP_EXTENT_FILE);
TD_VHD_SAME(VHD_EXTENT_ZERO, BLKTAP_EXTENT_ZERO);
TD_VHD_SAME(offsetof(struct vhd_extent, addr),
	    offsetof(struct blktap_direct_extent, addr));
TD_VHD_SAME(offsetof(struct vhd_extent, len),
	    offsetof(struct blktap_direct_extent, len));
TD_VHD_SAME(offsetof(struct vhd_extent, file),
	    offsetof(struct blktap_direct_extent, file));
TD_VHD_SAME(offsetof(struct vhd_extent, kind),
	    offsetof(struct blktap_direct_extent, kind));
TD_VHD_SAME(sizeof(struct vhd_extent), sizeof(struct blktap_direct_extent));

/* The request of the engine lies in td_req.priv, the I/O in vhd_io.room. */
_Static_assert(sizeof(struct vhd_req) <= sizeof(((struct td_req *)0)->priv),
	       "td_req.priv must hold a struct vhd_req");
_Static_assert(sizeof(struct td_io) <= sizeof(((struct vhd_io *)0)->room),
	       "vhd_io.room must hold a struct td_io");

static struct vhd_req *td_vhd_inner(struct td_req *req)
{
	return (struct vhd_req *)req->priv;
}

static struct td_req *td_vhd_outer(struct vhd_req *req)
{
	return (struct td_req *)((char *)req - offsetof(struct td_req, priv));
}

static int td_vhd_file_add(void *priv, int fd)
{
	struct td_vhd *vhd = priv;

	return td_vbd_file_add(vhd->vbd, fd);
}

static void td_vhd_file_del(void *priv, int index)
{
	struct td_vhd *vhd = priv;

	td_vbd_file_del(vhd->vbd, index);
}

static void td_vhd_mapped(struct td_req *req, int error)
{
	struct vhd_req *inner = td_vhd_inner(req);

	inner->mapped(inner, error);
}

static void td_vhd_map(void *priv, struct vhd_req *req,
		       const struct vhd_extent *ext, unsigned int nr,
		       unsigned int flags)
{
	(void)priv;
	td_req_map(td_vhd_outer(req),
		   (const struct blktap_direct_extent *)ext, nr, flags,
		   td_vhd_mapped);
}

static void td_vhd_end(void *priv, struct vhd_req *req, int error)
{
	(void)priv;
	td_req_end(td_vhd_outer(req), error);
}

static void td_vhd_io_done(struct td_io *io, int error)
{
	struct vhd_io *inner = io->priv;

	inner->done(inner, error);
}

static void td_vhd_io(void *priv, struct vhd_io *inner)
{
	struct td_io *io = (struct td_io *)inner->room;

	(void)priv;
	*io = (struct td_io) {
		.op = (enum td_io_op)inner->op,
		.fd = inner->fd,
		.buf = inner->buf,
		.len = inner->len,
		.off = inner->off,
		.done = td_vhd_io_done,
		.priv = inner,
	};
	td_io_submit(io);
}

static void td_vhd_hold(void *priv, bool hold)
{
	struct td_vhd *vhd = priv;

	if (hold)
		td_vbd_hold(vhd->vbd);
	else
		td_vbd_release(vhd->vbd);
}

static const struct vhd_host td_vhd_host = {
	.file_add = td_vhd_file_add,
	.file_del = td_vhd_file_del,
	.map = td_vhd_map,
	.end = td_vhd_end,
	/* The core knows what is worth to be tried again. */
	.retry = td_vhd_end,
	.io = td_vhd_io,
	.hold = td_vhd_hold,
};

static void td_vhd_submit(void *priv, struct td_req *req)
{
	struct vhd_req *inner = td_vhd_inner(req);
	struct td_vhd *vhd = priv;

	*inner = (struct vhd_req) {
		.op = req->op,
		.fua = req->fua,
		.sector = req->sector,
		.nr_sectors = req->nr_sectors,
	};
	vhd_eng_submit(vhd->eng, inner);
}

static void td_vhd_message(void *opaque, const char *text)
{
	(void)opaque;
	td_err("%s", text);
}

int td_vhd_standby(const char *path, const char *dirs, const char *primary,
		   bool raw, bool *used)
{
	const struct vhd_ctx ctx = {
		.message = td_vhd_message,
		.parent_dirs = dirs,
	};
	const struct vhd_image *parent;
	struct vhd_image *image;
	struct stat st;
	uint32_t i;
	int ret;

	/* All of them are locked: the sizes and blocks are what they are. */
	ret = vhd_open(&ctx, path, VHD_OPEN_LOCK | VHD_OPEN_PARENTS, &image);
	if (ret)
		return ret;
	parent = image->parent;
	if (stat(primary, &st)) {
		ret = -errno;
		td_err("%s: %s", primary, strerror(-ret));
	} else if (!parent || parent->dev != st.st_dev ||
		   parent->ino != st.st_ino || parent->raw != raw) {
		td_err("%s cannot stand by for %s: must be a VHD whose parent that is; its parent is %s",
		       path, primary, parent ? parent->path : "none");
		ret = -EINVAL;
	} else if (image->sectors != parent->sectors) {
		td_err("%s cannot stand by for %s: it has %llu sectors, must have %llu",
		       path, primary, (unsigned long long)image->sectors,
		       (unsigned long long)parent->sectors);
		ret = -EINVAL;
	}
	*used = false;
	for (i = 0; !ret && i < image->nr_blocks; i++)
		if (image->bat[i] != VHD_BAT_UNUSED)
			*used = true;
	vhd_close(image);
	return ret;
}

static int td_vhd_open(struct td_vbd *vbd, const char *path,
		       unsigned int flags, struct td_disk_info *info,
		       void **priv)
{
	const struct td_below *below = td_vbd_below(vbd);
	const struct vhd_ctx ctx = {
		.message = td_vhd_message,
		.parent_dirs = *below->dirs ? below->dirs :
			       getenv("TAPDISK_VHD_PARENTS"),
	};
	struct td_vhd *vhd = calloc(1, sizeof(*vhd));
	int ret;

	if (!vhd)
		return -ENOMEM;
	vhd->vbd = vbd;
	ret = vhd_eng_open(&td_vhd_host, vhd, &ctx, path,
			   (flags & TD_OPEN_RDONLY ? VHD_ENG_RDONLY : 0) |
			   (flags & TD_OPEN_BUFFERED ? VHD_ENG_BUFFERED : 0) |
			   (flags & TD_OPEN_CACHE ? VHD_ENG_CACHE : 0),
			   *below->dev ? below->dev : NULL, &vhd->eng);
	if (ret) {
		free(vhd);
		return ret;
	}
	*info = (struct td_disk_info) {
		.sectors = vhd_eng_leaf(vhd->eng)->sectors,
		.sector_size = VHD_SECTOR,
		.phys_size = 4096,
		.discard = vhd_eng_can_punch(vhd->eng),
		.discard_size = 4096,
		.write_zeroes = vhd_eng_can_punch(vhd->eng),
	};
	*priv = vhd;
	return 0;
}

static int td_vhd_close(void *priv)
{
	struct td_vhd *vhd = priv;
	int ret = vhd_eng_close(vhd->eng);

	free(vhd);
	return ret;
}

static void td_vhd_stats(void *priv, struct json_object *image)
{
	struct json_object *status = json_object_new_object();
	const struct td_vhd *vhd = priv;
	const struct vhd_eng_stats *stats = vhd_eng_stats(vhd->eng);
	int chain = vhd_depth(vhd_eng_leaf(vhd->eng));
	struct json_object *driver;

	json_object_object_add(status, "chain", json_object_new_int(chain));
	json_object_object_add(status, "syncs",
			       json_object_new_uint64(stats->syncs));
	json_object_object_add(status, "bitmap_reads",
			       json_object_new_uint64(stats->loads));
	json_object_object_add(status, "meta_writes",
			       json_object_new_uint64(stats->meta_writes));
	json_object_object_add(status, "cached",
			       json_object_new_uint64(stats->cached));
	if (json_object_object_get_ex(image, "driver", &driver))
		json_object_object_add(driver, "status", status);
	else
		json_object_put(status);
}

const struct td_driver td_driver_vhd = {
	.name = "vhd",
	.open = td_vhd_open,
	.close = td_vhd_close,
	.submit = td_vhd_submit,
	.stats = td_vhd_stats,
};
