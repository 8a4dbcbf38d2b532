// SPDX-License-Identifier: GPL-2.0
#include "nc2_shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/interface/io/netchannel2.h>

struct nc2_shim_hooks nc2_shim_hooks;

static struct {
	u8 *view;
	u8 *mem;
	size_t size;
	size_t mapped;	/* at least size */
	u8 *reads;	/* for each byte; NULL: they are not counted */
} shim;

static void nc2_shim_die(const char *what, const volatile void *addr, size_t len)
{
	fprintf(stderr, "nc2_shim: %s: %zu bytes at %zd\n", what, len,
		(const volatile u8 *)addr - shim.view);
	abort();
}

static void *nc2_shim_map(int fd, int prot)
{
	void *addr = mmap(NULL, shim.mapped, prot, MAP_SHARED, fd, 0);

	if (addr == MAP_FAILED) {
		perror("nc2_shim: mmap");
		abort();
	}
	return addr;
}

void nc2_shim_init(unsigned int pages)
{
	int fd;

	memset(&nc2_shim_hooks, 0, sizeof(nc2_shim_hooks));
	free(shim.reads);
	shim.reads = NULL;
	if ((size_t)pages * NC2_PAGE_SIZE <= shim.mapped) {
		shim.size = (size_t)pages * NC2_PAGE_SIZE;
		memset(shim.mem, 0, shim.size);
		return;
	}
	nc2_shim_exit();
	shim.size = (size_t)pages * NC2_PAGE_SIZE;
	shim.mapped = shim.size;
	fd = memfd_create("nc2_shim", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, shim.size)) {
		perror("nc2_shim: memfd");
		abort();
	}
	shim.view = nc2_shim_map(fd, PROT_NONE);
	shim.mem = nc2_shim_map(fd, PROT_READ | PROT_WRITE);
	close(fd);
}

void nc2_shim_exit(void)
{
	if (shim.mapped) {
		munmap(shim.view, shim.mapped);
		munmap(shim.mem, shim.mapped);
	}
	free(shim.reads);
	memset(&shim, 0, sizeof(shim));
}

void *nc2_shim_page(unsigned int page)
{
	return shim.view + (size_t)page * NC2_PAGE_SIZE;
}

static bool nc2_shim_is_shared(const volatile void *addr)
{
	return (const volatile u8 *)addr >= shim.view &&
	       (const volatile u8 *)addr < shim.view + shim.size;
}

/* Where in the memory it is. Pages next to each other need not belong together. */
static u32 nc2_shim_offset(const volatile void *addr, size_t len)
{
	u32 at = (const volatile u8 *)addr - shim.view;

	if (!nc2_shim_is_shared(addr))
		nc2_shim_die("not shared", addr, len);
	if (at % NC2_PAGE_SIZE + len > NC2_PAGE_SIZE)
		nc2_shim_die("beyond its page", addr, len);
	return at;
}

void *nc2_shim_mem(const volatile void *view)
{
	return shim.mem + nc2_shim_offset(view, 1);
}

void *nc2_shim_at(u32 at)
{
	return shim.mem + at;
}

u32 nc2_shim_size(void)
{
	return shim.size;
}

void nc2_shim_count(void)
{
	if (!shim.reads)
		shim.reads = malloc(shim.size);
	memset(shim.reads, 0, shim.size);
}

unsigned int nc2_shim_most_reads(u32 *at)
{
	u32 i;

	*at = 0;
	for (i = 0; i < shim.size; i++)
		if (shim.reads[i] > shim.reads[*at])
			*at = i;
	return shim.reads[*at];
}

/* A read of len bytes at an offset is about to happen. */
static void nc2_shim_before(u32 at, u32 len)
{
	u32 i;

	if (nc2_shim_hooks.before_load)
		nc2_shim_hooks.before_load(at, len);
	for (i = 0; shim.reads && i < len; i++)
		if (shim.reads[at + i] < 255)
			shim.reads[at + i]++;
}

u32 nc2_shim_load(const volatile void *from, size_t len)
{
	u32 at = nc2_shim_offset(from, len), value;

	if (len != sizeof(value))
		nc2_shim_die("load of another size", from, len);
	if (nc2_shim_hooks.load) {
		nc2_shim_hooks.load(at, &value, len);
		return value;
	}
	nc2_shim_before(at, len);
	return __atomic_load_n((u32 *)(shim.mem + at), __ATOMIC_ACQUIRE);
}

void nc2_shim_store(volatile void *to, size_t len, u32 value, bool release)
{
	u32 at = nc2_shim_offset(to, len);

	if (len != sizeof(value))
		nc2_shim_die("store of another size", to, len);
	if (nc2_shim_hooks.store) {
		nc2_shim_hooks.store(at, &value, len, release);
		return;
	}
	if (release)
		__atomic_store_n((u32 *)(shim.mem + at), value, __ATOMIC_RELEASE);
	else
		__atomic_store_n((u32 *)(shim.mem + at), value, __ATOMIC_RELAXED);
}

void nc2_shim_copy(void *to, const void *from, size_t len)
{
	u32 at;

	if (nc2_shim_is_shared(from) && nc2_shim_is_shared(to))
		nc2_shim_die("copy from shared to shared memory", from, len);
	if (nc2_shim_is_shared(from)) {
		at = nc2_shim_offset(from, len);
		if (nc2_shim_hooks.load) {
			nc2_shim_hooks.load(at, to, len);
			return;
		}
		nc2_shim_before(at, len);
		from = shim.mem + at;
	}
	if (nc2_shim_is_shared(to)) {
		at = nc2_shim_offset(to, len);
		if (nc2_shim_hooks.store) {
			nc2_shim_hooks.store(at, from, len, false);
			return;
		}
		to = shim.mem + at;
	}
	memcpy(to, from, len);
}

void nc2_shim_mb(void)
{
	if (!nc2_shim_hooks.full_barrier)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		nc2_shim_hooks.full_barrier();
}
