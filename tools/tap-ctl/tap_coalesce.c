// SPDX-License-Identifier: GPL-2.0
/*
 * coalesce: a shorter chain, while the disk is in use.
 *
 * An image in the middle is merged into its parent while the guest runs, which
 * does not see it (libvhd/merge.c). Then, in a pause, its child gets the parent
 * for its own. Before that the image gets a second name, IMAGE.coalesced, which
 * goes when all is done: it tells a later run that an image that is not in the
 * chain (any more) was merged.
 *
 * The leaf is being written, so it is made an image in the middle first: in a
 * pause, LEAF.coalesce becomes another name of it, and a new child of that is
 * renamed to LEAF. What the guest writes while LEAF.coalesce is merged comes in
 * the next round, which begins in the same way: LEAF gets the parent for its
 * own, LEAF.coalesce goes, and so on, until so little is left that it can be
 * merged in a pause. In that one the parent is renamed to LEAF, so that the
 * disk has the name by which its owner knows it, all of the time:
 *
 *	LEAF -> PARENT					the beginning
 *	LEAF -> LEAF.coalesce -> PARENT			while a round goes on
 *	LEAF						PARENT before
 *
 * Each change of the chain is one rename or one sector (vhd_set_parent()), so
 * at any time LEAF is a chain that holds all data. A later run tells by the
 * files where this one was.
 */
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap_live.h"
#include "td_log.h"

#define TAP_ROUNDS	10
/* Milliseconds that the last pause is expected to last at most, and must. */
#define TAP_PAUSE_GOOD	500
#define TAP_PAUSE_MAX	10000
/* Sectors that are always few enough. */
#define TAP_FEW		2048

static bool tap_same_file(const struct vhd_image *image, const char *path)
{
	struct stat st;

	return !stat(path, &st) && st.st_dev == image->dev &&
	       st.st_ino == image->ino;
}

static int tap_file_failed(const char *what, const char *path)
{
	int err = -errno;

	td_err("cannot %s %s: %s", what, path, strerror(-err));
	return err;
}

static int tap_remove(const char *path)
{
	return unlink(path) && errno != ENOENT ?
	       tap_file_failed("remove", path) : 0;
}

/* What was done to the names in the folder of @path is durable. */
static int tap_sync_folder(const char *path)
{
	int err = vhd_sync_folder(path);

	if (err)
		td_err("cannot sync the folder of %s: %s", path,
		       strerror(-err));
	return err;
}

static bool tap_same_folder(const char *a, const char *b)
{
	size_t len = strrchr(a, '/') - a;

	return (size_t)(strrchr(b, '/') - b) == len && !strncmp(a, b, len);
}

/* Is there room in @parent for all of @image? Else it is made. */
static int tap_grow_parent(struct tap_live *l, const struct vhd_image *image,
			   const struct vhd_image *parent)
{
	int err;

	if (parent->size >= image->size)
		return 0;
	if (parent->raw) {
		td_err("%s has %llu bytes, must have %llu as %s has: make it larger first",
		       parent->path, (unsigned long long)parent->size,
		       (unsigned long long)image->size, image->path);
		return -EFBIG;
	}
	err = tap_live_pause(l);
	if (err)
		return err;
	err = vhd_resize(&l->ctx, parent->path, image->size, NULL, false);
	return tap_live_unpause(l, err);
}

/* An image in the middle. */

struct tap_inner {
	struct tap_live *l;
	char path[PATH_MAX];
	char done[PATH_MAX];
	struct vhd_image *chain;
	const struct vhd_image *above;
	const struct vhd_image *image;
};

/* Return: 0, with @image NULL if it is not in the chain. */
static int tap_inner_find(struct tap_inner *in)
{
	int err;

	vhd_close(in->chain);
	in->chain = NULL;
	in->above = NULL;
	err = tap_live_chain(in->l, &in->chain);
	if (err) {
		in->chain = NULL;
		return err;
	}
	for (in->image = in->chain;
	     in->image && !tap_same_file(in->image, in->path);
	     in->image = in->image->parent)
		in->above = in->image;
	return 0;
}

static int tap_inner_missing(struct tap_inner *in)
{
	td_err("%s is not in the chain of %s", in->path, in->l->path);
	return -ENOENT;
}

