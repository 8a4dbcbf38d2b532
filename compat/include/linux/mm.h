/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_MM_H
#define _COMPAT_LINUX_MM_H

#include_next <linux/mm.h>
#include <linux/version.h>

/* 6.3, bc292ab00f6c ("mm: introduce vma->vm_flags wrapper functions"). */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void compat_vm_flags_set(struct vm_area_struct *vma,
				       unsigned long flags)
{
	vma->vm_flags |= flags;
}

#define vm_flags_set compat_vm_flags_set
#endif

#endif /* _COMPAT_LINUX_MM_H */
