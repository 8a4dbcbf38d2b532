/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvhd: VHD images as disks. See libvhd(3).
 *
 * No global state, nothing is printed. Functions return 0 or -errno unless
 * they say otherwise; texts for people go to the callback of struct
 * vhd_messages. A struct vhd_disk is used by one thread at a time.
 *
 * A sector is 512 bytes.
 */
#ifndef LIBVHD_H
#define LIBVHD_H

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

/**
 * vhd_disk_create() - make an image
 * @path: new file; -EEXIST if there is one
 * @sectors: size, rounded up to 2 MiB, at most 2040 GiB (-EFBIG); with a
 *	parent 0 for the size of that
 * @parent: what the image is a child of; not to be written from then on;
 *	NULL: none
 * @flags: VHD_DISK_FIXED, VHD_DISK_RAW_PARENT
 * @msg: NULL: no messages
 *
 * Return: 0, the image is durable; or -errno, there is no new file.
 */
int vhd_disk_create(const char *path, uint64_t sectors, const char *parent,
		    unsigned int flags, const struct vhd_messages *msg);

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

#ifdef __cplusplus
}
#endif

#endif /* LIBVHD_H */
