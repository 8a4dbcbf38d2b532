// SPDX-License-Identifier: GPL-2.0
#include <linux/ethtool.h>

#include "nc2.h"

const struct ethtool_ops nc2_ethtool_ops = {
	.get_link = ethtool_op_get_link,
};
