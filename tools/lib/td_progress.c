// SPDX-License-Identifier: LGPL-2.1-or-later
#include "td_progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int64_t td_progress_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void td_progress_init(struct td_progress *progress, bool forced)
{
	*progress = (struct td_progress) {
		.forced = forced,
		.started = td_progress_now(),
	};
}

/* Five times a second; what takes less than a second needs none. */
void td_progress(void *opaque, uint64_t done, uint64_t total)
{
	struct td_progress *p = opaque;
	int64_t now = td_progress_now();

	if (!p->forced && (now - p->started < 1000 || !isatty(STDERR_FILENO)))
		return;
	if (done < total && p->shown && now - p->last < 200)
		return;
	p->shown = true;
	p->last = now;
	fprintf(stderr, "\r%6.2f%%", total ? 100.0 * done / total : 100.0);
	fflush(stderr);
}

void td_progress_end(struct td_progress *progress)
{
	if (progress->shown)
		fputc('\n', stderr);
	progress->shown = false;
}
