/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvhd: the VHD image format.
 *
 * No global state, nothing is printed. Functions return 0 or -errno unless
 * they say otherwise; texts for people go to the callback of struct vhd_ctx.
 * A struct vhd_image is used by one thread at a time.
 *
 * "Sector" is 512 bytes everywhere.
 */
#ifndef VHD_H
#define VHD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VHD_SECTOR		512U
#define VHD_FOOTER_SIZE		512U
#define VHD_HEADER_SIZE		1024U
#define VHD_BATMAP_HEADER_SIZE	512U
#define VHD_LOCATORS		8
#define VHD_BLOCK_SIZE		0x200000U
#define VHD_BLOCK_SIZE_MIN	4096U
#define VHD_BAT_UNUSED		0xffffffffU
/* More BAT entries than any disk of 2040 GiB with 1 MiB blocks needs. */
#define VHD_BAT_MAX		(2U << 20)
/*
 * Largest disk that is made: 2040 GiB, what all programs take. Those that are
 * there may be larger: XenServer made some of 2093050 MiB, as much as fits in
 * a file of 2 TiB, where the sector numbers of 32 bits end.
 */
#define VHD_DISK_MAX		(2040ULL << 30)
#define VHD_DISK_MAX_MB		(2040ULL << 10)
#define VHD_DISK_LIMIT		(2ULL << 40)
#define VHD_FILE_MAX		(1ULL << 41)
/* Longest chain, leaf included. */
#define VHD_CHAIN_MAX		64
#define VHD_NAME_MAX		4096
/* 2000-01-01 00:00 UTC in seconds since 1970. */
#define VHD_EPOCH		946684800LL

#define VHD_TYPE_FIXED		2U
#define VHD_TYPE_DYNAMIC	3U
#define VHD_TYPE_DIFF		4U

#define VHD_VERSION		0x00010000U
#define VHD_FEATURE_TEMPORARY	0x1U
#define VHD_FEATURE_RESERVED	0x2U
#define VHD_NO_OFFSET		0xffffffffffffffffULL
#define VHD_CREATOR_TAP		"tap"	/* with the NUL: four bytes */
#define VHD_CREATOR_VERSION	0x00010003U
/* Of tap: the first sector of a bitmap is the lowest bit of byte 0, not the highest. */
#define VHD_CREATOR_OLD_BITS	0x00000001U
#define VHD_BATMAP_VERSION	0x00010002U

#define VHD_PLAT_MACX		0x4d616358U
#define VHD_PLAT_W2KU		0x57326b75U
#define VHD_PLAT_W2RU		0x57327275U
/* Deprecated: 8-bit names; the alias of a Macintosh is no path. */
#define VHD_PLAT_WI2K		0x5769326bU
#define VHD_PLAT_WI2R		0x57693272U
#define VHD_PLAT_MAC		0x4d616320U

/**
 * struct vhd_ctx - what the library needs of its caller
 * @message: told what is wrong with what, one line without newline; may be
 *	NULL
 * @opaque: for @message
 * @parent_dirs: folders below which parents may live, separated by colons,
 *	besides the folder of the leaf; NULL: none; "/": anywhere
 */
struct vhd_ctx {
	void (*message)(void *opaque, const char *text);
	void *opaque;
	const char *parent_dirs;
};

/* Fields have the names and units of the format, in host byte order. */
struct vhd_footer {
	uint32_t features;
	uint32_t version;
	uint64_t data_offset;
	uint32_t timestamp;
	char creator[4];
	uint32_t creator_version;
	uint32_t creator_os;
	uint64_t original_size;
	uint64_t current_size;
	uint16_t cylinders;
	uint8_t heads;
	uint8_t sectors;
	uint32_t type;
	uint32_t checksum;
	uint8_t uuid[16];
	uint8_t saved;
	uint8_t hidden;
};

struct vhd_locator {
	uint32_t code;
	uint32_t data_space;
	uint32_t data_len;
	uint32_t reserved;
	uint64_t data_offset;
};

struct vhd_header {
	uint64_t data_offset;
	uint64_t table_offset;
	uint32_t version;
	uint32_t max_bat;
	uint32_t block_size;
	uint32_t checksum;
	uint8_t parent_uuid[16];
	uint32_t parent_timestamp;
	uint8_t parent_name[512];
	struct vhd_locator loc[VHD_LOCATORS];
};

