// SPDX-License-Identifier: GPL-2.0
/*
 * blktap2: ring mode, the ABI of 2.0.91.
 *
 * The server maps BLKTAP_MAP_PAGES pages of 4096 bytes, whatever the page size of
 * the kernel: the ring (struct blktap_sring) and 11 data pages for each of 32
 * slots. The slot of a request is its tag. All pages are allocated and put into
 * the mapping by mmap(), and stay there until the mapping goes; data is copied to
 * and from them, packed from the first byte of the slot, so the mapping is not
 * touched per request.
 *
 * The server writes to all of it. So nothing the kernel relies on lives there:
 * a request is built in private memory and copied out, indexes are kept here,
 * and each field of a response is read once, then checked.
 *
 *	kernel				server
 *	pump: entries			reads req_prod
 *	      release req_prod   ---->	acquire; reads entries
 *					writes responses
 *	respond: acquire rsp_prod <----	barrier; rsp_prod
 *	      reads responses		ioctl RESPOND
 *
 * As in 2.0.91 the requests are put into the ring by poll(), in the context of
 * the server. select() and poll() hand the result of that call to the server.
 * epoll does not always: it also calls poll() to see whether there is anything to
 * wait for, and asks again before it reports. So while somebody stays on the wait
 * queue between calls, poll() reports the same requests BLKTAP_RING_TELLS times.
 *
 * A response with the id of no request, or of one that has been answered, is
 * logged and ignored. A response to a request that ended when its disk was
 * removed by force is awaited: until it has come the slot is not quiet, and no
 * new disk is made, whose request of the same id it would end. A producer index
 * out of range means that the ring is beyond repair: no more responses are taken
 * and no more requests given until a new server maps it, and RESPOND fails with
 * -EIO.
 */
#include <linux/build_bug.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "blktap.h"

static_assert(sizeof(struct blktap_ring_segment) == 8);
static_assert(sizeof(struct blktap_ring_request) == 112);
static_assert(sizeof(struct blktap_ring_response) == 16);
static_assert(sizeof(union blktap_ring_entry) == 112);
static_assert(offsetof(struct blktap_sring, ring) == 64);
static_assert(sizeof(struct blktap_sring) <= BLKTAP_PAGE_SIZE);

/* Kernel pages in the mapping. */
#define BLKTAP_RING_PAGES	DIV_ROUND_UP(BLKTAP_MAP_PAGES * BLKTAP_PAGE_SIZE, \
					     PAGE_SIZE)
/* Bytes of data in a slot. */
#define BLKTAP_SLOT_BYTES	(BLKTAP_SEGMENT_MAX * BLKTAP_PAGE_SIZE)
/* See above: EPOLL_CTL_ADD, EPOLL_CTL_MOD, poll() of the epoll file, the wait. */
#define BLKTAP_RING_TELLS	4

static struct blktap_sring *blktap_sring(struct blktap_ring *ring)
{
	return page_address(ring->pages[0]);
}

static union blktap_ring_entry *blktap_ring_entry(struct blktap_ring *ring,
						  u32 index)
{
	return &blktap_sring(ring)->ring[index % BLKTAP_RING_ENTRIES];
}

/* Copy the data of a request to or from the pages of its slot. */
static void blktap_ring_copy(struct blktap_ring *ring, struct request *rq,
			     unsigned int slot)
{
	unsigned int at = BLKTAP_PAGE_SIZE + slot * BLKTAP_SLOT_BYTES;
	bool out = req_op(rq) == REQ_OP_WRITE;
	struct req_iterator iter;
	struct bio_vec bv;

	rq_for_each_segment(bv, rq, iter) {
		u8 *data = bvec_kmap_local(&bv);
		unsigned int done, n;

		for (done = 0; done < bv.bv_len; done += n, at += n) {
			u8 *page = page_address(ring->pages[at / PAGE_SIZE]);

			n = min_t(unsigned int, bv.bv_len - done,
				  PAGE_SIZE - at % PAGE_SIZE);
			if (out)
				memcpy(page + at % PAGE_SIZE, data + done, n);
			else
				memcpy(data + done, page + at % PAGE_SIZE, n);
		}
		if (!out)
			flush_dcache_page(bv.bv_page);
		kunmap_local(data);
	}
}

/* Describe a request; what does not apply, and padding, is zero. */
static void blktap_ring_build(struct request *rq,
			      struct blktap_ring_request *out)
{
	unsigned int left = blk_rq_bytes(rq);
	unsigned int i;

