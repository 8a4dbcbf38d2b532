/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TD_FILE_H
#define TD_FILE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * td_file_lock() - lock an image for as long as its descriptor is open
 * @fd: descriptor, writable for an exclusive lock
 * @exclusive: exclusive (writer) instead of shared (reader)
 * @path: for messages
 *
 * Return: 0, or -errno with a message: -EBUSY if another open of the file,
 * in this process or in another, has a lock that conflicts.
 */
int td_file_lock(int fd, bool exclusive, const char *path);

/**
 * td_file_direct_ok() - find out if O_DIRECT works for single sectors
 * @fd: descriptor open with O_DIRECT, readable
 * @sector_size: logical sector size in bytes
 *
 * A request of a guest may start at any sector of the file, and in memory at
 * any multiple of 512 bytes.
 *
 * Return: true if it does.
 */
bool td_file_direct_ok(int fd, uint32_t sector_size);

/**
 * td_size_parse() - parse a size with an optional suffix
 * @text: decimal number and suffix: K, M, G, T or KiB, MiB, GiB, TiB, powers
 *	of 1024, or B, bytes; KB, MB and so on mean powers of 1000 to some and
 *	of 1024 to others, and are refused
 * @unit: bytes that a number without suffix counts
 * @size: size in bytes
 *
 * Return: 0, or -EINVAL if that is no size or more than 2^63 - 1 bytes.
 */
int td_size_parse(const char *text, uint64_t unit, uint64_t *size);

#endif /* TD_FILE_H */