struct vhd_batmap {
	uint64_t offset;
	uint32_t sectors;
	uint32_t version;
	uint32_t checksum;
	uint8_t marker;
};

/* Parse flag: also what no reader depends on, as "vhd-util check" does. */
#define VHD_STRICT		0x1
/* With VHD_STRICT: time stamps may be in the future. */
#define VHD_ANY_TIME		0x2

/*
 * Codec: pure functions on buffers. @name is what messages call the file.
 * The parse functions check everything that can be checked without the file.
 */
uint32_t vhd_checksum(const uint8_t *buf, size_t len, size_t field);
uint32_t vhd_batmap_checksum(const uint8_t *map, size_t len);
int vhd_footer_parse(const struct vhd_ctx *ctx, const char *name,
		     const uint8_t buf[VHD_FOOTER_SIZE], unsigned int flags,
		     struct vhd_footer *footer);
void vhd_footer_build(const struct vhd_footer *footer,
		      uint8_t buf[VHD_FOOTER_SIZE]);
int vhd_header_parse(const struct vhd_ctx *ctx, const char *name,
		     const uint8_t buf[VHD_HEADER_SIZE],
		     const struct vhd_footer *footer, unsigned int flags,
		     struct vhd_header *header);
void vhd_header_build(const struct vhd_header *header,
		      uint8_t buf[VHD_HEADER_SIZE]);
int vhd_batmap_parse(const struct vhd_ctx *ctx, const char *name,
		     const uint8_t buf[VHD_BATMAP_HEADER_SIZE],
		     struct vhd_batmap *batmap);
void vhd_batmap_build(const struct vhd_batmap *batmap,
		      uint8_t buf[VHD_BATMAP_HEADER_SIZE]);
void vhd_bat_decode(const uint8_t *buf, uint32_t *bat, uint32_t nr);
void vhd_bat_encode(const uint32_t *bat, uint8_t *buf, uint32_t nr);

/* Geometry for a disk of @sectors; never larger than the disk. */
void vhd_geometry(uint64_t sectors, struct vhd_footer *footer);
/* Size of the disk in bytes, by the rule of the program that made it. */
uint64_t vhd_disk_size(const struct vhd_footer *footer);
/* Bytes of a batmap for a disk of @size bytes. */
uint64_t vhd_batmap_bytes(uint64_t size);

/* UTF-16 (at most @len bytes, ends at a NUL) to UTF-8 and back. */
int vhd_utf16_decode(const uint8_t *in, size_t len, bool big_endian, char *out,
		     size_t size);
/* Return: bytes written or -errno. */
ssize_t vhd_utf16_encode(const char *in, bool big_endian, uint8_t *out,
			 size_t size);

/* Bitmaps: sector 0 is the highest bit of byte 0. */
static inline bool vhd_test_bit(const uint8_t *map, uint32_t bit)
{
	return map[bit >> 3] & (0x80 >> (bit & 7));
}

static inline void vhd_set_bit(uint8_t *map, uint32_t bit)
{
	map[bit >> 3] |= 0x80 >> (bit & 7);
}

/**
 * struct vhd_image - an open file of a chain
 * @ctx: of vhd_open()
 * @path: real path
 * @fd: descriptor; holds the lock, if any
 * @rw: opened for writing
 * @bdev: a block device, the size of which stays as it is
 * @raw: not a VHD: a parent that is a plain disk image
 * @dev: file system of the file
 * @ino: number of the file
 * @size: size of the disk in bytes
 * @sectors: size of the disk in sectors
 * @file_size: size of the file in bytes when it was opened
 * @footer_off: where the footer at the end starts; without one, end of file
 * @footer_lost: there is no good footer at the end, the copy was used
 * @footer_buf: the footer as it is in the file
 * @footer: the footer
 *
 * Only for dynamic and differencing images:
 * @header: the header
 * @block_sectors: sectors of data in a block
 * @bitmap_bytes: size of a block's bitmap, whole sectors
 * @old_bits: bitmaps in the file have the bits of each byte in reverse order
 * @nr_blocks: blocks the disk needs, not more than @header.max_bat
 * @bat: @header.max_bat entries
 * @batmap: batmap header, if @batmap_map is not NULL
 * @batmap_off: offset of the batmap header in the file
 * @batmap_map: the map, vhd_batmap_bytes() bytes, and zeros up to a bit for
 *	each entry of the BAT: the map of tap may be some blocks short
 * @batmap_good: the map can be trusted
 * @meta_end: end of header, BAT, batmap and locators in bytes
 * @data_end: end of the last block, at least @meta_end, in bytes
 * @parent: next image of the chain, NULL at its end
 */
