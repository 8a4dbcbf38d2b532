// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: memory that is shared with the other end.
 *
 * All shared memory is the frontend's. There it is whole pages, zeroed and used
 * for nothing else, which are granted to the backend. They are given back only
 * after the grant has ended. A page that the backend still has mapped is kept,
 * and as long as there is one, no new memory is granted to that backend: one
 * that lets go of nothing gets no more than it has, see front.c. The backend
 * maps these pages, all or a part of them, or knows their grant references only
 * and copies by these (copy.c). It grants nothing to a guest.
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <xen/page.h>

#include "nc2.h"

/* @local: there will be pages here; @map: which are the other end's. */
static int nc2_mem_arrays(struct nc2_mem *mem, unsigned int pages, bool local, bool map)
{
	mem->refs = kvcalloc(pages, sizeof(*mem->refs), GFP_KERNEL);
	if (local) {
		mem->area.page = kvcalloc(pages, sizeof(*mem->area.page), GFP_KERNEL);
		mem->pages = kvcalloc(pages, sizeof(*mem->pages), GFP_KERNEL);
	}
	if (map)
		mem->handles = kvcalloc(pages, sizeof(*mem->handles), GFP_KERNEL);
	if (mem->refs && (!local || (mem->area.page && mem->pages)) && (!map || mem->handles))
		return 0;
	return -ENOMEM;
}

static void nc2_mem_free_arrays(struct nc2_mem *mem)
{
	kvfree(mem->area.page);
	kvfree(mem->pages);
	kvfree(mem->refs);
	kvfree(mem->handles);
	memset(mem, 0, sizeof(*mem));
}

/**
 * nc2_mem_alloc - get pages
 * @mem: empty
 * @pages: their number
 * @order: log2 of the pages that are one compound page; it has one reference for
 *	each of them
 *
 * Context: process.
 *
 * Return: 0, -ENOMEM and @mem is empty.
 */
int nc2_mem_alloc(struct nc2_mem *mem, unsigned int pages, unsigned int order)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN;
	struct page *page = NULL;
	unsigned int i;
	int ret;

	if (order)
		gfp |= __GFP_COMP | __GFP_NORETRY;
	ret = nc2_mem_arrays(mem, pages, true, false);
	for (i = 0; !ret && i < pages; i++) {
		mem->refs[i] = INVALID_GRANT_REF;
		if (i % BIT(order))
			get_page(page++);
		else
			page = alloc_pages(gfp, order);
		if (!page) {
			ret = -ENOMEM;
			break;
		}
		mem->pages[i] = page;
		mem->area.page[i] = page_address(page);
		mem->area.size += PAGE_SIZE;
	}
	if (ret)
		nc2_mem_free(mem);
	return ret;
}

/**
 * nc2_mem_grant - let the other end have pages of ours
 * @mem: pages from nc2_mem_alloc()
 * @domid: the other end
 * @readonly: it may not write
 *
 * Context: process.
 *
 * Return: 0, or a negative errno, and nc2_mem_free() undoes
 * what was done.
 */
int nc2_mem_grant(struct nc2_mem *mem, domid_t domid, bool readonly)
{
	unsigned int i;
	int ret;

	for (i = 0; i < mem->area.size / PAGE_SIZE; i++) {
		ret = gnttab_grant_foreign_access(domid, xen_page_to_gfn(mem->pages[i]),
						  readonly);
		if (ret < 0)
			return ret;
		mem->refs[i] = ret;
	}
	return 0;
}

/**
 * nc2_mem_refer - know pages of the other end by their references only
 * @mem: empty
 * @refs: grant references
 * @pages: their number
 *
 * Context: process.
 *
 * Return: 0, -ENOMEM and @mem is empty.
 */
int nc2_mem_refer(struct nc2_mem *mem, const grant_ref_t *refs, unsigned int pages)
{
	if (nc2_mem_arrays(mem, pages, false, false)) {
		nc2_mem_free_arrays(mem);
		return -ENOMEM;
	}
	memcpy(mem->refs, refs, pages * sizeof(*refs));
	mem->area.size = pages * PAGE_SIZE;
	return 0;
}

/**
 * nc2_mem_reserve - prepare to map pages of the other end, a part at a time
 * @mem: empty
 * @refs: grant references
 * @pages: their number
 *
 * Context: process.
 *
 * Return: 0, -ENOMEM and @mem is empty.
 */
int nc2_mem_reserve(struct nc2_mem *mem, const grant_ref_t *refs, unsigned int pages)
{
	unsigned int i;

	if (nc2_mem_arrays(mem, pages, true, true)) {
		nc2_mem_free_arrays(mem);
		return -ENOMEM;
	}
	memcpy(mem->refs, refs, pages * sizeof(*refs));
	for (i = 0; i < pages; i++)
		mem->handles[i] = INVALID_GRANT_HANDLE;
	mem->area.size = pages * PAGE_SIZE;
	return 0;
}

/* What the status of a mapping means for the mapping as a whole. */
static int nc2_mem_status(int status)
{
	switch (status) {
	case GNTST_okay:
		return 0;
	case GNTST_no_device_space:
	case GNTST_no_space:
		/* This domain's table of mappings is full. */
		return -ENOSPC;
	default:
		return -EINVAL;
	}
}

