// SPDX-License-Identifier: GPL-2.0
/*
 * What a disk has besides its image: a mirror, a standby, a parent that is
 * the disk of another tap.
 *
 * Mirror: a second image that holds the same. READ is the image's alone, what
 * changes something goes to the image and, when that has succeeded, to the
 * mirror; then it is complete. Both drivers know nothing of it: td_req.done
 * stands between them and the end of the request. Changes that overlap go one
 * after the other, or the two images could end up with different ones. An
 * error of the mirror is not the guest's: the mirror is left alone from then
 * on, and a file beside the control sockets says so, for a tapdisk that takes
 * over must not go on with it.
 *
 * Standby: a VHD whose parent the image is. Nothing is in it until the image
 * is full. One that has blocks is the leaf from the start, so whoever opens
 * both after a crash finds what went to it.
 *
 * A full image is replaced while the disk is paused. All requests of the time
 * wait, also those that found no space; both images are closed, and the
 * second is opened as the image (the mirror) or above it (the standby). The
 * mirror's name takes the place of the image's at the kernel before that, so
 * that a tapdisk that takes over does not open what is old.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"
#include "td_file.h"
#include "td_log.h"
#include "vbd.h"

const char *td_dev_dir = "/dev/xen/blktap-2";

const struct td_below *td_vbd_below(const struct td_vbd *v)
{
	return &v->below;
}

static bool td_second_is_mirror(const struct td_vbd_more *more)
{
	return (more->flags & (TD_CTL_SECONDARY | TD_CTL_STANDBY)) ==
	       TD_CTL_SECONDARY;
}

static void td_second_mark(const struct td_vbd *v, bool failed)
{
	if (td_vbd_mark(v, TD_CTL_NOMIRROR, failed))
		td_err("if this process dies, %s must not be used as a mirror again",
		       v->more.second);
}

static void td_second_fail(struct td_vbd *v, int error)
{
	if (v->more.failed)
		return;
	v->more.failed = true;
	td_second_mark(v, true);
	td_err("tap %d: mirror %s: %s; it is left alone from now on", v->minor,
	       v->more.second, strerror(-error));
}

/* Do the flags and names make sense together? */
static int td_second_check(const struct td_vbd *v, const char *name,
			   unsigned int flags, const struct td_vbd_more *more)
{
	if (more->flags & TD_CTL_STANDBY && !(more->flags & TD_CTL_SECONDARY))
		td_err("STANDBY (%#x) needs SECONDARY (%#x) and its image",
		       TD_CTL_STANDBY, TD_CTL_SECONDARY);
	else if (flags & TD_OPEN_CACHE && (flags & TD_OPEN_RDONLY ||
					   strncmp(name, "vhd:", 4)))
		td_err("%s cannot be a read cache: must be vhd:PATH, and writable",
		       name);
	else if (more->flags & TD_CTL_SECONDARY && flags & TD_OPEN_RDONLY)
		td_err("%s is read-only: a second image (%s) has no use", name,
		       more->second);
	else if (more->flags & TD_CTL_STANDBY && !*more->second)
		td_err("%s: the name of the standby is missing", name);
	else if (more->flags & TD_CTL_STANDBY &&
		 more->flags & TD_CTL_REUSE_PRT)
		td_err("%s: a standby (%s) cannot have the parents of tap %u",
		       name, more->second, more->parent);
	else if (more->flags & TD_CTL_REUSE_PRT && strncmp(name, "vhd:", 4))
		td_err("%s has no parent for which the disk of tap %u could stand: must be vhd:PATH",
		       name, more->parent);
	else if (more->flags & TD_CTL_REUSE_PRT &&
		 (more->parent > INT_MAX || td_vbd_find(more->parent)))
		td_err("tap %u cannot stand for the parents of %s: must be a tap of another tapdisk than tap %d",
		       more->parent, name, v->minor);
	else
		return 0;
	return -EINVAL;
}

/* The folder of the image is good for its standby, wherever that is. */
static int td_second_dirs(struct td_vbd *v, const char *path)
{
	const char *env = getenv("TAPDISK_VHD_PARENTS");
	char *real = realpath(path, NULL);
	char *slash;
	int err = 0;

	if (!real) {
		err = -errno;
		td_err("%s: %s", path, strerror(-err));
		return err;
	}
	slash = strrchr(real, '/');
	*slash = '\0';
	if (strchr(real, ':') ||
	    snprintf(v->below.dirs, sizeof(v->below.dirs), "%s/%s%s", real,
		     env ? ":" : "", env ? env : "") >=
	    (int)sizeof(v->below.dirs)) {
		td_err("%s: the name of its folder must have no colon, and with TAPDISK_VHD_PARENTS at most %zu bytes",
		       path, sizeof(v->below.dirs) - 2);
		err = -EINVAL;
	}
	free(real);
	return err;
}