struct vhd_image {
	struct vhd_ctx ctx;
	char *path;
	int fd;
	bool rw;
	bool bdev;
	bool raw;
	dev_t dev;
	ino_t ino;
	uint64_t size;
	uint64_t sectors;
	uint64_t file_size;
	uint64_t footer_off;
	bool footer_lost;
	uint8_t footer_buf[VHD_FOOTER_SIZE];
	struct vhd_footer footer;
	struct vhd_header header;
	uint32_t block_sectors;
	uint32_t bitmap_bytes;
	bool old_bits;
	uint32_t nr_blocks;
	uint32_t *bat;
	struct vhd_batmap batmap;
	uint64_t batmap_off;
	uint8_t *batmap_map;
	bool batmap_good;
	uint64_t meta_end;
	uint64_t data_end;
	struct vhd_image *parent;
};

/* For writing (the leaf only). */
#define VHD_OPEN_RDWR		0x01
/* Lock: the leaf of a RDWR open exclusively, all else shared. */
#define VHD_OPEN_LOCK		0x02
/* Open the parents too. */
#define VHD_OPEN_PARENTS	0x04
/* As VHD_STRICT and VHD_ANY_TIME, for all images. */
#define VHD_OPEN_STRICT		0x08
#define VHD_OPEN_ANY_TIME	0x10
/* Parents are taken for what they are named, whatever their uuid. */
#define VHD_OPEN_ANY_UUID	0x20
/* A missing footer at the end is no error with VHD_OPEN_STRICT. */
#define VHD_OPEN_NO_FOOTER	0x40
/* Do not look for BAT entries that overlap. */
#define VHD_OPEN_ANY_BAT	0x80
/* Footer and header only: there is no BAT, and nothing of it was checked. */
#define VHD_OPEN_HEADERS	0x100
/*
 * With VHD_OPEN_RDWR, in place of VHD_OPEN_LOCK: to merge into an image that
 * is read as a parent meanwhile. Others who want to write or merge are kept
 * off.
 */
#define VHD_OPEN_MERGE		0x200
/* Believe the copy of the footer at 0, whatever is at the end. */
#define VHD_OPEN_BACKUP		0x400
/*
 * With VHD_OPEN_LOCK: to name the image as the parent of another one. Nothing
 * may write to it or merge into it meanwhile: the child would see that.
 */
#define VHD_OPEN_CHILD		0x800
/*
 * As a parent: up to the size in the footer, also if the geometry is what
 * counts (see vhd_disk_size()) and is less. Children may be as large as that.
 */
#define VHD_OPEN_WHOLE		0x1000

/**
 * vhd_open() - open an image
 * @ctx: messages and policy, copied
 * @path: file or block device
 * @flags: VHD_OPEN_*
 * @image: result, for vhd_close()
 *
 * After it returns 0 the metadata in @image is safe to use: every block lies
 * inside the file, in front of the footer, and overlaps nothing.
 *
 * Return: 0; -EINVAL: not a good image; -EBUSY: locked by another program;
 * -ENOENT: no file, or a parent not found; -EACCES: a parent is outside of
 * the allowed folders; -ELOOP: the chain is a loop or too long.
 */
int vhd_open(const struct vhd_ctx *ctx, const char *path, unsigned int flags,
	     struct vhd_image **image);
void vhd_close(struct vhd_image *image);

/* What stands for an image in a chain: has no blocks of its own to look up. */
static inline bool vhd_is_flat(const struct vhd_image *image)
{
	return image->raw || image->footer.type == VHD_TYPE_FIXED;
}

/* Number of images from @image to the end of its chain. */
int vhd_depth(const struct vhd_image *image);
/* Where a block put behind @end (bytes) has its bitmap, in bytes. */
uint64_t vhd_block_after(const struct vhd_image *image, uint64_t end);
/* Size of a block with its bitmap in bytes. */
uint64_t vhd_block_bytes(const struct vhd_image *image);
/*
 * Read the bitmap of a block into @image->bitmap_bytes at @map, and write it,
 * the first sector the highest bit of byte 0 whatever it is in the file.
 */
