// SPDX-License-Identifier: GPL-2.0
/*
 * libvhd as a program in C++ has it, built by vhd_disk_test.c against what is
 * installed: the header must be C++, and each function must be there.
 */
#include <libvhd.h>

#include <cstring>
#include <string>
#include <vector>

static void note(void *opaque, const char *text)
{
	static_cast<std::string *>(opaque)->assign(text);
}

static void progress(void *opaque, uint64_t done, uint64_t total)
{
	*static_cast<bool *>(opaque) = done == total;
}

static bool edit(const vhd_messages *msg)
{
	vhd_create_opts create = {};
	vhd_coalesce_opts coalesce = {};
	vhd_resize_opts resize = {};
	vhd_copy_opts copy = {};
	uint32_t dropped = 0;
	bool done = false;

	create.struct_size = sizeof(create);
	create.sectors = 8192;
	coalesce.struct_size = sizeof(coalesce);
	coalesce.progress = progress;
	coalesce.opaque = &done;
	resize.struct_size = sizeof(resize);
	copy.struct_size = sizeof(copy);
	return !vhd_disk_create_opts("p.vhd", &create, msg) &&
	       !vhd_disk_snapshot("q.vhd", "p.vhd", nullptr, msg) &&
	       !vhd_disk_set_parent("q.vhd", "p.vhd", 0, msg) &&
	       !vhd_disk_coalesce("q.vhd", &coalesce, msg) && done &&
	       !vhd_disk_resize("p.vhd", 16384, &resize, msg) &&
	       vhd_disk_revert("p.vhd", nullptr, msg) &&
	       !vhd_disk_repair("p.vhd", 0, msg) &&
	       !vhd_disk_set_hidden("p.vhd", 1, msg) &&
	       !vhd_disk_set_marker("p.vhd", 1, msg) &&
	       !vhd_disk_compact("p.vhd", &dropped, &copy, msg) &&
	       !vhd_disk_copy("p.vhd", "r.vhd", &copy, msg);
}

static bool look(const vhd_messages *msg)
{
	vhd_locator_info loc = {};
	std::vector<char> name(4096);
	std::vector<uint8_t> map(512);
	vhd_info info = {};
	vhd_meta *meta;
	bool good;

	if (vhd_meta_open("q.vhd", VHD_META_PARENTS, msg, &meta))
		return false;
	loc.struct_size = sizeof(loc);
	info.struct_size = sizeof(info);
	good = vhd_meta_images(meta) == 2 && vhd_meta_path(meta, 1) &&
	       !vhd_meta_info(meta, 0, &info) && info.type == VHD_INFO_DIFF &&
	       !vhd_meta_locator(meta, 0, 0, &loc, &name[0], name.size()) &&
	       !vhd_meta_parent_name(meta, 0, &name[0], name.size()) &&
	       !vhd_meta_parent_path(meta, 0, &name[0], name.size()) &&
	       vhd_meta_block(meta, 0, 0, nullptr) &&
	       vhd_meta_bitmap(meta, 0, 0, &map[0], map.size());
	vhd_meta_close(meta);
	return good;
}

static bool use(const vhd_messages *msg)
{
	std::vector<char> buf(4096, 'x'), got(4096);
	vhd_disk *disk;
	uint32_t run;
	bool good;

	if (vhd_disk_create("a.vhd", 8192, nullptr, VHD_DISK_FIXED, msg) ||
	    vhd_disk_open("a.vhd", 0, msg, &disk))
		return false;
	good = vhd_disk_sectors(disk) == 8192 && vhd_disk_images(disk) == 1 &&
	       vhd_disk_image_path(disk, 0) &&
	       !vhd_disk_write(disk, &buf[0], 0, 8) &&
	       !vhd_disk_write_zeroes(disk, 8, 8) &&
	       !vhd_disk_discard(disk, 16, 8) && !vhd_disk_flush(disk) &&
	       !vhd_disk_where(disk, 0, 1, &run) &&
	       !vhd_disk_read(disk, &got[0], 0, 8) && buf == got;
	return !vhd_disk_close(disk) && good &&
	       !vhd_disk_check("a.vhd", 0, msg);
}

int main()
{
	std::string text;
	vhd_messages msg = { note, &text };

	return !(use(&msg) && edit(&msg) && look(&msg) &&
		 text.find("journal") != std::string::npos);
}
