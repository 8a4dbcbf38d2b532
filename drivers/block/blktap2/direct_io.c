// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: the transfer of a MAP command.
 *
 * The data of a request, as an iov_iter over its pages, is cut into the parts
 * that the extents say. All extents are checked and their files looked up
 * before anything is done, so a command that fails has started nothing. Then
 * the extents without a file are served, then the I/O of the others is started,
 * in the context of the server: with O_DIRECT it goes on when XFER has
 * returned, otherwise it is done by then.
 *
 * What can sleep before that, for memory or for a page of the server, is done
 * while the request is the server's, which can be taken away from it at any time.
 * So the command is first tried with what there is. If something is missing, the
 * request is let go, that is got, and the command tried again, which starts with
 * finding the request.
 *
 * Arrays may have thousands of entries when a request is in many pieces, and it
 * may be one that frees memory: they are got by kvmalloc(), which needs no pages
 * in a row.
 *
 * req->parts counts the parts that go on, and one more until all have been
 * started; the last one to be dropped ends the transfer, in any context.
 */
#include <linux/errno.h>
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/ioprio.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "blktap.h"

/* Extents that need no memory; they are on the stack. */
#define BLKTAP_EXTENTS_INLINE	8

/**
 * struct blktap_map - a MAP command that is being tried
 * @cmd: the command
 * @extents: its extents
 * @files: extents with a file
 * @many: a part for each, when there are several; a transfer that starts takes it
 * @bvec: room for the pages of the data, or NULL; a transfer that starts takes it
 * @nr_bvec: entries in @bvec
 * @need_bvec: entries that are needed, when the command was tried with too few
 * @absent: extent whose memory is not there, when the command was tried without
 * @write: the request is a WRITE
 */
struct blktap_map {
	const struct blktap_direct_cmd *cmd;
	const struct blktap_direct_extent *extents;
	unsigned int		files;
	struct blktap_part	*many;
	struct bio_vec		*bvec;
	unsigned int		nr_bvec;
	unsigned int		need_bvec;
	const struct blktap_direct_extent *absent;
	bool			write;
};

static void blktap_map_put(struct blktap_request *req, bool in_task)
{
	if (!atomic_dec_and_test(&req->parts))
		return;
	kvfree(req->bvec);
	req->bvec = NULL;
	kvfree(req->many);
	req->many = NULL;
	blktap_request_mapped(req, in_task);
}

/* Errors that the kernel has for itself are not for user space. */
static int blktap_part_error(long ret)
{
	switch (ret) {
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
	case -ERESTART_RESTARTBLOCK:
		return -EINTR;
	default:
		return ret <= -ERESTARTSYS ? -EIO : ret;
	}
}

static void blktap_part_done(struct blktap_part *part, long ret, bool in_task)
{
	bool write = part->iocb.ki_flags & IOCB_WRITE;
	struct blktap_request *req = part->req;
	struct file *file = part->iocb.ki_filp;
	int error = 0;

	if (ret < 0)
		error = blktap_part_error(ret);
	else if (ret != part->left)
		error = write ? -ENOSPC : -EIO;
	if (error)
		cmpxchg(&req->error, 0, error);
	if (write && S_ISREG(file_inode(file)->i_mode))
		kiocb_end_write(&part->iocb);
	fput(file);
	blktap_map_put(req, in_task);
}

static void blktap_part_complete(struct kiocb *iocb, long ret)
{
	blktap_part_done(container_of(iocb, struct blktap_part, iocb), ret,
			 false);
}

/* Start the I/O of a part; @iter covers its data. */
static void blktap_part_start(struct blktap_part *part, struct iov_iter *iter)
{
	bool write = part->iocb.ki_flags & IOCB_WRITE;
	struct file *file = part->iocb.ki_filp;
	ssize_t ret;

	if (write && S_ISREG(file_inode(file)->i_mode))
		kiocb_start_write(&part->iocb);
	for (;;) {
		if (write)
			ret = file->f_op->write_iter(&part->iocb, iter);
		else
			ret = file->f_op->read_iter(&part->iocb, iter);
		if (ret == -EIOCBQUEUED)
			return;
		if (!write || ret <= 0 || ret >= part->left)
			break;
		/* The rest will do, or tell why it cannot. */
		part->left -= ret;
	}
	blktap_part_done(part, ret, true);
}

