/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvhd: VHD images as disks. See libvhd(3).
 *
 * No global state, nothing is printed. Functions return 0 or -errno unless
 * they say otherwise; texts for people go to the callback of struct
 * vhd_messages. A struct vhd_disk is used by one thread at a time.
 *
 * Structs that the caller fills in, or has filled in, begin with struct_size,
 * which the caller sets to sizeof of the struct it knows, all else to 0. Later
 * versions of the library add fields at the end, for which 0 means what was
 * done before. A field that the library does not know must be 0 (-E2BIG).
 *
 * A sector is 512 bytes.
 */
#ifndef LIBVHD_H
#define LIBVHD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vhd_disk;

/**
 * struct vhd_messages - where texts for people go
 * @message: told what is wrong with what, one line without newline; may be
 *	NULL
 * @opaque: for @message
 */
struct vhd_messages {
	void (*message)(void *opaque, const char *text);
	void *opaque;
};

/* Do not write. */
#define VHD_DISK_RDONLY		0x1U
/*
 * This image alone, without its parents: what is not in it reads as zeros,
 * and writing a sector does not hide those of the parent around it.
 */
#define VHD_DISK_LEAF_ONLY	0x2U
/* Parents may be in any folder, not only in that of the image. */
#define VHD_DISK_ANY_PARENT	0x4U

/**
 * vhd_disk_open() - open an image with its parents
 * @path: the image, a file or block device
 * @flags: VHD_DISK_*
 * @msg: copied; NULL: no messages
 * @disk: result, for vhd_disk_close()
 *
 * What a crash left behind in an image that is opened for writing is cleaned
 * up. An image open for writing is locked against all others, all else that
 * is open against writers.
 *
 * Return: 0; -EINVAL: not a good image, or unknown flags; -EBUSY: in use;
 * -ENOENT: no file, or a parent not found; -EACCES: a parent is in another
 * folder; -ELOOP: the chain is a loop or too long; or another -errno.
 */
int vhd_disk_open(const char *path, unsigned int flags,
		  const struct vhd_messages *msg, struct vhd_disk **disk);

/**
 * vhd_disk_close() - make all durable and close
 * @disk: disk, gone also if this fails
 */
int vhd_disk_close(struct vhd_disk *disk);

/* Size in sectors. */
uint64_t vhd_disk_sectors(const struct vhd_disk *disk);
/* Images in the chain, at least 1. */
unsigned int vhd_disk_images(const struct vhd_disk *disk);
/* Real path of an image of the chain, 0 is the leaf; NULL: there is none. */
const char *vhd_disk_image_path(const struct vhd_disk *disk,
				unsigned int index);

/*
 * Any number of sectors inside the disk, 0 too; -EINVAL if they are not.
 * After an error some of them may have been transferred.
 */
int vhd_disk_read(struct vhd_disk *disk, void *buf, uint64_t sector,
		  uint32_t nr);
/*
 * What was written is in the hands of the kernel, durable after
 * vhd_disk_flush(). -ENOSPC leaves the image sound; try again when there is
 * space.
 */
int vhd_disk_write(struct vhd_disk *disk, const void *buf, uint64_t sector,
		   uint32_t nr);
/* Takes no space where there are zeros anyway. */
int vhd_disk_write_zeroes(struct vhd_disk *disk, uint64_t sector, uint64_t nr);
/*
 * The contents are not needed any more; gives back their space in the leaf.
 * They read as zeros where they were in the leaf and stay as they are where
 * they were not.
 */
int vhd_disk_discard(struct vhd_disk *disk, uint64_t sector, uint64_t nr);
/* All that was written before is durable when this returns 0. */
int vhd_disk_flush(struct vhd_disk *disk);

/**
 * vhd_disk_where() - which image has a sector
 * @disk: disk
 * @sector: first sector
 * @nr: how many are of interest, at least 1
 * @run: for how many of them the answer is the same
 *
 * Return: 0: the leaf, 1: its parent, and so on; -ENODATA: no image, it is
 * zeros; or another -errno.
 */
