// SPDX-License-Identifier: GPL-2.0
static int blktap_test(void __user *arg)
{
	struct blktap_info a, b;

	if (copy_from_user(&a, arg, 8))
		return -EFAULT;
	if (a.ring_major)
		return -EINVAL;
	if (copy_from_user((char *)&a + 8, arg + 8, 4))
		return -EFAULT;
	if (copy_from_user(&b, arg, 12)) /* bad */
		return -EFAULT;
	return 0;
}