static int tap_inner_end(struct tap_inner *in)
{
	int err = in->l->o->drop ? tap_remove(in->path) : 0;

	return err ? err : tap_remove(in->done);
}

/* It is not in the chain: has an earlier run come so far? */
static int tap_inner_finish(struct tap_inner *in)
{
	struct stat one, other;

	if (lstat(in->done, &other))
		return tap_inner_missing(in);
	if (!lstat(in->path, &one) && (one.st_dev != other.st_dev ||
				       one.st_ino != other.st_ino))
		return tap_inner_missing(in);
	return tap_inner_end(in);
}

static int tap_inner_child(void *opaque, const struct vhd_image *child)
{
	const struct tap_inner *in = opaque;

	if (child->dev == in->above->dev && child->ino == in->above->ino)
		return 0;
	td_err("%s cannot be deleted: %s is a child of it, too", in->path,
	       child->path);
	return -EBUSY;
}

static int tap_inner_check(struct tap_inner *in)
{
	char folder[PATH_MAX];
	int err;

	if (!in->image->parent) {
		td_err("%s has no parent to be merged into", in->path);
		return -EINVAL;
	}
	if (!in->l->o->drop)
		return 0;
	snprintf(folder, sizeof(folder), "%s", in->path);
	err = vhd_children(in->image, dirname(folder), tap_inner_child, in);
	if (err || tap_same_folder(in->path, in->above->path))
		return err;
	snprintf(folder, sizeof(folder), "%s", in->above->path);
	return vhd_children(in->image, dirname(folder), tap_inner_child, in);
}

static int tap_inner_relink(struct tap_inner *in)
{
	int err;

	if (link(in->path, in->done) && errno != EEXIST)
		return tap_file_failed("make", in->done);
	if (!tap_same_file(in->image, in->done)) {
		td_err("%s is in the way", in->done);
		return -EEXIST;
	}
	err = tap_sync_folder(in->done);
	if (err)
		return err;
	err = tap_live_pause(in->l);
	if (err)
		return err;
	/* There may be a new leaf, or another child. */
	err = tap_inner_find(in);
	if (!err && (!in->image || !in->image->parent))
		err = tap_inner_missing(in);
	if (!err)
		err = vhd_set_parent(&in->l->ctx, in->above->path,
				     in->image->parent->path,
				     in->image->parent->raw);
	return tap_live_unpause(in->l, err);
}

static int tap_inner_run(struct tap_inner *in)
{
	int err;

	err = tap_inner_check(in);
	if (!err)
		err = tap_grow_parent(in->l, in->image, in->image->parent);
	if (!err)
		err = tap_live_merge(in->l, in->path, NULL, true);
	if (!err)
		err = tap_inner_relink(in);
	return err ? err : tap_inner_end(in);
}

/* The leaf. */

enum tap_leaf_state {
	TAP_LEAF_WHOLE,
	TAP_LEAF_SPLIT,		/* LEAF.coalesce is its parent */
	TAP_LEAF_DONE,		/* but for LEAF.coalesce, which can go */
};

struct tap_leaf {
	struct tap_live *l;
	enum tap_leaf_state state;
	char base[PATH_MAX];
	char new[PATH_MAX];
	char parent[PATH_MAX];
	uint64_t size_max;
};

static int tap_leaf_in_the_way(const struct tap_leaf *f)
{
	td_err("%s is in the way: it does not belong to %s", f->base,
	       f->l->path);
	return -EEXIST;
}

/* What is LEAF.coalesce? */
static int tap_leaf_look(struct tap_leaf *f, const struct vhd_image *leaf)
{
	struct vhd_image *base;
	int err;

	f->state = TAP_LEAF_WHOLE;
	if (access(f->base, F_OK))
		return 0;
	if (leaf->parent && tap_same_file(leaf->parent, f->base)) {
		f->state = TAP_LEAF_SPLIT;
		return 0;
	}
	if (tap_same_file(leaf, f->base))
		return tap_remove(f->base);
	err = vhd_open(&f->l->ctx, f->base, VHD_OPEN_HEADERS, &base);
	if (err)
		return tap_leaf_in_the_way(f);
	if (base->footer.type != VHD_TYPE_DIFF)
		err = tap_leaf_in_the_way(f);
	else if (!memcmp(base->header.parent_uuid, leaf->footer.uuid, 16))
		f->state = TAP_LEAF_DONE;
	else if (!leaf->parent || memcmp(base->header.parent_uuid,
					 leaf->parent->footer.uuid, 16))
		err = tap_leaf_in_the_way(f);
	else
		err = tap_remove(f->base);
	vhd_close(base);
	return err;
}

