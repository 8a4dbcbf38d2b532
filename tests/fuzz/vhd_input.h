/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzz targets of VHD share: files made of an input.
 *
 * Input: 1 byte FUZZ_* flags, 3 bytes size of the file in sectors, then the
 * beginning of the file; what is behind it is zeros. Checksums are made good
 * if the flags say so, because nothing interesting lies behind a wrong one,
 * and the footer is put at the end. All targets take the same inputs, so what
 * one of them finds is of use to the others.
 *
 * Files are in memory and mostly holes. It is a fault if the library fills
 * them: nothing that so short an input says can need that much.
 */
#ifndef VHD_INPUT_H
#define VHD_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libvhd/vhd.h"

#define FUZZ_CHECKSUMS	0x01
#define FUZZ_FOOTER	0x02
#define FUZZ_OPTION	0x04	/* to the target: how it does what it does */
#define FUZZ_PARENT	0x08	/* the parent is fuzz_parent */
#define FUZZ_ODD_END	0x10
#define FUZZ_BATMAP	0x20	/* the checksum of the batmap is made good */

/* Of a file, in memory. */
#define FUZZ_FILE_MAX	(256ULL << 20)

extern char fuzz_leaf[80];	/* path of the file that is fuzzed */
extern char fuzz_parent[80];	/* of a good one, a disk of 16 MiB */
extern const struct vhd_ctx fuzz_ctx;

/* Something is wrong: tell what, with the last message, and abort. */
void __attribute__((noreturn)) fuzz_die(const char *what);
/* A path in the folder of the files, which is removed at the end. */
void fuzz_path(char path[80], const char *name);
/* Make the leaf; false: the input is too short to be any. */
bool fuzz_file(const uint8_t *input, size_t len);
/* Undo what was done to fuzz_parent. */
void fuzz_parent_restore(void);
/* Has the file grown too much? */
void fuzz_small(const char *path);
/* Is it as good as "vhd-util check" wants it to be? */
bool fuzz_good(const char *path);
/* A number from a sequence that the input determines. */
uint32_t fuzz_random(void);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

#endif /* VHD_INPUT_H */
