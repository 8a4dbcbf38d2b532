// SPDX-License-Identifier: GPL-2.0
/*
 * vhd-util: make, look at and check VHD images.
 *
 * Each verb is a function in the table at the end. What storage managers
 * parse goes to stdout, in the form they know; everything else to stderr.
 * Exit status: 0, or 1 if it did not work, or 2 for a wrong command line.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvhd/vhd.h"

#define VU_USAGE	2

struct vu_verb {
	const char *name;
	const char *usage;
	int (*run)(const struct vu_verb *verb, int argc, char **argv);
};

static void vu_message(void *opaque, const char *text)
{
	(void)opaque;
	fprintf(stderr, "vhd-util: %s\n", text);
}

/* The administrator names the files: parents may be anywhere. */
static const struct vhd_ctx vu_ctx = {
	.message = vu_message,
	.parent_dirs = "/",
};

static int vu_usage(const struct vu_verb *verb, FILE *to)
{
	fprintf(to, "usage: vhd-util %s %s\n", verb->name, verb->usage);
	return to == stdout ? 0 : VU_USAGE;
}

static int vu_missing(const struct vu_verb *verb, const char *option)
{
	fprintf(stderr, "vhd-util: %s: option %s is missing\n", verb->name,
		option);
	return vu_usage(verb, stderr);
}

/* A verb takes no arguments besides its options. */
static int vu_extra(const struct vu_verb *verb, int argc, char **argv)
{
	if (optind == argc)
		return 0;
	fprintf(stderr, "vhd-util: %s: unknown argument %s\n", verb->name,
		argv[optind]);
	return vu_usage(verb, stderr);
}

/* A number of units of @unit bytes, as bytes. */
static int vu_number(const struct vu_verb *verb, const char *option,
		     const char *text, uint64_t unit, uint64_t max,
		     uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || !*value ||
	    *value > max) {
		fprintf(stderr,
			"vhd-util: %s: %s is %s, must be 1 to %" PRIu64 "\n",
			verb->name, option, text, max);
		return VU_USAGE;
	}
	*value *= unit;
	return 0;
}

#define VU_MB		((uint64_t)1 << 20)

static int vu_create(const struct vu_verb *verb, int argc, char **argv)
{
	struct vhd_create spec = { 0 };
	int c, ret = 0;

	while (!ret && (c = getopt(argc, argv, "n:s:S:rh")) != -1) {
		if (c == 'n')
			spec.path = optarg;
		else if (c == 's')
			ret = vu_number(verb, "-s", optarg, VU_MB,
					VHD_DISK_MAX_MB, &spec.size);
		else if (c == 'S')
			ret = vu_number(verb, "-S", optarg, VU_MB,
					VHD_DISK_MAX_MB, &spec.size_max);
		else if (c == 'r')
			spec.fixed = true;
		else
			return vu_usage(verb, c == 'h' ? stdout : stderr);
	}
	if (!ret)
		ret = vu_extra(verb, argc, argv);
	if (ret)
		return ret;
	if (!spec.path)
		return vu_missing(verb, "-n");
	if (!spec.size)
		return vu_missing(verb, "-s");
	if (spec.size_max && spec.size_max < spec.size) {
		fprintf(stderr,
			"vhd-util: create: -S is %" PRIu64 ", must be -s (%" PRIu64 ") or more\n",
			spec.size_max / VU_MB, spec.size / VU_MB);
		return VU_USAGE;
	}
	return vhd_create(&vu_ctx, &spec) ? 1 : 0;
}

