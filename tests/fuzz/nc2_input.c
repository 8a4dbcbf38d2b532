// SPDX-License-Identifier: GPL-2.0
#include "nc2_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nc2_shim.h"

/* Pages of the largest queue. */
#define NC2_FUZZ_PAGES	(1 + 8 + NC2_FUZZ_STAGING_PAGES)

struct nc2_pair nc2_fuzz;

static const u8 *next, *end;
static u64 seed;
static u8 flags;
/* When each byte was read last, counted in calls of nc2_fuzz_once(). */
static u32 read_in[NC2_FUZZ_PAGES * NC2_PAGE_SIZE], once;

void nc2_fuzz_die(const char *what)
{
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

bool nc2_fuzz_more(void)
{
	return next < end;
}

u8 nc2_fuzz_u8(void)
{
	return next < end ? *next++ : 0;
}

u16 nc2_fuzz_u16(void)
{
	u16 low = nc2_fuzz_u8();

	return low | nc2_fuzz_u8() << 8;
}

u32 nc2_fuzz_u32(void)
{
	u32 low = nc2_fuzz_u16();

	return low | (u32)nc2_fuzz_u16() << 16;
}

u32 nc2_fuzz_random(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 33;
}

void nc2_fuzz_once(void)
{
	once++;
}

static void nc2_fuzz_change(u32 at)
{
	static const u8 likely[] = { 0, 1, 2, 3, 4, 8, 16, 24, 32, 64, 255 };
	u8 *byte = nc2_shim_at(at);

	if (nc2_fuzz_random() % 2)
		*byte = likely[nc2_fuzz_random() % sizeof(likely)];
	else
		*byte ^= 1 << nc2_fuzz_random() % 8;
}

static void nc2_fuzz_before_load(u32 at, u32 len)
{
	u32 i;

	/* One in four reads finds something else than there was. */
	if ((flags & NC2_FUZZ_CHANGE) && nc2_fuzz_random() % 4 == 0)
		nc2_fuzz_change(at + nc2_fuzz_random() % len);
	for (i = 0; i < len; i++) {
		if (read_in[at + i] == once)
			nc2_fuzz_die("a byte was read twice");
		read_in[at + i] = once;
	}
}

u8 nc2_fuzz_init(const u8 *input, size_t len)
{
	u32 start, i;

	next = input;
	end = input + len;
	seed = 1;
	for (i = 0; i < len; i++)
		seed = seed * 31 + input[i];
	flags = nc2_fuzz_u8();
	start = nc2_fuzz_u32() & ~7u;
	if (flags & NC2_FUZZ_WRAP)
		start |= 0xfffff000;
	nc2_pair_init(&nc2_fuzz, 1 << (flags & NC2_FUZZ_ORDER),
		      flags & NC2_FUZZ_STAGING ? NC2_FUZZ_STAGING_PAGES : 0, start);
	nc2_shim_hooks.before_load = nc2_fuzz_before_load;
	nc2_fuzz_once();
	return flags;
}
