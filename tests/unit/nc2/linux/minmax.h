/* SPDX-License-Identifier: GPL-2.0 */
#ifndef NC2_LINUX_MINMAX_H
#define NC2_LINUX_MINMAX_H

#define min_t(type, a, b)	({ type a_ = (a), b_ = (b); a_ < b_ ? a_ : b_; })

#endif /* NC2_LINUX_MINMAX_H */
