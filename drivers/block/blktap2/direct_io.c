// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: the transfer of a MAP command.
 *
 * The data of a request, as an iov_iter over its pages, is cut into the parts
 * that the extents say. All extents are checked and their files looked up
 * before anything is done, so a command that fails has started nothing. Then
 * the extents without a file are served, then the I/O of the others is started,
 * in the context of the server: with O_DIRECT it goes on when XFER has
 * returned, else it is done by then.
 *
 * req->parts counts the parts that go on, and one more until all have been
 * started; who drops the last one ends the transfer, in any context.
 */
#include <linux/file.h>
#include <linux/ioprio.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "blktap.h"

/* Extents that need no memory; they are on the stack. */
#define BLKTAP_EXTENTS_INLINE	8

static void blktap_map_put(struct blktap_request *req, bool in_task)
{
	if (!atomic_dec_and_test(&req->parts))
		return;
	kfree(req->bvec);
	req->bvec = NULL;
	kfree(req->many);
	req->many = NULL;
	blktap_request_mapped(req, in_task);
}

static void blktap_part_done(struct blktap_part *part, long ret, bool in_task)
{
	bool write = part->iocb.ki_flags & IOCB_WRITE;
	struct blktap_request *req = part->req;
	struct file *file = part->iocb.ki_filp;
	int error = 0;

	if (ret < 0)
		error = ret;
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
					  unsigned int i)
{
	return req->many ? &req->many[i] : &req->one;
}

/* Copy between the server's memory and the data at @iter, which advances. */
static int blktap_map_user(struct iov_iter *iter, u64 addr, size_t left,
			   bool write)
{
	struct iov_iter user;

	iov_iter_ubuf(&user, write ? ITER_DEST : ITER_SOURCE,
		      u64_to_user_ptr(addr), left);
	while (left) {
		size_t at = iter->bvec->bv_offset + iter->iov_offset;
		struct page *page = iter->bvec->bv_page + (at >> PAGE_SHIFT);
		size_t n;

		at = offset_in_page(at);
		n = min3(left, iter->bvec->bv_len - iter->iov_offset,
			 PAGE_SIZE - at);
		if (write ? copy_page_to_iter(page, at, n, &user) != n :
			    copy_page_from_iter(page, at, n, &user) != n)
			return -EFAULT;
		iov_iter_advance(iter, n);
		left -= n;
	}
	return 0;
}

/* Returns the number of FILE extents. */
static int blktap_map_check(struct request *rq,
			    const struct blktap_direct_extent *extents,
			    unsigned int nr)
{
	bool write = req_op(rq) == REQ_OP_WRITE;
	unsigned int left = blk_rq_bytes(rq);
	unsigned int i;
	int files = 0;

	for (i = 0; i < nr; i++) {
		const struct blktap_direct_extent *e = &extents[i];

		if (!e->len || e->len % SECTOR_SIZE || e->len > left)
			return -EINVAL;
		left -= e->len;
		switch (e->kind) {
		case BLKTAP_EXTENT_FILE:
			if (e->addr % SECTOR_SIZE ||
			    e->addr > LLONG_MAX - e->len)
				return -EINVAL;
			files++;
			break;
		case BLKTAP_EXTENT_ZERO:
			if (write || e->file || e->addr)
				return -EINVAL;
			break;
		case BLKTAP_EXTENT_USER:
			if (e->file)
				return -EINVAL;
			break;
		default:
			return -EINVAL;
		}
	}
	return left ? -EINVAL : files;
}

/*
 * Make an iterator over the data. Bios may start in the middle of a bio_vec,
 * and those of several bios have to be gathered.
 */
static int blktap_map_iter(struct blktap_request *req, struct iov_iter *iter)
{
	struct request *rq = blk_mq_rq_from_pdu(req);
	bool write = req_op(rq) == REQ_OP_WRITE;
	struct req_iterator rq_iter;
	struct bio *bio = rq->bio;
	const struct bio_vec *bvec;
	unsigned int offset = 0;
	unsigned int nr = 0;
	struct bio_vec bv;

	rq_for_each_bvec(bv, rq, rq_iter)
		nr++;

	if (bio == rq->biotail) {
		bvec = __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter);
		offset = mp_bvec_iter_offset(bio->bi_io_vec, bio->bi_iter) -
			 bvec->bv_offset;
	} else {
		req->bvec = kmalloc_array(nr, sizeof(*bvec), GFP_NOIO);
		if (!req->bvec)
			return -ENOMEM;
		bvec = req->bvec;
		nr = 0;
		rq_for_each_bvec(bv, rq, rq_iter)
			req->bvec[nr++] = bv;
	}
	iov_iter_bvec(iter, write ? ITER_SOURCE : ITER_DEST, bvec, nr,
		      blk_rq_bytes(rq));
	iter->iov_offset = offset;
	return 0;
}

