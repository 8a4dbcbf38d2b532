/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files that change images share: create, edit, resize, merge... */
#ifndef VHD_EDIT_H
#define VHD_EDIT_H

#include "vhd_private.h"

/* Disks are read and written in such pieces: one block or several. */
#define VHD_CHUNK		((uint32_t)(VHD_BLOCK_SIZE / VHD_SECTOR))

static inline void vhd_clear_bit(uint8_t *map, uint32_t bit)
{
	map[bit >> 3] &= ~(0x80 >> (bit & 7));
}

/* create.c: how a child names its parent */
/* Make the image in an empty file that has the name in @spec already. */
int vhd_create_in(const struct vhd_ctx *ctx, const struct vhd_create *spec,
		  int fd);
/* Open the parent of an image to be; nothing may write to it meanwhile. */
int vhd_parent_open(const struct vhd_ctx *ctx, const char *path, bool raw,
		    struct vhd_image **parent);
#define VHD_LOCATORS_USED	3U
/* What is in the sector of a locator; returns its length or -errno. */
ssize_t vhd_locator_build(const char *name, uint32_t code, uint8_t *buf);
/* All but the offsets of the locators; @locator has VHD_NAME_MAX bytes. */
int vhd_parent_enter(const struct vhd_ctx *ctx, const char *child,
		     const char *dir, const struct vhd_image *parent,
		     struct vhd_header *h, char *locator);

/* layer.c: reading */
bool vhd_is_zero(const void *buf, size_t len);
/* Is that part of a file a hole? False if it cannot be known. */
bool vhd_is_hole(int fd, uint64_t off, uint64_t len);
/* Are the first @nr bits all set? All clear? */
bool vhd_bits_full(const uint8_t *map, uint32_t nr);
bool vhd_bits_none(const uint8_t *map, uint32_t nr);
/* Length of the run of bits that are @set, from @first; 0 if it is not. */
uint32_t vhd_bits_run(const uint8_t *map, uint32_t first, uint32_t nr,
		      bool set);
/* May @image itself have something in these sectors? */
bool vhd_layer_has(const struct vhd_image *image, uint64_t sector,
		   uint32_t nr);
/*
 * What the images from @image to before @stop have of @nr (<= VHD_CHUNK)
 * sectors. Sectors whose bit in @have is clear are read into @buf, and their
 * bits are set; what none of them has is made zeros.
 */
int vhd_layers_read(const struct vhd_image *image,
		    const struct vhd_image *stop, uint64_t sector, uint32_t nr,
		    uint8_t *buf, uint8_t *have);

/* target.c: writing; see there */
#define VHD_BATCH		64

struct vhd_target {
	struct vhd_image *image;
	bool dense;		/* zeros are written */
	bool punch;		/* a flat image gets holes where zeros are merged */
	bool live;		/* readers know of blocks in the BAT */
	bool fresh;		/* nobody looks at it before it is finished */
	bool force;		/* allocate even for zeros */
	bool alloc_only;	/* allocate what is in no block; no data */
	uint64_t old_end;	/* of the data before the first new block */
	uint64_t next;		/* where the next new block goes */
	uint64_t sectors;	/* merged so far */
	unsigned int nr;	/* entries of the batch that are used */
	struct {
		uint32_t block;
		uint32_t start;	/* of a new block, for the BAT */
		bool new;
		bool full;
		uint8_t *map;	/* new bitmap of an old block */
	} batch[VHD_BATCH];
	uint8_t maps[VHD_BATCH][VHD_SECTOR];
};

/*
 * Write, but zeros only where they are not yet, in large pieces. @hole: it is
 * known that they are; @punch: they may become holes.
 */
int vhd_write_sparse(int fd, const uint8_t *buf, size_t len, uint64_t off,
		     bool hole, bool punch);
struct vhd_target *vhd_target_new(struct vhd_image *image, bool fresh);
int vhd_target_reserve(struct vhd_target *t, uint32_t blocks);
int vhd_target_put(struct vhd_target *t, uint64_t sector, uint32_t nr,
		   const uint8_t *buf, const uint8_t *have);
