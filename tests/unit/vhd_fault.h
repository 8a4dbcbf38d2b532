/* SPDX-License-Identifier: GPL-2.0 */
/* What the linker makes of --wrap for vhd_fault_test.c. */
#ifndef VHD_FAULT_H
#define VHD_FAULT_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
ssize_t __real_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __real_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);
int __real_posix_fallocate64(int fd, off_t off, off_t len);
int __wrap_posix_fallocate64(int fd, off_t off, off_t len);
int __real_open64(const char *path, int flags, int mode);
int __wrap_open64(const char *path, int flags, int mode);
int __real_renameat2(int from_fd, const char *from, int to_fd,
		     const char *to, unsigned int flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd,
		     const char *to, unsigned int flags);
int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __real_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);

int __real_statx(int dir, const char *path, int flags, unsigned int mask,
		 struct statx *st);
int __wrap_statx(int dir, const char *path, int flags, unsigned int mask,
		 struct statx *st);

#endif /* VHD_FAULT_H */
