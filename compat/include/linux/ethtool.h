/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _COMPAT_LINUX_ETHTOOL_H
#define _COMPAT_LINUX_ETHTOOL_H

#include_next <linux/ethtool.h>
#include <linux/version.h>

/*
 * 6.8, fb6e30a72539 ("net: ethtool: pass a pointer to parameters to get/set_rxfh
 * ethtool ops"). What is there is what the driver uses.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
struct ethtool_rxfh_param {
	u8 hfunc;
	u32 *indir;
	u8 *key;
};

#define nc2_get_rxfh(...)						\
	compat_get_rxfh(__VA_ARGS__);					\
	static int (nc2_get_rxfh)(struct net_device *dev, u32 *indir,	\
				  u8 *key, u8 *hfunc)			\
	{								\
		struct ethtool_rxfh_param rxfh = {			\
			.indir = indir,					\
			.key = key,					\
		};							\
		int ret = compat_get_rxfh(dev, &rxfh);			\
									\
		if (hfunc)						\
			*hfunc = rxfh.hfunc;				\
		return ret;						\
	}								\
	static int compat_get_rxfh(__VA_ARGS__)

#define nc2_set_rxfh(...)						\
	compat_set_rxfh(__VA_ARGS__);					\
	static int (nc2_set_rxfh)(struct net_device *dev,		\
				  const u32 *indir, const u8 *key,	\
				  const u8 hfunc)			\
	{								\
		struct ethtool_rxfh_param rxfh = {			\
			.indir = (u32 *)indir,				\
			.key = (u8 *)key,				\
			.hfunc = hfunc,					\
		};							\
									\
		return compat_set_rxfh(dev, &rxfh, NULL);		\
	}								\
	static int compat_set_rxfh(__VA_ARGS__)
#endif

#endif /* _COMPAT_LINUX_ETHTOOL_H */