	memset(out, 0, sizeof(*out));
	out->operation = blktap_request_op(rq);
	out->id = rq->tag;
	switch (out->operation) {
	case BLKTAP_OP_READ:
	case BLKTAP_OP_WRITE:
		out->sector_number = blk_rq_pos(rq);
		for (i = 0; left; i++) {
			unsigned int n = min_t(unsigned int, left,
					       BLKTAP_PAGE_SIZE);

			out->u.seg[i].last_sect = (n >> SECTOR_SHIFT) - 1;
			left -= n;
		}
		out->nr_segments = i;
		break;
	case BLKTAP_OP_TRIM:
		out->sector_number = blk_rq_pos(rq);
		out->u.nr_sectors = blk_rq_sectors(rq);
		break;
	}
}

/* Put waiting requests into the ring. Returns how many. */
static unsigned int blktap_ring_pump(struct blktap *tap)
	__must_hold(&tap->ring.lock)
{
	struct blktap_ring *ring = &tap->ring;
	struct blktap_ring_request out;
	struct blktap_request *req;
	unsigned int n = 0;

	lockdep_assert_held(&ring->lock);
	while ((req = blktap_request_take(tap))) {
		struct request *rq = blk_mq_rq_from_pdu(req);

		if (req_op(rq) == REQ_OP_WRITE)
			blktap_ring_copy(ring, rq, rq->tag);
		blktap_ring_build(rq, &out);
		ring->owed |= BIT(rq->tag);
		blktap_request_own(req);
		memcpy(&blktap_ring_entry(ring, ring->req_prod)->req, &out,
		       sizeof(out));
		ring->req_prod++;
		n++;
	}
	if (n)
		/* Pairs with the server's barrier after reading req_prod. */
		smp_store_release(&blktap_sring(ring)->req_prod,
				  ring->req_prod);
	return n;
}

static blk_status_t blktap_ring_status(const struct blktap_ring_response *rsp)
{
	switch (rsp->status) {
	case BLKTAP_RSP_OKAY:
		return BLK_STS_OK;
	case BLKTAP_RSP_EOPNOTSUPP:
		return BLK_STS_NOTSUPP;
	default:
		return BLK_STS_IOERR;
	}
}

static void blktap_ring_response(struct blktap *tap,
				 const struct blktap_ring_response *rsp)
	__must_hold(&tap->ring.lock)
{
	blk_status_t status = blktap_ring_status(rsp);
	struct blktap_request *req;
	struct request *rq;
	bool owed;

	lockdep_assert_held(&tap->ring.lock);
	if (rsp->id >= BLKTAP_RING_ENTRIES) {
		blktap_warn(tap, "response with id %llu, not 0..%u\n", rsp->id,
			    BLKTAP_RING_ENTRIES - 1);
		return;
	}
	owed = tap->ring.owed & BIT(rsp->id);
	tap->ring.owed &= ~BIT(rsp->id);
	req = blktap_request_claim(tap, rsp->id);
	if (!req) {
		if (!owed)
			blktap_warn(tap,
				    "response with id %llu, which is no request\n",
				    rsp->id);
		return;
	}
	rq = blk_mq_rq_from_pdu(req);
	if (rsp->operation != blktap_request_op(rq)) {
		blktap_warn(tap,
			    "response with operation %u to a request with %d\n",
			    rsp->operation, blktap_request_op(rq));
		status = errno_to_blk_status(-EINVAL);
	}
	if (!status && req_op(rq) == REQ_OP_READ)
		blktap_ring_copy(&tap->ring, rq, rq->tag);
	blktap_request_end(req, status);
}

/**
 * blktap_ring_respond - take the responses of the server
 * @tap: the tap
 *
 * Context: Process context. Takes and releases tap->ring.lock.
 * Return: 0, -EACCES if this process has not mapped the ring, or -EIO if the
 *	ring is broken.
 */
int blktap_ring_respond(struct blktap *tap)
{
	struct blktap_ring *ring = &tap->ring;
	int ret = 0;
	u32 prod;

	mutex_lock(&ring->lock);
	if (!ring->pages || ring->mm != current->mm) {
		ret = -EACCES;
		goto out;
	}
	/* Pairs with the server's barrier before it writes rsp_prod. */
	prod = smp_load_acquire(&blktap_sring(ring)->rsp_prod);
	if (!ring->broken && prod - ring->rsp_cons > BLKTAP_RING_ENTRIES) {
		blktap_warn(tap, "rsp_prod is %u, not %u..%u: no more I/O\n",
			    prod, ring->rsp_cons,
			    ring->rsp_cons + BLKTAP_RING_ENTRIES);
		ring->broken = true;
	}
	if (ring->broken) {
		ret = -EIO;
		goto out;
	}
	while (ring->rsp_cons != prod) {
		union blktap_ring_entry *entry;
		struct blktap_ring_response rsp;

		entry = blktap_ring_entry(ring, ring->rsp_cons++);
		rsp.id = READ_ONCE(entry->rsp.id);
		rsp.operation = READ_ONCE(entry->rsp.operation);
		rsp.status = READ_ONCE(entry->rsp.status);
		blktap_ring_response(tap, &rsp);
	}
out:
	mutex_unlock(&ring->lock);
	return ret;
}

