// SPDX-License-Identifier: GPL-2.0
/*
 * ram:SIZE or ram:/FILE: a disk in memory, zeros or a copy of a file at first.
 * What is written is lost when the image is closed, for a pause too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "td_driver.h"
#include "td_file.h"
#include "td_log.h"

/**
 * struct td_ram - a disk in memory
 * @mem: contents
 * @size: size in bytes
 */
struct td_ram {
	char *mem;
	uint64_t size;
};

static int td_ram_file_size(int fd, const char *path, uint64_t *size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		td_err("%s is no regular file", path);
		return -EINVAL;
	}
	*size = st.st_size;
	return 0;
}

static int td_ram_load(struct td_ram *ram, int fd, const char *path)
{
	uint64_t pos;
	ssize_t n = 0;

	for (pos = 0; pos < ram->size; pos += n) {
		n = pread(fd, ram->mem + pos, ram->size - pos, pos);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			break;
	}
	if (pos == ram->size)
		return 0;
	td_err("%s: reading at %llu: %s", path, (unsigned long long)pos,
	       n < 0 ? strerror(errno) : "the file ended");
	return -EIO;
}

/* Allocate, and load from @fd if it is valid. */
static int td_ram_fill(struct td_ram *ram, int fd, const char *path)
{
	int err = 0;

	if (!ram->size || ram->size & 511) {
		td_err("ram:%s: %llu bytes; must be a multiple of 512, not 0",
		       path, (unsigned long long)ram->size);
		return -EINVAL;
	}
	ram->mem = mmap(NULL, ram->size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram->mem == MAP_FAILED) {
		td_err("ram:%s: no memory for %llu bytes", path,
		       (unsigned long long)ram->size);
		return -ENOMEM;
	}
	if (fd >= 0)
		err = td_ram_load(ram, fd, path);
	if (err)
		munmap(ram->mem, ram->size);
	return err;
}

static int td_ram_open(struct td_vbd *vbd, const char *path,
		       unsigned int flags, struct td_disk_info *info,
		       void **priv)
{
	struct td_ram *ram;
	int fd = -1, err;

	(void)vbd;
	(void)flags;
	ram = calloc(1, sizeof(*ram));
	if (!ram)
		return -ENOMEM;
	if (*path == '/') {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		err = fd < 0 ? -errno : td_ram_file_size(fd, path, &ram->size);
		if (fd < 0)
			td_err("%s: %s, as user %u", path, strerror(-err),
			       geteuid());
	} else {
		err = td_size_parse(path, 1, &ram->size);
		if (err)
			td_err("ram:%s: must be ram:SIZE, a number with an optional suffix K, M, G or T, or ram:/FILE",
			       path);
	}
	if (!err)
		err = td_ram_fill(ram, fd, path);
	if (fd >= 0)
		close(fd);
	if (err) {
		free(ram);
		return err;
	}
	*priv = ram;
	*info = (struct td_disk_info){
		.sectors = ram->size / 512,
		.sector_size = 512,
		.phys_size = 512,
	};
	return 0;
}

static int td_ram_close(void *priv)
{
	struct td_ram *ram = priv;

	munmap(ram->mem, ram->size);
	free(ram);
	return 0;
}

static void td_ram_submit(void *priv, struct td_req *req)
{
	struct td_ram *ram = priv;
	struct blktap_direct_extent ext = {
		.addr = (uintptr_t)(ram->mem + req->sector * 512),
		.len = req->nr_sectors * 512,
		.kind = BLKTAP_EXTENT_USER,
	};

	if (req->op == BLKTAP_OP_FLUSH)
		td_req_end(req, 0);
	else
		td_req_map(req, &ext, 1, TD_MAP_END, td_req_end);
}

const struct td_driver td_driver_ram = {
	.name = "ram",
	.open = td_ram_open,
	.close = td_ram_close,
	.submit = td_ram_submit,
};
