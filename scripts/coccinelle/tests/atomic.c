// SPDX-License-Identifier: GPL-2.0
static int blktap_test(struct blktap *tap, void __user *arg)
{
	spin_lock(&tap->lock);
	if (tap->x) {
		spin_unlock(&tap->lock);
		mutex_lock(&tap->mutex);
		return 1;
	}
	if (copy_to_user(arg, tap, 4)) /* bad */
		tap->x = 1;
	spin_unlock(&tap->lock);
	mutex_lock(&tap->mutex);
	return 0;
}

static void nc2_test(struct nc2_dev *nd)
{
	spin_lock_bh(&nd->lock);
	if (nd->broken)
		xenbus_switch_state(nd->xbdev, XenbusStateClosing); /* bad */
	spin_unlock_bh(&nd->lock);
	synchronize_net();
}
