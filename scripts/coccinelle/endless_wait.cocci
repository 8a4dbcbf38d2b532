// SPDX-License-Identifier: GPL-2.0
/// No task may hang in D state because of a server or a disk that does not
/// answer: waits are killable or bounded.
// Confidence: High

virtual report

@r@
position p;
@@
(
 wait_event@p(...)
|
 wait_for_completion@p(...)
|
 wait_for_completion_io@p(...)
|
 wait_on_bit@p(...)
)

@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "wait that neither a signal nor time ends")
