// SPDX-License-Identifier: GPL-2.0
/// Another domain sends events as fast as it likes: their handlers end the
/// interrupt late, when the work is done. A page that was granted to it is free
/// only if revoking the grant has succeeded.
// Confidence: High

virtual report

@eoi@
identifier bind = {bind_evtchn_to_irq, bind_evtchn_to_irqhandler,
	bind_interdomain_evtchn_to_irq, bind_interdomain_evtchn_to_irqhandler};
position p;
@@
 bind@p(...)

@script:python depends on report@
p << eoi.p;
f << eoi.bind;
@@
coccilib.report.print_report(p[0], "%s(): events without late EOI" % f)

@revoke@
identifier end = {gnttab_end_foreign_access_ref, gnttab_try_end_foreign_access};
position p;
@@
 end@p(...);

@script:python depends on report@
p << revoke.p;
f << revoke.end;
@@
coccilib.report.print_report(p[0], "%s() may fail, and nobody looks" % f)
