// SPDX-License-Identifier: GPL-2.0
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include <xen/page.h>

#include "evil.h"

static int evil_mem_arrays(struct evil_mem *mem, unsigned int pages, bool map)
{
	mem->area.page = kcalloc(pages, sizeof(*mem->area.page), GFP_KERNEL);
	mem->pages = kcalloc(pages, sizeof(*mem->pages), GFP_KERNEL);
	mem->refs = kcalloc(pages, sizeof(*mem->refs), GFP_KERNEL);
	if (map)
		mem->handles = kcalloc(pages, sizeof(*mem->handles), GFP_KERNEL);
	return mem->area.page && mem->pages && mem->refs && (!map || mem->handles) ?
	       0 : -ENOMEM;
}

int evil_mem_alloc(struct evil_mem *mem, unsigned int pages, bool readonly)
{
	unsigned int i;
	int ret = evil_mem_arrays(mem, pages, false);

	for (i = 0; !ret && i < pages; i++) {
		mem->pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!mem->pages[i]) {
			ret = -ENOMEM;
			break;
		}
		mem->area.page[i] = page_address(mem->pages[i]);
		ret = gnttab_grant_foreign_access(evil.xbdev->otherend_id,
						  xen_page_to_gfn(mem->pages[i]),
						  readonly);
		if (ret < 0) {
			__free_page(mem->pages[i]);
			break;
		}
		mem->refs[i] = ret;
		mem->area.size += PAGE_SIZE;
		ret = 0;
	}
	if (ret)
		evil_mem_free(mem);
	return ret;
}

int evil_mem_map(struct evil_mem *mem, const grant_ref_t *refs,
		 unsigned int pages, bool readonly)
{
	struct gnttab_map_grant_ref *op;
	int ret = evil_mem_arrays(mem, pages, true);
	unsigned int i;

	op = kcalloc(pages, sizeof(*op), GFP_KERNEL);
	if (ret || !op || gnttab_alloc_pages(pages, mem->pages)) {
		kfree(op);
		evil_mem_free(mem);
		return -ENOMEM;
	}
	mem->area.size = pages * PAGE_SIZE;
	for (i = 0; i < pages; i++) {
		mem->area.page[i] = page_address(mem->pages[i]);
		gnttab_set_map_op(&op[i], (unsigned long)mem->area.page[i],
				  GNTMAP_host_map |
				  (readonly ? GNTMAP_readonly : 0),
				  refs[i], evil.xbdev->otherend_id);
		op[i].status = GNTST_general_error;
		op[i].handle = INVALID_GRANT_HANDLE;
	}
	ret = gnttab_map_refs(op, NULL, mem->pages, pages);
	for (i = 0; i < pages; i++) {
		mem->handles[i] = op[i].status ? INVALID_GRANT_HANDLE :
				  op[i].handle;
		if (op[i].status)
			ret = -EINVAL;
	}
	kfree(op);
	if (ret)
		evil_mem_free(mem);
	return ret;
}

static void evil_mem_unmap(struct evil_mem *mem)
{
	struct gnttab_unmap_grant_ref op;
	unsigned int i, pages = mem->area.size / PAGE_SIZE;

	for (i = 0; i < pages; i++) {
		if (mem->handles[i] == INVALID_GRANT_HANDLE)
			continue;
		gnttab_set_unmap_op(&op, (unsigned long)mem->area.page[i],
				    GNTMAP_host_map, mem->handles[i]);
		gnttab_unmap_refs(&op, NULL, &mem->pages[i], 1);
	}
	gnttab_free_pages(pages, mem->pages);
}

void evil_mem_free(struct evil_mem *mem)
{
	unsigned int i;

	if (mem->handles && mem->area.size)
		evil_mem_unmap(mem);
	for (i = 0; !mem->handles && i < mem->area.size / PAGE_SIZE; i++)
		gnttab_end_foreign_access(mem->refs[i], mem->pages[i]);
	kfree(mem->area.page);
	kfree(mem->pages);
	kfree(mem->refs);
	kfree(mem->handles);
	memset(mem, 0, sizeof(*mem));
}

/* How many pages has the other end granted to us, of its first references? */
int evil_mem_granted(unsigned int refs)
{
	struct gnttab_unmap_grant_ref unmap;
	struct gnttab_map_grant_ref map;
	struct page *page;
	unsigned int ref;
	int n = 0;

	if (gnttab_alloc_pages(1, &page))
		return -ENOMEM;
	/* The first ones are Xen's own. */
	for (ref = 8; ref < refs; ref++) {
		unsigned long addr = (unsigned long)page_address(page);

		gnttab_set_map_op(&map, addr, GNTMAP_host_map | GNTMAP_readonly, ref,
				  evil.xbdev->otherend_id);
		map.status = GNTST_general_error;
		if (gnttab_map_refs(&map, NULL, &page, 1) || map.status)
			continue;
		n++;
		gnttab_set_unmap_op(&unmap, addr, GNTMAP_host_map, map.handle);
		gnttab_unmap_refs(&unmap, NULL, &page, 1);
	}
	gnttab_free_pages(1, &page);
	return n;
}
