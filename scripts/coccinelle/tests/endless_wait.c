// SPDX-License-Identifier: GPL-2.0
static int blktap_test(struct blktap *tap)
{
	wait_event(tap->wait, tap->done); /* bad */
	wait_for_completion(&tap->gone); /* bad */
	return wait_event_killable(tap->wait, tap->done);
}
