/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core of tapdisk2 as the VHD driver sees it, for tests: what is started
 * waits in a list until the test runs it, in an order that the test chooses,
 * so that a single thread sees what a busy disk does.
 */
#ifndef VHD_FAKE_H
#define VHD_FAKE_H

#include "tapdisk/td_driver.h"

enum vfake_kind { VFAKE_IO, VFAKE_MAP, VFAKE_RETRY };

struct vfake_event {
	struct vfake_event *next;
	enum vfake_kind kind;
	struct td_io *io;
	struct td_req *req;
	uint64_t keep[8];	/* of a killed request: its td_req.priv */
	unsigned int flags;
	unsigned int nr;
	struct blktap_direct_extent ext[];
};

struct vfake_req {
	struct td_req req;
	uint8_t *data;
	bool done;
	int error;
	int retries;
};

struct vfake {
	const struct td_driver *drv;
	void *priv;
	struct td_disk_info info;
	struct td_below below;
	/* td_vbd_hold() without td_vbd_release(). */
	int held;
	int files[BLKTAP_DIRECT_FILES_MAX];
	int nr_files;
	struct vfake_event *events;
	unsigned int nr_events;
	uint64_t seed;
	bool in_order;
	/* TD_IO_START and TD_IO_RESERVE that were carried out. */
	unsigned int starts;
	unsigned int reserves;
	/* Retries end a request after that many. */
	int max_retries;
	/* Called before an event is carried out; non-zero: it fails so. */
	int (*fail)(const struct vfake_event *event);
	/*
	 * Called for each change of a file; buf is NULL for a punched hole,
	 * through says that it was written through the disk's cache.
	 */
	void (*record)(int fd, const void *buf, uint64_t off, size_t len,
		       bool through);
	/* fdatasync covers what was done before it was started. */
	void (*sync_start)(int fd);
	void (*synced)(int fd);
};

extern struct vfake vfake;

uint64_t vfake_random(void);
int vfake_open(const char *path, unsigned int flags);
int vfake_close(void);
/* As if the program had been killed. */
void vfake_kill(void);
void vfake_submit(struct vfake_req *req);
/* Carry out one event; false if there is none. */
bool vfake_step(void);
void vfake_run(void);
/* Do a request and everything else that is under way. */
int vfake_do(uint8_t op, uint64_t sector, uint32_t nr, void *data, bool fua);

#endif /* VHD_FAKE_H */