/* Readable if there are new requests, a message, or the disk has gone. */
static __poll_t blktap_ring_poll(struct blktap *tap, struct file *file,
				 poll_table *wait)
{
	/* Does somebody stay there between calls? */
	bool watched = waitqueue_active(&tap->wait);
	struct blktap_ring *ring = &tap->ring;
	bool in = false;

	poll_wait(file, &tap->wait, wait);
	mutex_lock(&ring->lock);
	if (!watched)
		ring->tells = 0;
	if (ring->pages && !ring->broken && blktap_ring_pump(tap))
		ring->tells = BLKTAP_RING_TELLS;
	if (blktap_life_gone(tap))
		ring->tells = BLKTAP_RING_TELLS;
	if (ring->tells) {
		ring->tells--;
		in = true;
	}
	if (ring->pages)
		in |= READ_ONCE(blktap_sring(ring)->msg);
	mutex_unlock(&ring->lock);
	return in ? EPOLLIN | EPOLLRDNORM : 0;
}

/* The server reads no message of an earlier disk for one of this. */
static bool blktap_ring_quiet(struct blktap *tap)
{
	struct blktap_ring *ring = &tap->ring;
	bool quiet;

	mutex_lock(&ring->lock);
	quiet = !ring->owed;
	if (quiet && ring->pages)
		WRITE_ONCE(blktap_sring(ring)->msg, 0);
	mutex_unlock(&ring->lock);
	return quiet;
}

static void blktap_ring_ask_close(struct blktap *tap)
{
	struct blktap_ring *ring = &tap->ring;

	mutex_lock(&ring->lock);
	if (ring->pages)
		WRITE_ONCE(blktap_sring(ring)->msg, BLKTAP_RING_MESSAGE_CLOSE);
	mutex_unlock(&ring->lock);
	blktap_server_wake(tap);
}

/* Data is packed, so nothing but the size of a slot limits its pieces. */
static unsigned int blktap_ring_limits(struct blktap *tap,
				       struct queue_limits *lim)
{
	lim->max_hw_sectors = BLKTAP_SLOT_BYTES >> SECTOR_SHIFT;
	lim->max_segments = lim->max_hw_sectors;
	lim->max_segment_size = UINT_MAX;
	return BLKTAP_RING_ENTRIES;
}

/* Ring mode. */
const struct blktap_mode blktap_ring_mode = {
	.name		= "ring",
	.flags		= BLKTAP_DEVICE_RO | BLKTAP_DEVICE_PSZ |
			  BLKTAP_DEVICE_FLUSH | BLKTAP_DEVICE_TRIM |
			  BLKTAP_DEVICE_TRIM_RZ,
	.pooled		= true,
	.limits		= blktap_ring_limits,
	.quiet		= blktap_ring_quiet,
	.poll		= blktap_ring_poll,
	.ask_close	= blktap_ring_ask_close,
};

static void blktap_ring_free(struct page **pages)
{
	unsigned int i;

	for (i = 0; i < BLKTAP_RING_PAGES && pages[i]; i++)
		put_page(pages[i]);
	kvfree(pages);
}

static struct page **blktap_ring_alloc(gfp_t gfp)
{
	struct page **pages;
	unsigned int i;

	pages = kvcalloc(BLKTAP_RING_PAGES, sizeof(*pages), gfp);
	if (!pages)
		return NULL;
	for (i = 0; i < BLKTAP_RING_PAGES; i++) {
		pages[i] = alloc_page(gfp | __GFP_ZERO);
		if (!pages[i]) {
			blktap_ring_free(pages);
			return NULL;
		}
	}
	return pages;
}

/*
 * The mapping cannot be split. Moving it whole, or making a child inherit it
 * against VM_DONTCOPY, only adds mappings of the same pages.
 */
static int blktap_vma_split(struct vm_area_struct *vma, unsigned long addr)
{
	return -EINVAL;
}

static void blktap_vma_open(struct vm_area_struct *vma)
{
	struct blktap *tap = vma->vm_private_data;

	mutex_lock(&tap->ring.lock);
	if (vma->vm_mm == tap->ring.mm)
		tap->ring.vmas++;
	mutex_unlock(&tap->ring.lock);
}

