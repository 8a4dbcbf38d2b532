/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_LIST_H
#define _COMPAT_LINUX_LIST_H

#include_next <linux/list.h>
#include <linux/version.h>

/*
 * 6.3, 4d70c74659d9 ("list: introduce list_count_nodes()"). Only the later
 * releases of 6.1 have it as well, so it has another name here.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline size_t compat_list_count_nodes(struct list_head *head)
{
	struct list_head *pos;
	size_t count = 0;

	list_for_each(pos, head)
		count++;
	return count;
}

#define list_count_nodes compat_list_count_nodes
#endif

#endif /* _COMPAT_LINUX_LIST_H */
