// SPDX-License-Identifier: GPL-2.0
/// The server can write to the ring page at any time. A plain read of a field
/// may be repeated by the compiler after the value was checked, a plain write
/// may be torn: use READ_ONCE(), WRITE_ONCE(), smp_load_acquire() and
/// smp_store_release(), or copy a whole slot with memcpy().
// Confidence: High

virtual report

@once@
struct blktap_sring *s;
union blktap_ring_entry *e;
struct blktap_ring_request *q;
struct blktap_ring_response *a;
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
 &s->f@p[...]
|
 &s->f@p[...].g
|
 &e->f@p
|
 READ_ONCE(e->f@p.g)
|
 WRITE_ONCE(e->f@p.g, ...)
|
 READ_ONCE(q->f@p)
|
 WRITE_ONCE(q->f@p, ...)
|
 READ_ONCE(a->f@p)
|
 WRITE_ONCE(a->f@p, ...)
)

@plain@
struct blktap_sring *s;
union blktap_ring_entry *e;
struct blktap_ring_request *q;
struct blktap_ring_response *a;
identifier f;
position p != once.p;
@@
(
 s->f@p
|
 e->f@p
|
 q->f@p
|
 a->f@p
)

@script:python depends on report@
p << plain.p;
@@
coccilib.report.print_report(p[0], "plain access to the shared ring page")
