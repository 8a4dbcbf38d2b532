// SPDX-License-Identifier: GPL-2.0
/*
 * aio:PATH: a raw image, a regular file or a block device. A sector of the
 * disk is that sector of the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "td_driver.h"
#include "td_file.h"
#include "td_log.h"

/**
 * struct td_aio_io - I/O of a request that transfers no data
 * @io: of the core
 * @req: request
 * @aio: image
 * @next: next unused one
 */
struct td_aio_io {
	struct td_io io;
	struct td_req *req;
	struct td_aio *aio;
	struct td_aio_io *next;
};

/**
 * struct td_aio - an open image
 * @vbd: its disk
 * @fd: file
 * @index: its number at the kernel
 * @punch_zeroes: WRITE_ZEROES by punching holes, ZERO_RANGE is not supported
 * @ios: all I/O structures, one for each request there can be
 * @unused: those not in use
 * @pending: number of those in use
 */
struct td_aio {
	struct td_vbd *vbd;
	int fd;
	int index;
	bool punch_zeroes;
	struct td_aio_io *ios;
	struct td_aio_io *unused;
	unsigned int pending;
};

/* A number in the sysfs folder of a block device's queue, 0 if unknown. */
static uint64_t td_aio_queue_limit(dev_t dev, const char *name)
{
	static const char *const formats[] = {
		"/sys/dev/block/%u:%u/queue/%s",
		"/sys/dev/block/%u:%u/../queue/%s",
	};
	unsigned long long value = 0;
	char path[128];
	unsigned int i;
	FILE *file;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), formats[i], major(dev), minor(dev),
			 name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fscanf(file, "%llu", &value) != 1)
			value = 0;
		fclose(file);
		break;
	}
	return value;
}

/*
 * A guest may need sectors of 512 bytes on a device of larger ones: its boot
 * loader, or a disk that was moved there. The page cache reads, changes and
 * writes the rest of a sector then. Only if a partition table says that the
 * disk was used with the sectors of the device, it is told those.
 */
static uint32_t td_aio_sector_size(const struct td_aio *aio, int size,
				   uint32_t disk)
{
	static const char mark[] = "EFI PART";
	uint32_t ret = 512;
	char *buf;

	if (disk == 512)
		return 512;
	if (size <= 512 || disk || posix_memalign((void **)&buf, 4096, 2 * size))
		return size;
	/* The header of a GPT is in the second sector. */
	if (pread(aio->fd, buf, 2 * size, 0) == 2 * size &&
	    memcmp(buf + 512, mark, 8) && !memcmp(buf + size, mark, 8))
		ret = size;
	free(buf);
	return ret;
}

static int td_aio_bdev_info(struct td_aio *aio, const char *path, dev_t dev,
			    bool rdonly, struct td_disk_info *info)
{
	unsigned int phys;
	uint64_t bytes;
	int size;

	if (ioctl(aio->fd, BLKGETSIZE64, &bytes) ||
	    ioctl(aio->fd, BLKSSZGET, &size) ||
	    ioctl(aio->fd, BLKPBSZGET, &phys)) {
		td_err("%s: size of the device: %s", path, strerror(errno));
		return -errno;
	}
	info->sectors = bytes / 512;
	info->sector_size = td_aio_sector_size(aio, size, info->sector_size);
	info->phys_size = phys;
	info->write_zeroes = !rdonly;
	/* A hole in a device is a range of zeros that it need not store. */
	info->discard = !rdonly &&
			td_aio_queue_limit(dev, "discard_max_bytes") &&
			td_aio_queue_limit(dev, "write_zeroes_max_bytes");
	info->discard_size = td_aio_queue_limit(dev, "discard_granularity");
	return 0;
}

static int td_aio_file_info(struct td_aio *aio, const char *path,
			    const struct stat *st, bool rdonly,
			    struct td_disk_info *info)
{
	if (!st->st_size || st->st_size & 511) {
		td_err("%s: %lld bytes; must be a multiple of 512, not 0 (truncate -s %%512 appends what is missing)",
		       path, (long long)st->st_size);
		return -EINVAL;
	}
	info->sectors = st->st_size / 512;
	info->sector_size = 512;
	info->phys_size = 4096;
	info->discard_size = st->st_blksize;
	/* A hole beyond the end changes nothing; it tells if holes work. */
	info->discard = !rdonly &&
			!fallocate(aio->fd, FALLOC_FL_PUNCH_HOLE |
				   FALLOC_FL_KEEP_SIZE, st->st_size, 4096);
	info->write_zeroes = info->discard;
	return 0;
}

static int td_aio_info(struct td_aio *aio, const char *path, bool rdonly,
		       struct td_disk_info *info)
{
	struct stat st;

	if (fstat(aio->fd, &st)) {
		td_err("%s: %s", path, strerror(errno));
		return -errno;
	}
	if (S_ISREG(st.st_mode))
		return td_aio_file_info(aio, path, &st, rdonly, info);
	if (S_ISBLK(st.st_mode))
		return td_aio_bdev_info(aio, path, st.st_rdev, rdonly, info);
	td_err("%s is neither a regular file nor a block device", path);
	return -EINVAL;
}

static int td_aio_open_fd(const char *path, unsigned int flags)
{
	/* Not blocking: the path may be a pipe, which is refused later. */
	int mode = O_CLOEXEC | O_NONBLOCK |
		   (flags & TD_OPEN_RDONLY ? O_RDONLY : O_RDWR);
	int fd = -1;

	if (!(flags & TD_OPEN_BUFFERED))
		fd = open(path, mode | O_DIRECT);
	if (fd < 0 && (flags & TD_OPEN_BUFFERED || errno == EINVAL))
		fd = open(path, mode);
	if (fd < 0) {
		td_err("%s: opening for %s: %s, as user %u", path,
		       flags & TD_OPEN_RDONLY ? "reading" : "reading and writing",
		       strerror(errno), geteuid());
		return -errno;
	}
	return fd;
}

