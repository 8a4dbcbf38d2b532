/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzz targets of netchannel2 share: a queue's memory, in which the
 * input is the other end. It begins with
 *
 *	1 byte	NC2_FUZZ_*, and the ring's order in the two lowest bits
 *	4 bytes	both counters at the start
 *
 * and goes on with steps, of which each target has its own.
 */
#ifndef NC2_INPUT_H
#define NC2_INPUT_H

#include <stdint.h>

#include "nc2_pair.h"

#define NC2_FUZZ_ORDER		0x03
/* Bytes change just before they are read. */
#define NC2_FUZZ_CHANGE		0x04
/* Bytes change all the time, by a thread. */
#define NC2_FUZZ_THREAD		0x08
/* There are staging areas. */
#define NC2_FUZZ_STAGING	0x10
/* Counters are near 2^32. */
#define NC2_FUZZ_WRAP		0x20

#define NC2_FUZZ_STAGING_PAGES	32

extern struct nc2_pair nc2_fuzz;

/* The queue as the input's beginning says. Returns the flags. */
u8 nc2_fuzz_init(const u8 *input, size_t len);
/* What comes next in the input, 0 behind its end. */
bool nc2_fuzz_more(void);
u8 nc2_fuzz_u8(void);
u16 nc2_fuzz_u16(void);
u32 nc2_fuzz_u32(void);
/* A number from a sequence that the input determines. */
u32 nc2_fuzz_random(void);
/* From here on, no byte may be read twice. */
void nc2_fuzz_once(void);
/* Something is wrong: tell what and abort. */
void __attribute__((noreturn)) nc2_fuzz_die(const char *what);

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

#endif /* NC2_INPUT_H */
