/* SPDX-License-Identifier: GPL-2.0 */
/*
 * nc2evil: the other end of a netchannel2 vif, as bad as it can be.
 *
 * The module takes one vif, in a guest as its frontend, in dom0 as its backend,
 * from whatever driver has it:
 *
 *	insmod nc2evil.ko take=vif-0		in a guest
 *	insmod nc2evil.ko take=vif-3-0		in dom0: of domain 3
 *	cd /sys/kernel/debug/nc2evil
 *	cat cases				names, and what they do
 *	echo NAME [MILLISECONDS] >run		returns when the case is over
 *	cat report				what the other end did
 *	echo vif-0 >/sys/bus/xen/drivers/nc2evil/unbind
 *	rmmod nc2evil				the vif is without a driver then
 *
 * run fails with EPROTO if the other end did anything but what is right: went
 * on where it has to end the connection, ended it where it has to go on, or
 * does nothing any more. In the report such lines begin with "BAD". Most cases
 * try many variants, and connect anew after each that has ended the connection,
 * which is itself a test of the other end.
 *
 * Design: the honest part is the driver's ring.c. One thread (evil_thread())
 * consumes what the other end sends while no case runs; a case runs in the
 * writer of "run" and holds evil.lock.
 *
 * Locking legend:
 *
 * I: constant while there is a device
 * L: evil.lock
 * A: READ_ONCE() and WRITE_ONCE()
 */
#ifndef NC2EVIL_H
#define NC2EVIL_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/wait.h>

#include <xen/grant_table.h>
#include <xen/interface/io/netchannel2.h>
#include <xen/xenbus.h>

#include "msg.h"
#include "ring.h"

#define EVIL_REPORT	(256 << 10)
/* Pages from which packets are copied by the other end. */
#define EVIL_DATA_PAGES	20
#define EVIL_RING_ORDER	1
#define EVIL_STAGING	32
/* Of a frontend. */
#define EVIL_SLOTS	2
/* How long the other end may need for anything, in jiffies. */
#define EVIL_PATIENCE	(30 * HZ)

/**
 * struct evil_mem - pages that both ends have
 * @area: their addresses (L)
 * @pages: pages (L)
 * @refs: grant references (L)
 * @handles: of mapped pages, NULL if they are ours (L)
 */
struct evil_mem {
	struct nc2_area area;
	struct page **pages;
	grant_ref_t *refs;
	grant_handle_t *handles;
};

/**
 * struct evil - a vif that was taken
 * @xbdev: its device, NULL if there is none (L)
 * @back: we are the backend (I)
 * @gone: everything has to stop (A)
 * @lock: see above
 * @wait: for events, states and the end
 * @thread: evil_thread() (I)
 * @peer_state: the other end's (A)
 * @events: number of them so far (A)
 * @connected: rings are there (L)
 * @own: our counters in the control page (L)
 * @peer: the other end's (L)
 * @tx: what we produce (L)
 * @rx: what we consume (L)
 * @control: control page (L)
 * @tx_mem: pages of @tx (L)
 * @rx_mem: pages of @rx (L)
 * @tx_staging: staging area that we write (L)
 * @rx_staging: the other one (L)
 * @slot_mem: slots (L)
 * @slot_refs: frontend: page with their references (L)
 * @slots: those that we have: backend: to fill; frontend: filled (L)
 * @slots_kept: frontend: none goes back (L)
 * @data: pages granted for PACKETs (L)
 * @area_prod: next byte of @tx_staging (L)
 * @port: event channel (L)
 * @irq: its interrupt, 0 if there is none (L)
 * @received: packets that came (L)
 * @finished: FINISH_PACKETs that came (L)
 * @keep_cons: nothing is consumed (L)
 * @canary: bytes that must not be in shared memory (L)
 * @canary_len: how many, 0: none (L)
 * @canary_seen: how often they were (L)
 * @bad: variants to which the other end did not do what is right (L)
 * @report: text (L)
 * @report_len: its length (L)
 */