int vhd_disk_where(struct vhd_disk *disk, uint64_t sector, uint32_t nr,
		   uint32_t *run);

/* The image has all of its space from the start; not with a parent. */
#define VHD_DISK_FIXED		0x8U
/* The parent is a plain disk image, not a VHD. */
#define VHD_DISK_RAW_PARENT	0x10U
/* A parent that holds nothing is left out: its own parent is taken. */
#define VHD_DISK_SKIP_EMPTY	0x20U

/*
 * What makes or changes image files. These functions open and lock the files
 * themselves; -EBUSY: in use. If one was interrupted, calling it again
 * finishes or undoes what was begun.
 */

/**
 * vhd_disk_create() - make an image
 * @path: new file; -EEXIST if there is one
 * @sectors: size, at most 2040 GiB (-EFBIG); with a parent 0 for the size of
 *	that
 * @parent: what the image is a child of; not to be written from then on, and
 *	not now either (-EBUSY); NULL: none
 * @flags: VHD_DISK_FIXED, VHD_DISK_RAW_PARENT
 * @msg: NULL: no messages
 *
 * Return: 0, the image is durable; or -errno, there is no new file.
 */
int vhd_disk_create(const char *path, uint64_t sectors, const char *parent,
		    unsigned int flags, const struct vhd_messages *msg);

/**
 * struct vhd_create_opts - the finer points of a new image
 * @struct_size: sizeof(struct vhd_create_opts)
 * @flags: VHD_DISK_FIXED, or with a parent VHD_DISK_RAW_PARENT,
 *	VHD_DISK_SKIP_EMPTY
 * @depth_max: most images in the chain; more are -ENOSPC; 0: 64
 * @sectors: as for vhd_disk_create()
 * @sectors_max: reserve metadata for a disk of that size, up to which
 *	it can be resized without a journal; 0: none
 */
struct vhd_create_opts {
	size_t struct_size;
	unsigned int flags;
	unsigned int depth_max;
	uint64_t sectors;
	uint64_t sectors_max;
};

/* As vhd_disk_create(), without a parent. */
int vhd_disk_create_opts(const char *path, const struct vhd_create_opts *opts,
			 const struct vhd_messages *msg);
/* As vhd_disk_create(), with one; @opts may be NULL. */
int vhd_disk_snapshot(const char *path, const char *parent,
		      const struct vhd_create_opts *opts,
		      const struct vhd_messages *msg);

/**
 * vhd_disk_check() - is an image as it must be?
 * @path: image, not in use
 * @flags: VHD_DISK_LEAF_ONLY, VHD_DISK_ANY_PARENT
 * @msg: told what is wrong; NULL: no messages
 *
 * Return: 0; -EINVAL: no; or another -errno.
 */
int vhd_disk_check(const char *path, unsigned int flags,
		   const struct vhd_messages *msg);

/* Believe the copy of the footer at 0 rather than the footer at the end. */
#define VHD_DISK_USE_COPY	0x40U

/*
 * Write the footers anew, and empty a batmap that is not to be trusted.
 * @flags: VHD_DISK_USE_COPY.
 */
int vhd_disk_repair(const char *path, unsigned int flags,
		    const struct vhd_messages *msg);

/**
 * struct vhd_coalesce_opts - how to merge
 * @struct_size: sizeof(struct vhd_coalesce_opts)
 * @flags: VHD_DISK_ANY_PARENT, VHD_DISK_SPARSE, VHD_DISK_LIVE
 * @reserved: 0
 * @parent: take this for the parent, whatever the image names; or NULL
 * @ancestor: merge into this image of the chain, with all images between;
 *	NULL: into the parent
 * @output: change no image but make this new one of the image and its
 *	parent; or NULL
 * @progress: told now and then how far it has come; or NULL
 * @opaque: for @progress
 * @merged: result: how many sectors were merged; or NULL
 * @stop: asked now and then, with @opaque, whether to end with -EINTR; what is
 *	left can be merged at another time; or NULL
 * @rate: bytes per second at most, on average; 0: as fast as it goes
 */
