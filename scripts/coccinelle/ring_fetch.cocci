// SPDX-License-Identifier: GPL-2.0
/// The server can write to the ring page at any time. A plain read of a field
/// may be repeated by the compiler after the value was checked, a plain write
/// may be torn: use READ_ONCE(), WRITE_ONCE(), smp_load_acquire() and
/// smp_store_release(), or copy a whole slot with memcpy(). The event fields
/// are set once, before the page is shared.
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