static int tap_leaf_check(struct tap_leaf *f, const struct vhd_image *leaf,
			  const struct vhd_image *parent)
{
	struct stat st;

	if (!parent) {
		td_err("%s has no parent to be merged into", leaf->path);
		return -EINVAL;
	}
	if (stat(parent->path, &st) || !S_ISREG(st.st_mode) || parent->raw ||
	    !tap_same_folder(leaf->path, parent->path)) {
		td_err("%s cannot take the place of %s: must be a VHD file in the same folder",
		       parent->path, leaf->path);
		return -EINVAL;
	}
	if (parent->size > leaf->size) {
		td_err("%s has %llu bytes: must not be less than %s has, which are %llu",
		       leaf->path, (unsigned long long)leaf->size, parent->path,
		       (unsigned long long)parent->size);
		return -EINVAL;
	}
	snprintf(f->parent, sizeof(f->parent), "%s", parent->path);
	f->size_max = (uint64_t)leaf->header.max_bat * leaf->header.block_size;
	return 0;
}

/* The new one is no easier to read than the old one. */
static int tap_leaf_likeness(const char *from, const char *to)
{
	struct stat st;

	if (stat(from, &st) || chown(to, st.st_uid, st.st_gid) ||
	    chmod(to, st.st_mode & 07777))
		return tap_file_failed("set the owner of", to);
	return 0;
}

static int tap_leaf_new(struct tap_leaf *f)
{
	struct vhd_create spec = {
		.path = f->new,
		.parent = f->base,
		.size_max = f->size_max < VHD_DISK_MAX ? f->size_max :
							 VHD_DISK_MAX,
		.keep_empty = true,
	};
	int err;

	err = tap_remove(f->new);
	if (!err && link(f->l->path, f->base))
		err = tap_file_failed("make", f->base);
	if (err)
		return err;
	/* It syncs the folder, with both names. */
	err = vhd_create(&f->l->ctx, &spec);
	if (!err)
		err = tap_leaf_likeness(f->base, f->new);
	if (!err && rename(f->new, f->l->path))
		err = tap_file_failed("make", f->l->path);
	if (!err)
		return tap_sync_folder(f->l->path);
	tap_remove(f->new);
	tap_remove(f->base);
	return err;
}

/* Begin a round; the last one, if there was one, was merged. */
static int tap_leaf_turn(struct tap_leaf *f)
{
	int err;

	err = tap_live_pause(f->l);
	if (err)
		return err;
	if (f->state == TAP_LEAF_SPLIT) {
		err = vhd_set_parent(&f->l->ctx, f->l->path, f->parent, false);
		if (!err) {
			f->state = TAP_LEAF_WHOLE;
			err = tap_remove(f->base);
		}
	}
	if (!err)
		err = tap_leaf_new(f);
	if (!err)
		f->state = TAP_LEAF_SPLIT;
	return tap_live_unpause(f->l, err);
}

/* Sectors in an image that is being written: about so many. */
static uint64_t tap_leaf_sectors(const char *path)
{
	uint8_t map[VHD_BLOCK_SIZE / VHD_SECTOR / 8];
	const struct vhd_ctx quiet = { 0 };
	struct vhd_image *image;
	uint64_t sectors = 0;
	uint32_t i, k;

	if (vhd_open(&quiet, path, 0, &image))
		return UINT32_MAX;
	for (i = 0; i < image->nr_blocks; i++) {
		if (image->bat[i] == VHD_BAT_UNUSED ||
		    vhd_bitmap_read(image, i, map))
			continue;
		for (k = 0; k < image->block_sectors; k++)
			sectors += vhd_test_bit(map, k);
	}
	vhd_close(image);
	return sectors;
}