struct vhd_coalesce_opts {
	size_t struct_size;
	unsigned int flags;
	unsigned int reserved;
	const char *parent;
	const char *ancestor;
	const char *output;
	void (*progress)(void *opaque, uint64_t done, uint64_t total);
	void *opaque;
	uint64_t *merged;
	bool (*stop)(void *opaque);
	uint64_t rate;
};

/* What becomes zeros in a raw or fixed parent loses its space there. */
#define VHD_DISK_SPARSE		0x80U
/*
 * The chain is in use: somebody reads the image and writes a child of it, and
 * sees no difference. What is merged into must be as large as the image
 * (-EFBIG).
 */
#define VHD_DISK_LIVE		0x800U

/**
 * vhd_disk_coalesce() - merge a differencing image into its parent
 * @path: image; only read, and of no use afterwards but still good
 * @opts: may be NULL
 * @msg: NULL: no messages
 *
 * Other children of what is merged into, or of an image between, would see
 * what was merged: -EBUSY if there are any in its folder or in that of its
 * child on the way to the image. A parent that is smaller than the image
 * becomes as large.
 */
int vhd_disk_coalesce(const char *path, const struct vhd_coalesce_opts *opts,
		      const struct vhd_messages *msg);

/* Only grow, and only into metadata that is there; needs no journal. */
#define VHD_DISK_FAST		0x100U

/* A smaller size, with which data is lost, is meant. */
#define VHD_DISK_SHRINK		0x1000U

/**
 * struct vhd_resize_opts - how to resize
 * @struct_size: sizeof(struct vhd_resize_opts)
 * @flags: VHD_DISK_FAST, VHD_DISK_SHRINK
 * @reserved: 0
 * @journal: file that says how to undo it while it is under way; NULL:
 *	the path with ".journal" after it, which is found and undone by
 *	whatever changes the image next
 */
struct vhd_resize_opts {
	size_t struct_size;
	unsigned int flags;
	unsigned int reserved;
	const char *journal;
};

/**
 * vhd_disk_resize() - change the size of a disk
 * @path: image
 * @sectors: size, at most 2040 GiB (-EFBIG)
 * @opts: may be NULL
 * @msg: NULL: no messages
 *
 * Return: 0; -EINVAL: it would be smaller, without VHD_DISK_SHRINK; the
 * message says how much data would be lost; -EBUSY: in use, or it would be
 * smaller and has children in its folder; or another -errno.
 */
int vhd_disk_resize(const char *path, uint64_t sectors,
		    const struct vhd_resize_opts *opts,
		    const struct vhd_messages *msg);
/* Undo what a journal tells of, and remove it; NULL: the one beside it. */
int vhd_disk_revert(const char *path, const char *journal,
		    const struct vhd_messages *msg);

/* Make @parent the parent. @flags: VHD_DISK_RAW_PARENT. */
int vhd_disk_set_parent(const char *path, const char *parent,
			unsigned int flags, const struct vhd_messages *msg);
/* 1: managers do not show the image. */
int vhd_disk_set_hidden(const char *path, unsigned int hidden,
			const struct vhd_messages *msg);
/* A byte for managers. -ENOTSUP: the image has no batmap, which holds it. */
int vhd_disk_set_marker(const char *path, unsigned int marker,
			const struct vhd_messages *msg);

/* The one to copy from, to make, is a plain disk image. */
#define VHD_DISK_FROM_RAW	0x200U
#define VHD_DISK_TO_RAW		0x400U

