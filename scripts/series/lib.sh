# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What scripts/mkpatches.sh and scripts/check-patches.sh know of a series.  Both
# read this from the top of the tree.

# all_series: their names
all_series()
{
	local d

	for d in scripts/series/*/; do
		basename "$d"
	done
}

# field FILE NAME: all values of the field at the top of the file
field()
{
	sed -n "/^\$/q; s/^$2: *//p" "$1"
}

# read_series NAME: set what its cover says
#   from    who the patches are from
#   entry   title of the entry in MAINTAINERS, which names all files
#   folder  where the driver is
#   option  of Kconfig, without CONFIG_
#   module  its name
# shellcheck disable=SC2034
read_series()
{
	local cover=scripts/series/$1/cover

	from=$(field "$cover" From)
	entry=$(field "$cover" Entry)
	folder=$(field "$cover" Folder)
	option=$(field "$cover" Option)
	module=$(field "$cover" Module)
	[ -n "$from" ] && [ -n "$entry" ] && [ -n "$folder" ] &&
		[ -n "$option" ] && [ -n "$module" ]
}

# maintained ENTRY MAINTAINERS: the patterns of its files
maintained()
{
	sed -n "/^$1\$/,/^\$/s/^F:\t//p" "$2"
}