static int vu_snapshot(const struct vu_verb *verb, int argc, char **argv)
{
	struct vhd_create spec = { 0 };
	uint64_t depth;
	int c, ret = 0;

	while (!ret && (c = getopt(argc, argv, "n:p:S:l:meh")) != -1) {
		if (c == 'n') {
			spec.path = optarg;
		} else if (c == 'p') {
			spec.parent = optarg;
		} else if (c == 'S') {
			ret = vu_number(verb, "-S", optarg, VU_MB,
					VHD_DISK_MAX_MB, &spec.size_max);
		} else if (c == 'l') {
			ret = vu_number(verb, "-l", optarg, 1, VHD_CHAIN_MAX,
					&depth);
			spec.depth_max = depth;
		} else if (c == 'm') {
			spec.parent_raw = true;
		} else if (c == 'e') {
			spec.keep_empty = true;
		} else {
			return vu_usage(verb, c == 'h' ? stdout : stderr);
		}
	}
	if (!ret)
		ret = vu_extra(verb, argc, argv);
	if (ret)
		return ret;
	if (!spec.path)
		return vu_missing(verb, "-n");
	if (!spec.parent)
		return vu_missing(verb, "-p");
	return vhd_create(&vu_ctx, &spec) ? 1 : 0;
}

/* The parent's path: where it was found, or, with @raw, as it is written. */
static int vu_print_parent(const char *name, struct vhd_image *image, bool raw)
{
	char path[VHD_NAME_MAX];
	struct vhd_image *parent;

	if (image->footer.type != VHD_TYPE_DIFF) {
		printf("%s has no parent\n", name);
		return 0;
	}
	if (raw) {
		if (vhd_parent_name(image, path)) {
			fprintf(stderr, "vhd-util: %s: no name of a parent\n",
				name);
			return 1;
		}
		puts(path);
		return 0;
	}
	if (vhd_parent_find(image, 0, &parent))
		return 1;
	puts(parent->path);
	vhd_close(parent);
	return 0;
}

static int vu_print_depth(const char *name)
{
	struct vhd_image *chain;

	if (vhd_open(&vu_ctx, name, VHD_OPEN_PARENTS, &chain))
		return 1;
	printf("chain depth: %d\n", vhd_depth(chain));
	vhd_close(chain);
	return 0;
}

static uint32_t vu_allocated(const struct vhd_image *image)
{
	uint32_t nr = 0;
	uint32_t i;

	for (i = 0; i < image->nr_blocks; i++)
		nr += image->bat[i] != VHD_BAT_UNUSED;
	return nr;
}

static int vu_query_print(const char *name, struct vhd_image *image,
			  const char *what, bool raw)
{
	int ret = 0;

	if (strchr(what, 'v'))
		printf("%" PRIu64 "\n", image->size / VU_MB);
	if (strchr(what, 's'))
		printf("%" PRIu64 "\n", image->file_size);
	if (strchr(what, 'p'))
		ret |= vu_print_parent(name, image, raw);
	if (strchr(what, 'f'))
		printf("hidden: %u\n", image->footer.hidden);
	if (strchr(what, 'm'))
		printf("marker: %u\n", image->batmap_map ?
		       image->batmap.marker : 0);
	if (strchr(what, 'd'))
		ret |= vu_print_depth(name);
	if (strchr(what, 'a'))
		printf("%u\n", vhd_is_flat(image) ? 0 : vu_allocated(image));
	if (strchr(what, 'S'))
		printf("%" PRIu64 "\n", vhd_is_flat(image) ?
		       image->size / VU_MB : (uint64_t)image->header.max_bat *
		       image->header.block_size / VU_MB);
	return ret;
}

static int vu_query(const struct vu_verb *verb, int argc, char **argv)
{
	char what[16] = "";
	const char *name = NULL;
	struct vhd_image *image;
	bool raw = false;
	int c, ret;

	while ((c = getopt(argc, argv, "n:vspfmdSauh")) != -1) {
		if (c == 'n')
			name = optarg;
		else if (c == 'u')
			raw = true;
		else if (c == 'h' || c == '?')
			return vu_usage(verb, c == 'h' ? stdout : stderr);
		else if (!strchr(what, c))
			what[strlen(what)] = c;
	}
	ret = vu_extra(verb, argc, argv);
	if (ret)
		return ret;
	if (!name)
		return vu_missing(verb, "-n");
	if (!*what)
		return vu_missing(verb, "-v, -s, -p, -f, -m, -d, -S or -a");
	if (vhd_open(&vu_ctx, name, 0, &image))
		return 1;
	ret = vu_query_print(name, image, what, raw);
	vhd_close(image);
	return ret;
}

