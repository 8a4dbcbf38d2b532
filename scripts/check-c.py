#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Limits on C files: the length of lines without a message; except in tests, that
of files and functions; kernel-doc on each function of the driver that others
can call.

Relies on kernel style: a function's braces are alone in column 0.
"""
import re
import sys

FILE_MAX = 900
FUNCTION_MAX = 100
LINE_MAX = 100


def signature(lines, brace):
    """First line of the signature whose body opens at line index brace."""
    i = brace
    while i > 0 and lines[i - 1].strip() and \
            not re.search(r'(;|\}|\*/)\s*$|^#', lines[i - 1]):
        i -= 1
    return i


def documented(lines, start):
    """Is the comment that ends just above line index start kernel-doc?"""
    i = start - 1
    if i < 0 or not lines[i].rstrip().endswith('*/'):
        return False
    while i > 0 and not lines[i].lstrip().startswith('/*'):
        i -= 1
    return lines[i].strip() == '/**'


def check(path):
    with open(path, encoding='utf-8') as f:
        lines = f.read().split('\n')[:-1]
    if len(lines) > FILE_MAX and not path.startswith('tests/'):
        yield f'{path}: {len(lines)} lines, limit {FILE_MAX}'
    brace = None
    for i, line in enumerate(lines):
        if '"' not in line and len(line.expandtabs(8)) > LINE_MAX:
            yield f'{path}:{i + 1}: line is longer than {LINE_MAX} columns'
        if line == '{':
            brace = i
        elif line.startswith('}') and brace is not None:
            start = signature(lines, brace)
            head = ' '.join(lines[start:brace])
            found = re.search(r'(\w+)\s*\(', head)
            name = found.group(1) if found else head
            if i - start + 1 > FUNCTION_MAX and \
                    not path.startswith('tests/'):
                yield (f'{path}:{start + 1}: {name}() has {i - start + 1} '
                       f'lines, limit {FUNCTION_MAX}')
            if path.startswith('drivers/') and path.endswith('.c') and \
                    '/tests/' not in path and \
                    not re.search(r'\bstatic\b', head) and \
                    not documented(lines, start):
                yield f'{path}:{start + 1}: {name}() has no kernel-doc'
            brace = None


findings = [f for p in sys.argv[1:] for f in check(p)]
if findings:
    print('\n'.join(findings))
sys.exit(bool(findings))