static int blktap_part_init(struct blktap_request *req,
			    struct blktap_part *part,
			    const struct blktap_direct_extent *extent,
			    unsigned int flags)
{
	struct request *rq = blk_mq_rq_from_pdu(req);
	bool write = req_op(rq) == REQ_OP_WRITE;
	struct file *file;

	file = blktap_direct_file_get(req->tap, extent->file);
	if (!file)
		return -EBADF;
	if (write ? !(file->f_mode & FMODE_WRITE) || !file->f_op->write_iter :
		    !(file->f_mode & FMODE_READ) || !file->f_op->read_iter) {
		fput(file);
		return -EBADF;
	}
	init_sync_kiocb(&part->iocb, file);
	part->iocb.ki_pos = extent->addr;
	part->iocb.ki_ioprio = req_get_ioprio(rq);
	if (part->iocb.ki_flags & IOCB_DIRECT)
		part->iocb.ki_complete = blktap_part_complete;
	if (write)
		part->iocb.ki_flags |= IOCB_WRITE;
	if (flags & BLKTAP_MAP_DSYNC)
		part->iocb.ki_flags |= IOCB_DSYNC;
	part->req = req;
	part->left = extent->len;
	return 0;
}

static struct blktap_part *blktap_part_at(struct blktap_request *req,
					  struct blktap_map *map,
					  unsigned int i)
{
	return map->many ? &map->many[i] : &req->one;
}

/*
 * Copy between the server's memory and the data at @iter, which advances.
 * -EAGAIN if that memory is not there.
 */
static int blktap_map_user(struct iov_iter *iter, u64 addr, size_t left,
			   bool write)
{
	char __user *user = u64_to_user_ptr(addr);

	while (left) {
		size_t at = iter->bvec->bv_offset + iter->iov_offset;
		struct page *page = iter->bvec->bv_page + (at >> PAGE_SHIFT);
		unsigned long missed;
		size_t n;
		char *data;

		at = offset_in_page(at);
		n = min3(left, iter->bvec->bv_len - iter->iov_offset,
			 PAGE_SIZE - at);
		data = kmap_local_page(page);
		pagefault_disable();
		if (write)
			missed = __copy_to_user_inatomic(user, data + at, n);
		else
			missed = __copy_from_user_inatomic(data + at, user, n);
		pagefault_enable();
		if (!write)
			flush_dcache_page(page);
		kunmap_local(data);
		if (missed)
			return -EAGAIN;
		iov_iter_advance(iter, n);
		user += n;
		left -= n;
	}
	return 0;
}

static int blktap_map_check(struct request *rq, const struct blktap_map *map)
{
	bool write = req_op(rq) == REQ_OP_WRITE;
	unsigned int left = blk_rq_bytes(rq);
	unsigned int i;

	for (i = 0; i < map->cmd->nr_extents; i++) {
		const struct blktap_direct_extent *e = &map->extents[i];

		if (!e->len || e->len % SECTOR_SIZE || e->len > left)
			return -EINVAL;
		left -= e->len;
		switch (e->kind) {
		case BLKTAP_EXTENT_FILE:
			if (e->addr % SECTOR_SIZE ||
			    e->addr > LLONG_MAX - e->len)
				return -EINVAL;
			break;
		case BLKTAP_EXTENT_ZERO:
			if (write || e->file || e->addr)
				return -EINVAL;
			break;
		case BLKTAP_EXTENT_USER:
			if (e->file)
				return -EINVAL;
			if (e->addr != (uintptr_t)e->addr ||
			    !access_ok(u64_to_user_ptr(e->addr), e->len))
				return -EFAULT;
			break;
		default:
			return -EINVAL;
		}
	}
	return left ? -EINVAL : 0;
}

/*
 * Make an iterator over the data. Bios may start in the middle of a bio_vec,
 * and those of several bios have to be gathered; -EAGAIN if there is no room.
 */