static int vu_check(const struct vu_verb *verb, int argc, char **argv)
{
	struct vhd_check_stats stats = { 0 };
	unsigned int open_flags = 0;
	unsigned int flags = 0;
	const char *name = NULL;
	bool print = false;
	int c, ret;

	while ((c = getopt(argc, argv, "n:iItBpbsh")) != -1) {
		switch (c) {
		case 'n':
			name = optarg;
			break;
		case 'i':
			open_flags |= VHD_OPEN_NO_FOOTER;
			break;
		case 'I':
			open_flags |= VHD_OPEN_ANY_UUID;
			break;
		case 't':
			open_flags |= VHD_OPEN_ANY_TIME;
			break;
		case 'B':
			open_flags |= VHD_OPEN_ANY_BAT;
			break;
		case 'p':
			flags |= VHD_CHECK_PARENTS;
			break;
		case 's':
			print = true;
			flags |= VHD_CHECK_BITMAPS;
			break;
		case 'b':
			flags |= VHD_CHECK_BITMAPS;
			break;
		default:
			return vu_usage(verb, c == 'h' ? stdout : stderr);
		}
	}
	ret = vu_extra(verb, argc, argv);
	if (ret)
		return ret;
	if (!name)
		return vu_missing(verb, "-n");
	if (open_flags & VHD_OPEN_ANY_BAT && flags & VHD_CHECK_BITMAPS) {
		fprintf(stderr,
			"vhd-util: check: -B excludes -b and -s: bitmaps can be believed only if no blocks overlap\n");
		return VU_USAGE;
	}
	if (vhd_check(&vu_ctx, name, open_flags, flags, &stats))
		return 1;
	printf("%s is valid\n", name);
	if (print)
		printf("blocks: %" PRIu64 " full: %" PRIu64 " sectors: %" PRIu64 "\n",
		       stats.blocks, stats.full, stats.sectors);
	return 0;
}

static const struct vu_verb vu_verbs[] = {
	{ "create", "-n FILE -s SIZE_MB [-r] [-S MAX_MB]", vu_create },
	{ "snapshot", "-n FILE -p PARENT [-m] [-e] [-l DEPTH] [-S MAX_MB]",
	  vu_snapshot },
	{ "query", "-n FILE [-v] [-s] [-p [-u]] [-f] [-m] [-d] [-S] [-a]",
	  vu_query },
	{ "check", "-n FILE [-i] [-I] [-t] [-B] [-p] [-b] [-s]", vu_check },
};

#define VU_NR_VERBS	(sizeof(vu_verbs) / sizeof(vu_verbs[0]))

static int vu_help(FILE *to)
{
	unsigned int i;

	fprintf(to, "usage: vhd-util COMMAND [OPTIONS]\nCOMMAND := {");
	for (i = 0; i < VU_NR_VERBS; i++)
		fprintf(to, "%s %s", i ? " |" : "", vu_verbs[i].name);
	fprintf(to, " }\nvhd-util COMMAND -h tells the options, vhd-util(8) more.\n");
	return to == stdout ? 0 : VU_USAGE;
}

int main(int argc, char **argv)
{
	unsigned int i;
	int ret;

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return vu_help(stdout);
	for (i = 0; i < VU_NR_VERBS; i++) {
		if (strcmp(argv[1], vu_verbs[i].name))
			continue;
		if (argc > 2 && !strcmp(argv[2], "--help"))
			return vu_usage(&vu_verbs[i], stdout);
		ret = vu_verbs[i].run(&vu_verbs[i], argc - 1, argv + 1);
		/* A full disk or closed pipe is no success either. */
		if (fflush(stdout) && !ret) {
			fprintf(stderr, "vhd-util: cannot write output: %m\n");
			ret = 1;
		}
		return ret;
	}
	fprintf(stderr, "vhd-util: invalid COMMAND %s\n", argv[1]);
	return vu_help(stderr);
}
