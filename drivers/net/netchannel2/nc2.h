/* SPDX-License-Identifier: GPL-2.0 */
/*
 * netchannel2: structures and functions shared by its files.
 *
 * Locking legend:
 *
 * I: set before the network device is registered, constant after
 * C: nd->mutex: life of the connection
 * W: nd->state_work, which is one at a time
 * T: the lock of the queue's transmit queue (netif_tx_lock), any context
 * N: NAPI of the queue; nd->mutex while that is off
 * Q: set before the queue is live, constant until it is not (nc2_stop())
 * A: atomic, or READ_ONCE() and WRITE_ONCE()
 * R: nd->rate.lock, any context
 *
 * Precedence: rtnl, nc2_back_lock, nd->mutex, transmit queue, nd->rate.lock. A
 * handler of xenbus, which has nd->mutex, leaves to nd->state_work what needs
 * rtnl.
 */
#ifndef _NC2_H
#define _NC2_H

#include <linux/build_bug.h>
#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/u64_stats_sync.h>
#include <linux/workqueue.h>

#include <xen/events.h>
#include <xen/grant_table.h>
#include <xen/xenbus.h>

#include "msg.h"
#include "ring.h"

/* A page that is granted is a page of the kernel, everywhere here. */
static_assert(PAGE_SIZE == NC2_PAGE_SIZE, "netchannel2 needs a kernel with pages of 4 KiB");

/* Packets under way, a power of two: all that fit into the largest ring. */
#define NC2_MAX_SENT		4096
/*
 * Pages, and log2 of their size, that a queue keeps for packets it receives: as
 * much as a staging area has.
 */
#define NC2_RX_PAGES		32
#define NC2_RX_PAGE_ORDER	3
/* Grant copies of one packet: both sides are split at pages. */
#define NC2_MAX_COPIES		(2 * NC2_MAX_FRAGS + 2)

/**
 * struct nc2_mem - pages of an area, and which end owns them
 * @area: addresses; area.size is 0 if there are no pages, area.page is NULL if
 *	they are known by their references only (Q)
 * @pages: the pages, or NULL as area.page (Q)
 * @refs: grant references (Q)
 * @handles: of mapped pages: what to unmap; else NULL (Q)
 */
struct nc2_mem {
	struct nc2_area area;
	struct page **pages;
	grant_ref_t *refs;
	grant_handle_t *handles;
};

/**
 * struct nc2_sent - a packet under way to the other end
 * @end: counter of the ring after its message (T)
 * @area_end: counter of the area after its content (T)
 * @len: bytes, as the stack counts them (T)
 * @kept: it is in nc2_queue.kept, see nc2_tx_keep() (T)
 * @skb: without pages, kept only for its sender's sake, or NULL (T)
 */
struct nc2_sent {
	u32 end;
	u32 area_end;
	u32 len;
	bool kept;
	struct sk_buff *skb;
};

/**
 * struct nc2_stats - of one direction of a queue
 * @packets: packets
 * @bytes: their bytes
 * @dropped: for want of memory or room, or as the other end cannot take them
 * @errors: packets whose headers do not fit what the other end says of them, or
 *	that it cannot be asked to take
 * @small: packets in messages
 * @staged: packets in the staging area
 * @copied: packets by grant copy
 * @slots: packets in slots
 * @events: events to the other end, of packets or of room
 * @stops: sent: times that the queue was full; received: times that the rate
 *	was used up
 * @syncp: protects all of it
 */
struct nc2_stats {
	u64 packets;
	u64 bytes;
	u64 dropped;
	u64 errors;
	u64 small;
	u64 staged;
	u64 copied;
	u64 slots;
	u64 events;
	u64 stops;
	struct u64_stats_sync syncp;
};

