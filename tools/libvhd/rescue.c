// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Copying what can be read of a damaged image.
 *
 * Elsewhere an image is refused unless all of its metadata is right, because
 * a wrong entry would hand out or destroy somebody's data. Here each piece is
 * judged alone: what is wrong is reported, and the rest is used.
 *
 *	footer	the one at the end, the copy at 0, one that padding follows;
 *		also with a bad checksum; or made up after the header
 *	header	also with a bad checksum
 *	BAT	entries beyond the end or inside of metadata are lost; those that
 *		overlap each other, or lie where no program puts a block, are
 *		copied and called doubtful, with their bitmaps
 *	data	sectors that cannot be read are lost, one by one
 *	parent	if it is not there, all that the child does not have is lost
 *
 * Nothing is ever written to the source.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhd_edit.h"

/* What is known of a block besides its entry in the BAT. */
#define VHD_RES_LOST		0x1	/* the entry cannot be right */
#define VHD_RES_DOUBT		0x2	/* it overlaps another one */
#define VHD_RES_MOVED		0x4	/* a change that may move it was going on */

/**
 * struct vhd_res - a rescue
 * @ctx: messages
 * @spec: what the caller wants
 * @image: the chain; each image may have fewer blocks than its BAT said
 * @state: for each image, VHD_RES_* of each block, NULL for a good image
 * @nr: images in the chain
 * @poison: a change of the image that is being opened was interrupted
 * @broken: the chain ends too early: a parent was not found
 * @base: first sector of the piece of the disk that is copied now
 * @why: for each of its sectors, why it is missing or doubtful, or NULL
 * @doubt: for each of them, is it only doubtful?
 * @run: missing sectors before @base that were not told yet
 * @run_why: their reason
 * @run_doubt: their kind
 */
struct vhd_res {
	const struct vhd_ctx *ctx;
	const struct vhd_rescue *spec;
	struct vhd_image *image;
	uint8_t *state[VHD_CHAIN_MAX];
	unsigned int nr;
	bool poison;
	bool broken;
	uint64_t base;
	const char *why[VHD_CHUNK];
	bool doubt[VHD_CHUNK];
	uint64_t run;
	const char *run_why;
	bool run_doubt;
};

