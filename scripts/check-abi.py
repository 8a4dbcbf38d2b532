#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Hold the drivers' sysfs attributes and Documentation/ABI/ against each other.

Each attribute defined in a driver needs an entry with all five fields, and
each entry an attribute; (RW), (RO) and (WO) must agree with the definition.
"""
import glob
import re
import sys

FIELDS = ('What', 'Date', 'KernelVersion', 'Contact', 'Description')

source = ''.join(open(p, encoding='utf-8').read()
                 for p in glob.glob('drivers/*/*/*.c'))
have = {}
for kind, args in re.findall(
        r'\b(?:static\s+)?(?:DEVICE|CLASS|BLKTAP\w*)_ATTR_(RW|RO|WO)\(([^)]*)\)', source):
    have[args.split(',')[-1].strip()] = kind
for name, mode in re.findall(r'__ATTR\((\w+),\s*(0\d+)', source):
    bits = int(mode, 8)
    have[name] = {0o4: 'RO', 0o2: 'WO', 0o6: 'RW'}[bits >> 6]
for kind, name in re.findall(r'__ATTR_(RW|RO|WO)\((\w+)\)', source):
    have[name] = kind

told = {}
findings = []
for path in sorted(glob.glob('Documentation/ABI/testing/*')):
    for entry in open(path, encoding='utf-8').read().split('\nWhat:'):
        entry = entry if entry.startswith('What:') else 'What:' + entry
        what = entry.split('\n')[0].split(':', 1)[1].strip()
        for f in FIELDS:
            if not re.search(rf'^{f}:', entry, re.M):
                findings.append(f'{path}: {what}: no {f}')
        kind = re.search(r'\((RW|RO|WO)\)', entry)
        told[what.rsplit('/', 1)[1]] = kind.group(1) if kind else '?'

if not have:
    findings.append('drivers: found no attribute')
for name in sorted(set(have) - set(told)):
    findings.append(f'{name}: attribute without an entry in Documentation/ABI')
for name in sorted(set(told) - set(have)):
    findings.append(f'{name}: entry in Documentation/ABI without an attribute')
for name in sorted(set(told) & set(have)):
    if told[name] != have[name]:
        findings.append(f'{name}: documented {told[name]}, is {have[name]}')
if findings:
    print('\n'.join(findings))
sys.exit(bool(findings))
