// SPDX-License-Identifier: GPL-2.0
static void blktap_test(int x)
{
	BUG_ON(x); /* bad */
	if (x == 1)
		BUG(); /* bad */
	WARN_ON(x == 2); /* bad */
	WARN_ON_ONCE(x == 3);
	BUILD_BUG_ON(sizeof(x) != 4);
}
