/* SPDX-License-Identifier: GPL-2.0 */
/*
 * blktap-attack: what its files share.
 */
#ifndef ATTACK_H
#define ATTACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tap.h"

/* Size of the disks the tests make. */
#define ATTACK_SECTORS	8192
#define ATTACK_BYTES	(ATTACK_SECTORS * 512)

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Features of a server in each mode. */
#define ATTACK_RING	(BLKTAP_DEVICE_FLUSH | BLKTAP_DEVICE_TRIM)
#define ATTACK_DIRECT	(ATTACK_RING | BLKTAP_DEVICE_FUA | \
			 BLKTAP_DEVICE_WRITE_ZEROES)

/* What is wrong is printed, and the test goes on. */
#define CHECK(cond) \
	attack_check(cond, __FILE__, __LINE__, #cond)
#define CHECK_EQ(have, want) \
	attack_equal(have, want, __FILE__, __LINE__, #have)

bool attack_check(bool ok, const char *file, int line, const char *what);
bool attack_equal(long have, long want, const char *file, int line,
		  const char *what);

/**
 * struct attack_test - a test
 * @name: what must hold
 * @run: uses CHECK()
 */
struct attack_test {
	const char *name;
	void (*run)(void);
};

extern const struct attack_test attack_ring_tests[];
extern const struct attack_test attack_direct_tests[];
extern const struct attack_test attack_life_tests[];
extern const struct attack_test attack_stuck_tests[];

/*
 * I/O by another process, which has none of this one's descriptors, so it never
 * keeps a server alive.
 */
struct attack_io {
	pid_t pid;
	int error;
	bool apart;
	bool done;
	size_t len;
	char data[1 << 20];
};

/* Data is @len bytes of @byte to write, or -1 to read. */
struct attack_io *attack_io(int minor, off_t at, size_t len, int byte);
struct attack_io *attack_flush(int minor);
bool attack_io_done(struct attack_io *io, int ms);
/* The error it ends with, or -ETIME; ends the process. */
int attack_io_end(struct attack_io *io);
/* Is the data read @len bytes of @byte? */
bool attack_io_is(const struct attack_io *io, int byte);

/* A tap with a disk and this process as its server. */
bool attack_ring_up(struct tap *t);
bool attack_direct_up(struct tap *t, int file);
void attack_down(struct tap *t);

/* The next request; false and a complaint if none comes. */
bool attack_fetch(struct tap *t, struct blktap_ring_request *req);
bool attack_event(struct tap *t, struct blktap_direct_event *event);

/* A file of ATTACK_BYTES, opened with more @flags. */
int attack_file(int flags);
/* Has the state been reached within @ms? */
bool attack_state(int minor, const char *state, int ms);
/* Serve with a process of its own: "ring" or "direct". */
pid_t attack_server(int minor, bool direct, int file);
void attack_kill(pid_t pid);
uint64_t attack_now_ms(void);

#endif /* ATTACK_H */
