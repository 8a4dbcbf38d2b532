/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Patches for images that lie: @len bytes (big-endian @value) at @off of a
 * structure, the checksum of which is made good again unless the patch is for
 * the checksum.
 */
#ifndef VHD_PATCH_H
#define VHD_PATCH_H

#include <stddef.h>
#include <stdint.h>

void vp_put(uint8_t *p, unsigned int len, uint64_t value);
void vp_read(const char *path, uint64_t off, void *buf, size_t len);
void vp_write(const char *path, uint64_t off, const void *buf, size_t len);
uint64_t vp_size(const char *path);
/* The footer at the end, and the copy at 0 if there is one. */
void vp_footer(const char *path, unsigned int off, unsigned int len,
	       uint64_t value);
/* The header, which must be at 512. */
void vp_header(const char *path, unsigned int off, unsigned int len,
	       uint64_t value);

#endif /* VHD_PATCH_H */