static void vhd_res_problem(const struct vhd_res *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void vhd_res_problem(const struct vhd_res *r, const char *fmt, ...)
{
	char text[VHD_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (r->spec->problem)
		r->spec->problem(r->spec->opaque, text);
}

/* The sectors that were missing end before @sector. */
static void vhd_res_flush(struct vhd_res *r, uint64_t sector)
{
	if (r->run && r->spec->missing)
		r->spec->missing(r->spec->opaque, sector - r->run, r->run,
				 r->run_doubt, r->run_why);
	r->run = 0;
}

static void vhd_res_missing(struct vhd_res *r, uint64_t sector, bool doubt,
			    const char *why)
{
	r->why[sector - r->base] = why;
	r->doubt[sector - r->base] = doubt;
}

/* Tell what is missing of @nr sectors, in order, in runs. */
static void vhd_res_tell(struct vhd_res *r, uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (r->run && (r->why[i] != r->run_why ||
			       r->doubt[i] != r->run_doubt))
			vhd_res_flush(r, r->base + i);
		if (!r->why[i])
			continue;
		r->run++;
		r->run_why = r->why[i];
		r->run_doubt = r->doubt[i];
	}
}

/*
 * A structure with @cookie whose checksum is wrong gets the right one. One
 * whose checksum would be right with @cookie gets that.
 */
static bool vhd_res_sum(uint8_t *buf, size_t len, size_t field,
			const char *cookie)
{
	uint32_t sum, old;
	uint8_t found[8];

	memcpy(found, buf, 8);
	memcpy(buf, cookie, 8);
	sum = htobe32(vhd_checksum(buf, len, field));
	memcpy(&old, buf + field, 4);
	if (memcmp(found, cookie, 8)) {
		if (sum != old)
			memcpy(buf, found, 8);
		return sum == old;
	}
	memcpy(buf + field, &sum, 4);
	return sum != old;
}

static bool vhd_res_footer_at(struct vhd_res *r, struct vhd_image *image,
			      uint64_t off, const char *what)
{
	const struct vhd_ctx quiet = { 0 };
	uint8_t *buf = image->footer_buf;
	bool poison, bad;

	if (off > image->file_size ||
	    image->file_size - off < VHD_FOOTER_SIZE - 1)
		return false;
	memset(buf, 0, VHD_FOOTER_SIZE);
	if (vhd_pread(image->fd, buf, image->file_size - off <
		      VHD_FOOTER_SIZE ? VHD_FOOTER_SIZE - 1 :
		      VHD_FOOTER_SIZE, off))
		return false;
	poison = !memcmp(buf, "v_poison", 8);
	if (poison)
		memcpy(buf, "conectix", 8);
	bad = vhd_res_sum(buf, VHD_FOOTER_SIZE, 64, "conectix");
	if (vhd_footer_parse(&quiet, image->path, buf, 0, &image->footer) ||
	    (!off && image->footer.type == VHD_TYPE_FIXED))
		return false;
	r->poison |= poison;
	if (poison)
		vhd_res_problem(r, "%s: a change was interrupted: if its journal is there, vhd-util revert is better than this",
				image->path);
	else if (bad)
		vhd_res_problem(r, "%s: the checksum or the cookie of the footer %s is wrong",
				image->path, what);
	image->footer_off = off ? off : image->file_size;
	image->footer_lost = !off;
	return true;
}

/* Without any footer, the header says how many blocks there are. */
static bool vhd_res_footer_made(struct vhd_res *r, struct vhd_image *image)
{
	static const uint8_t null[16];
	struct vhd_footer *f = &image->footer;
	uint8_t buf[VHD_HEADER_SIZE];

	*f = (struct vhd_footer) {
		.version = VHD_VERSION,
		.type = VHD_TYPE_DYNAMIC,
		.data_offset = VHD_FOOTER_SIZE,
		.current_size = VHD_SECTOR,
	};
	if (image->file_size < VHD_FOOTER_SIZE + sizeof(buf) ||
	    vhd_pread(image->fd, buf, sizeof(buf), VHD_FOOTER_SIZE))
		return false;
	vhd_res_sum(buf, sizeof(buf), 36, "cxsparse");
	if (vhd_header_parse(&(struct vhd_ctx) { 0 }, image->path, buf, f, 0,
			     &image->header))
		return false;
	f->current_size = (uint64_t)image->header.max_bat *
			  image->header.block_size;
	if (f->current_size > VHD_DISK_MAX)
		f->current_size = VHD_DISK_MAX;
	if (memcmp(image->header.parent_uuid, null, 16))
		f->type = VHD_TYPE_DIFF;
	image->footer_off = image->file_size;
	image->footer_lost = true;
	vhd_res_problem(r, "%s: there is no footer: the size of the disk is taken from the header, and may be too large",
			image->path);
	return true;
}

static int vhd_res_footer(struct vhd_res *r, struct vhd_image *image)
{
	uint64_t size = image->file_size, off;
	uint64_t end = size % VHD_SECTOR == VHD_SECTOR - 1 ?
		       size - VHD_FOOTER_SIZE + 1 : size - VHD_FOOTER_SIZE;

	if (size >= VHD_FOOTER_SIZE && vhd_res_footer_at(r, image, end,
							 "at the end"))
		return 0;
	if (vhd_res_footer_at(r, image, 0, "at 0")) {
		vhd_res_problem(r, "%s: there is no footer at the end: the file was truncated, padded, or not closed",
				image->path);
		return 0;
	}
	if (!vhd_footer_find(image, &off, &image->footer)) {
		image->footer_off = off;
		vhd_res_problem(r, "%s: the file was padded: the footer is at %" PRIu64,
				image->path, off);
		return 0;
	}
	if (vhd_res_footer_made(r, image))
		return 0;
	return vhd_msg(r->ctx, -EINVAL,
		       "%s: cannot be rescued: there is neither a footer nor a header; if it was a fixed image or a raw one, take it as raw (-r)",
		       image->path);
}

static int vhd_res_header(struct vhd_res *r, struct vhd_image *image)
{
	uint64_t at[2] = { image->footer.data_offset, VHD_FOOTER_SIZE };
	struct vhd_note note;
	uint8_t buf[VHD_HEADER_SIZE];
	bool bad;
	int i;

	vhd_note_init(&note, r->ctx);
	for (i = 0; i < 2; i++) {
		if (vhd_pread(image->fd, buf, sizeof(buf), at[i]))
			continue;
		bad = vhd_res_sum(buf, sizeof(buf), 36, "cxsparse");
		if (vhd_header_parse(&note.ctx, image->path, buf,
				     &image->footer, 0, &image->header))
			continue;
		if (bad)
			vhd_res_problem(r, "%s: the checksum or the cookie of the header is wrong",
					image->path);
		if (i)
			vhd_res_problem(r, "%s: the header is at 512, not at %" PRIu64,
					image->path, at[0]);
		image->footer.data_offset = at[i];
		return 0;
	}
	return vhd_msg(r->ctx, -EINVAL,
		       "%s: cannot be rescued: the header, which says where the blocks are, is damaged (%s)",
		       image->path, note.text);
}

struct vhd_res_start {
	uint64_t start;
	uint32_t block;
};

static int vhd_res_start_cmp(const void *a, const void *b)
{
	const struct vhd_res_start *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* The end of batmap and parent locators that follow the BAT; @end: of that. */
static uint64_t vhd_res_meta_end(const struct vhd_image *image, uint64_t end)
{
	const struct vhd_ctx quiet = { 0 };
	uint8_t buf[VHD_BATMAP_HEADER_SIZE];
	struct vhd_batmap map;
	uint64_t from[1 + VHD_LOCATORS] = { 0 }, len[1 + VHD_LOCATORS] = { 0 };
	unsigned int i;

	if (!vhd_pread(image->fd, buf, sizeof(buf), end) &&
	    !memcmp(buf, "tdbatmap", 8) &&
	    !vhd_batmap_parse(&quiet, image->path, buf, &map)) {
		from[0] = map.offset;
		len[0] = (uint64_t)map.sectors * VHD_SECTOR;
	}
	for (i = 0; i < VHD_LOCATORS; i++) {
		if (image->footer.type != VHD_TYPE_DIFF ||
		    !image->header.loc[i].code)
			continue;
		from[1 + i] = image->header.loc[i].data_offset;
		len[1 + i] = image->header.loc[i].data_len;
	}
	for (i = 0; i <= VHD_LOCATORS; i++) {
		uint64_t to = vhd_round_up(from[i] + len[i], VHD_SECTOR);

		/* Others are elsewhere, or damaged. */
		if (from[i] >= end && from[i] - end <= 4096 &&
		    to >= from[i] && to < image->file_size)
			end = to;
	}
	return end;
}

/*
 * Blocks that overlap: one of two is wrong, and nothing says which. A wrong
 * entry need not overlap another block, though: programs put a block right
 * behind the one before it, or its data at the next multiple of 4096, and in
 * front of the footer; one that lies elsewhere is doubtful, too.
 * @meta_end: of the BAT and what follows it.
 */
static void vhd_res_overlap(struct vhd_image *image, uint8_t *state,
			    struct vhd_res_start *s, uint64_t meta_end)
{
	bool tap = !memcmp(image->footer.creator, VHD_CREATOR_TAP, 4);
	uint64_t bytes = vhd_block_bytes(image), end = 0;
	uint32_t i, nr = 0;

	for (i = 0; i < image->nr_blocks; i++)
		if (image->bat[i] != VHD_BAT_UNUSED)
			s[nr++] = (struct vhd_res_start) {
				(uint64_t)image->bat[i] * VHD_SECTOR, i };
	qsort(s, nr, sizeof(*s), vhd_res_start_cmp);
	for (i = 0; i < nr; i++) {
		uint64_t start = s[i].start;

		if (start >= image->header.table_offset)
			end = end > meta_end ? end : meta_end;
		else if (!i)
			end = start;
		if (i && start < end)
			state[s[i - 1].block] |= VHD_RES_DOUBT;
		if (start < end ||
		    ((start + image->bitmap_bytes) % 4096 &&
		     ((start - end) % bytes || (!i && tap))) ||
		    (!image->footer_lost && start + bytes > image->footer_off))
			state[s[i].block] |= VHD_RES_DOUBT;
		end = start + bytes;
	}
}

/* The BAT as far as it can be read, without what cannot be right. */
static int vhd_res_bat(struct vhd_res *r, struct vhd_image *image,
		       uint8_t *state)
{
	uint64_t table = image->header.table_offset;
	uint64_t len = 4ULL * image->header.max_bat, got = 0;
	uint64_t low = table + vhd_round_up(len, VHD_SECTOR);
	struct vhd_res_start *starts;
	uint8_t *buf = malloc(vhd_round_up(len, VHD_SECTOR));
	uint32_t i, lost = 0, doubt = 0;

	starts = calloc(image->nr_blocks + 1, sizeof(*starts));
	image->bat = malloc(len);
	if (!buf || !starts || !image->bat) {
		free(buf);
		free(starts);
		return -ENOMEM;
	}
	memset(buf, 0, vhd_round_up(len, VHD_SECTOR));
	/* Sector 0 is never a block, so what cannot be read is lost. */
	for (; got < len; got += VHD_SECTOR)
		if (vhd_pread(image->fd, buf + got, len - got < VHD_SECTOR ?
			      len - got : VHD_SECTOR, table + got))
			memset(buf + got, 0, len - got < VHD_SECTOR ?
			       len - got : VHD_SECTOR);
	vhd_bat_decode(buf, image->bat, image->header.max_bat);
	free(buf);
	for (i = 0; i < image->nr_blocks; i++) {
		uint64_t start = (uint64_t)image->bat[i] * VHD_SECTOR;

		if (image->bat[i] == VHD_BAT_UNUSED ||
		    (start + image->bitmap_bytes < image->file_size &&
		     (start >= low || start + vhd_block_bytes(image) <= table) &&
		     start >= VHD_FOOTER_SIZE))
			continue;
		image->bat[i] = VHD_BAT_UNUSED;
		state[i] |= VHD_RES_LOST;
		lost++;
	}
	for (i = 0; r->poison && i < image->nr_blocks; i++)
		if (image->bat[i] != VHD_BAT_UNUSED)
			state[i] |= VHD_RES_MOVED;
	vhd_res_overlap(image, state, starts, vhd_res_meta_end(image, low));
	free(starts);
	for (i = 0; i < image->nr_blocks; i++)
		doubt += !!(state[i] & VHD_RES_DOUBT);
	if (lost)
		vhd_res_problem(r, "%s: %u blocks lie beyond the end of the file, or have an entry in the table that cannot be right",
				image->path, lost);
	if (doubt)
		vhd_res_problem(r, "%s: %u blocks overlap each other, or lie where no block is put: some of them hold data of others",
				image->path, doubt);
	return 0;
}

/* Open an image whatever is wrong with it. */
static int vhd_res_open(struct vhd_res *r, const char *path,
			struct vhd_image **result)
{
	struct vhd_image *image;
	int fd, ret;

	*result = NULL;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return vhd_msg(r->ctx, -errno, "%s: cannot open: %m", path);
	/* As a raw one: lock, size, real path. */
	ret = vhd_image_load(r->ctx, fd, path, VHD_OPEN_LOCK, true, &image);
	if (ret || r->spec->from_raw) {
		*result = ret ? NULL : image;
		return ret;
	}
	image->raw = false;
	r->poison = false;
	ret = vhd_res_footer(r, image);
	if (ret)
		goto err_close;
	image->size = vhd_disk_size(&image->footer);
	image->sectors = image->size / VHD_SECTOR;
	if (image->footer.type == VHD_TYPE_FIXED) {
		*result = image;
		return 0;
	}
	ret = vhd_res_header(r, image);
	if (ret)
		goto err_close;
	image->old_bits = !memcmp(image->footer.creator, VHD_CREATOR_TAP, 4) &&
			  image->footer.creator_version == VHD_CREATOR_OLD_BITS;
	image->block_sectors = image->header.block_size / VHD_SECTOR;
	image->bitmap_bytes = vhd_round_up((image->block_sectors + 7) / 8,
					   VHD_SECTOR);
	image->nr_blocks = (image->size + image->header.block_size - 1) /
			   image->header.block_size;
	r->state[r->nr] = calloc(image->nr_blocks + 1, 1);
	ret = r->state[r->nr] ? vhd_res_bat(r, image, r->state[r->nr]) :
	      -ENOMEM;
	if (ret)
		goto err_close;
	*result = image;
	return 0;

err_close:
	vhd_close(image);
	return ret;
}

/* The parent by the name that the child has for it, itself damaged or not. */
static int vhd_res_parent(struct vhd_res *r, struct vhd_image *child,
			  struct vhd_image **parent)
{
	char name[VHD_NAME_MAX], path[PATH_MAX];
	const char *slash = strrchr(child->path, '/');
	const struct vhd_image *i;
	struct vhd_note note;
	int ret;

	vhd_note_init(&note, r->ctx);
	child->ctx = note.ctx;
	ret = vhd_parent_find(child, VHD_OPEN_LOCK, parent);
	if (ret && !vhd_parent_name(child, name) &&
	    snprintf(path, sizeof(path), "%.*s/%s", *name == '/' || !slash ?
		     0 : (int)(slash - child->path), child->path, name) <
	    (int)sizeof(path) && !access(path, R_OK))
		ret = vhd_res_open(r, path, parent);
	child->ctx = *r->ctx;
	if (ret) {
		vhd_res_problem(r, "%s", note.text);
		return ret;
	}
	for (i = r->image; i; i = i->parent) {
		if (i->dev != (*parent)->dev || i->ino != (*parent)->ino)
			continue;
		vhd_res_problem(r, "%s: the chain of parents is a loop",
				child->path);
		vhd_close(*parent);
		return -ELOOP;
	}
	return 0;
}

static int vhd_res_chain(struct vhd_res *r)
{
	struct vhd_image *last, *parent;
	char real[PATH_MAX];
	int ret;

	if (!realpath(r->spec->from, real))
		return vhd_msg(r->ctx, -errno, "%s: cannot open: %m",
			       r->spec->from);
	ret = vhd_res_open(r, real, &r->image);
	if (ret)
		return ret;
	for (last = r->image; !vhd_is_flat(last) &&
	     last->footer.type == VHD_TYPE_DIFF; last = parent) {
		if (++r->nr == VHD_CHAIN_MAX ||
		    vhd_res_parent(r, last, &parent)) {
			r->broken = true;
			break;
		}
		last->parent = parent;
	}
	return 0;
}

/* One sector at a time, where a whole read fails. */
static void vhd_res_sectors(struct vhd_res *r, const struct vhd_image *image,
			    uint64_t off, uint64_t sector, uint32_t nr,
			    uint8_t *buf)
{
	uint32_t i;
	int ret = 0;

	if (off <= image->file_size && (uint64_t)nr * VHD_SECTOR <=
	    image->file_size - off)
		ret = vhd_pread(image->fd, buf, (size_t)nr * VHD_SECTOR, off);
	else
		ret = -EIO;
	for (i = 0; ret && i < nr; i++) {
		uint64_t at = off + (uint64_t)i * VHD_SECTOR;
		bool out = at > image->file_size ||
			   image->file_size - at < VHD_SECTOR;

		if (!out && !vhd_pread(image->fd, buf + (size_t)i * VHD_SECTOR,
				       VHD_SECTOR, at))
			continue;
		memset(buf + (size_t)i * VHD_SECTOR, 0, VHD_SECTOR);
		vhd_res_missing(r, sector + i, false, out ?
				"beyond the end of the file" :
				"cannot be read");
	}
}

/* @nr sectors of a block: those that nobody above has. */
static void vhd_res_block(struct vhd_res *r, const struct vhd_image *image,
			  const uint8_t *states, uint64_t sector, uint32_t nr,
			  uint8_t *buf, uint8_t *have, uint32_t bit)
{
	uint32_t block = sector / image->block_sectors;
	uint32_t in = sector % image->block_sectors;
	uint8_t map[VHD_BLOCK_SIZE / VHD_SECTOR / 8];
	uint8_t state = states ? states[block] : 0;
	uint64_t data = (uint64_t)image->bat[block] * VHD_SECTOR +
			image->bitmap_bytes;
	bool used = image->bat[block] != VHD_BAT_UNUSED;
	const char *why = state & VHD_RES_LOST ? "block is lost" : NULL;
	uint32_t i, run;

	if (!used && !why)
		return;
	if (used && vhd_bitmap_read(image, block, map)) {
		/* Without a parent, what has no bit is zeros anyway. */
		memset(map, 0xff, sizeof(map));
		if (image->footer.type == VHD_TYPE_DIFF)
			why = "bitmap of the block cannot be read";
	}
	/* Where the entry is doubtful, so is a bit that is clear. */
	for (i = 0; i < nr && state && !why; i++)
		if (!vhd_test_bit(have, bit + i))
			vhd_res_missing(r, sector + i, true,
					state & VHD_RES_DOUBT ?
					"block overlaps another one or is misplaced" :
					"a change was interrupted");
	for (i = 0; i < nr; i += run ? run : 1) {
		for (run = 0; i + run < nr && !vhd_test_bit(have, bit + i + run) &&
		     (why || vhd_test_bit(map, in + i + run)); run++) {
			vhd_set_bit(have, bit + i + run);
			if (why)
				vhd_res_missing(r, sector + i + run, false, why);
		}
		if (run && !why)
			vhd_res_sectors(r, image, data + (uint64_t)(in + i) *
					VHD_SECTOR, sector + i, run,
					buf + (size_t)i * VHD_SECTOR);
	}
}

static void vhd_res_layer(struct vhd_res *r, const struct vhd_image *image,
			  const uint8_t *states, uint64_t sector, uint32_t nr,
			  uint8_t *buf, uint8_t *have)
{
	uint32_t done, len, i;

	if (sector >= image->sectors)
		return;
	if (nr > image->sectors - sector)
		nr = image->sectors - sector;
	for (done = 0; done < nr; done += len) {
		if (vhd_is_flat(image)) {
			/* A run at a time. */
			i = done + vhd_bits_run(have, done, nr, true);
			len = i - done;
			if (len)
				continue;
			len = vhd_bits_run(have, done, nr, false);
			vhd_res_sectors(r, image, (sector + done) * VHD_SECTOR,
					sector + done, len, buf +
					(size_t)done * VHD_SECTOR);
			for (i = 0; i < len; i++)
				vhd_set_bit(have, done + i);
			continue;
		}
		len = image->block_sectors -
		      (sector + done) % image->block_sectors;
		if (len > nr - done)
			len = nr - done;
		vhd_res_block(r, image, states, sector + done, len,
			      buf + (size_t)done * VHD_SECTOR, have, done);
	}
}

/* Is anything to be copied or told of there? Else it is zeros. */
static bool vhd_res_has(const struct vhd_res *r, uint64_t sector, uint32_t nr)
{
	const struct vhd_image *image;
	uint64_t end = sector + nr, i;
	unsigned int k = 0;

	for (image = r->image; image; image = image->parent, k++) {
		if (vhd_layer_has(image, sector, nr))
			return true;
		if (!r->state[k] || sector >= image->sectors)
			continue;
		for (i = sector / image->block_sectors; i < image->nr_blocks &&
		     i * image->block_sectors < end; i++)
			if (r->state[k][i])
				return true;
	}
	return r->broken;
}

static int vhd_res_copy(struct vhd_res *r, struct vhd_target *target)
{
	uint8_t have[VHD_CHUNK / 8];
	uint8_t *buf = malloc(VHD_BLOCK_SIZE);
	const struct vhd_image *image;
	uint64_t sector, sectors = r->image->sectors;
	uint32_t nr, i;
	unsigned int k;
	int ret = buf ? 0 : -ENOMEM;

	for (sector = 0; sector < sectors && !ret; sector += nr) {
		nr = sectors - sector < VHD_CHUNK ? sectors - sector :
		     VHD_CHUNK;
		if (!vhd_res_has(r, sector, nr)) {
			vhd_res_flush(r, sector);
			vhd_progress_tell(&r->spec->progress, sector + nr,
					  sectors);
			continue;
		}
		memset(have, 0, sizeof(have));
		memset(buf, 0, VHD_BLOCK_SIZE);
		r->base = sector;
		memset(r->why, 0, sizeof(r->why));
		memset(r->doubt, 0, sizeof(r->doubt));
		for (image = r->image, k = 0; image; image = image->parent, k++)
			vhd_res_layer(r, image, r->state[k], sector, nr, buf,
				      have);
		for (i = 0; r->broken && i < nr; i++)
			if (!vhd_test_bit(have, i))
				vhd_res_missing(r, sector + i, false,
						"the parent is not there");
		vhd_res_tell(r, nr);
		memset(have, 0xff, sizeof(have));
		ret = vhd_target_put(target, sector, nr, buf, have);
		vhd_progress_tell(&r->spec->progress, sector + nr, sectors);
	}
	vhd_res_flush(r, sector);
	free(buf);
	return ret;
}

int vhd_rescue(const struct vhd_ctx *ctx, const struct vhd_rescue *spec,
	       uint64_t *size)
{
	struct vhd_res *r = calloc(1, sizeof(*r));
	struct vhd_create create = { 0 };
	struct vhd_part part;
	unsigned int i;
	int ret;

	if (!r)
		return -ENOMEM;
	r->ctx = ctx;
	r->spec = spec;
	ret = vhd_res_chain(r);
	if (ret)
		goto out;
	if (r->image->raw) {
		/* What there is of the last sector counts. */
		r->image->sectors = (r->image->file_size + VHD_SECTOR - 1) /
				    VHD_SECTOR;
		r->image->size = r->image->sectors * VHD_SECTOR;
	}
	if (size)
		*size = r->image->size;
	create.size = r->image->size;
	create.same_size = !r->image->raw;
	ret = vhd_part_begin(&part, ctx, spec->to, spec->to_raw ? NULL :
			     &create, r->image->size);
	if (!ret) {
		ret = vhd_res_copy(r, part.target);
		ret = vhd_part_end(&part, ret, NULL);
	}
out:
	vhd_close(r->image);
	for (i = 0; i < VHD_CHAIN_MAX; i++)
		free(r->state[i]);
	free(r);
	return ret;
}