int vhd_bitmap_read(const struct vhd_image *image, uint32_t block,
		    uint8_t *map);
int vhd_bitmap_write(const struct vhd_image *image, uint64_t off,
		     const uint8_t *map);
/* From the order of the file to ours, or back. */
void vhd_bitmap_order(const struct vhd_image *image, uint8_t *map);
/* Read the data of a block, whatever its bitmap says of it. */
int vhd_block_read(const struct vhd_image *image, uint32_t block, void *data);
/*
 * Put the footer where the data ends and cut the file there; all durable
 * before it returns.
 */
int vhd_trim(struct vhd_image *image);
/* Write header and map of the batmap; durable before it returns. */
int vhd_batmap_write(struct vhd_image *image);

/**
 * vhd_parent_name() - the path a child names its parent by
 * @image: differencing image
 * @name: room for VHD_NAME_MAX bytes
 *
 * Return: 0; -ENOENT: it has none.
 */
int vhd_parent_name(const struct vhd_image *image, char *name);

/* The name in locator @nr, in VHD_NAME_MAX bytes; UTF-16 if it is unknown. */
int vhd_locator_name(const struct vhd_image *image, unsigned int nr,
		     char *name);

/**
 * vhd_parent_find() - find the parent without opening the chain
 * @image: differencing image
 * @flags: VHD_OPEN_*
 * @parent: opened read-only
 */
int vhd_parent_find(struct vhd_image *image, unsigned int flags,
		    struct vhd_image **parent);

/**
 * vhd_parent_stand_in() - let a plain disk stand for all parents
 * @image: differencing image, opened without VHD_OPEN_PARENTS
 * @path: block device or file of the same size, locked against writers
 */
int vhd_parent_stand_in(struct vhd_image *image, const char *path);

/**
 * struct vhd_create - what to make
 * @path: new file
 * @size: size of the disk in bytes, a multiple of 512
 * @same_size: @size is that of another image; it may be up to VHD_DISK_LIMIT
 * @size_max: reserve metadata for a disk of that size; 0: none extra
 * @fixed: a fixed image, its space reserved
 * @holes: of a fixed image, no space is reserved
 * @parent: parent of a snapshot, or NULL; @size 0: as large as the parent
 * @parent_raw: the parent is no VHD
 * @keep_empty: link to the parent even if it is empty
 * @depth_max: most images in the chain; 0: VHD_CHAIN_MAX
 */
struct vhd_create {
	const char *path;
	uint64_t size;
	bool same_size;
	uint64_t size_max;
	bool fixed;
	bool holes;
	const char *parent;
	bool parent_raw;
	bool keep_empty;
	int depth_max;
};

/* Make an image; -EEXIST: never over an old file. Durable when it returns. */
int vhd_create(const struct vhd_ctx *ctx, const struct vhd_create *spec);

/**
 * struct vhd_progress - told how far something long has come
 * @fn: called now and then with steps done and to do; may be NULL
 * @opaque: for @fn
 */
struct vhd_progress {
	void (*fn)(void *opaque, uint64_t done, uint64_t total);
	void *opaque;
};

/* What vhd_check() looks at besides what vhd_open() does. */
#define VHD_CHECK_BITMAPS	0x1
#define VHD_CHECK_PARENTS	0x2

struct vhd_check_stats {
	uint64_t blocks;	/* allocated blocks */
	uint64_t full;		/* of them: all sectors present (BITMAPS) */
	uint64_t sectors;	/* present sectors (BITMAPS) */
	struct vhd_progress progress;	/* set by the caller: of BITMAPS */
};

/* @open_flags: VHD_OPEN_*; @stats may be NULL. */
int vhd_check(const struct vhd_ctx *ctx, const char *path,
	      unsigned int open_flags, unsigned int flags,
	      struct vhd_check_stats *stats);

/*
 * What changes images that no guest uses. These functions open the files
 * themselves and lock them. If one was interrupted, running it again finishes
 * or undoes what was begun.
 */

/**
 * vhd_read() - read what a guest would see
 * @chain: opened with VHD_OPEN_PARENTS
 * @sector: first sector
 * @nr: number of sectors; all must be on the disk
 * @buf: room for @nr sectors
 */
int vhd_read(const struct vhd_image *chain, uint64_t sector, uint32_t nr,
	     void *buf);