/* Return: 1 if the rest can be merged in a pause, 0 if not yet, or -errno. */
static int tap_leaf_ready(struct tap_leaf *f, int round, int64_t took,
			  uint64_t merged)
{
	uint64_t left = tap_leaf_sectors(f->l->path);
	uint64_t expect = left * (took + 1) / (merged + 1);

	td_dbg("round %d: %llu sectors in %lld ms, %llu are left, for %llu ms",
	       round, (unsigned long long)merged, (long long)took,
	       (unsigned long long)left, (unsigned long long)expect);
	if (left <= TAP_FEW || expect <= TAP_PAUSE_GOOD)
		return 1;
	if (round < TAP_ROUNDS)
		return 0;
	if (expect <= TAP_PAUSE_MAX)
		return 1;
	td_err("minor %d is written faster than its image can be merged: after %d rounds %llu sectors are left",
	       f->l->o->minor, round, (unsigned long long)left);
	return -EBUSY;
}

static int tap_leaf_rounds(struct tap_leaf *f)
{
	uint64_t merged;
	int64_t begun;
	int round, ret;

	for (round = 1; ; round++) {
		ret = 0;
		if (f->state == TAP_LEAF_WHOLE || round > 1)
			ret = tap_leaf_turn(f);
		begun = tap_now();
		merged = f->l->sectors;
		if (!ret)
			ret = tap_live_merge(f->l, f->base, NULL, true);
		if (ret)
			return ret;
		ret = tap_leaf_ready(f, round, tap_now() - begun,
				     f->l->sectors - merged);
		if (ret)
			return ret < 0 ? ret : 0;
	}
}

/* The rest, and the parent becomes the leaf. */
static int tap_leaf_last(struct tap_leaf *f)
{
	int err;

	err = tap_live_pause(f->l);
	if (err)
		return err;
	err = tap_live_merge(f->l, f->l->path, f->parent, false);
	if (!err)
		err = vhd_set_hidden(&f->l->ctx, f->parent, 0);
	if (!err)
		err = tap_leaf_likeness(f->l->path, f->parent);
	if (!err && rename(f->parent, f->l->path))
		err = tap_file_failed("make", f->l->path);
	if (!err)
		err = tap_sync_folder(f->l->path);
	err = tap_live_unpause(f->l, err);
	return err ? err : tap_remove(f->base);
}

static int tap_leaf_run(struct tap_live *l, struct vhd_image *leaf)
{
	struct tap_leaf f = { .l = l };
	struct vhd_image *parent;
	int err;

	if (snprintf(f.base, sizeof(f.base), "%s.coalesce", l->path) >=
	    (int)sizeof(f.base) ||
	    snprintf(f.new, sizeof(f.new), "%s.coalesce-new", l->path) >=
	    (int)sizeof(f.new))
		return -ENAMETOOLONG;
	err = tap_leaf_look(&f, leaf);
	if (!err && f.state == TAP_LEAF_DONE)
		return tap_remove(f.base);
	parent = leaf->parent;
	if (!err && f.state == TAP_LEAF_SPLIT)
		parent = parent->parent;
	if (!err)
		err = tap_leaf_check(&f, leaf, parent);
	if (!err)
		err = tap_grow_parent(l, leaf, parent);
	if (!err)
		err = tap_leaf_rounds(&f);
	return err ? err : tap_leaf_last(&f);
}

static int tap_coalesce_chain(struct tap_live *l)
{
	struct tap_inner in = { .l = l };
	const char *image = l->o->image ? l->o->image : l->path;
	int err;

	/* That of an earlier run may be gone already. */
	if (!realpath(image, in.path))
		snprintf(in.path, sizeof(in.path), "%s", image);
	if (snprintf(in.done, sizeof(in.done), "%s.coalesced", in.path) >=
	    (int)sizeof(in.done))
		return -ENAMETOOLONG;
	err = tap_inner_find(&in);
	if (!err && !in.image)
		err = tap_inner_finish(&in);
	else if (!err)
		err = in.image == in.chain ? tap_leaf_run(l, in.chain) :
					     tap_inner_run(&in);
	vhd_close(in.chain);
	return err;
}

int tap_coalesce(const struct tap_env *env, const struct tap_opts *o)
{
	struct tap_live l;
	int err;

	err = tap_live_begin(&l, env, o);
	if (err)
		return err;
	err = tap_coalesce_chain(&l);
	tap_live_end(&l);
	if (!err)
		printf("coalesced %llu sectors, %d pauses, longest %lld ms\n",
		       (unsigned long long)l.sectors, l.pauses,
		       (long long)l.longest);
	return err;
}
