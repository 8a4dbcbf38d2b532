/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NC2_LINUX_MATH_H
#define NC2_LINUX_MATH_H

/* To a multiple of a power of two. */
#define round_up(x, y)	({ typeof(x) y_ = (y); ((x) + y_ - 1) & ~(y_ - 1); })

#endif /* NC2_LINUX_MATH_H */
