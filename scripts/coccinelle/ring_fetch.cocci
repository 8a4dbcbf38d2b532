// SPDX-License-Identifier: GPL-2.0
/// The other end can write to shared memory at any time. A plain read of a field
/// may be repeated by the compiler after the value was checked, a plain write
/// may be torn: use READ_ONCE(), WRITE_ONCE(), smp_load_acquire() and
/// smp_store_release(), or copy a whole slot with memcpy(). The event fields of
/// blktap2 are set once, before the page is shared. What another domain shares
/// needs the barriers that a kernel for one processor has, too: virt_*().
// Confidence: High

virtual report

@once@
struct blktap_sring *s;
union blktap_ring_entry *e;
identifier f, g;
position p;
@@
(
 READ_ONCE(s->f@p)
|
 WRITE_ONCE(s->f@p, ...)
|
 smp_load_acquire(&s->f@p)
|
 smp_store_release(&s->f@p, ...)
|
 s->req_event@p = 1
|
 s->rsp_event@p = 1
|
 &s->f@p[...]
|
 &s->f@p[...].g
|
 &e->f@p
|
 READ_ONCE(e->f@p.g)
|
 WRITE_ONCE(e->f@p.g, ...)
)

@plain@
struct blktap_sring *s;
union blktap_ring_entry *e;
identifier f;
position p != once.p;
@@
(
 s->f@p
|
 e->f@p
)

@script:python depends on report@
p << plain.p;
@@
coccilib.report.print_report(p[0], "plain access to the shared ring page")

// The two functions of ring.c that return pointers into the page.

@callonce@
expression E;
identifier f, g;
position p;
@@
(
 READ_ONCE(blktap_sring(E)->f@p)
|
 WRITE_ONCE(blktap_sring(E)->f@p, ...)
|
 smp_load_acquire(&blktap_sring(E)->f@p)
|
 smp_store_release(&blktap_sring(E)->f@p, ...)
|
 &blktap_sring(E)->f@p[...]
|
 &blktap_ring_entry(E, ...)->f@p
|
 READ_ONCE(blktap_ring_entry(E, ...)->f@p.g)
)

@callplain@
expression E;
identifier f;
position p != callonce.p;
@@
(
 blktap_sring(E)->f@p
|
 blktap_ring_entry(E, ...)->f@p
)

@script:python depends on report@
p << callplain.p;
@@
coccilib.report.print_report(p[0], "plain access to the shared ring page")

// A netchannel2 queue's control page: what a pointer of that type, and what the
// producer and the consumer of a ring point to.

@endonce@
struct nc2_endpoint *e;
expression E;
identifier end = {own, peer};
identifier f;
position p;
@@
(
 READ_ONCE(e->f@p)
|
 WRITE_ONCE(e->f@p, ...)
|
 virt_load_acquire(&e->f@p)
|
 virt_store_release(&e->f@p, ...)
|
 READ_ONCE(E->end->f@p)
|
 WRITE_ONCE(E->end->f@p, ...)
|
 virt_load_acquire(&E->end->f@p)
|
 virt_store_release(&E->end->f@p, ...)
)

@endplain@
struct nc2_endpoint *e;
expression E;
identifier end = {own, peer};
identifier f;
position p != endonce.p;
@@
(
 e->f@p
|
 E->end->f@p
)

@script:python depends on report@
p << endplain.p;
@@
coccilib.report.print_report(p[0], "plain access to the shared control page")