static int td_second_standby(struct td_vbd *v, const char *name,
			     const struct td_vbd_more *more, const char **image)
{
	const char *path, *standby;
	const struct td_driver *drv = td_driver_find(name, &path);
	bool used;
	int err;

	if (!drv)
		return -EINVAL;
	if ((drv != &td_driver_vhd && drv != &td_driver_aio) ||
	    td_driver_find(more->second, &standby) != &td_driver_vhd) {
		td_err("%s cannot stand by for %s: must be a VHD (vhd:PATH) whose parent that is",
		       more->second, name);
		return -EINVAL;
	}
	err = td_second_dirs(v, path);
	if (!err)
		err = td_vhd_standby(standby, v->below.dirs, path,
				     drv == &td_driver_aio, &used);
	if (err)
		return err;
	if (used || v->redirecting)
		*image = more->second;
	else
		*v->below.dirs = '\0';
	return 0;
}

void td_second_take_over(const char *name, struct td_vbd_more *more)
{
	if (!td_second_is_mirror(more))
		return;
	if (!*more->second)
		more->failed = true;
	else if (!strcmp(more->second, name))
		memset(more, 0, sizeof(*more));
}

int td_second_prepare(struct td_vbd *v, const char *name, unsigned int flags,
		      const struct td_vbd_more *more, const char **image)
{
	int err;

	*v->below.dirs = '\0';
	*v->below.dev = '\0';
	err = td_second_check(v, name, flags, more);
	if (err)
		return err;
	if (more->flags & TD_CTL_REUSE_PRT)
		snprintf(v->below.dev, sizeof(v->below.dev), "%s/tapdev%u",
			 td_dev_dir, more->parent);
	/* One that could not be opened when it was needed has nothing in it. */
	if (more->flags & TD_CTL_STANDBY && !more->failed)
		return td_second_standby(v, name, more, image);
	return 0;
}

/* Nobody else may change the standby until it is needed. */
static int td_second_lock(struct td_vbd *v, const char *path)
{
	int err;

	v->standby_fd = open(path, O_RDWR | O_CLOEXEC);
	if (v->standby_fd < 0) {
		err = -errno;
		td_err("%s: opening for reading and writing: %s", path,
		       strerror(-err));
		return err;
	}
	err = td_file_lock(v->standby_fd, true, path);
	if (err) {
		close(v->standby_fd);
		v->standby_fd = -1;
	}
	return err;
}

static int td_second_mirror(struct td_vbd *v, unsigned int flags,
			    const char *second, struct td_disk_info *info)
{
	const struct td_disk_info *i = &v->second.info;
	int err;

	/* The mirror finds its parents by itself. */
	*v->below.dev = '\0';
	err = td_image_open(v, second, flags, &v->second);
	if (err)
		return err;
	if (i->sectors != info->sectors ||
	    i->sector_size != info->sector_size) {
		td_err("mirror %s has %llu sectors, sector size %u; must have %llu, %u as the image",
		       second, (unsigned long long)i->sectors, i->sector_size,
		       (unsigned long long)info->sectors, info->sector_size);
		td_second_close(v);
		return -EINVAL;
	}
	if (info->phys_size < i->phys_size)
		info->phys_size = i->phys_size;
	/* TRIM is advice, the mirror need not be able to take it. */
	if (i->discard && info->discard_size < i->discard_size)
		info->discard_size = i->discard_size;
	info->write_zeroes = info->write_zeroes && i->write_zeroes;
	v->waiting = NULL;
	v->waiting_tail = &v->waiting;
	td_second_mark(v, false);
	return 0;
}

int td_second_open(struct td_vbd *v, const char *name, unsigned int flags,
		   const struct td_vbd_more *more, struct td_disk_info *info)
{
	if (more->failed)
		return 0;
	/* If the standby is the image, there is nothing it could give way to. */
	if (more->flags & TD_CTL_STANDBY)
		return strcmp(name, more->second) ?
		       td_second_lock(v, strchr(more->second, ':') + 1) : 0;
	if (td_second_is_mirror(more))
		return td_second_mirror(v, flags, more->second, info);
	return 0;
}

void td_second_close(struct td_vbd *v)
{
	struct td_image second = v->second;
	int err;

	if (v->standby_fd >= 0)
		close(v->standby_fd);
	v->standby_fd = -1;
	v->second.drv = NULL;
	if (!second.drv)
		return;
	err = second.drv->close(second.priv);
	/* It may have been refused, then it is none yet. */
	if (err && v->drv)
		td_second_fail(v, err);
}

const char *td_second_image(const struct td_vbd *v)
{
	return v->more.flags & TD_CTL_STANDBY && v->standby_fd < 0 &&
	       !v->more.failed ? v->more.second : v->name;
}

