#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What the bed takes for lost time, and what for a failure. Says only what is wrong."""

import importlib.machinery
import importlib.util
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("bed", str(Path(__file__).parent / "bed"))
BED = importlib.util.module_from_spec(importlib.util.spec_from_loader("bed", LOADER))
LOADER.exec_module(BED)

LOCKUP = "[  99.1] watchdog: BUG: soft lockup - CPU#0 stuck for 29s! [swapper/0:0]"
RCU = "[  99.1] rcu: INFO: rcu_sched self-detected stall on CPU"
XL = "libxl: error: libxl_aoutils.c:539:x: killing execution of /a/vif-nc2 online because of timeout"
TRACE = "[  99.2] Call Trace:"
SCAN = BED.LOG_SCAN
BUSY = [(t, 0.8) for t in range(1, 301)]
IDLE = [(t, 0.0) for t in range(1, 301)]
# The host stands still for 31 s.
STOP = [(t, 0.0) for t in range(1, 100)] + [(131, 31.0)] + [(t, 0.0) for t in range(132, 301)]

# name, seconds lost, what the test says at a second, is that the host's doing?
CASES = (
    ("nothing failed", STOP, [(1, "x"), (140, "y")], False),
    ("lockup in a stop", STOP, [(1, "x"), (140, SCAN), (140, LOCKUP), (140, TRACE)], True),
    ("stall in a stop", STOP, [(1, "x"), (140, SCAN), (140, RCU), (140, TRACE)], True),
    ("lockup without a stop", IDLE, [(1, "x"), (140, SCAN), (140, LOCKUP), (140, TRACE)], False),
    ("lockup long after a stop", STOP, [(200, "x"), (290, SCAN), (290, LOCKUP)], False),
    ("another trace beside it", STOP,
     [(1, "x"), (140, SCAN), (140, LOCKUP), (140, TRACE), (140, TRACE)], False),
    ("a warning beside it", STOP,
     [(1, "x"), (140, SCAN), (140, LOCKUP), (140, "WARNING: at x")], False),
    ("a failure beside it", STOP,
     [(1, "x"), (135, "FAIL: data"), (140, SCAN), (140, LOCKUP)], False),
    ("something left beside it", STOP,
     [(1, "x"), (135, "left behind: blktap0"), (140, SCAN), (140, LOCKUP)], False),
    ("limit in a stop", STOP, [(1, "x"), (132, "LIMIT: 30 s are over: x"), (132, "FAIL: no x")],
     True),
    ("limit without a stop", IDLE,
     [(1, "x"), (132, "LIMIT: 30 s are over: x"), (132, "FAIL: no x")], False),
    ("limit of which enough was left", STOP,
     [(1, "x"), (132, "LIMIT: 90 s are over: x"), (132, "FAIL: no x")], False),
    ("limit on a busy host", BUSY,
     [(1, "x"), (290, "LIMIT: 270 s are over: x"), (290, "FAIL: no x")], True),
    ("the limit of something before", STOP,
     [(1, "x"), (132, "LIMIT: 30 s are over: x"), (132, "went on"), (133, "FAIL: y")], False),
    ("the test's own limit", BUSY, [(1, "x"), (290, "no end after 200 s")], True),
    ("the test's own limit, idle host", IDLE, [(1, "x"), (290, "no end after 200 s")], False),
    ("libxl's limit", STOP, [(1, "x"), (132, "FAIL: timeout 360 xl create (status 3): a"), (132, XL)],
     True),
    ("libxl's limit without a stop", IDLE,
     [(1, "x"), (132, "FAIL: timeout 360 xl create (status 3): a"), (132, XL)], False),
    ("kernel log of a failed test", STOP,
     [(1, "x"), (132, "LIMIT: 30 s are over: x"), (132, "FAIL: no x"), (133, "| WARNING: no")],
     True),
)

# The flags of a log, are they the emulator's doing?
FLAGS = (("RSP: e02b:ffffc90040033d28 EFLAGS: 04a043e2", True),
         ("RSP: e02b:ffffc90040033d28 EFLAGS: 00010246", False),
         ("RSP: 0018:ffffc90040033d28 EFLAGS: 003f0fd7", False))


def main():
    bad = 0
    for text, want in FLAGS:
        if bool(BED.emulator_fault(text)) != want:
            print("%s: %s taken for QEMU's doing" % (text, "not" if want else "wrongly"))
            bad = 1
    for name, ticks, said, want in CASES:
        machine = BED.Machine.__new__(BED.Machine)
        machine.lost = BED.LostTime(1)
        machine.lost.ticks = ticks
        machine.said = [(float(t), text) for t, text in said]
        if machine.failed_by_lost_time() != want:
            print("%s: %s taken for the host's doing" % (name, "not" if want else "wrongly"))
            bad = 1

    # Whatever the process is, ticks are counted.
    lost = BED.LostTime(1)
    lost.start()
    deadline = time.monotonic() + 60
    while len(lost.ticks) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    lost.over.set()
    if len(lost.ticks) < 2:
        print("no ticks are counted")
        bad = 1

    spent = BED.Spent()
    machine.said = [(10, "STEP: guest g1: xl create, pv"), (12, "STEP: guest g2: xl create, pv"),
                    (20, "STEP: guest g1: up (pid1) after 10 s"),
                    (25, "STEP: guest g2: up (pid1) after 13 s"),
                    (30, "STEP: guest g1: reboots")]
    machine.cpu = lambda: 7.0
    machine.lost.ticks = []
    spent.add(machine, time.monotonic() - 10, 4.0)
    if (spent.guests, spent.cpu, round(spent.idle)) != (15, 3.0, 7):
        print("time of a test: %s" % vars(spent))
        bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