/* Closes @t->image too; @error: what has happened so far; returned if set. */
int vhd_target_end(struct vhd_target *t, int error);
/* Blocks of @image in these sectors that are not there yet. */
uint32_t vhd_target_missing(const struct vhd_image *image, uint64_t sector,
			    uint32_t nr);
/* Write the sectors of the BAT that hold entries @first to @last. */
int vhd_bat_write(const struct vhd_image *image, uint32_t first,
		  uint32_t last);
/* The sector number of a block at @off, which must fit into the BAT. */
int vhd_block_start(const struct vhd_image *image, uint64_t off,
		    uint32_t *start);

/* fs.c: what not every file system can do */
/* Rename to a name that is not taken; -EEXIST if it is. */
int vhd_rename_new(const char *from, const char *to);
/* Space for @len bytes, which are zeros then; nothing may be there yet. */
int vhd_reserve(int fd, uint64_t off, uint64_t len);

/* merge.c: new images that are filled before anybody sees them */
struct vhd_part {
	const struct vhd_ctx *ctx;
	const char *name;
	char path[PATH_MAX];
	int fd;			/* holds the lock of it */
	struct vhd_target *target;
};

/* @spec NULL: a raw one of @size bytes. */
int vhd_part_begin(struct vhd_part *part, const struct vhd_ctx *ctx,
		   const char *name, struct vhd_create *spec, uint64_t size);
/* @error: what has happened so far; 0: the image gets its name. */
int vhd_part_end(struct vhd_part *part, int error, uint64_t *sectors);

/* pour.c: @from: NULL: a stream */
int vhd_copy_pour(const struct vhd_ctx *ctx, const struct vhd_copy *spec,
		  const struct vhd_image *from);

/*
 * family.c: to be asked before what an image holds is changed, because its
 * children show it.
 */
/* -EBUSY: others in the folders of the two are children of @parent, too. */
int vhd_only_child(const struct vhd_image *parent,
		   const struct vhd_image *child);
/* -EBUSY: there are children of @image in its folder. */
int vhd_no_child(const struct vhd_image *image);

/* edit.c */
/* Open to change it; what a journal beside it tells of is undone first. */
int vhd_edit_open(const struct vhd_ctx *ctx, const char *path,
		  unsigned int flags, struct vhd_image **image);
/* The journal that vhd_edit_open() looks for; @name has PATH_MAX bytes. */
int vhd_journal_name(const char *path, char *name);
/* -ENOTSUP on a block device: what is to be done changes the file's size. */
int vhd_edit_sizable(const struct vhd_image *image);
/* A batmap that is not to be trusted: begin again with an empty one. */
void vhd_batmap_renew(struct vhd_image *image);
/* New footers, at the places of the old ones; durable when it returns. */
int vhd_footer_write(struct vhd_image *image);

/* journal_tap.c: journals of other programs, see there */
bool vhd_tap_journal(const char *path);
/* @image: the image, locked. It opens when this returns 0. */
int vhd_tap_undo(const struct vhd_ctx *ctx, int image, const char *path,
		 const char *journal);

/* journal.c: see there */
#define VHD_JOURNAL_RANGES	2

struct vhd_journal {
	const struct vhd_ctx *ctx;
	const char *path;
	struct vhd_image *image;
};

struct vhd_range {
	uint64_t off;
	uint64_t len;
};

int vhd_journal_begin(struct vhd_journal *j, const struct vhd_ctx *ctx,
		      const char *path, struct vhd_image *image,
		      uint64_t meta_len, uint64_t end);
/* @error 0: the footer is @footer, at @end; else undo it. */
int vhd_journal_end(struct vhd_journal *j, int error,
		    const struct vhd_footer *footer, uint64_t end);

static inline void vhd_progress_tell(const struct vhd_progress *p,
				     uint64_t done, uint64_t total)
{
	if (p->fn)
		p->fn(p->opaque, done, total);
}

#endif /* VHD_EDIT_H */
