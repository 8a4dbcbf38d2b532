// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a disk. See vbd.h.
 */
#include "vbd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"
#include "td_log.h"

#define TD_VBD_CLOSE_MS	100

struct td_vbd *td_vbds;
const char *td_run_dir = TD_CTL_DIR;

struct td_vbd *td_vbd_find(int minor)
{
	struct td_vbd *v;

	for (v = td_vbds; v && v->minor != minor; v = v->next)
		;
	return v;
}

int td_vbd_file_add(struct td_vbd *v, int fd)
{
	struct blktap_direct_file file = { .fd = fd };
	int err;

	while (file.index < BLKTAP_DIRECT_FILES_MAX && v->files[file.index])
		file.index++;
	if (file.index == BLKTAP_DIRECT_FILES_MAX) {
		td_err("tap %d: more than %d files in use", v->minor,
		       BLKTAP_DIRECT_FILES_MAX);
		return -EMFILE;
	}
	err = td_ring->file(v->fd, &file);
	if (err) {
		td_err("tap %d: the kernel refused a file: %s", v->minor,
		       strerror(-err));
		return err;
	}
	v->files[file.index] = true;
	if (!(fcntl(fd, F_GETFL) & O_DIRECT))
		v->buffered = true;
	return file.index;
}

void td_vbd_file_del(struct td_vbd *v, int index)
{
	struct blktap_direct_file file = { .index = index, .fd = -1 };

	td_ring->file(v->fd, &file);
	v->files[index] = false;
}

static void td_vbd_mark_path(const struct td_vbd *v, const char *name,
			     char *path)
{
	int len = snprintf(path, PATH_MAX, "%s/", td_run_dir);

	snprintf(path + len, PATH_MAX - len, name, v->minor);
}

int td_vbd_mark(const struct td_vbd *v, const char *format, bool set)
{
	char path[PATH_MAX];
	int fd, err;

	td_vbd_mark_path(v, format, path);
	if (!set) {
		unlink(path);
		return 0;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		err = -errno;
		td_err("%s: %s", path, strerror(-err));
		return err;
	}
	close(fd);
	return 0;
}

/* Has the tapdisk that served the disk before left a mark? */
static bool td_vbd_marked(const struct td_vbd *v, const char *format)
{
	char path[PATH_MAX];

	td_vbd_mark_path(v, format, path);
	return !access(path, F_OK);
}

void td_vbd_unsynced(struct td_vbd *v, int error)
{
	if (v->sync_error)
		return;
	v->sync_error = error;
	td_err("tap %d: syncing %s: %s; what the guest wrote may be lost, no FLUSH succeeds until the disk is closed; then check its file systems",
	       v->minor, v->name, strerror(-error));
	td_vbd_mark(v, TD_CTL_UNSYNCED, true);
}

static void td_vbd_work(struct td_work *work)
{
	td_vbd_run(td_container(work, struct td_vbd, work));
}

static void td_vbd_drain_timer(struct td_timer *timer)
{
	td_vbd_run(td_container(timer, struct td_vbd, drain_timer));
}

static void td_vbd_free(struct td_vbd *v)
{
	free(v->reqs);
	free(v->cmds);
	free(v->exts);
	free(v->events);
	free(v);
}

static void td_vbd_op_end(struct td_vbd *v, int err)
{
	void (*done)(void *arg, int error) = v->op_done;

	v->op_done = NULL;
	done(v->op_arg, err);
}

static void td_vbd_detached(struct td_vbd *v)
{
	td_ring->close(v->fd);
	td_info("tap %d: detached", v->minor);
	td_vbd_op_end(v, 0);
	td_vbd_free(v);
}

static void td_vbd_poll(struct td_event *ev, int res, uint32_t flags)
{
	struct td_vbd *v = td_container(ev, struct td_vbd, poll);

	if (!(flags & IORING_CQE_F_MORE)) {
		v->polled = false;
		if (v->detaching) {
			td_vbd_detached(v);
			return;
		}
		if (res < 0) {
			td_err("tap %d: watching the ring: %s", v->minor,
			       strerror(-res));
			return;
		}
		td_loop_poll(&v->poll, v->fd);
		v->polled = true;
	}
	v->stats.events++;
	if (!v->detaching)
		td_work_queue(&v->work);
}

