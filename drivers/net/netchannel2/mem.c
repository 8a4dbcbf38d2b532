// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2: memory that is shared with the other end.
 *
 * Pages are either ours, whole, zeroed, used for nothing else and granted to
 * the other end, or the other end's, mapped here. Ours are given back only
 * after the grant has ended; if the other end still has a page mapped, that is
 * when it lets go (gnttab_end_foreign_access()).
 */
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include <xen/page.h>

#include "nc2.h"

static int nc2_mem_arrays(struct nc2_mem *mem, unsigned int pages, bool map)
{
	mem->area.page = kvcalloc(pages, sizeof(*mem->area.page), GFP_KERNEL);
	mem->pages = kvcalloc(pages, sizeof(*mem->pages), GFP_KERNEL);
	mem->refs = kvcalloc(pages, sizeof(*mem->refs), GFP_KERNEL);
	if (map)
		mem->handles = kvcalloc(pages, sizeof(*mem->handles), GFP_KERNEL);
	if (mem->area.page && mem->pages && mem->refs && (!map || mem->handles))
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
	ret = nc2_mem_arrays(mem, pages, false);
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

/* Unmap what was mapped, and give the place where it was back. */
static void nc2_mem_unmap(struct nc2_mem *mem)
{
	unsigned int i, n = 0, pages = mem->area.size / PAGE_SIZE;
	struct gnttab_unmap_grant_ref op[16];
	struct page *page[ARRAY_SIZE(op)];

	for (i = 0; i < pages; i++) {
		if (mem->handles[i] != INVALID_GRANT_HANDLE) {
			gnttab_set_unmap_op(&op[n], (unsigned long)mem->area.page[i],
					    GNTMAP_host_map, mem->handles[i]);
			page[n++] = mem->pages[i];
		}
		/* Fails only for a handle that is not one, which these are. */
		if (n == ARRAY_SIZE(op) || (n && i == pages - 1)) {
			gnttab_unmap_refs(op, NULL, page, n);
			n = 0;
		}
	}
	gnttab_free_pages(pages, mem->pages);
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
 * Return: 0, -ENOMEM, or -EINVAL if a reference is not good,
 * and @mem is empty.
 */
int nc2_mem_map(struct nc2_mem *mem, domid_t domid, const grant_ref_t *refs,
		unsigned int pages, bool readonly)
{
	struct gnttab_map_grant_ref *op;
	unsigned int i;
	int ret;

	ret = nc2_mem_arrays(mem, pages, true);
	op = kvcalloc(pages, sizeof(*op), GFP_KERNEL);
	if (ret || !op || gnttab_alloc_pages(pages, mem->pages)) {
		kvfree(op);
		nc2_mem_free_arrays(mem);
		return -ENOMEM;
	}
	mem->area.size = pages * PAGE_SIZE;
	for (i = 0; i < pages; i++) {
		mem->area.page[i] = page_address(mem->pages[i]);
		mem->refs[i] = refs[i];
		gnttab_set_map_op(&op[i], (unsigned long)mem->area.page[i],
				  GNTMAP_host_map | (readonly ? GNTMAP_readonly : 0),
				  refs[i], domid);
		/* What Xen does not come to has failed. */
		op[i].status = GNTST_general_error;
		op[i].handle = INVALID_GRANT_HANDLE;
	}
	ret = gnttab_map_refs(op, NULL, mem->pages, pages);
	for (i = 0; i < pages; i++) {
		mem->handles[i] = op[i].status == GNTST_okay ? op[i].handle :
							       INVALID_GRANT_HANDLE;
		if (op[i].status != GNTST_okay)
			ret = -EINVAL;
	}
	kvfree(op);
	if (ret)
		nc2_mem_free(mem);
	return ret;
}

/**
 * nc2_mem_free - give back what nc2_mem_alloc() or nc2_mem_map() got
 * @mem: is empty afterwards; may be so before
 *
 * Context: process. Nobody may use the pages.
 */
void nc2_mem_free(struct nc2_mem *mem)
{
	unsigned int i;

	if (mem->handles) {
		nc2_mem_unmap(mem);
	} else {
		for (i = 0; i < mem->area.size / PAGE_SIZE; i++) {
			if (mem->refs[i] == INVALID_GRANT_REF)
				put_page(mem->pages[i]);
			else
				gnttab_end_foreign_access(mem->refs[i], mem->pages[i]);
		}
	}
	nc2_mem_free_arrays(mem);
}
