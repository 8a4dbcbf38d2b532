#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Insert an entry of one MAINTAINERS file into another, in its order.

Usage: merge-maintainers.py FROM TITLE INTO
"""
import sys

source, title, target = sys.argv[1:]


def entries(path):
    with open(path, encoding='utf-8') as f:
        return f.read().rstrip('\n').split('\n\n')


entry = [e for e in entries(source) if e.split('\n')[0] == title]
if len(entry) != 1:
    sys.exit(f'{source}: no entry {title}, or more than one')
have = entries(target)
# The list proper begins with the first entry that has a status.
first = next(i for i, e in enumerate(have) if '\nS:\t' in e and
             not e.startswith('\t') and e.split('\n')[0].isupper())
at = next(i for i in range(first, len(have))
          if have[i].split('\n')[0] > title)
have.insert(at, entry[0])
with open(target, 'w', encoding='utf-8') as f:
    f.write('\n\n'.join(have) + '\n')
