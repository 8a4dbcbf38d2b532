/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared memory under the driver's ring.c and msg.c.
 *
 * The memory is mapped twice. The driver gets the addresses of a view that
 * nobody may access: READ_ONCE(), WRITE_ONCE(), memcpy() and the barriers, which
 * end up here, find the memory behind it. So an access by any other way is a
 * crash, one that does not end in its page, too, and each read of a shared
 * byte can be counted, and the byte changed just before.
 *
 * Thread safety: as the memory's. The hooks are for tests with one thread.
 */
#ifndef NC2_SHIM_H
#define NC2_SHIM_H

#include <linux/types.h>

/**
 * struct nc2_shim_hooks - who wants to take part; NULL: nobody
 * @before_load: at is the offset in the memory that is about to be read
 * @load: reads in place of the shim
 * @store: writes in place of the shim; release: not before what was written
 *	earlier
 * @full_barrier: that
 */
struct nc2_shim_hooks {
	void (*before_load)(u32 at, u32 len);
	void (*load)(u32 at, void *to, u32 len);
	void (*store)(u32 at, const void *from, u32 len, bool release);
	void (*full_barrier)(void);
};

extern struct nc2_shim_hooks nc2_shim_hooks;

/* Have pages of zeros, and no hooks; what was there before is gone. */
void nc2_shim_init(unsigned int pages);
void nc2_shim_exit(void);
/* For the driver: the address of the page in the view. */
void *nc2_shim_page(unsigned int page);
/* For tests: the memory behind an address in the view, and at an offset. */
void *nc2_shim_mem(const volatile void *view);
void *nc2_shim_at(u32 at);
u32 nc2_shim_size(void);

/* From now on, count how often each byte is read. */
void nc2_shim_count(void);
/* Of the byte that was read most often; *at: which it is. */
unsigned int nc2_shim_most_reads(u32 *at);

u32 nc2_shim_load(const volatile void *from, size_t len);
void nc2_shim_store(volatile void *to, size_t len, u32 value, bool release);
void nc2_shim_copy(void *to, const void *from, size_t len);
void nc2_shim_mb(void);

#endif /* NC2_SHIM_H */
