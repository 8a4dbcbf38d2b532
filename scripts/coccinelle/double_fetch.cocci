// SPDX-License-Identifier: GPL-2.0
/// User memory fetched twice may differ the second time: what the first copy
/// was checked for need not hold in the second.
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