static int blktap_map_iter(struct blktap_request *req, struct blktap_map *map,
			   struct iov_iter *iter)
{
	struct request *rq = blk_mq_rq_from_pdu(req);
	struct req_iterator rq_iter;
	struct bio *bio = rq->bio;
	const struct bio_vec *bvec;
	unsigned int offset = 0;
	unsigned int nr = 0;
	struct bio_vec bv;

	rq_for_each_bvec(bv, rq, rq_iter)
		nr++;

	if (bio != rq->biotail && nr > map->nr_bvec) {
		map->need_bvec = nr;
		return -EAGAIN;
	}
	if (bio == rq->biotail) {
		bvec = __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter);
		offset = mp_bvec_iter_offset(bio->bi_io_vec, bio->bi_iter) -
			 bvec->bv_offset;
	} else {
		bvec = map->bvec;
		nr = 0;
		rq_for_each_bvec(bv, rq, rq_iter)
			map->bvec[nr++] = bv;
	}
	iov_iter_bvec(iter, map->write ? ITER_SOURCE : ITER_DEST, bvec, nr,
		      blk_rq_bytes(rq));
	iter->iov_offset = offset;
	return 0;
}

/* Serve the extents that have no file. */
static int blktap_map_memory(struct blktap_map *map, struct iov_iter iter)
{
	unsigned int i;
	int ret;

	for (i = 0; i < map->cmd->nr_extents; i++) {
		const struct blktap_direct_extent *e = &map->extents[i];

		switch (e->kind) {
		case BLKTAP_EXTENT_ZERO:
			if (iov_iter_zero(e->len, &iter) != e->len)
				return -EIO;
			break;
		case BLKTAP_EXTENT_USER:
			ret = blktap_map_user(&iter, e->addr, e->len,
					      map->write);
			if (ret) {
				map->absent = e;
				return ret;
			}
			break;
		default:
			iov_iter_advance(&iter, e->len);
			break;
		}
	}
	return 0;
}

/* Start the others. */
static void blktap_map_files(struct blktap_request *req, struct iov_iter *iter,
			     const struct blktap_direct_extent *extents,
			     unsigned int nr)
{
	unsigned int part = 0;
	struct iov_iter cut;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (extents[i].kind == BLKTAP_EXTENT_FILE) {
			cut = *iter;
			iov_iter_truncate(&cut, extents[i].len);
			blktap_part_start(req->many ? &req->many[part] :
						      &req->one, &cut);
			part++;
		}
		iov_iter_advance(iter, extents[i].len);
	}
}

/*
 * Look up the files of the extents, serve the extents that have none, and let
 * the transfer begin.
 */
static int blktap_map_prepare(struct blktap_request *req,
			      struct blktap_map *map, struct iov_iter *iter)
{
	unsigned int nr = map->cmd->nr_extents;
	unsigned int i, ready = 0;
	int ret;

	ret = blktap_map_check(blk_mq_rq_from_pdu(req), map);
	if (ret)
		return ret;
	ret = blktap_map_iter(req, map, iter);
	if (ret)
		return ret;
	for (i = 0; i < nr; i++) {
		if (map->extents[i].kind != BLKTAP_EXTENT_FILE)
			continue;
		ret = blktap_part_init(req, blktap_part_at(req, map, ready),
				       &map->extents[i], map->cmd->flags);
		if (ret)
			goto err_put_files;
		ready++;
	}
	if (map->files != nr) {
		ret = blktap_map_memory(map, *iter);
		if (ret)
			goto err_put_files;
	}
	ret = -ESRCH;
	if (!blktap_request_map(req))
		goto err_put_files;
	return 0;

err_put_files:
	while (ready)
		fput(blktap_part_at(req, map, --ready)->iocb.ki_filp);
	return ret;
}