int vhd_set_hidden(const struct vhd_ctx *ctx, const char *path,
		   uint8_t hidden);
/* -ENOTSUP: the image has no batmap, which the marker is part of. */
int vhd_set_marker(const struct vhd_ctx *ctx, const char *path,
		   uint8_t marker);
/**
 * struct vhd_keyhash - what the key of an encrypted disk is known by
 * @nonce: comes before the key
 * @hash: SHA-256 of both
 */
struct vhd_keyhash {
	uint8_t nonce[32];
	uint8_t hash[32];
};

/* -ENOENT: there is none. */
int vhd_keyhash_get(const struct vhd_image *image, struct vhd_keyhash *key);
/* Only for an image without blocks. -ENOTSUP: it has no batmap. */
int vhd_keyhash_set(const struct vhd_ctx *ctx, const char *path,
		    const struct vhd_keyhash *key);
/*
 * Make @parent the parent; @raw: it is no VHD. If it is interrupted, the image
 * has the one or the other.
 */
int vhd_set_parent(const struct vhd_ctx *ctx, const char *path,
		   const char *parent, bool raw);
/* Move the footer so that the file has @size bytes. */
int vhd_set_file_size(const struct vhd_ctx *ctx, const char *path,
		      uint64_t size);
/* Forget all blocks. -EBUSY: in use, or it has children. */
int vhd_kill_data(const struct vhd_ctx *ctx, const char *path);
/*
 * Write the footers anew, from the one at the end, or, if that is bad or with
 * @backup, from the copy at 0; empty a batmap that is not to be trusted. What
 * was padded is cut off, or, on a block device, gets its footer at the end.
 */
int vhd_repair(const struct vhd_ctx *ctx, const char *path, bool backup);

/**
 * vhd_resize() - change the size of the disk
 * @ctx: messages
 * @path: the image
 * @size: in bytes, a multiple of 512
 * @journal: new file that says how to undo it while it is under way; NULL:
 *	only grow, and only as far as the metadata has room
 * @shrink: a smaller size, with which data is lost, is meant
 *
 * If @journal is there, what it tells of is undone first.
 *
 * Return: 0; -EINVAL: it would shrink without @shrink; -EBUSY: in use, or it
 * would shrink and has children; or another -errno.
 */
int vhd_resize(const struct vhd_ctx *ctx, const char *path, uint64_t size,
	       const char *journal, bool shrink);
/**
 * vhd_grow() - make the disk larger in the fastest way there is
 * @ctx: messages
 * @path: the image
 * @size: in bytes, a multiple of 512
 *
 * Only the footers change if the metadata has room, else all of it does under
 * a journal beside the image.
 *
 * Return: 0; -EINVAL: it is larger than that; -EFBIG: more than 2040 GiB; or
 * another -errno, and the image is as it was.
 */
int vhd_grow(const struct vhd_ctx *ctx, const char *path, uint64_t size);
/* The size in bytes up to which the metadata has room. */
uint64_t vhd_room(const struct vhd_image *image);
/* Undo what was interrupted and remove the journal. */
int vhd_revert(const struct vhd_ctx *ctx, const char *path,
	       const char *journal);
/* The file for the journal of what has no other name for one. */
#define VHD_JOURNAL_SUFFIX	".journal"

/**
 * struct vhd_coalesce - what to merge
 * @path: differencing image; only read
 * @parent: take that for its parent, whatever it names; or NULL
 * @ancestor: merge into that image of the chain, all images between them
 *	too; NULL: into the parent
 * @output: change no image, make a new one of @path and its parent; or NULL
 * @sparse: what becomes zeros in a raw or fixed image loses its space; others
 *	have holes for zeros anyway
 * @live: the chain is in use, but neither @path nor its parents are written;
 *	its readers see no difference
 * @rate: bytes per second at most, on average; 0: as fast as it goes
 * @stop: asked now and then, with @opaque of @progress, whether to end with
 *	-EINTR; what is left can be done at another time; or NULL
 * @progress: how far it has come
 */
struct vhd_coalesce {
	const char *path;
	const char *parent;
	const char *ancestor;
	const char *output;
	bool sparse;
	bool live;
	uint64_t rate;
	bool (*stop)(void *opaque);
	struct vhd_progress progress;
};

