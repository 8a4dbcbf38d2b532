/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the VHD driver share: a model of a disk, random load on
 * it, and images to put it on.
 *
 * Each sector that is written gets a number of its own. The model keeps, for
 * each sector, the numbers that it may hold: after a write completed only
 * that one, as long as the machine stays up; after a power cut also those
 * since the last FLUSH.
 */
#ifndef VHD_MODEL_H
#define VHD_MODEL_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <cmocka.h>

#include "libvhd/vhd.h"
#include "vhd_fake.h"

/* Images with small blocks, so that a small disk has many of them. */
#define VT_BLOCK	16384U
#define VT_SPB	(VT_BLOCK / VHD_SECTOR)

#define VT_HIST_MAX	64

/* Values a sector may hold: v[0] was confirmed by a flush, the last is new. */
struct vt_hist {
	uint64_t v[VT_HIST_MAX];
	int nr;
	int completed;		/* index of the last completed */
	int base;		/* values forgotten */
	int trimmed;		/* as base + index: the last that a TRIM left */
	bool busy;		/* a request is writing it */
	bool maybe;		/* trimmed: any of them may be there */
	bool failed;		/* the same, and it may change */
};

struct vt_model {
	struct vt_hist *h;
	uint64_t sectors;
};

#define VT_LOAD_SLOTS	12
#define VT_LOAD_MAX	96	/* sectors of a request */

struct vt_slot {
	struct vfake_req r;
	bool used;
	uint8_t data[VT_LOAD_MAX * VHD_SECTOR];
};

struct vt_load {
	struct vt_model *m;
	struct vt_slot slot[VT_LOAD_SLOTS];
	bool trim;
	bool zeroes;
	bool may_fail;
	unsigned int writes;	/* requests that change something */
	unsigned int flushes;	/* FLUSH and FUA */
};

extern const struct vhd_ctx vt_ctx;

/* Fixtures: a folder on a disk (O_DIRECT), or in memory (fast fdatasync). */
int vt_setup(void **state);
int vt_setup_mem(void **state);
int vt_teardown(void **state);

/* A path in the test's folder; good for the next seven calls. */
const char *vt_path(const char *name);
/* A shell command in the test's folder; fails the test if it fails. */
void vt_sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* SHA-256 of a file, 64 digits and NUL. */
void vt_hash(const char *name, char *sum);

/* An image with blocks of VT_BLOCK bytes; an ordinary one. */
void vt_image(const char *name, uint64_t size, const char *parent);
void vt_create(const char *name, uint64_t size, bool fixed,
	       const char *parent);
/* An image as vt_image() makes, about half of its blocks written. */
void vt_parent(const char *name, uint64_t size);
/* A new child (parent NULL: a new image) as large as the model. */
void vt_begin(struct vt_model *m, const char *name, const char *parent);

void vt_fill(uint8_t *buf, uint64_t value);
/* The number in a sector; all of it must be the same. */
uint64_t vt_value(const uint8_t *buf);

void vt_model_init(struct vt_model *m, uint64_t sectors);
/* Sectors that were read; crash: as below. */
void vt_model_check(const struct vt_model *m, uint64_t sector, uint32_t nr,
		    const uint8_t *buf, bool crash);
/* Read all of the disk; crash: anything since the last flush will do. */
void vt_model_verify(struct vt_model *m, bool crash);
/* What is there now is what there is. */
void vt_model_settle(struct vt_model *m);

/* Finish what is done; start new requests if @more. Returns how many. */
int vt_load_poll(struct vt_load *l, bool more);
void vt_load_run(struct vt_load *l, int requests);
/* Finish all, start nothing. */
void vt_load_drain(struct vt_load *l);
/* The program is gone; what was not complete may or may not be there. */
void vt_load_forget(struct vt_load *l);

#endif /* VHD_MODEL_H */