/* Is a change under way that overlaps this one? */
static bool td_second_overlaps(const struct td_vbd *v, const struct td_req *req)
{
	uint32_t i;

	for (i = 0; i < v->depth; i++) {
		const struct td_req *other = &v->reqs[i].req;

		if (other != req && other->done &&
		    other->sector < req->sector + req->nr_sectors &&
		    req->sector < other->sector + other->nr_sectors)
			return true;
	}
	return false;
}

static void td_second_first_done(struct td_req *req, int error);

static void td_second_start(struct td_vbd *v, struct td_req *req)
{
	if (td_second_overlaps(v, req)) {
		req->next = NULL;
		*v->waiting_tail = req;
		v->waiting_tail = &req->next;
		return;
	}
	req->done = td_second_first_done;
	v->drv->submit(v->priv, req);
}

static void td_second_waiting(struct td_work *work)
{
	struct td_vbd *v = td_container(work, struct td_vbd, waiting_work);
	struct td_req *req = v->waiting, *next;

	v->waiting = NULL;
	v->waiting_tail = &v->waiting;
	for (; req; req = next) {
		next = req->next;
		td_second_start(v, req);
	}
}

/* A change is through, those that wait for it may go on. */
static void td_second_end(struct td_req *req, int error)
{
	struct td_vbd *v = req->vbd;

	if (v->waiting) {
		v->waiting_work.fn = td_second_waiting;
		td_work_queue(&v->waiting_work);
	}
	td_req_end(req, error);
}

static void td_second_second_done(struct td_req *req, int error)
{
	if (error && !(error == -EOPNOTSUPP && req->op == BLKTAP_OP_TRIM))
		td_second_fail(req->vbd, error);
	else if (req->op == BLKTAP_OP_WRITE)
		req->vbd->stats.second_secs += req->nr_sectors;
	td_second_end(req, 0);
}

static void td_second_first_done(struct td_req *req, int error)
{
	struct td_vbd *v = req->vbd;

	if (error || v->more.failed ||
	    (req->op == BLKTAP_OP_TRIM && !v->second.info.discard)) {
		td_second_end(req, error);
	} else {
		req->done = td_second_second_done;
		v->second.drv->submit(v->second.priv, req);
	}
}

void td_second_submit(struct td_vbd *v, struct td_req *req)
{
	if (req->op == BLKTAP_OP_READ || !v->second.drv || v->more.failed)
		v->drv->submit(v->priv, req);
	else
		td_second_start(v, req);
}

/* Go on with the image, full as it is. */
static void td_second_stay(struct td_vbd *v, int error)
{
	td_err("tap %d: %s cannot take the place of %s: %s", v->minor,
	       v->more.second, v->name, strerror(-error));
	if (td_second_is_mirror(&v->more))
		td_second_fail(v, error);
	v->more.failed = true;
	v->redirecting = false;
	if (td_vbd_resume(v, "", 0, NULL))
		td_err("tap %d: stays paused", v->minor);
}

static int td_second_to_mirror(struct td_vbd *v)
{
	char old[TD_CTL_PATH_MAX], new[TD_CTL_PATH_MAX];
	int err;

	if (v->more.failed)
		return -EIO;
	strcpy(old, v->name);
	strcpy(new, v->more.second);
	err = td_ring->set_name(v->minor, new);
	if (err)
		return err;
	err = td_vbd_resume(v, new, 0, NULL);
	if (err) {
		td_ring->set_name(v->minor, old);
		return err;
	}
	/* It was closed without an error, so it has what the image has lost. */
	if (v->sync_error)
		td_vbd_mark(v, TD_CTL_UNSYNCED, false);
	v->sync_error = 0;
	return 0;
}

static void td_second_paused(void *arg, int error)
{
	struct td_vbd *v = arg;
	bool mirror = td_second_is_mirror(&v->more);

	if (error && (!mirror || v->more.failed)) {
		/* What was written may be lost: no FLUSH must succeed. */
		td_err("tap %d: stays paused, as closing %s failed", v->minor,
		       v->name);
		v->state |= TD_CTL_RESUME_FAILED;
		v->redirecting = false;
		return;
	}
	error = mirror ? td_second_to_mirror(v) : td_vbd_resume(v, "", 0, NULL);
	if (error)
		td_second_stay(v, error);
}

bool td_second_redirect(struct td_vbd *v, const struct td_req *req, int error)
{
	if ((error != -ENOSPC && error != -EDQUOT) ||
	    req->op == BLKTAP_OP_FLUSH)
		return false;
	if (v->redirecting)
		return true;
	if (v->more.failed || (!v->second.drv && v->standby_fd < 0) ||
	    v->op_done || v->state & TD_CTL_DEAD)
		return false;
	td_warn("tap %d: %s: %s; %s takes its place", v->minor, v->name,
		strerror(-error), v->more.second);
	v->redirecting = true;
	td_vbd_pause(v, td_second_paused, v);
	return true;
}