/* -EAGAIN if something is missing: @map says what. */
static int blktap_map_try(struct blktap *tap, struct blktap_map *map)
{
	struct blktap_request *req;
	struct iov_iter iter;
	struct request *rq;
	int ret = -EINVAL;

	req = blktap_request_claim(tap, map->cmd->tag);
	if (!req)
		return -ESRCH;
	rq = blk_mq_rq_from_pdu(req);
	map->write = req_op(rq) == REQ_OP_WRITE;
	if ((map->write || req_op(rq) == REQ_OP_READ) &&
	    (map->write || !(map->cmd->flags & BLKTAP_MAP_DSYNC)))
		ret = blktap_map_prepare(req, map, &iter);
	if (ret) {
		blktap_request_own(req);
		return ret;
	}

	req->many = map->many;
	map->many = NULL;
	req->bvec = map->bvec;
	map->bvec = NULL;
	req->error = 0;
	req->map_end = map->cmd->flags & BLKTAP_MAP_END;
	atomic_set(&req->parts, map->files + 1);
	blktap_map_files(req, &iter, map->extents, map->cmd->nr_extents);
	blktap_map_put(req, true);
	return 0;
}

/* Get what was missing. */
static int blktap_map_get(struct blktap_map *map)
{
	const struct blktap_direct_extent *e = map->absent;
	char __user *user;
	size_t left;

	if (map->need_bvec > map->nr_bvec) {
		kvfree(map->bvec);
		map->nr_bvec = 0;
		map->bvec = kvmalloc_array(map->need_bvec, sizeof(*map->bvec),
					   GFP_NOIO);
		if (!map->bvec)
			return -ENOMEM;
		map->nr_bvec = map->need_bvec;
	}
	map->absent = NULL;
	if (e) {
		user = u64_to_user_ptr(e->addr);
		left = map->write ? fault_in_safe_writeable(user, e->len) :
				    fault_in_readable(user, e->len);
		if (left)
			return -EFAULT;
	}
	if (fatal_signal_pending(current))
		return -EINTR;
	cond_resched();
	return 0;
}

static int blktap_map_run(struct blktap *tap, struct blktap_map *map)
{
	unsigned int i;
	int ret;

	for (i = 0; i < map->cmd->nr_extents; i++)
		map->files += map->extents[i].kind == BLKTAP_EXTENT_FILE;
	if (map->files > 1) {
		map->many = kvmalloc_array(map->files, sizeof(*map->many),
					   GFP_NOIO);
		if (!map->many)
			return -ENOMEM;
	}
	do {
		ret = blktap_map_try(tap, map);
		if (ret != -EAGAIN)
			break;
		ret = blktap_map_get(map);
	} while (!ret);
	kvfree(map->many);
	kvfree(map->bvec);
	return ret;
}

/**
 * blktap_direct_map - carry out a MAP command
 * @tap: the tap
 * @cmd: the command; if this fails, the server keeps the request it names
 *
 * Context: Process context of the server, with memory allocation restricted to
 *	what needs no I/O.
 * Return: 0 if the transfer has been started, -EINVAL, -ESRCH, -EBADF, -EFAULT,
 *	-ENOMEM or, if killed, -EINTR.
 */
int blktap_direct_map(struct blktap *tap, const struct blktap_direct_cmd *cmd)
{
	struct blktap_direct_extent few[BLKTAP_EXTENTS_INLINE];
	struct blktap_direct_extent *extents = few;
	struct blktap_map map = { .cmd = cmd };
	unsigned int nr = cmd->nr_extents;
	int ret;

	if (cmd->flags & ~(BLKTAP_MAP_END | BLKTAP_MAP_DSYNC) || cmd->result ||
	    !nr || nr > BLKTAP_DIRECT_IO_MAX >> SECTOR_SHIFT)
		return -EINVAL;

	if (nr > ARRAY_SIZE(few)) {
		extents = kvmalloc_array(nr, sizeof(*extents), GFP_NOIO);
		if (!extents)
			return -ENOMEM;
	}
	ret = -EFAULT;
	if (!copy_from_user(extents, u64_to_user_ptr(cmd->extents),
			    nr * sizeof(*extents))) {
		map.extents = extents;
		ret = blktap_map_run(tap, &map);
	}
	if (extents != few)
		kvfree(extents);
	return ret;
}