static int td_vbd_alloc(struct td_vbd *v)
{
	uint32_t i;

	v->reqs = calloc(v->depth, sizeof(*v->reqs));
	v->cmds = calloc(v->depth, sizeof(*v->cmds));
	v->exts = calloc(TD_VBD_EXTENTS, sizeof(*v->exts));
	v->events = calloc(v->depth, sizeof(*v->events));
	if (!v->reqs || !v->cmds || !v->exts || !v->events) {
		td_err("tap %d: no memory for %u requests", v->minor, v->depth);
		return -ENOMEM;
	}
	for (i = 0; i < v->depth; i++) {
		v->reqs[i].tag = i;
		v->reqs[i].req.vbd = v;
	}
	return 0;
}

static int td_vbd_setup(struct td_vbd *v)
{
	struct blktap_direct_setup setup = {
		.version = BLKTAP_DIRECT_VERSION,
		.depth = TD_VBD_DEPTH,
		.max_io = TD_VBD_MAX_IO,
	};
	int err;

	err = td_ring->setup(v->fd, &setup);
	if (err) {
		td_err("tap %d: entering direct mode version %d: %s", v->minor,
		       BLKTAP_DIRECT_VERSION, strerror(-err));
		return err;
	}
	if (!setup.depth || setup.depth > BLKTAP_DIRECT_DEPTH_MAX ||
	    setup.max_io < 4096 || setup.max_io > BLKTAP_DIRECT_IO_MAX) {
		td_err("tap %d: the kernel offers %u requests of %u bytes, not 1..%u of 4096..%u",
		       v->minor, setup.depth, setup.max_io,
		       BLKTAP_DIRECT_DEPTH_MAX, BLKTAP_DIRECT_IO_MAX);
		return -EPROTO;
	}
	v->depth = setup.depth;
	v->max_io = setup.max_io;
	return 0;
}

int td_vbd_attach(int minor)
{
	struct td_vbd *v, **p;
	int err;

	if (td_vbd_find(minor)) {
		td_err("tap %d is attached already", minor);
		return -EEXIST;
	}
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->minor = minor;
	v->state = TD_CTL_CLOSED;
	v->standby_fd = -1;
	v->work.fn = td_vbd_work;
	v->poll.fn = td_vbd_poll;
	v->retry_timer.fn = td_vbd_retry_timer;
	v->drain_timer.fn = td_vbd_drain_timer;
	td_vreq_list_init(&v->held);
	td_vreq_list_init(&v->retry);
	td_vreq_list_init(&v->failed);

	v->fd = td_ring->open(minor);
	if (v->fd < 0) {
		err = v->fd;
		td_err("tap %d: opening the ring device: %s", minor,
		       strerror(-err));
		goto err_free;
	}
	err = td_vbd_setup(v);
	if (err)
		goto err_close;
	err = td_vbd_alloc(v);
	if (err)
		goto err_close;
	td_loop_poll(&v->poll, v->fd);
	v->polled = true;
	for (p = &td_vbds; *p; p = &(*p)->next)
		;
	*p = v;
	return 0;

err_close:
	td_ring->close(v->fd);
err_free:
	td_vbd_free(v);
	return err;
}

static int td_vbd_check_image(const struct td_vbd *v, const char *name,
			      const struct td_disk_info *image)
{
	if (!image->sectors || (image->sector_size != 512 &&
				image->sector_size != 4096)) {
		td_err("%s: %llu sectors, sector size %u; must be 1 at least, and 512 or 4096",
		       name, (unsigned long long)image->sectors,
		       image->sector_size);
		return -EINVAL;
	}
	if (v->created && (image->sectors < v->info.sectors ||
			   image->sector_size != v->info.sector_size)) {
		td_err("%s has %llu sectors, sector size %u; tap %d has %llu, %u: must be no less, and the same",
		       name, (unsigned long long)image->sectors,
		       image->sector_size, v->minor,
		       (unsigned long long)v->info.sectors,
		       v->info.sector_size);
		return -EINVAL;
	}
	return 0;
}

int td_image_open(struct td_vbd *v, const char *name, unsigned int flags,
		  struct td_image *image)
{
	const char *path;
	int err;

