// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What not every file system can do, and what does as well.
 *
 * NFS, 9p and FUSE have no renameat2() with flags, some no fsync() of a
 * folder, some no links. A file system may also have no fallocate(), and a C
 * library may not make up for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd_edit.h"

static bool vhd_fs_cannot(int error)
{
	return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP ||
	       error == ENOTTY;
}

static bool vhd_fs_same(const char *a, const char *b)
{
	struct stat x, y;

	return !lstat(a, &x) && !lstat(b, &y) && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/* The name is taken with O_EXCL; what it is for then replaces it. */
static int vhd_fs_rename_over(const char *from, const char *to)
{
	int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret = 0;

	if (fd < 0)
		return -errno;
	close(fd);
	if (rename(from, to))
		ret = -errno;
	if (ret)
		unlink(to);
	return ret;
}

int vhd_rename_new(const char *from, const char *to)
{
	int err;

	if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
		return 0;
	if (!vhd_fs_cannot(errno))
		return -errno;
	if (link(from, to)) {
		err = errno;
		/* A server may have done it and be asked again. */
		if (err == EEXIST && !vhd_fs_same(from, to))
			return -EEXIST;
		if (err == EPERM || err == EMLINK || vhd_fs_cannot(err))
			return vhd_fs_rename_over(from, to);
		if (err != EEXIST)
			return -err;
	}
	return unlink(from) ? -errno : 0;
}

int vhd_sync_folder(const char *path)
{
	char copy[PATH_MAX];
	int fd, ret = 0;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* All of the file system is more than is needed, but does it. */
	if (fsync(fd) && (!vhd_fs_cannot(errno) ||
			  (syncfs(fd) && !vhd_fs_cannot(errno))))
		ret = -errno;
	close(fd);
	return ret;
}

int vhd_reserve(int fd, uint64_t off, uint64_t len)
{
	const size_t piece = 1 << 20;
	uint8_t *zeros;
	int ret;

	ret = -posix_fallocate(fd, off, len);
	if (!ret || !vhd_fs_cannot(-ret))
		return ret;
	zeros = calloc(1, piece);
	if (!zeros)
		return -ENOMEM;
	for (ret = 0; len && !ret; ) {
		size_t n = len < piece ? len : piece;

		ret = vhd_pwrite(fd, zeros, n, off);
		off += n;
		len -= n;
	}
	free(zeros);
	return ret;
}
