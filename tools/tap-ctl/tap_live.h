/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TAP_LIVE_H
#define TAP_LIVE_H

#include <signal.h>

#include "libvhd/vhd.h"
#include "tap_ctl.h"
#include "td_progress.h"

/**
 * struct tap_live - a disk in use whose chain is changed
 * @env: where
 * @o: options
 * @ctx: for libvhd
 * @tap: the tap, as it was at the last pause
 * @path: real path of its image
 * @lock: while it is paused
 * @tie: while it is paused, as of tap_image_pause()
 * @since: when the pause began, in milliseconds
 * @pauses: how many there were
 * @longest: of them, in milliseconds
 * @sectors: that were merged
 * @progress: how far it has come
 * @mask: signals that were blocked before
 */
struct tap_live {
	const struct tap_env *env;
	const struct tap_opts *o;
	struct vhd_ctx ctx;
	struct tap_sysfs tap;
	char path[PATH_MAX];
	int lock;
	int tie;
	int64_t since;
	int pauses;
	int64_t longest;
	uint64_t sectors;
	struct td_progress progress;
	sigset_t mask;
};

/*
 * Find the tap and its image, and let it go on if an earlier run was killed
 * while it was paused. Signals wait from then on.
 */
int tap_live_begin(struct tap_live *l, const struct tap_env *env,
		   const struct tap_opts *o);
void tap_live_end(struct tap_live *l);
/* Nobody has the image open until tap_live_unpause(). */
int tap_live_pause(struct tap_live *l);
/* With the image that has the same name now. Returns @error, if there is one. */
int tap_live_unpause(struct tap_live *l, int error);
/* The chain as it is: footers and headers. */
int tap_live_chain(struct tap_live *l, struct vhd_image **chain);
/* @live: as of vhd_coalesce(), at the rate of -r, until there is a signal. */
int tap_live_merge(struct tap_live *l, const char *child, const char *parent,
		   bool live);

#endif /* TAP_LIVE_H */
