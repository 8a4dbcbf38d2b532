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

static int nc2_test(struct nc2_consumer *c)
{
	struct nc2_msg_hdr hdr;
	u32 a, b, at = 8;

	if (nc2_consumer_next(c, &hdr) <= 0)
		return 0;
	nc2_consumer_read(c, at, &a, 4);
	at += 4;
	nc2_consumer_read(c, at, &b, 4);
	if (a > b)
		return -EPROTO;
	nc2_consumer_read(c, at, &a, 4); /* bad */
	nc2_consumer_done(c, &hdr);
	return nc2_consumer_next(c, &hdr);
}

static int nc2_test_header(struct nc2_consumer *c)
{
	struct nc2_msg_hdr hdr, again;

	if (nc2_consumer_next(c, &hdr) <= 0 || hdr.size > 32)
		return 0;
	return nc2_consumer_next(c, &again); /* bad */
}
