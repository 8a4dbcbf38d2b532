// SPDX-License-Identifier: GPL-2.0
/*
 * netchannel2's ring and staging area between two threads that sleep when they
 * have nothing to do: all that is sent arrives, in order, and nobody sleeps for
 * ever.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nc2_pair.h"
#include "nc2_shim.h"

#define THREADS_PACKETS		200000u
#define THREADS_SLOTS		1024u
/* Longer than any machine is busy with something else. */
#define THREADS_LIMIT		60

static struct {
	struct nc2_pair pair;
	sem_t event[2];
	u32 sleeps[2];
	/* Of the producer: what each packet has of the ring and of the area. */
	struct {
		u32 end;
		u32 area_end;
	} slot[THREADS_SLOTS];
	u32 slot_prod, slot_cons;
	u32 area_prod, area_cons;
	char wrong[2][100];
} threads;

enum { FRONT, BACK };

static void threads_sleep(unsigned int who)
{
	struct timespec until;
	int ret;

	threads.sleeps[who]++;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += THREADS_LIMIT;
	do
		ret = sem_timedwait(&threads.event[who], &until);
	while (ret && errno == EINTR);
	if (ret)
		snprintf(threads.wrong[who], sizeof(threads.wrong[who]),
			 "no event in %u s", THREADS_LIMIT);
}

static u32 packet_len(u32 number)
{
	u32 x = number * 2654435761u;

	return number % 16 ? 14 + x % 1500 : 14 + x % 65523;
}

static u8 packet_byte(u32 number, u32 i)
{
	return number * 131 + i * 7 + (i >> 8);
}

/* What the consumer has read is free. */
static void threads_reap(void)
{
	struct nc2_producer *p = &threads.pair.p;

	if (nc2_producer_refresh(p)) {
		snprintf(threads.wrong[FRONT], sizeof(threads.wrong[FRONT]),
			 "impossible cons");
		return;
	}
	while (threads.slot_cons != threads.slot_prod) {
		u32 i = threads.slot_cons % THREADS_SLOTS;

		if (p->cons - threads.slot[i].end > 0x7fffffff)
			break;
		threads.area_cons = threads.slot[i].area_end;
		threads.slot_cons++;
	}
}

static bool threads_room(u32 len)
{
	return nc2_producer_room(&threads.pair.p, sizeof(struct nc2_msg_staged), 0) &&
	       threads.slot_prod - threads.slot_cons < THREADS_SLOTS &&
	       threads.pair.staging.size - (threads.area_prod - threads.area_cons) >=
	       len;
}

static void threads_publish(void)
{
	if (nc2_producer_publish(&threads.pair.p))
		sem_post(&threads.event[BACK]);
}

static void threads_wait(u32 len)
{
	struct nc2_producer *p = &threads.pair.p;
	u32 end;

	threads_reap();
	while (!threads_room(len) && !threads.wrong[FRONT][0]) {
		threads_publish();
		/* It may not be enough that the oldest is through. */
		end = threads.slot[threads.slot_cons % THREADS_SLOTS].end;
		nc2_producer_arm(p, end - p->cons);
		threads_reap();
		if (end - p->cons - 1 < p->area.size)
			threads_sleep(FRONT);
		threads_reap();
	}
}

static void *threads_produce(void *unused)
{
	static u8 packet[NC2_MAX_PACKET_BYTES];
	struct nc2_producer *p = &threads.pair.p;
	u32 n, i, len;

	(void)unused;
	for (n = 0; n < THREADS_PACKETS && !threads.wrong[FRONT][0]; n++) {
		struct nc2_msg_staged m = {
			.hdr = { .type = NC2_MSG_STAGED, .size = sizeof(m) },
			.hash = n,
		};

		len = packet_len(n);
		if (!threads_room(len))
			threads_wait(len);
		for (i = 0; i < len; i++)
			packet[i] = packet_byte(n, i);
		m.offset = threads.area_prod % threads.pair.staging.size;
		m.len = len;
		nc2_area_write(&threads.pair.staging, m.offset, packet, len);
		nc2_producer_put(p, &m, sizeof(m), NULL, 0);
		threads.area_prod += len;
		threads.slot[threads.slot_prod % THREADS_SLOTS].end = p->prod;
		threads.slot[threads.slot_prod++ % THREADS_SLOTS].area_end =
			threads.area_prod;
		/* Several at once now and then. */
		if (n % 7 == 0 || n % 5 == 0)
			threads_publish();
	}
	threads_publish();
	return NULL;
}

/* The message at hand is packet n; it is not if there is less. */
static bool threads_receive(const struct nc2_msg_hdr *hdr, u32 n)
{
	static u8 packet[NC2_MAX_PACKET_BYTES];
	struct nc2_packet p;
	u32 i;

	if (nc2_read_staged(&threads.pair.c, hdr, &threads.pair.limits, &p) ||
	    p.hash != n || p.len != packet_len(n))
		return false;
	nc2_area_read(&threads.pair.staging, p.offset, packet, p.len);
	for (i = 0; i < p.len; i++)
		if (packet[i] != packet_byte(n, i))
			return false;
	return true;
}

static void *threads_consume(void *unused)
{
	struct nc2_consumer *c = &threads.pair.c;
	struct nc2_msg_hdr hdr;
	u32 n = 0, batch;
	int ret = 0;

	(void)unused;
	while (n < THREADS_PACKETS && !threads.wrong[BACK][0]) {
		for (batch = 0; batch < 64; batch++) {
			ret = nc2_consumer_next(c, &hdr);
			if (ret <= 0)
				break;
			if (hdr.type != NC2_MSG_PAD && !threads_receive(&hdr, n++))
				ret = -EPROTO;
			nc2_consumer_done(c, &hdr);
		}
		if (nc2_consumer_publish(c))
			sem_post(&threads.event[FRONT]);
		if (!ret)
			ret = nc2_consumer_arm(c);
		if (ret < 0)
			snprintf(threads.wrong[BACK], sizeof(threads.wrong[BACK]),
				 "packet %u is not what was sent", n);
		else if (!ret && n < THREADS_PACKETS)
			threads_sleep(BACK);
	}
	return NULL;
}

static void threads_run(u32 ring_pages, u32 staging_pages, u32 start)
{
	pthread_t thread[2];
	unsigned int i;

	memset(&threads, 0, sizeof(threads));
	nc2_pair_init(&threads.pair, ring_pages, staging_pages, start);
	for (i = 0; i < 2; i++)
		assert_int_equal(sem_init(&threads.event[i], 0, 0), 0);
	assert_int_equal(pthread_create(&thread[FRONT], NULL, threads_produce,
					NULL), 0);
	assert_int_equal(pthread_create(&thread[BACK], NULL, threads_consume,
					NULL), 0);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 2; i++)
		if (threads.wrong[i][0])
			fail_msg("%s: %s", i ? "consumer" : "producer",
				 threads.wrong[i]);
	print_message("# %u ring pages, %u staging pages: slept %u and %u times\n",
		      ring_pages, staging_pages, threads.sleeps[FRONT],
		      threads.sleeps[BACK]);
	/* It has been tried. */
	assert_true(threads.sleeps[FRONT] > 10 || threads.sleeps[BACK] > 10);
}

static void nc2_threads_small(void **state)
{
	(void)state;
	threads_run(1, 32, (u32)-65536);
}

static void nc2_threads_large(void **state)
{
	(void)state;
	threads_run(32, 256, 0x7fff0000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nc2_threads_small),
		cmocka_unit_test(nc2_threads_large),
	};

	return cmocka_run_group_tests_name("nc2_threads", tests, NULL, NULL);
}