/**
 * struct nc2_queue - a queue; exists as long as its network device
 * @nd: its device (I)
 * @id: number (I)
 * @live: connected; transmits, and NAPI is on (CT, A for NAPI)
 * @broken: the other end broke a rule; nothing is done any more (A)
 * @limits: what it can carry (Q)
 * @evtchn: event channel (Q)
 * @irq: interrupt of it, or 0 (Q)
 * @eoi_pending: an interrupt has to be ended (A)
 * @napi: NAPI (I)
 * @timer: polls after the time set by rx_usecs, or when there is credit (I)
 * @rx: ring that is read (N)
 * @rx_mem: pages of it (Q)
 * @rx_staging: staging area that is read (Q)
 * @slot_mem: slots; frontend: each is one compound page (Q)
 * @slot_refs: frontend: page with the grant references of @slot_mem (Q)
 * @used_slots: frontend: those with packets of the stack, or not yet seen to be
 *	without (A)
 * @page: pages that packets are copied to, in turn (N)
 * @page_at: the one in use (N)
 * @page_off: where it is free (N)
 * @page_left: bytes free there (N)
 * @copy: grant copies of a packet (N)
 * @finished: ids to be answered (N)
 * @nr_finished: number of them (N)
 * @unpublished: bytes of packets that the other end does not know to be
 *	consumed (N)
 * @idle: messages in this poll that carry nothing (N)
 * @past_gro: GRO and the list of packets that it is done with hold none of this
 *	queue (N)
 * @peer_max_packets: what SET_MAX_PACKETS has said, 0 before it (N)
 * @rx_stats: statistics (N)
 * @trim_mark: packets received when nc2_queue_trim() has looked last (C)
 * @tx: ring that is written (T)
 * @tx_mem: pages of it (Q)
 * @tx_staging: area for contents that are sent (Q)
 * @mapped_slots: backend: those that are mapped (CT for writing)
 * @free_slots: backend: of them, those that can be filled (T)
 * @idle_slots: backend: of them, those not needed since nc2_slots_trim() (T)
 * @want_slot: backend: there was none for a packet (T)
 * @area_prod: bytes of @tx_staging used so far (T)
 * @area_cons: bytes of @tx_staging free again so far (T)
 * @sent: packets under way (T)
 * @sent_prod: packets so far (T)
 * @sent_cons: of them, no longer under way (T)
 * @kept: packets in @sent that an event is wanted for (T)
 * @wait_for: counter of @tx at which an event was asked for (T)
 * @tx_stats: statistics (T)
 * @stall_seen: nc2_tx_stalled() has looked before (T)
 * @stall_end: counter of @tx that was reached then (T)
 * @stall_sent: packets that had been sent then (T)
 * @control: control page (Q)
 * @name: of the interrupt (I)
 */
struct nc2_queue {
	struct nc2_dev *nd;
	unsigned int id;
	bool live;
	bool broken;
	struct nc2_limits limits;
	evtchn_port_t evtchn;
	unsigned int irq;
	atomic_t eoi_pending;
	struct napi_struct napi;
	struct hrtimer timer;

	struct nc2_consumer rx;
	struct nc2_mem rx_mem;
	struct nc2_mem rx_staging;
	struct nc2_mem slot_mem;
	struct nc2_mem slot_refs;
	DECLARE_BITMAP(used_slots, NC2_MAX_SLOTS);
	struct page *page[NC2_RX_PAGES];
	unsigned int page_at;
	u32 page_off;
	u32 page_left;
	struct gnttab_copy copy[NC2_MAX_COPIES];
	u32 finished[NC2_MAX_UNFINISHED];
	unsigned int nr_finished;
	u32 unpublished;
	bool past_gro;
	unsigned int idle;
	u32 peer_max_packets;
	struct nc2_stats rx_stats;
	u64 trim_mark;

	struct nc2_producer tx ____cacheline_aligned_in_smp;
	struct nc2_mem tx_mem;
	struct nc2_mem tx_staging;
	u64 mapped_slots;
	u64 free_slots;
	u64 idle_slots;
	bool want_slot;
	u32 area_prod;
	u32 area_cons;
	struct nc2_sent *sent;
	u32 sent_prod;
	u32 sent_cons;
	u32 kept;
	u32 wait_for;
	struct nc2_stats tx_stats;
	bool stall_seen;
	u32 stall_end;
	u32 stall_sent;

	struct nc2_mem control;
	char name[IFNAMSIZ + 8];
};