struct evil {
	struct xenbus_device *xbdev;
	bool back;
	bool gone;
	struct mutex lock;	/* of cases, and evil_thread() */
	wait_queue_head_t wait;
	struct task_struct *thread;
	enum xenbus_state peer_state;
	unsigned int events;
	bool connected;
	struct nc2_endpoint *own;
	struct nc2_endpoint *peer;
	struct nc2_producer tx;
	struct nc2_consumer rx;
	struct evil_mem control;
	struct evil_mem tx_mem;
	struct evil_mem rx_mem;
	struct evil_mem tx_staging;
	struct evil_mem rx_staging;
	struct evil_mem slot_mem;
	struct evil_mem slot_refs;
	u64 slots;
	bool slots_kept;
	struct evil_mem data;
	u32 area_prod;
	evtchn_port_t port;
	int irq;
	unsigned int received;
	unsigned int finished;
	bool keep_cons;
	u8 canary[32];
	unsigned int canary_len;
	unsigned int canary_seen;
	unsigned int bad;
	char *report;
	size_t report_len;
};

extern struct evil evil;

/* What is right for the other end to do. */
enum evil_expect {
	EVIL_ENDS,	/* the connection, and it can be made anew */
	EVIL_GOES_ON,
	EVIL_EITHER,
};

/**
 * struct evil_case - something to do to the other end
 * @name: of it
 * @what: in a line
 * @run: 0 or a negative errno of our own; ms is how long what has no end
 *	goes on
 * @front: of use as frontend
 * @back: of use as backend
 */
struct evil_case {
	const char *name;
	const char *what;
	int (*run)(unsigned int ms);
	bool front;
	bool back;
};

extern const struct evil_case evil_ring_cases[];
extern const struct evil_case evil_packet_cases[];
extern const struct evil_case evil_life_cases[];
extern const struct evil_case evil_keys_cases[];
extern const struct evil_case evil_slots_cases[];

/* What is written to xenstore in place of what is right. */
struct evil_key {
	const char *key;
	const char *value;	/* NULL: it is missing */
};

/*
 * What is wrong with a connection: a reference (of which page), or a key.
 */
struct evil_defect {
	struct evil_key key;
	/* In the control page: index, and the value there. */
	int ref;
	u32 value;
	/* Granted for reading only, though the other end has to write. */
	bool readonly;
};

/* evil-main.c */
__printf(1, 2) void evil_say(const char *fmt, ...);
/* Sleep until done, an end, or jiffies; consume meanwhile. */
bool evil_wait(bool (*done)(void), unsigned long limit);
void evil_sleep(unsigned int ms);
bool evil_peer_left(void);
bool evil_stop(void);
/* Connect in the right way if it is not; else as the defect says. */
int evil_connect(void);
int evil_connect_as(const struct evil_defect *defect);
void evil_disconnect(void);
/* Say how a variant went: has the other end done what is right? */
void evil_verdict(const char *name, enum evil_expect expect);

/* evil-mem.c */
int evil_mem_alloc(struct evil_mem *mem, unsigned int pages, bool readonly);
int evil_mem_map(struct evil_mem *mem, const grant_ref_t *refs,
		 unsigned int pages, bool readonly);
void evil_mem_free(struct evil_mem *mem);
int evil_mem_granted(unsigned int refs);

/* evil-ring.c */
void evil_attach(void);
void evil_hello(void);
void evil_consume(void);
void evil_notify(void);
/* Wait for room and put a message; false: there is none. */
bool evil_put(const void *msg, u32 len, const void *more, u32 more_len);
void evil_publish(void);
/* A frame in the staging area. */
bool evil_send(const void *frame, u32 len);
bool evil_alive(void);

/* evil-slots.c */
unsigned int evil_slots(void);
void evil_slots_attach(void);
struct nc2_area evil_slot_area(unsigned int slot);
void evil_got_slot(void);
void evil_got_free(void);
/* len bytes of the frame; the message says lie if that is not 0 */
void evil_put_slot(u32 slot, const void *frame, u32 len, u32 lie);

/* evil-packet.c: an ordinary frame, returns its length. */
u32 evil_frame(u8 *frame, u32 payload);

/* evil-front.c, evil-back.c */
extern struct xenbus_driver evil_front_driver;
extern struct xenbus_driver evil_back_driver;
int evil_front_connect(const struct evil_defect *defect);
void evil_front_disconnect(void);
int evil_back_connect(const struct evil_defect *defect);
void evil_back_disconnect(void);
void evil_back_unmap(void);
/* Leave all that is mapped as it is, and put it there. */
#define EVIL_BACK_MEMS 8
void evil_back_keep(struct evil_mem kept[EVIL_BACK_MEMS]);
int evil_front_setup(const struct evil_defect *defect);
int evil_back_setup(void);

#endif /* NC2EVIL_H */