static int nc2_mem_do_map(struct nc2_mem *mem, domid_t domid, unsigned int first,
			  unsigned int pages, bool readonly)
{
	struct gnttab_map_grant_ref *op;
	unsigned int i;
	int ret, err;

	op = kvcalloc(pages, sizeof(*op), GFP_KERNEL);
	if (!op || gnttab_alloc_pages(pages, mem->pages + first)) {
		/* It may have freed pages again that it has put there. */
		memset(mem->pages + first, 0, pages * sizeof(*mem->pages));
		kvfree(op);
		return -ENOMEM;
	}
	for (i = 0; i < pages; i++) {
		mem->area.page[first + i] = page_address(mem->pages[first + i]);
		gnttab_set_map_op(&op[i], (unsigned long)mem->area.page[first + i],
				  GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0),
				  mem->refs[first + i], domid);
		/* What Xen does not come to has failed. */
		op[i].status = GNTST_general_error;
		op[i].handle = INVALID_GRANT_HANDLE;
	}
	ret = gnttab_map_refs(op, NULL, mem->pages + first, pages);
	for (i = 0; i < pages; i++) {
		err = nc2_mem_status(op[i].status);
		if (!err)
			mem->handles[first + i] = op[i].handle;
		/* One that is not good says more than a table that is full. */
		if (err && ret != -EINVAL)
			ret = err;
	}
	kvfree(op);
	if (ret)
		nc2_mem_unmap_some(mem, first, pages);
	return ret;
}

/**
 * nc2_mem_map_some - map a part of the pages of the other end
 * @mem: from nc2_mem_reserve()
 * @domid: the other end
 * @first: first page, which is not mapped, as all of them
 * @pages: number of pages
 *
 * Context: process. Nobody uses these pages.
 *
 * Return: 0, or a negative errno as nc2_mem_map(), and none of them is mapped.
 */
int nc2_mem_map_some(struct nc2_mem *mem, domid_t domid, unsigned int first,
		     unsigned int pages)
{
	return nc2_mem_do_map(mem, domid, first, pages, false);
}

/**
 * nc2_mem_unmap_some - undo nc2_mem_map_some()
 * @mem: the memory
 * @first: first page
 * @pages: number of pages
 *
 * Context: process. Nobody uses these pages.
 */
void nc2_mem_unmap_some(struct nc2_mem *mem, unsigned int first, unsigned int pages)
{
	struct gnttab_unmap_grant_ref op[16];
	struct page *page[ARRAY_SIZE(op)];
	unsigned int i, n = 0;

	for (i = first; i < first + pages; i++) {
		if (mem->handles[i] != INVALID_GRANT_HANDLE) {
			gnttab_set_unmap_op(&op[n], (unsigned long)mem->area.page[i],
					    GNTMAP_host_map, mem->handles[i]);
			page[n++] = mem->pages[i];
			mem->handles[i] = INVALID_GRANT_HANDLE;
		}
		/* Fails only for a handle that is not one, which these are. */
		if (n == ARRAY_SIZE(op) || (n && i == first + pages - 1)) {
			gnttab_unmap_refs(op, NULL, page, n);
			n = 0;
		}
	}
	gnttab_free_pages(pages, mem->pages + first);
	memset(mem->pages + first, 0, pages * sizeof(*mem->pages));
	memset(mem->area.page + first, 0, pages * sizeof(*mem->area.page));
}

/**
 * nc2_mem_map - map pages of the other end
 * @mem: empty
 * @domid: the other end
 * @refs: grant references
 * @pages: their number
 * @readonly: they are only read
 *
 * Context: process.
 *
 * Return: 0; -ENOMEM; -ENOSPC if this domain's table of mappings is full; -EINVAL
 * if a reference is not good. @mem is empty if it fails.
 */
int nc2_mem_map(struct nc2_mem *mem, domid_t domid, const grant_ref_t *refs,
		unsigned int pages, bool readonly)
{
	int ret;

	ret = nc2_mem_reserve(mem, refs, pages);
	if (ret)
		return ret;
	ret = nc2_mem_do_map(mem, domid, 0, pages, readonly);
	if (ret)
		nc2_mem_free_arrays(mem);
	return ret;
}

/* Unmap what is mapped; parts may not be. */
static void nc2_mem_unmap(struct nc2_mem *mem)
{
	unsigned int pages = mem->area.size / PAGE_SIZE, first, n;

	for (first = 0; first < pages; first += n) {
		for (n = 0; first + n < pages && mem->pages[first + n]; n++)
			;
		if (n)
			nc2_mem_unmap_some(mem, first, n);
		else
			n = 1;
	}
}

/**
 * nc2_mem_free - give back pages
 * @mem: of any kind; may be empty
 *
 * Pages that are granted, and that the other end still has mapped, stay in @mem,
 * for another try.
 *
 * Context: process. Nobody of this end may use the pages.
 *
 * Return: number of pages that stay; if it is 0 @mem is empty.
 */
unsigned int nc2_mem_free(struct nc2_mem *mem)
{
	unsigned int i, held = 0;

	if (mem->handles)
		nc2_mem_unmap(mem);
	for (i = 0; mem->pages && !mem->handles && i < mem->area.size / PAGE_SIZE; i++) {
		if (!mem->pages[i])
			continue;
		if (mem->refs[i] != INVALID_GRANT_REF &&
		    !gnttab_try_end_foreign_access(mem->refs[i])) {
			held++;
			continue;
		}
		put_page(mem->pages[i]);
		mem->pages[i] = NULL;
	}
	if (!held)
		nc2_mem_free_arrays(mem);
	return held;
}

/**
 * nc2_mem_abandon - leave pages to the kernel
 * @mem: what nc2_mem_free() has left; is empty afterwards
 *
 * The kernel gives each page back when the other end has let go of it.
 *
 * Context: process. Nobody of this end may use the pages.
 */
void nc2_mem_abandon(struct nc2_mem *mem)
{
	unsigned int i;

	if (!nc2_mem_free(mem))
		return;
	for (i = 0; i < mem->area.size / PAGE_SIZE; i++) {
		if (mem->pages[i])
			gnttab_end_foreign_access(mem->refs[i], mem->pages[i]);
	}
	nc2_mem_free_arrays(mem);
}
