/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TD_DIO_H
#define TD_DIO_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>

#define TD_DIO_NONE	UINT32_MAX

/**
 * td_dio_unit() - what a file wants offsets, lengths and buffers of direct I/O
 * to be a multiple of
 * @fd: any descriptor of it
 *
 * To try is not enough: a file system on sectors of 4096 bytes reads 512 of
 * them from a hole, and refuses to write them there.
 *
 * Return: bytes; TD_DIO_NONE: it has no direct I/O; 0: the kernel does not
 * say, as before 6.1, and for many file systems after it.
 */
static inline uint32_t td_dio_unit(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) ||
	    !(st.stx_mask & STATX_DIOALIGN))
		return 0;
	if (!st.stx_dio_offset_align || !st.stx_dio_mem_align)
		return TD_DIO_NONE;
	return st.stx_dio_offset_align > st.stx_dio_mem_align ?
	       st.stx_dio_offset_align : st.stx_dio_mem_align;
#else
	(void)fd;
	return 0;
#endif
}

#endif /* TD_DIO_H */