/**
 * struct nc2_rate - how much the other end may send
 * @lock: lock
 * @bytes: per @usecs; 0: no limit (R)
 * @usecs: period (R)
 * @credit: bytes that may be received now, negative after a large packet (R)
 * @stamp: when @credit was last brought up to date (R)
 */
struct nc2_rate {
	spinlock_t lock; /* R */
	u64 bytes;
	u64 usecs;
	s64 credit;
	ktime_t stamp;
};

/**
 * struct nc2_config - what a connection is like
 * @queues: number of queues
 * @ring_order: log2 of the pages of a ring
 * @staging_pages: pages of one staging area, 0 or a power of two
 * @slots: slots of one queue, 0 to NC2_MAX_SLOTS
 * @extensions: NC2_EXT_* of both ends
 */
struct nc2_config {
	unsigned int queues;
	unsigned int ring_order;
	unsigned int staging_pages;
	unsigned int slots;
	u32 extensions;
};

/**
 * enum nc2_life - where a connection is, see nc2_life_set()
 * @NC2_LIFE_NONE: there is no memory that the other end could have
 * @NC2_LIFE_SET_UP: there is or will be memory; the queues do not run yet
 * @NC2_LIFE_RUNNING: the queues run
 * @NC2_LIFE_STOPPED: the queues do not run any more; the memory is still there
 */
enum nc2_life {
	NC2_LIFE_NONE,
	NC2_LIFE_SET_UP,
	NC2_LIFE_RUNNING,
	NC2_LIFE_STOPPED,
};

/**
 * struct nc2_dev - a network device, of either end
 * @netdev: its network device (I)
 * @xbdev: its device on xenbus (I)
 * @backend: it is the backend (I)
 * @mutex: lock of what is marked C
 * @life: of the connection; set by nc2_life_set() only (C, A for reading)
 * @go: the other end is ready, so the queues may run (C)
 * @gone: the device is about to go, and nothing is begun any more (C)
 * @config: of the connection (CQ)
 * @max: bounds of @want: those of both ends (rtnl)
 * @want: frontend: what its user has asked for (rtnl)
 * @reconnecting: frontend: waits for the backend to be Closed, to connect anew (C)
 * @waiting: frontend: a user waits in nc2_front_change() (C)
 * @answer: frontend: the connection is as @waiting wants it, or there is none
 * @result: frontend: 0, or a negative errno: why there is none (C)
 * @connect_work: tries again what was not possible
 * @peer_features: NC2_FEATURE_* of the other end (A)
 * @peer_csum: it takes NC2_PACKET_CSUM_BLANK (A)
 * @peer_tso: it takes NC2_SEG_TCPV4 (A)
 * @peer_ready: it has said what it takes (A)
 * @tell: SET_FEATURES and SET_OFFLOAD are to be sent (A)
 * @tell_map: SET_HASH_MAP is to be sent (A)
 * @hash_map: how we want flows to be spread; written with the transmit lock of
 *	queue 0, too (rtnl or T)
 * @peer_map: how the other end wants that (A)
 * @rx_usecs: time between the last packet and the next look (A)
 * @tx_copybreak: backend: packets of more bytes have a slot if one is free (A)
 * @rate: what the other end may send; backend
 * @list: backend: in nc2_backs (nc2_back_lock)
 * @mtu_watch: frontend: tells of another MTU in its own folder and in the
 *	backend's (xenwatch)
 * @mtu_seen: frontend: what each has said last (xenwatch)
 * @mtu: to be set: what xenstore said last; 0: nothing (A)
 * @told_mtu: backend: the MTU that is in xenstore (W)
 * @settle: the other end has changed what it takes (A)
 * @settle_at: when that is looked at, in jiffies, see nc2_netdev_settle() (A)
 * @settle_mark: what of that the other end has used up (W)
 * @announce: frontend: times that it is still to say where it is (rtnl)
 * @announce_work: frontend: says it
 * @state_work: does what must not be done where it was found necessary
 * @slots_work: backend: nc2_slots_work()
 * @stall_work: backend: looks whether the other end still reads
 * @stalled: it does not; carrier is off (A)
 * @broken: why the connection has to end, or NULL (A)
 * @queue: the queues; those from config.queues on are not used
 */