/* The last mapping of the server has gone, and with it the server. */
static void blktap_vma_close(struct vm_area_struct *vma)
{
	struct blktap *tap = vma->vm_private_data;
	struct blktap_ring *ring = &tap->ring;
	struct page **pages = NULL;

	mutex_lock(&ring->lock);
	if (vma->vm_mm == ring->mm && !--ring->vmas) {
		pages = ring->pages;
		ring->pages = NULL;
		mmdrop(ring->mm);
		ring->mm = NULL;
	}
	mutex_unlock(&ring->lock);
	if (pages) {
		blktap_life_leave(tap, BLKTAP_EV_LEAVE);
		blktap_ring_free(pages);
	}
}

static const struct vm_operations_struct blktap_vm_ops = {
	.open		= blktap_vma_open,
	.close		= blktap_vma_close,
	.may_split	= blktap_vma_split,
};

static int blktap_ring_enter(struct blktap *tap, struct vm_area_struct *vma,
			     struct page **pages)
{
	struct blktap_ring *ring = &tap->ring;
	int ret;

	mutex_lock(&ring->lock);
	spin_lock_irq(&tap->lock);
	ret = blktap_life_enter(tap, &blktap_ring_mode, vma->vm_mm);
	spin_unlock_irq(&tap->lock);
	if (!ret) {
		ring->pages = pages;
		ring->mm = vma->vm_mm;
		mmgrab(ring->mm);
		ring->vmas = 1;
		ring->req_prod = 0;
		ring->rsp_cons = 0;
		ring->owed = 0;
		ring->tells = 0;
		ring->broken = false;
		vma->vm_private_data = tap;
		vma->vm_ops = &blktap_vm_ops;
	}
	mutex_unlock(&ring->lock);
	return ret;
}

/**
 * blktap_ring_mmap - map the ring, which enters ring mode
 * @tap: the tap
 * @vma: new mapping of the whole ring
 *
 * Context: Process context, under the mmap_lock. Takes and releases
 *	tap->ring.lock.
 * Return: 0, -EINVAL if @vma is not a shared mapping of the whole ring from its
 *	start, -EBUSY if there is a mapping or the tap is in direct mode, -ENOMEM,
 *	or -EOPNOTSUPP if a page of this kernel does not fit into a slot.
 */
int blktap_ring_mmap(struct blktap *tap, struct vm_area_struct *vma)
{
	unsigned long nr = BLKTAP_RING_PAGES;
	struct blktap_sring *sring;
	struct page **pages;
	unsigned int noio = 0;
	bool next;
	int ret;

	if (BLKTAP_SLOT_BYTES < PAGE_SIZE)
		return -EOPNOTSUPP;
	if (vma_pages(vma) != nr || vma->vm_pgoff ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* Seen again, and for good, when the mode is entered. */
	if (READ_ONCE(tap->server) == BLKTAP_SERVER_READY)
		return -EBUSY;

	/*
	 * When a disk waits for this server, memory must not be reclaimed by its
	 * I/O, and what little its cgroup may have must not keep it waiting.
	 */
	next = READ_ONCE(tap->state) != BLKTAP_NO_DISK;
	if (next)
		noio = memalloc_noio_save();
	ret = -ENOMEM;
	pages = blktap_ring_alloc(next ? GFP_NOIO : GFP_KERNEL_ACCOUNT);
	if (!pages)
		goto out;
	sring = page_address(pages[0]);
	sring->req_event = 1;
	sring->rsp_event = 1;

	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP |
		     VM_MIXEDMAP);
	ret = vm_insert_pages(vma, vma->vm_start, pages, &nr);
	if (!ret)
		ret = blktap_ring_enter(tap, vma, pages);
	if (ret)
		blktap_ring_free(pages);
out:
	if (next)
		memalloc_noio_restore(noio);
	return ret;
}

/**
 * blktap_ring_debug - add a line on the ring to a sysfs page
 * @tap: the tap
 * @buf: the page
 * @at: where in the page
 *
 * Context: Process context. Takes and releases tap->ring.lock.
 * Return: bytes added.
 */
int blktap_ring_debug(struct blktap *tap, char *buf, int at)
{
	struct blktap_ring *ring = &tap->ring;
	int n;

	mutex_lock(&ring->lock);
	n = sysfs_emit_at(buf, at,
			  "ring: mapped %d, req_prod %u, rsp_cons %u, broken %d\n",
			  !!ring->pages, ring->req_prod, ring->rsp_cons,
			  ring->broken);
	mutex_unlock(&ring->lock);
	return n;
}

/**
 * blktap_ring_init - make a tap's ring ready to be mapped
 * @tap: new tap
 *
 * Context: Any context.
 */
void blktap_ring_init(struct blktap *tap)
{
	mutex_init(&tap->ring.lock);
}
