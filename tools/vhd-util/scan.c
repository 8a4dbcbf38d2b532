// SPDX-License-Identifier: GPL-2.0
/*
 * vhd-util scan: a line for each of many images.
 *
 * Images may be half written or hostile: what is wrong with one is told in its
 * line, and the next one follows.
 */
#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <libgen.h>
#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "vhd_util.h"

struct vu_found {
	char *name;		/* as it was given */
	char *real;		/* real path, NULL if there is none */
	char *parent;		/* path or name, NULL: has none */
	char *message;		/* what is wrong, or NULL */
	int error;
	uint64_t capacity;
	uint64_t size;
	unsigned int hidden;
	unsigned int marker;
	struct vu_found *above;	/* the parent, if it was found too */
	struct vu_found *child;
	struct vu_found *sibling;
	bool printed;
};

struct vu_scan {
	const struct vu_args *args;
	struct vu_found **found;
	size_t nr;
	size_t room;
	void *seen;		/* tree of real paths */
	struct json_object *json;
	bool failed;
};

static int vu_path_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

static const char *vu_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void vu_scan_json(struct vu_scan *scan, const struct vu_found *f)
{
	struct json_object *obj = json_object_new_object();

	vu_json_name(obj, "name", f->name);
	if (f->message) {
		json_object_object_add(obj, "error",
				       json_object_new_int(f->error));
		json_object_object_add(obj, "message",
				       vu_json_text(f->message));
	} else {
		json_object_object_add(obj, "capacity",
				       json_object_new_uint64(f->capacity));
		json_object_object_add(obj, "size",
				       json_object_new_uint64(f->size));
		json_object_object_add(obj, "hidden",
				       json_object_new_int(f->hidden));
		json_object_object_add(obj, "marker",
				       json_object_new_int(f->marker));
		vu_json_name(obj, "parent", f->parent);
	}
	json_object_array_add(scan->json, obj);
}

static void vu_scan_print(struct vu_scan *scan, const struct vu_found *f,
			  int indent)
{
	bool full = scan->args->opt['v'];
	const char *parent = f->parent ? f->parent : "none";

	if (scan->json) {
		vu_scan_json(scan, f);
		return;
	}
	printf("%*s", indent, "");
	if (f->message) {
		printf("vhd=%s scan-error=%d error-message='%s'\n", f->name,
		       f->error, f->message);
		return;
	}
	printf("vhd=%s capacity=%" PRIu64 " size=%" PRIu64 " hidden=%u ",
	       full ? f->name : vu_base(f->name), f->capacity, f->size,
	       f->hidden);
	if (scan->args->opt['M'])
		printf("marker=%u ", f->marker);
	printf("parent=%s%s\n", full ? parent : vu_base(parent),
	       scan->args->opt['p'] && f->parent && !f->above ?
	       " (not found in scan)" : "");
}

/* Everything about one image; never fails, but for want of memory. */
static void vu_scan_look(const struct vu_scan *scan, struct vu_found *f)
{
	/* A tree needs to know where the parents are. */
	bool fast = scan->args->opt['f'] && !scan->args->opt['p'];
	struct vhd_image *image, *parent;
	struct vu_reason reason;
	char name[VHD_NAME_MAX] = "";
	char *quote;

	vu_reason_init(&reason);
	f->error = vhd_open(&reason.ctx, f->name, fast && !scan->args->opt['M'] ?
			    VHD_OPEN_HEADERS : 0, &image);
	if (f->error) {
		f->message = strdup(vu_reason(&reason, f->error));
		/* The line has it in single quotes. */
		while (f->message && (quote = strchr(f->message, '\'')))
			*quote = '"';
		if (f->message)
			vu_clean(f->message);
		return;
	}
	f->capacity = image->size;
	f->size = image->file_size;
	f->hidden = image->footer.hidden;
	f->marker = image->batmap_map ? image->batmap.marker : 0;
	if (image->footer.type == VHD_TYPE_DIFF) {
		if (fast) {
			if (vhd_utf16_decode(image->header.parent_name,
					     sizeof(image->header.parent_name),
					     true, name, sizeof(name)))
				*name = 0;
		} else if (!vhd_parent_find(image, VHD_OPEN_HEADERS,
					    &parent)) {
			snprintf(name, sizeof(name), "%s", parent->path);
			vhd_close(parent);
		}
		if (!*name && vhd_parent_name(image, name))
			strcpy(name, "?");
		f->parent = strdup(vu_clean(name));
	}
	vhd_close(image);
}

static int vu_scan_keep(struct vu_scan *scan, struct vu_found *f)
{
	void *grown;

	if (scan->nr == scan->room) {
		scan->room = scan->room ? 2 * scan->room : 64;
		grown = realloc(scan->found, scan->room *
				sizeof(*scan->found));
		if (!grown)
			return -ENOMEM;
		scan->found = grown;
	}
	scan->found[scan->nr++] = f;
	return 0;
}

/* The parent's file, if its name says where that is. */
static char *vu_scan_parent(const struct vu_found *f)
{
	char path[PATH_MAX];
	const char *slash = strrchr(f->real, '/');

	if (*f->parent == '/')
		return strdup(f->parent);
	if (snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - f->real),
		     f->real, f->parent) >= (int)sizeof(path))
		return NULL;
	return strdup(path);
}