struct nc2_dev {
	struct net_device *netdev;
	struct xenbus_device *xbdev;
	bool backend;
	struct mutex mutex; /* C */
	enum nc2_life life;
	bool go;
	bool gone;
	struct nc2_config config;
	struct nc2_config max;
	struct nc2_config want;
	bool reconnecting;
	bool waiting;
	struct completion answer;
	int result;
	struct delayed_work connect_work;
	u32 peer_features;
	bool peer_csum;
	bool peer_tso;
	bool peer_ready;
	bool tell;
	bool tell_map;
	u8 hash_map[NC2_HASH_MAP_SIZE];
	u8 peer_map[NC2_HASH_MAP_SIZE];
	unsigned int rx_usecs;
	u32 tx_copybreak;
	struct nc2_rate rate;
	struct list_head list;
	struct xenbus_watch mtu_watch[2];
	unsigned int mtu_seen[2];
	unsigned int mtu;
	unsigned int told_mtu;
	bool settle;
	unsigned long settle_at;
	unsigned long settle_mark;
	unsigned int announce;
	struct delayed_work announce_work;
	struct delayed_work state_work;
	struct delayed_work slots_work;
	struct delayed_work stall_work;
	bool stalled;
	const char *broken;
	struct nc2_queue queue[NC2_MAX_QUEUES];
};

/**
 * nc2_slots - slots of a queue, at either end
 * @q: queue
 *
 * Return: their number.
 */
static inline unsigned int nc2_slots(const struct nc2_queue *q)
{
	return q->slot_mem.area.size / NC2_SLOT_BYTES;
}

/**
 * nc2_resumed - is this another domain than the one that has connected?
 * @q: queue that is live
 *
 * From where a migrated guest goes on until its driver is told, what its rings
 * contain is of any time, and nobody reads them. Event channels are forgotten
 * while all processors stand still.
 *
 * Context: any.
 *
 * Return: true if so; never at a backend.
 */
static inline bool nc2_resumed(const struct nc2_queue *q)
{
	return !q->nd->backend && irq_from_evtchn(q->evtchn) != q->irq;
}

/**
 * nc2_running - are there queues that run?
 * @nd: device
 *
 * Context: any; without nd->mutex it may have changed meanwhile.
 *
 * Return: true if so.
 */
static inline bool nc2_running(const struct nc2_dev *nd)
{
	return READ_ONCE(nd->life) == NC2_LIFE_RUNNING;
}

/* mem.c */
int nc2_mem_alloc(struct nc2_mem *mem, unsigned int pages, unsigned int order);
int nc2_mem_grant(struct nc2_mem *mem, domid_t domid, bool readonly);
int nc2_mem_map(struct nc2_mem *mem, domid_t domid, const grant_ref_t *refs,
		unsigned int pages, bool readonly);
int nc2_mem_refer(struct nc2_mem *mem, const grant_ref_t *refs, unsigned int pages);
int nc2_mem_reserve(struct nc2_mem *mem, const grant_ref_t *refs, unsigned int pages);
int nc2_mem_map_some(struct nc2_mem *mem, domid_t domid, unsigned int first,
		     unsigned int pages);
void nc2_mem_unmap_some(struct nc2_mem *mem, unsigned int first, unsigned int pages);
unsigned int nc2_mem_free(struct nc2_mem *mem);
void nc2_mem_abandon(struct nc2_mem *mem);

/* copy.c */
int nc2_copy_ops(struct gnttab_copy *op, unsigned int n);
int nc2_copy_skb(const struct nc2_queue *q, const struct nc2_mem *mem, u32 pos,
		 const struct sk_buff *skb, bool write);

/* slots.c */
bool nc2_slot_wanted(struct nc2_queue *q);
int nc2_slots_begin(struct nc2_queue *q);
void nc2_slots_work(struct work_struct *work);
void nc2_slots_trim(struct nc2_dev *nd);
void nc2_slots_end(struct nc2_queue *q);