/* Use the page cache if O_DIRECT does not take what guests send. */
static void td_aio_check_direct(const struct td_aio *aio, const char *path,
				uint32_t sector_size)
{
	int flags = fcntl(aio->fd, F_GETFL);

	if (!(flags & O_DIRECT) || td_file_direct_ok(aio->fd, sector_size))
		return;
	td_info("%s: O_DIRECT does not take sectors of %u bytes, using the page cache",
		path, sector_size);
	fcntl(aio->fd, F_SETFL, flags & ~O_DIRECT);
}

static int td_aio_alloc(struct td_aio *aio)
{
	unsigned int i;

	aio->ios = calloc(BLKTAP_DIRECT_DEPTH_MAX, sizeof(*aio->ios));
	if (!aio->ios)
		return -ENOMEM;
	for (i = 0; i < BLKTAP_DIRECT_DEPTH_MAX; i++) {
		aio->ios[i].aio = aio;
		aio->ios[i].next = aio->unused;
		aio->unused = &aio->ios[i];
	}
	return 0;
}

static int td_aio_open(struct td_vbd *vbd, const char *path,
		       unsigned int flags, struct td_disk_info *info,
		       void **priv)
{
	bool rdonly = flags & TD_OPEN_RDONLY;
	struct td_aio *aio;
	int err;

	aio = calloc(1, sizeof(*aio));
	if (!aio)
		return -ENOMEM;
	aio->vbd = vbd;
	aio->fd = td_aio_open_fd(path, flags);
	if (aio->fd < 0) {
		err = aio->fd;
		goto err_free;
	}
	err = td_aio_info(aio, path, rdonly, info);
	if (!err)
		err = td_file_lock(aio->fd, !rdonly, path);
	if (err)
		goto err_close;
	td_aio_check_direct(aio, path, info->sector_size);
	err = td_aio_alloc(aio);
	if (err)
		goto err_close;
	aio->index = td_vbd_file_add(vbd, aio->fd);
	if (aio->index < 0) {
		err = aio->index;
		goto err_close;
	}
	*priv = aio;
	return 0;

err_close:
	close(aio->fd);
err_free:
	free(aio->ios);
	free(aio);
	return err;
}

static int td_aio_close(void *priv)
{
	struct td_aio *aio = priv;
	int err = 0;

	td_vbd_file_del(aio->vbd, aio->index);
	if ((fcntl(aio->fd, F_GETFL) & O_ACCMODE) != O_RDONLY &&
	    fdatasync(aio->fd))
		err = -errno;
	close(aio->fd);
	free(aio->ios);
	free(aio);
	return err;
}

static void td_aio_io_done(struct td_io *io, int error)
{
	struct td_aio_io *aio_io = io->priv;
	struct td_aio *aio = aio_io->aio;

	if (error == -EOPNOTSUPP && io->op == TD_IO_ZERO) {
		aio->punch_zeroes = true;
		io->op = TD_IO_PUNCH;
		td_io_submit(io);
		return;
	}
	aio_io->next = aio->unused;
	aio->unused = aio_io;
	aio->pending--;
	td_req_end(aio_io->req, error);
}

static void td_aio_start_io(struct td_aio *aio, struct td_req *req,
			    enum td_io_op op)
{
	struct td_aio_io *aio_io = aio->unused;

	aio->unused = aio_io->next;
	aio->pending++;
	aio_io->req = req;
	aio_io->io = (struct td_io){
		.op = op,
		.fd = aio->fd,
		.off = req->sector * 512,
		.len = (size_t)req->nr_sectors * 512,
		.done = td_aio_io_done,
		.priv = aio_io,
	};
	td_io_submit(&aio_io->io);
}

static void td_aio_submit(void *priv, struct td_req *req)
{
	struct td_aio *aio = priv;
	struct blktap_direct_extent ext;

	switch (req->op) {
	case BLKTAP_OP_READ:
	case BLKTAP_OP_WRITE:
		ext = (struct blktap_direct_extent){
			.addr = req->sector * 512,
			.len = req->nr_sectors * 512,
			.file = aio->index,
			.kind = BLKTAP_EXTENT_FILE,
		};
		td_req_map(req, &ext, 1,
			   TD_MAP_END | (req->fua ? TD_MAP_DSYNC : 0),
			   td_req_end);
		break;
	case BLKTAP_OP_FLUSH:
		td_aio_start_io(aio, req, TD_IO_FDATASYNC);
		break;
	case BLKTAP_OP_TRIM:
		td_aio_start_io(aio, req, TD_IO_PUNCH);
		break;
	default:
		td_aio_start_io(aio, req,
				aio->punch_zeroes ? TD_IO_PUNCH : TD_IO_ZERO);
	}
}

static void td_aio_stats(void *priv, struct json_object *image)
{
	struct json_object *status = json_object_new_object();
	struct json_object *reqs = json_object_new_object();
	struct json_object *driver;
	struct td_aio *aio = priv;

	json_object_object_add(reqs, "max",
			       json_object_new_int(BLKTAP_DIRECT_DEPTH_MAX));
	json_object_object_add(reqs, "pending",
			       json_object_new_int(aio->pending));
	json_object_object_add(status, "reqs", reqs);
	if (json_object_object_get_ex(image, "driver", &driver))
		json_object_object_add(driver, "status", status);
	else
		json_object_put(status);
}

const struct td_driver td_driver_aio = {
	.name = "aio",
	.open = td_aio_open,
	.close = td_aio_close,
	.submit = td_aio_submit,
	.stats = td_aio_stats,
};
