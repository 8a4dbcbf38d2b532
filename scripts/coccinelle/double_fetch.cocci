// SPDX-License-Identifier: GPL-2.0
/// User memory, or memory that another domain shares, may differ the second time
/// it is fetched: what the first copy was checked for need not hold in the
/// second.
// Confidence: Moderate

virtual report

@r@
expression src, d1, d2, n1, n2;
position p;
@@
(
 copy_from_user(d1, src, n1)
|
 get_user(d1, src)
|
 memdup_user(src, n1)
)
 ... when != src = ...
     when != src += ...
     when != src++
(
 copy_from_user@p(d2, src, n2)
|
 get_user@p(d2, src)
|
 memdup_user@p(src, n2)
)

@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "second fetch of the same user memory")

@message@
expression c, at, d1, d2, n1, n2;
position p;
@@
 nc2_consumer_read(c, at, d1, n1)
 ... when != nc2_consumer_done(c, ...)
     when != at = ...
     when != at += ...
     when != at++
 nc2_consumer_read@p(c, at, d2, n2)

@script:python depends on report@
p << message.p;
@@
coccilib.report.print_report(p[0], "second fetch of the same part of a message")

@header@
expression c, h1, h2;
position p;
@@
 nc2_consumer_next(c, h1)
 ... when != nc2_consumer_done(c, ...)
 nc2_consumer_next@p(c, h2)

@script:python depends on report@
p << header.p;
@@
coccilib.report.print_report(p[0], "second fetch of the same header")
