/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A recorder between libvhd and the file of the leaf. It sees each write,
 * hole punch, truncate and sync, those of the engine and those that open,
 * close and create make, and knows what of them is durable. From that it
 * builds the files that a power cut may leave.
 *
 * A second file, a journal, is known by name only. It must be complete when it
 * gets its name, which then is there or not until its folder is synced.
 *
 * Needs the program to be linked with the --wrap options in the Makefile.
 */
#ifndef VHD_RECORD_H
#define VHD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rec_stats {
	unsigned int ops;	/* writes, holes, truncates */
	unsigned int syncs;	/* fdatasync, fsync */
	unsigned int points;	/* moments at which the power was cut */
	unsigned int states;	/* files built */
	unsigned int all;	/* points of which all states were built */
};

extern struct rec_stats rec_stats;

/*
 * Record what happens to the file at @path, which need not exist yet; states
 * are built at @state, @check is called for each.
 */
void rec_start(const char *path, const char *state, void (*check)(void));
void rec_stop(void);
/* The journal at @path is to be in the states, too, as @state. */
void rec_journal(const char *path, const char *state);
/* Cut the power around each change and sync, too: rec_cut(@max), 0: not. */
void rec_each(unsigned int max);
/* Cut the power now: @max states, all there are if they are not more. */
void rec_cut(unsigned int max);
/* The write just recorded went through to the disk. */
void rec_through(void);
/* An fdatasync covers what was there when it was started. */
void rec_sync_start(void);
void rec_sync_done(void);

/* What the linker makes of --wrap. */
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t off);
int __real_ftruncate64(int fd, off_t size);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __real_posix_fallocate64(int fd, off_t off, off_t len);
int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned int flags);
int __real_unlink(const char *path);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
int __wrap_ftruncate64(int fd, off_t size);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_posix_fallocate64(int fd, off_t off, off_t len);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to,
		     unsigned int flags);
int __wrap_unlink(const char *path);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);

#endif /* VHD_RECORD_H */