/* queue.c */
irqreturn_t nc2_interrupt(int irq, void *data);
void nc2_queue_init(struct nc2_dev *nd, unsigned int id);
void nc2_queue_exit(struct nc2_queue *q);
int nc2_queue_attach(struct nc2_queue *q);
unsigned int nc2_queue_free(struct nc2_queue *q);
void nc2_queue_abandon(struct nc2_queue *q);
void nc2_queue_trim(struct nc2_queue *q);
void nc2_queue_break(struct nc2_queue *q, const char *why);
void nc2_stop(struct nc2_dev *nd);
void nc2_start(struct nc2_dev *nd);

/* rx.c */
int nc2_poll(struct napi_struct *napi, int budget);

/* tx.c */
netdev_features_t nc2_features_check(struct sk_buff *skb, struct net_device *dev,
				     netdev_features_t features);
netdev_tx_t nc2_start_xmit(struct sk_buff *skb, struct net_device *dev);
bool nc2_tx_service(struct nc2_queue *q);
int nc2_tx_got_slots(struct nc2_queue *q, u64 slots);
bool nc2_tx_stalled(struct nc2_queue *q);
void nc2_tx_drop_all(struct nc2_queue *q);
void nc2_tx_notify(struct nc2_queue *q);
void nc2_tx_go_on(struct nc2_queue *q);

/* rate.c */
void nc2_rate_init(struct nc2_rate *rate);
void nc2_rate_set(struct nc2_rate *rate, u64 bytes, u64 usecs);
u64 nc2_rate_wait(struct nc2_rate *rate);
void nc2_rate_take(struct nc2_rate *rate, u32 len);

/* netdev.c */
struct nc2_dev *nc2_netdev_alloc(struct xenbus_device *xbdev, bool backend,
				 const char *name);
void nc2_netdev_free(struct nc2_dev *nd);
void nc2_netdev_tell(struct nc2_dev *nd);
void nc2_netdev_poke(struct nc2_dev *nd);
void nc2_netdev_settle(struct nc2_dev *nd);
int nc2_netdev_go(struct nc2_dev *nd);

/* ethtool.c */
extern const struct ethtool_ops nc2_ethtool_ops;
void nc2_hash_map_fit(struct nc2_dev *nd);

/* front.c */
int nc2_front_init(void);
void nc2_front_exit(void);
void nc2_front_fail(struct nc2_dev *nd, const char *why);
void nc2_front_connect_work(struct work_struct *work);
int nc2_front_change(struct nc2_dev *nd, const struct nc2_config *want);

/* back.c */
#ifdef CONFIG_XEN_BACKEND
void nc2_back_fail(struct nc2_dev *nd, const char *why);
void nc2_back_connect_work(struct work_struct *work);
int nc2_back_init(void);
void nc2_back_exit(void);
#else
static inline void nc2_back_fail(struct nc2_dev *nd, const char *why) { }
static inline void nc2_back_connect_work(struct work_struct *work) { }
static inline int nc2_back_init(void) { return 0; }
static inline void nc2_back_exit(void) { }
#endif

/* claim.c */
/**
 * struct nc2_claim - a driver, and the vifs that are for it
 * @drv: driver
 * @nb: tells of new devices
 */
struct nc2_claim {
	struct xenbus_driver *drv;
	struct notifier_block nb;
};

extern const struct xenbus_device_id nc2_ids[];
void nc2_claim_start(struct nc2_claim *claim);
void nc2_claim_stop(struct nc2_claim *claim);

/* main.c */
#define NC2_EXTENSIONS	(NC2_EXT_FEATURES | NC2_EXT_STAGING | NC2_EXT_HASH | \
			 NC2_EXT_HASH_MAP | NC2_EXT_SLOTS)
unsigned int nc2_max_queues(void);
unsigned int nc2_max_staging(void);
bool nc2_may_map(void);
int nc2_read_uint(const char *dir, const char *key, unsigned int min,
		  unsigned int max, unsigned int *value);
__printf(3, 4) void nc2_fatal(struct xenbus_device *xbdev, int err, const char *fmt, ...);
int nc2_life_set(struct nc2_dev *nd, enum nc2_life to);
int nc2_disconnect(struct nc2_dev *nd);

#endif /* _NC2_H */
