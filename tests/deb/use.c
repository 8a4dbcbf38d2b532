// SPDX-License-Identifier: GPL-2.0
/*
 * What another program does with libvhd: make the image named by its
 * argument, write, and read back what it wrote.
 */
#include <stdio.h>
#include <string.h>

#include <libvhd.h>

int main(int argc, char **argv)
{
	static char out[512] = "written by another program", in[512];
	struct vhd_disk *disk;
	int ret;

	if (argc != 2)
		return 2;
	ret = vhd_disk_create(argv[1], 204800, NULL, 0, NULL);
	if (!ret)
		ret = vhd_disk_open(argv[1], 0, NULL, &disk);
	if (ret) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-ret));
		return 1;
	}
	ret = vhd_disk_write(disk, out, 77, 1);
	if (!ret)
		ret = vhd_disk_read(disk, in, 77, 1);
	if (!ret && memcmp(in, out, sizeof(in)))
		ret = 1;
	if (vhd_disk_close(disk) || ret) {
		fprintf(stderr, "%s: wrong data or error %d\n", argv[1], ret);
		return 1;
	}
	return 0;
}
