/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TD_PROGRESS_H
#define TD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct td_progress - how far something long has come, shown on stderr
 * @forced: print always, not only on a terminal after a second
 * @shown: there is a line to be ended
 * @started: when it began, in milliseconds
 * @last: when the line was printed last
 */
struct td_progress {
	bool forced;
	bool shown;
	int64_t started;
	int64_t last;
};

void td_progress_init(struct td_progress *progress, bool forced);
/* @opaque: the struct td_progress; @done of @total steps are done. */
void td_progress(void *opaque, uint64_t done, uint64_t total);
/* End the line, if there is one. */
void td_progress_end(struct td_progress *progress);

#endif /* TD_PROGRESS_H */
