/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_HRTIMER_H
#define _COMPAT_LINUX_HRTIMER_H

#include_next <linux/hrtimer.h>
#include <linux/version.h>

/*
 * 6.15, 9779489a31d7 ("hrtimers: Delete hrtimer_init()"). Who calls it sets the
 * function afterwards.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
static inline enum hrtimer_restart compat_hrtimer_none(struct hrtimer *timer)
{
	return HRTIMER_NORESTART;
}

static inline void compat_hrtimer_init(struct hrtimer *timer, clockid_t clock,
				       enum hrtimer_mode mode)
{
	hrtimer_setup(timer, compat_hrtimer_none, clock, mode);
}

#define hrtimer_init compat_hrtimer_init
#endif

#endif /* _COMPAT_LINUX_HRTIMER_H */