/**
 * struct vhd_copy_opts - how to copy or compact
 * @struct_size: sizeof(struct vhd_copy_opts)
 * @flags: VHD_DISK_ANY_PARENT; to copy, VHD_DISK_FROM_RAW, and
 *	VHD_DISK_TO_RAW or VHD_DISK_FIXED
 * @reserved: 0
 * @progress: told now and then how far it has come; or NULL
 * @opaque: for @progress
 * @align: to copy: the new disk gets a multiple of that many bytes, itself a
 *	multiple of 512 up to 1 GiB; 0: the size of the old one
 */
struct vhd_copy_opts {
	size_t struct_size;
	unsigned int flags;
	unsigned int reserved;
	void (*progress)(void *opaque, uint64_t done, uint64_t total);
	void *opaque;
	uint64_t align;
};

/* What a disk holds, parents included, into a new image; @opts: or NULL. */
int vhd_disk_copy(const char *from, const char *to,
		  const struct vhd_copy_opts *opts,
		  const struct vhd_messages *msg);
/*
 * Give back the blocks that an image can do without, and the space that they
 * leave. @dropped: how many, or NULL; @opts: or NULL.
 */
int vhd_disk_compact(const char *path, uint32_t *dropped,
		     const struct vhd_copy_opts *opts,
		     const struct vhd_messages *msg);

/*
 * What is written in image files. Nothing is locked: an image may be looked
 * at while it is in use, and is then seen as it was when it was opened.
 */
struct vhd_meta;

/* The parents too. */
#define VHD_META_PARENTS	0x1U
/* Parents may be in any folder, not only in that of the image. */
#define VHD_META_ANY_PARENT	0x4U

/**
 * vhd_meta_open() - look at an image
 * @path: file or block device
 * @flags: VHD_META_*
 * @msg: copied; NULL: no messages
 * @meta: result, for vhd_meta_close()
 *
 * Return: as vhd_disk_open(), but never -EBUSY.
 */
int vhd_meta_open(const char *path, unsigned int flags,
		  const struct vhd_messages *msg, struct vhd_meta **meta);
void vhd_meta_close(struct vhd_meta *meta);
/* How many images were opened. The others take the number of one: 0 is @path. */
unsigned int vhd_meta_images(const struct vhd_meta *meta);
/* Real path; NULL: there is no such image. */
const char *vhd_meta_path(const struct vhd_meta *meta, unsigned int index);

/* struct vhd_info.type */
#define VHD_INFO_RAW		0	/* a parent that is not a VHD */
#define VHD_INFO_FIXED		2
#define VHD_INFO_DYNAMIC	3
#define VHD_INFO_DIFF		4

/* struct vhd_info.flags: what the image has, or how it is. */
#define VHD_INFO_HIDDEN		0x1U
#define VHD_INFO_SAVED		0x2U
#define VHD_INFO_TEMPORARY	0x4U
/* There was no good footer at the end; the copy was used. */
#define VHD_INFO_FOOTER_LOST	0x8U
/* It has a batmap; it can be trusted. */
#define VHD_INFO_BATMAP		0x10U
#define VHD_INFO_BATMAP_GOOD	0x20U

/**
 * struct vhd_info - what an image says of itself
 * @struct_size: set by the caller: sizeof(struct vhd_info)
 * @type: VHD_INFO_*; if VHD_INFO_RAW, all but @sectors, @file_size is 0
 * @flags: VHD_INFO_*
 * @sectors: size of the disk
 * @sectors_max: up to that it can be resized without a journal
 * @original_sectors: size when it was made
 * @file_size: of the file, in bytes
 * @timestamp: when it was made, in seconds since 1970
 * @parent_timestamp: when the parent was written last; 0: no parent
 * @uuid: names the image
 * @parent_uuid: names its parent; null if there is none or it is raw
 * @creator: the program that made it, as text
 * @creator_version: its version, and as 16 bits each, major and minor
 * @creator_os: the system, four letters
 * @cylinders: geometry
 * @heads: geometry
 * @sectors_per_track: geometry
 * @marker: byte for managers
 * @checksum: of the footer
 * @block_sectors: sectors of a block; 0: the image is fixed
 * @blocks: blocks of the disk
 * @blocks_max: entries of the block table
 * @blocks_allocated: blocks that are there
 */