/*
 * The image that is merged into gets the size of @path, if that is larger;
 * with @live, or if it is a device, it must have it already (-EFBIG).
 * @sectors: how many were merged, or NULL.
 *
 * Return: -EBUSY: in use, or one of the images that change has another child,
 * in its own folder or in that of the child on the way to @path.
 */
int vhd_coalesce(const struct vhd_ctx *ctx, const struct vhd_coalesce *spec,
		 uint64_t *sectors);

/**
 * vhd_children() - find the children of an image
 * @parent: the image
 * @folder: where to look
 * @fn: called for each with its metadata, but for the BAT; not 0: look no
 *	further
 * @opaque: for @fn
 *
 * Return: what @fn returned last, 0, or -errno.
 */
int vhd_children(const struct vhd_image *parent, const char *folder,
		 int (*fn)(void *opaque, const struct vhd_image *child),
		 void *opaque);

/**
 * vhd_sync_folder() - make what was done to names in a folder durable
 * @path: a file in the folder
 *
 * On a file system that cannot sync a folder, all of it is synced. One that
 * cannot do that either has nothing to offer: that is no error.
 *
 * Return: 0 or -errno, without a message.
 */
int vhd_sync_folder(const char *path);

/**
 * struct vhd_copy - what to copy
 * @from: image; of a differencing one the whole chain is read
 * @to: new file, a dynamic image
 * @from_raw: @from is no VHD
 * @to_raw: @to is to be none
 * @to_fixed: @to is to be a fixed image, zeros as holes
 * @stream: the disk is raw and comes from @stream_fd; @from is what messages
 *	call it. @from_raw: even if it begins as a VHD does
 * @stream_fd: descriptor to read from, to its end
 * @size: bytes that the stream must have; 0: as many as come
 * @overwrite: @to is a raw disk that is there already: a block device, which
 *	must be large enough, or a file, which gets the size of the copy. With
 *	@to_raw only
 * @align: the new disk gets a multiple of that many bytes; 0: as large as
 *	@from
 * @progress: how far it has come
 */
struct vhd_copy {
	const char *from;
	const char *to;
	bool from_raw;
	bool to_raw;
	bool to_fixed;
	bool stream;
	int stream_fd;
	uint64_t size;
	bool overwrite;
	uint64_t align;
	struct vhd_progress progress;
};

int vhd_copy(const struct vhd_ctx *ctx, const struct vhd_copy *spec);

/**
 * struct vhd_rescue - what to save of a damaged image
 * @from: the image; only read
 * @to: new file, a dynamic image
 * @from_raw: @from is no VHD, or a fixed one of which the end is lost
 * @to_raw: @to is to be none
 * @problem: told what is wrong, once each
 * @missing: told what could not be saved, in order: @nr sectors from @sector
 *	and why; @doubtful: they were, but may be those of another place
 * @opaque: for these two
 * @progress: how far it has come
 */
struct vhd_rescue {
	const char *from;
	const char *to;
	bool from_raw;
	bool to_raw;
	void (*problem)(void *opaque, const char *text);
	void (*missing)(void *opaque, uint64_t sector, uint64_t nr,
			bool doubtful, const char *why);
	void *opaque;
	struct vhd_progress progress;
};

/**
 * vhd_rescue() - copy what can be read of a damaged image
 * @ctx: messages
 * @spec: what, and where to
 * @size: size of the disk in bytes, or NULL
 *
 * What is missing is zeros in the copy.
 *
 * Return: 0, even if nearly everything is missing; or -errno, and there is
 * no copy: nothing could be found, or it could not be written.
 */
int vhd_rescue(const struct vhd_ctx *ctx, const struct vhd_rescue *spec,
	       uint64_t *size);

/**
 * struct vhd_fill - what to allocate
 * @path: dynamic or differencing image
 * @empty: allocate, but write no data; of sectors @first to @last only
 * @first: with @empty
 * @last: with @empty
 * @progress: how far it has come
 */
struct vhd_fill {
	const char *path;
	bool empty;
	uint64_t first;
	uint64_t last;
	struct vhd_progress progress;
};

int vhd_fill(const struct vhd_ctx *ctx, const struct vhd_fill *spec);

/* Drop blocks that say nothing the rest does not. @dropped: number or NULL. */
int vhd_compact(const struct vhd_ctx *ctx, const char *path,
		const struct vhd_progress *progress, uint32_t *dropped);

#ifdef __cplusplus
}
#endif

#endif /* VHD_H */