	memset(image, 0, sizeof(*image));
	/* The guest has seen it, whatever is in the image now. */
	if (v->created)
		image->info.sector_size = v->info.sector_size;
	image->drv = td_driver_find(name, &path);
	if (!image->drv)
		return -EINVAL;
	err = image->drv->open(v, path, flags, &image->info, &image->priv);
	if (err) {
		td_err("%s: %s", name, strerror(-err));
		image->drv = NULL;
	}
	return err;
}

static int td_vbd_open_image(struct td_vbd *v, const char *name,
			     unsigned int flags, const struct td_vbd_more *more)
{
	const char *leaf = name;
	struct td_image image;
	int err;

	err = td_second_prepare(v, name, flags, more, &leaf);
	if (!err)
		err = td_image_open(v, leaf, flags, &image);
	if (err)
		return err;
	err = td_vbd_check_image(v, leaf, &image.info);
	if (!err)
		err = td_second_open(v, leaf, flags, more, &image.info);
	if (err) {
		image.drv->close(image.priv);
		return err;
	}
	v->drv = image.drv;
	v->priv = image.priv;
	v->image = image.info;
	v->more = *more;
	if (name != v->name)
		strcpy(v->name, name);
	return 0;
}

static int td_vbd_close_image(struct td_vbd *v)
{
	int err;

	if (!v->drv)
		return 0;
	err = v->drv->close(v->priv);
	if (err)
		td_err("tap %d: closing %s: %s", v->minor, v->name,
		       strerror(-err));
	td_second_close(v);
	v->drv = NULL;
	v->priv = NULL;
	v->buffered = false;
	return err;
}

static int td_vbd_create(struct td_vbd *v)
{
	struct blktap_device_info info = {
		.capacity = v->image.sectors,
		.sector_size = v->image.sector_size,
		.flags = BLKTAP_DEVICE_PSZ | BLKTAP_DEVICE_FLUSH |
			 BLKTAP_DEVICE_FUA,
		.phys_block_size = v->image.phys_size,
	};
	int err;

	if (info.phys_block_size < info.sector_size)
		info.phys_block_size = info.sector_size;
	if (v->open_flags & TD_OPEN_RDONLY)
		info.flags |= BLKTAP_DEVICE_RO;
	if (v->image.discard) {
		info.flags |= BLKTAP_DEVICE_TRIM;
		info.trim_block_size = v->image.discard_size;
		if (info.trim_block_size < info.phys_block_size)
			info.trim_block_size = info.phys_block_size;
	}
	if (v->image.write_zeroes)
		info.flags |= BLKTAP_DEVICE_WRITE_ZEROES;
	v->info = v->image;
	/* The kernel may send requests before this returns. */
	v->created = true;
	err = td_ring->create(v->fd, &info);
	if (err) {
		v->created = false;
		td_err("tap %d: creating a disk of %llu sectors, sector size %u: %s",
		       v->minor, (unsigned long long)info.capacity,
		       info.sector_size, strerror(-err));
	}
	return err;
}

int td_vbd_open(struct td_vbd *v, const char *name, unsigned int flags,
		unsigned int timeout, const struct td_vbd_more *more)
{
	struct td_vbd_more all = { };
	int err;

	if (v->created || v->drv || v->op_done) {
		td_err("tap %d: %s is open already", v->minor, v->name);
		return -EALREADY;
	}
	v->open_flags = flags;
	v->timeout = timeout ? timeout : TD_VBD_REQ_TIMEOUT;
	memset(&v->stats, 0, sizeof(v->stats));
	if (more)
		all = *more;
	td_second_take_over(name, &all);
	err = td_vbd_open_image(v, name, flags, &all);
	if (err)
		return err;
	v->state = 0;
	v->sync_error = 0;
	if (td_vbd_marked(v, TD_CTL_UNSYNCED))
		td_vbd_unsynced(v, -EIO);
	err = td_vbd_create(v);
	if (err) {
		v->state = TD_CTL_CLOSED;
		td_vbd_close_image(v);
		v->name[0] = '\0';
		return err;
	}
	err = td_ring->set_name(v->minor, v->name);
	if (err)
		td_warn("tap %d: setting the name in sysfs: %s", v->minor,
			strerror(-err));
	td_work_queue(&v->work);
	td_info("tap %d: opened %s, %llu sectors", v->minor, v->name,
		(unsigned long long)v->info.sectors);
	return 0;
}