/* Serve the extents that have no file. */
static int blktap_map_memory(struct iov_iter iter, bool write,
			     const struct blktap_direct_extent *extents,
			     unsigned int nr)
{
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++) {
		const struct blktap_direct_extent *e = &extents[i];

		switch (e->kind) {
		case BLKTAP_EXTENT_ZERO:
			if (iov_iter_zero(e->len, &iter) != e->len)
				return -EIO;
			break;
		case BLKTAP_EXTENT_USER:
			ret = blktap_map_user(&iter, e->addr, e->len, write);
			if (ret)
				return ret;
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
			blktap_part_start(blktap_part_at(req, part++), &cut);
		}
		iov_iter_advance(iter, extents[i].len);
	}
}

static int blktap_map_extents(struct blktap_request *req,
			      const struct blktap_direct_cmd *cmd,
			      const struct blktap_direct_extent *extents)
{
	struct request *rq = blk_mq_rq_from_pdu(req);
	unsigned int nr = cmd->nr_extents;
	unsigned int i, ready = 0;
	struct iov_iter iter;
	int files, ret;

	files = blktap_map_check(rq, extents, nr);
	if (files < 0)
		return files;
	ret = blktap_map_iter(req, &iter);
	if (ret)
		return ret;
	if (files > 1) {
		req->many = kmalloc_array(files, sizeof(*req->many), GFP_NOIO);
		if (!req->many) {
			ret = -ENOMEM;
			goto err_free;
		}
	}
	for (i = 0; i < nr; i++) {
		if (extents[i].kind != BLKTAP_EXTENT_FILE)
			continue;
		ret = blktap_part_init(req, blktap_part_at(req, ready),
				       &extents[i], cmd->flags);
		if (ret)
			goto err_put_files;
		ready++;
	}
	if (files != nr) {
		ret = blktap_map_memory(iter, req_op(rq) == REQ_OP_WRITE,
					extents, nr);
		if (ret)
			goto err_put_files;
	}

	req->error = 0;
	req->map_end = cmd->flags & BLKTAP_MAP_END;
	atomic_set(&req->parts, files + 1);
	blktap_request_map(req);
	blktap_map_files(req, &iter, extents, nr);
	blktap_map_put(req, true);
	return 0;

err_put_files:
	while (ready)
		fput(blktap_part_at(req, --ready)->iocb.ki_filp);
err_free:
	kfree(req->many);
	req->many = NULL;
	kfree(req->bvec);
	req->bvec = NULL;
	return ret;
}

/**
 * blktap_direct_map - carry out a MAP command
 * @req: a request that is BUSY; the server gets it back if this fails
 * @cmd: the command
 *
 * Context: Process context of the server, with memory allocation restricted to
 *	what needs no I/O.
 * Return: 0 if the transfer has been started, -EINVAL, -EBADF, -EFAULT or
 *	-ENOMEM.
 */
int blktap_direct_map(struct blktap_request *req,
		      const struct blktap_direct_cmd *cmd)
{
	struct blktap_direct_extent few[BLKTAP_EXTENTS_INLINE];
	struct request *rq = blk_mq_rq_from_pdu(req);
	struct blktap_direct_extent *extents = few;
	unsigned int nr = cmd->nr_extents;
	int ret;

	if (req_op(rq) != REQ_OP_READ && req_op(rq) != REQ_OP_WRITE)
		return -EINVAL;
	if (cmd->flags & ~(BLKTAP_MAP_END | BLKTAP_MAP_DSYNC) || cmd->result ||
	    (cmd->flags & BLKTAP_MAP_DSYNC && req_op(rq) == REQ_OP_READ) ||
	    !nr || nr > blk_rq_sectors(rq))
		return -EINVAL;

	if (nr > ARRAY_SIZE(few)) {
		extents = kvmalloc_array(nr, sizeof(*extents), GFP_NOIO);
		if (!extents)
			return -ENOMEM;
	}
	ret = -EFAULT;
	if (!copy_from_user(extents, u64_to_user_ptr(cmd->extents),
			    nr * sizeof(*extents)))
		ret = blktap_map_extents(req, cmd, extents);
	if (extents != few)
		kvfree(extents);
	return ret;
}