struct vhd_info {
	size_t struct_size;
	unsigned int type;
	unsigned int flags;
	uint64_t sectors;
	uint64_t sectors_max;
	uint64_t original_sectors;
	uint64_t file_size;
	int64_t timestamp;
	int64_t parent_timestamp;
	uint8_t uuid[16];
	uint8_t parent_uuid[16];
	char creator[8];
	uint32_t creator_version;
	uint32_t creator_os;
	uint32_t cylinders;
	uint32_t heads;
	uint32_t sectors_per_track;
	uint32_t marker;
	uint32_t checksum;
	uint32_t block_sectors;
	uint32_t blocks;
	uint32_t blocks_max;
	uint32_t blocks_allocated;
	uint32_t reserved;
};

/* Return: 0; -ENOENT: there is no such image. */
int vhd_meta_info(const struct vhd_meta *meta, unsigned int index,
		  struct vhd_info *info);

/**
 * vhd_meta_parent_name() - how an image names its parent
 * @meta: metadata
 * @index: image
 * @name: for the name, as it is written, slashes instead of backslashes
 * @size: room there; 4096 is enough; -ERANGE: it is not
 *
 * Return: 0; -ENOENT: it has no parent; or another -errno.
 */
int vhd_meta_parent_name(const struct vhd_meta *meta, unsigned int index,
			 char *name, size_t size);
/*
 * Where the parent is found, the real path; the same arguments. Without
 * VHD_META_PARENTS too.
 */
int vhd_meta_parent_path(const struct vhd_meta *meta, unsigned int index,
			 char *path, size_t size);

/* How many parent locators an image can have. */
#define VHD_META_LOCATORS	8U

/**
 * struct vhd_locator_info - a parent locator
 * @struct_size: set by the caller: sizeof(struct vhd_locator_info)
 * @code: platform code: four letters, "W2ru" is 0x57327275
 * @data_space: as it is written: bytes or sectors, which programs disagree on
 * @data_len: bytes of the name
 * @reserved: 0
 * @data_offset: where it is in the file
 */
struct vhd_locator_info {
	size_t struct_size;
	uint32_t code;
	uint32_t data_space;
	uint32_t data_len;
	uint32_t reserved;
	uint64_t data_offset;
};

/**
 * vhd_meta_locator() - a parent locator
 * @meta: metadata
 * @index: image
 * @nr: which one, below VHD_META_LOCATORS
 * @info: for what it is
 * @name: for the name in it, or NULL
 * @size: room there
 *
 * Return: 0; -ENOENT: it has none of this number; or another -errno.
 */
int vhd_meta_locator(const struct vhd_meta *meta, unsigned int index,
		     unsigned int nr, struct vhd_locator_info *info,
		     char *name, size_t size);

/**
 * vhd_meta_block() - where a block is
 * @meta: metadata
 * @index: image
 * @block: number of the block, below @blocks_max of struct vhd_info
 * @offset: for where its data is in the file, in bytes; or NULL
 *
 * Return: 0; -ENODATA: it is not there; -ENOENT: there is no such block.
 */
int vhd_meta_block(const struct vhd_meta *meta, unsigned int index,
		   uint32_t block, uint64_t *offset);
/**
 * vhd_meta_bitmap() - which sectors of a block are there
 * @meta: metadata
 * @index: image
 * @block: as for vhd_meta_block()
 * @map: for a bit for each sector of the block; the highest of the first byte
 *	is its first sector
 * @size: room there, at least @block_sectors / 8 bytes (-ERANGE)
 *
 * Return: as vhd_meta_block().
 */
int vhd_meta_bitmap(const struct vhd_meta *meta, unsigned int index,
		    uint32_t block, uint8_t *map, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* LIBVHD_H */