/* Only one pause or close at a time. */
static bool td_vbd_op_start(struct td_vbd *v,
			    void (*done)(void *arg, int error), void *arg)
{
	if (v->op_done) {
		td_err("tap %d: a pause or close goes on", v->minor);
		done(arg, -EBUSY);
		return false;
	}
	v->op_done = done;
	v->op_arg = arg;
	return true;
}

/* Call a function when nothing is in flight. */
static void td_vbd_drain(struct td_vbd *v, void (*fn)(struct td_vbd *vbd))
{
	v->op_fn = fn;
	v->quiet = 0;
	td_work_queue(&v->work);
}

static void td_vbd_paused(struct td_vbd *v)
{
	int err;

	td_log_error_clear();
	err = td_vbd_close_image(v);
	if (err)
		td_vbd_unsynced(v, err);
	v->state &= ~TD_CTL_PAUSE_REQUESTED;
	v->state |= TD_CTL_PAUSED;
	td_info("tap %d: paused", v->minor);
	td_vbd_op_end(v, err);
}

void td_vbd_pause(struct td_vbd *v, void (*done)(void *arg, int error),
		  void *arg)
{
	if (!td_vbd_op_start(v, done, arg))
		return;
	if (v->state & TD_CTL_PAUSED) {
		td_vbd_op_end(v, 0);
		return;
	}
	if (!v->drv || v->state & TD_CTL_DEAD) {
		td_err("tap %d: no image is open", v->minor);
		td_vbd_op_end(v, -EINVAL);
		return;
	}
	v->state |= TD_CTL_PAUSE_REQUESTED;
	td_vbd_drain(v, td_vbd_paused);
}

void td_vbd_cancel(struct td_vbd *v, void *arg)
{
	if (v->op_fn != td_vbd_paused || v->op_arg != arg)
		return;
	v->op_fn = NULL;
	td_timer_stop(&v->drain_timer);
	v->state &= ~TD_CTL_PAUSE_REQUESTED;
	td_warn("tap %d: the pause is cancelled, requests go on", v->minor);
	td_vbd_submit_all(v, &v->held);
	td_work_queue(&v->work);
	td_vbd_op_end(v, -ECANCELED);
}

/*
 * The image may have grown while others had it, and the disk is to grow with
 * it. If it cannot, it stays as it is, which the larger image is good for.
 */
static void td_vbd_grow(struct td_vbd *v)
{
	unsigned long long old = v->info.sectors, new = v->image.sectors;
	int err;

	if (new == old)
		return;
	err = td_ring->resize(v->fd, new);
	if (err) {
		td_err("tap %d: %s has %llu sectors, the disk stays at %llu: growing it: %s",
		       v->minor, v->name, new, old, strerror(-err));
		return;
	}
	v->info.sectors = new;
	td_info("tap %d: the disk has grown from %llu to %llu sectors",
		v->minor, old, new);
}

int td_vbd_resume(struct td_vbd *v, const char *name, unsigned int flags,
		  const struct td_vbd_more *more)
{
	struct td_vbd_more next = { };
	int err;

	if (!(v->state & TD_CTL_PAUSED) || v->op_done) {
		td_err("tap %d is not paused", v->minor);
		return -EINVAL;
	}
	if (flags & ~v->open_flags & TD_OPEN_RDONLY) {
		td_err("tap %d is writable, it cannot go on read-only",
		       v->minor);
		return -EINVAL;
	}
	flags |= v->open_flags;
	if (!*name)
		next = v->more;
	if (more && more->flags & TD_CTL_REUSE_PRT) {
		next.flags |= TD_CTL_REUSE_PRT;
		next.parent = more->parent;
	}
	if (more && more->flags & ~TD_CTL_REUSE_PRT) {
		next.flags &= TD_CTL_REUSE_PRT;
		next.flags |= more->flags;
		strcpy(next.second, more->second);
		next.failed = more->failed;
	}
	err = td_vbd_open_image(v, *name ? name : v->name, flags, &next);
	if (err) {
		v->state |= TD_CTL_RESUME_FAILED;
		return err;
	}
	v->open_flags = flags;
	v->redirecting = false;
	v->state &= ~(TD_CTL_PAUSED | TD_CTL_RESUME_FAILED);
	v->paused_by = NULL;
	if (*name)
		td_ring->set_name(v->minor, v->name);
	td_info("tap %d: goes on with %s", v->minor, v->name);
	td_vbd_grow(v);
	td_vbd_submit_all(v, &v->held);
	td_work_queue(&v->work);
	return 0;
}

