/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One direction of a netchannel2 queue over nc2_shim: a ring, a staging area,
 * and both ends. Page 0 of the memory is the control page; the producer is
 * the frontend.
 */
#ifndef NC2_PAIR_H
#define NC2_PAIR_H

#include "drivers/net/netchannel2/msg.h"
#include "drivers/net/netchannel2/ring.h"

#define NC2_PAIR_RING_PAGES	(1 << NC2_MAX_RING_ORDER)
/* Nothing is read from slots here; so many may be named. */
#define NC2_PAIR_SLOTS		5

struct nc2_pair {
	struct nc2_producer p;
	struct nc2_consumer c;
	struct nc2_area staging;
	struct nc2_limits limits;
	void *ring_page[NC2_PAIR_RING_PAGES];
	void *staging_page[NC2_MAX_STAGING_PAGES];
};

/* Both ends have come to the counter start; hooks are none; limits are the largest. */
void nc2_pair_init(struct nc2_pair *pair, unsigned int ring_pages,
		   unsigned int staging_pages, u32 start);
/* What an end publishes, for tests that lie. */
struct nc2_endpoint *nc2_pair_front(void);
struct nc2_endpoint *nc2_pair_back(void);
/* Offset in the memory of the byte of a counter of the ring. */
u32 nc2_pair_ring_at(const struct nc2_pair *pair, u32 counter);
/*
 * NULL, or what is wrong with a packet that was accepted, by what msg.h says of
 * struct nc2_packet.
 */
const char *nc2_pair_bad(const struct nc2_packet *p,
			 const struct nc2_msg_hdr *hdr,
			 const struct nc2_limits *limits);
/* The same of where its bytes are only: of one that is to be dropped, too. */
const char *nc2_pair_bad_place(const struct nc2_packet *p,
			       const struct nc2_msg_hdr *hdr,
			       const struct nc2_limits *limits);

#endif /* NC2_PAIR_H */
