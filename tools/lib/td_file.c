// SPDX-License-Identifier: LGPL-2.1-or-later
#include "td_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "td_dio.h"
#include "td_log.h"

int td_file_lock(int fd, bool exclusive, const char *path)
{
	struct flock lock = {
		.l_type = exclusive ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
	};
	int err;

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	err = errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
	if (err == -EBUSY)
		td_err("%s is in use%s", path,
		       exclusive ? "" : " by a writer");
	else
		td_err("%s: locking: %s", path, strerror(-err));
	return err;
}

bool td_file_direct_ok(int fd, uint32_t sector_size)
{
	uint32_t unit = td_dio_unit(fd);
	char *buf;
	ssize_t n;

	if (unit > sector_size)
		return false;
	if (posix_memalign((void **)&buf, 4096, 512 + sector_size))
		return false;
	n = pread(fd, buf + 512, sector_size, sector_size);
	free(buf);
	return n >= 0 || errno != EINVAL;
}

int td_size_parse(const char *text, uint64_t unit, uint64_t *size)
{
	static const char letters[] = "KMGT";
	const char *letter;
	uint64_t n;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end == 'B' && !end[1]) {
		unit = 1;
	} else if (*end) {
		letter = strchr(letters, toupper((unsigned char)*end));
		if (!letter || (end[1] && strcmp(end + 1, "iB")))
			return -EINVAL;
		unit = 1ULL << 10 * (letter - letters + 1);
	}
	if (n > INT64_MAX / unit)
		return -EINVAL;
	*size = n * unit;
	return 0;
}
