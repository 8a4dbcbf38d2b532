// SPDX-License-Identifier: GPL-2.0
/// Nothing that a peer does may stop the machine: no BUG at all, and WARN
/// only in its ONCE forms, for defects of our own.
// Confidence: High

virtual report

@r@
position p;
@@
(
 BUG@p(...)
|
 BUG_ON@p(...)
|
 VM_BUG_ON@p(...)
|
 panic@p(...)
|
 WARN@p(...)
|
 WARN_ON@p(...)
)

@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "BUG, panic or repeated WARN in a driver")