/* The disk is gone, and nothing is in flight. */
static void td_vbd_closed(struct td_vbd *v)
{
	uint32_t i;
	int err;

	err = td_vbd_close_image(v);
	td_vreq_list_init(&v->held);
	td_vreq_list_init(&v->retry);
	td_timer_stop(&v->retry_timer);
	for (i = 0; i < v->depth; i++)
		v->reqs[i].state = TD_VREQ_IDLE;
	v->state = TD_CTL_CLOSED;
	v->paused_by = NULL;
	if (v->sync_error)
		td_vbd_mark(v, TD_CTL_UNSYNCED, false);
	v->sync_error = 0;
	v->name[0] = '\0';
	memset(&v->more, 0, sizeof(v->more));
	td_info("tap %d: closed", v->minor);
	td_vbd_op_end(v, err);
}

static void td_vbd_remove(struct td_timer *timer)
{
	struct td_vbd *v = td_container(timer, struct td_vbd, close_timer);
	int err;

	td_log_error_clear();
	err = v->created ? td_ring->remove(v->fd) : 0;
	if (err == -EBUSY && td_now() < v->close_by) {
		td_timer_start(&v->close_timer, TD_VBD_CLOSE_MS);
		return;
	}
	if (err) {
		td_err("tap %d: removing the disk: %s", v->minor,
		       err == -EBUSY ? "it is still in use" : strerror(-err));
		if (!(v->state & TD_CTL_DEAD))
			v->state &= ~TD_CTL_SHUTDOWN_REQUESTED;
		td_vbd_op_end(v, err);
		return;
	}
	v->created = false;
	td_vbd_drain(v, td_vbd_closed);
}

static void td_vbd_dead(struct td_vbd *v)
{
	td_vbd_close_image(v);
	td_vbd_remove(&v->close_timer);
}

void td_vbd_close(struct td_vbd *v, unsigned int timeout, bool force,
		  void (*done)(void *arg, int error), void *arg)
{
	if (!td_vbd_op_start(v, done, arg))
		return;
	if (!v->created && !v->drv) {
		td_err("tap %d: no image is open", v->minor);
		td_vbd_op_end(v, -EINVAL);
		return;
	}
	v->close_timer.fn = td_vbd_remove;
	v->close_by = td_now() +
		      (timeout ? timeout : TD_VBD_CLOSE_TIMEOUT) * 1000LL;
	v->state |= TD_CTL_SHUTDOWN_REQUESTED;
	if (!force) {
		td_vbd_remove(&v->close_timer);
		return;
	}
	v->state |= TD_CTL_DEAD;
	td_vbd_submit_all(v, &v->held);
	td_vbd_submit_all(v, &v->retry);
	td_vbd_drain(v, td_vbd_dead);
}

void td_vbd_detach(struct td_vbd *v, void (*done)(void *arg, int error),
		   void *arg)
{
	struct td_vbd **p;
	int i;

	if (!td_vbd_op_start(v, done, arg))
		return;
	if (v->drv) {
		td_err("tap %d: %s is open", v->minor, v->name);
		td_vbd_op_end(v, -EBUSY);
		return;
	}
	for (p = &td_vbds; *p != v; p = &(*p)->next)
		;
	*p = v->next;
	td_work_cancel(&v->work);
	td_work_cancel(&v->waiting_work);
	td_timer_stop(&v->retry_timer);
	td_timer_stop(&v->drain_timer);
	td_timer_stop(&v->close_timer);
	for (i = 0; i < BLKTAP_DIRECT_FILES_MAX; i++)
		if (v->files[i])
			td_vbd_file_del(v, i);
	/* The poll keeps the ring device open until it has ended. */
	v->detaching = true;
	if (v->polled)
		td_loop_cancel(&v->poll);
	else
		td_vbd_detached(v);
}