/* Look at an image, and, with -a, its parents, each once. */
static int vu_scan_add(struct vu_scan *scan, const char *path)
{
	char *next = strdup(path);
	int ret = 0;

	while (next && !ret) {
		struct vu_found *f = calloc(1, sizeof(*f));

		if (!f || vu_scan_keep(scan, f)) {
			free(f);
			break;
		}
		f->name = next;
		f->real = realpath(next, NULL);
		next = NULL;
		if (f->real && tfind(f->real, &scan->seen, vu_path_cmp)) {
			/* Named twice, or the parent of several. */
			scan->nr--;
			free(f->name);
			free(f->real);
			free(f);
			return 0;
		}
		if (f->real && !tsearch(f->real, &scan->seen, vu_path_cmp))
			break;
		vu_scan_look(scan, f);
		if (f->message)
			scan->failed = true;
		if (f->message || !scan->args->opt['p'] || scan->json) {
			f->printed = true;
			vu_scan_print(scan, f, 0);
		}
		if (!scan->args->opt['a'] || !f->parent || !f->real)
			return 0;
		next = vu_scan_parent(f);
		if (next && strlen(next) >= PATH_MAX)
			ret = -ENAMETOOLONG;
	}
	free(next);
	vu_error("%s: %s", path, strerror(ret ? -ret : ENOMEM));
	return -ENOMEM;
}

static int vu_scan_glob(struct vu_scan *scan, const char *pattern)
{
	glob_t g;
	size_t i;
	int ret = glob(pattern, 0, NULL, &g);

	if (ret && ret != GLOB_NOMATCH) {
		vu_error("%s: cannot read the folder", pattern);
		return -EIO;
	}
	for (i = 0; !ret && i < g.gl_pathc; i++)
		ret = vu_scan_add(scan, g.gl_pathv[i]);
	globfree(&g);
	return ret == GLOB_NOMATCH ? 0 : ret;
}

static int vu_found_cmp(const void *a, const void *b)
{
	const struct vu_found *x = *(void * const *)a;
	const struct vu_found *y = *(void * const *)b;

	return strcmp(x->real ? x->real : x->name, y->real ? y->real : y->name);
}

/* Hidden ones last, as each tree prints its children. */
static void vu_scan_tree(struct vu_scan *scan, struct vu_found *f, int depth)
{
	struct vu_found *child;
	int hidden;

	if (f->printed)
		return;
	f->printed = true;
	vu_scan_print(scan, f, 3 * depth);
	for (hidden = 0; hidden < 2; hidden++)
		for (child = f->child; child; child = child->sibling)
			if (!child->hidden == !hidden)
				vu_scan_tree(scan, child, depth + 1);
}

static void vu_scan_trees(struct vu_scan *scan)
{
	struct vu_found key, *keyp = &key, **above;
	size_t i, k;

	qsort(scan->found, scan->nr, sizeof(*scan->found), vu_found_cmp);
	/* From the end, so that the lists of children are in order. */
	for (i = scan->nr; i--;) {
		struct vu_found *f = scan->found[i];

		key = (struct vu_found) { .real = f->parent };
		above = f->parent ? bsearch(&keyp, scan->found, scan->nr,
					    sizeof(*scan->found),
					    vu_found_cmp) : NULL;
		if (!above || (*above)->message)
			continue;
		f->above = *above;
		f->sibling = f->above->child;
		f->above->child = f;
	}
	/* Hidden roots, other roots, then what is left: loops. */
	for (k = 0; k < 3; k++)
		for (i = 0; i < scan->nr; i++)
			if (k == 2 || (!scan->found[i]->above &&
				       (k == 1 || scan->found[i]->hidden)))
				vu_scan_tree(scan, scan->found[i], 0);
}

static void vu_scan_free(struct vu_scan *scan)
{
	size_t i;

	for (i = 0; i < scan->nr; i++) {
		struct vu_found *f = scan->found[i];

		if (f->real)
			tdelete(f->real, &scan->seen, vu_path_cmp);
		free(f->name);
		free(f->real);
		free(f->parent);
		free(f->message);
		free(f);
	}
	free(scan->found);
}

int vu_scan(const struct vu_args *args)
{
	struct vu_scan scan = { .args = args };
	const char *pattern = args->opt['m'];
	char volumes[PATH_MAX];
	int i, ret = 0;

	if (args->opt['l'] && (!*args->opt['l'] || strchr(args->opt['l'], '/')))
		return vu_wrong(args, "-l is %s, must be the name of a volume group",
				args->opt['l']);
	if (args->flags & VU_JSON)
		scan.json = json_object_new_array();
	if (args->opt['l']) {
		snprintf(volumes, sizeof(volumes), "/dev/%s/%s",
			 args->opt['l'], pattern ? pattern : "*");
		pattern = volumes;
	}
	for (i = 0; i < args->argc && !ret; i++)
		ret = vu_scan_add(&scan, args->argv[i]);
	if (!ret && pattern)
		ret = vu_scan_glob(&scan, pattern);
	if (args->opt['p'] && !scan.json)
		vu_scan_trees(&scan);
	if (scan.json)
		vu_json_print(scan.json);
	vu_scan_free(&scan);
	/* What is wrong with an image was told in its line. */
	return ret ? vu_status(ret) :
	       scan.failed && !args->opt['c'] ? VU_FAILED : 0;
}
