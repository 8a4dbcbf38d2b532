#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Export patches/: series for the kernel's tree, made of this tree's sources.
#
# Usage: scripts/mkpatches.sh            write patches/
#        scripts/mkpatches.sh --check    tell whether patches/ is up to date
#
# scripts/series/NAME/ describes a series.  Its file "cover" is the letter, and
# what scripts/series/lib.sh lists; each of the others is one patch, in the order
# of their names:
#
#   Subject: the patch's subject
#   Add: files copied from this tree, which has them where the kernel will
#   Edit: files of the kernel that get a line or an entry (see edit())
#   Grow: a Makefile of ours, less the objects whose source is not there yet
#
#   the patch's description
#
# The text depends on the sources and the pristine kernel only: no dates, no
# commits.  Nobody signs off here; who posts the series does.

set -eu -o pipefail
cd "$(dirname "$0")/.."
top=$PWD
. scripts/series/lib.sh
ksrc=$(scripts/kernel-src.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LC_ALL=C HOME=$work GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_EMAIL=xen-devel@lists.xenproject.org
export GIT_AUTHOR_DATE="@0 +0000" GIT_COMMITTER_DATE="@0 +0000"
export GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL

die()
{
	echo "mkpatches: $*" >&2
	exit 1
}

# edit FILE: add what the driver needs to a file of the kernel.
edit()
{
	local tab=$'\t'

	case $1 in
	MAINTAINERS)
		"$top/scripts/merge-maintainers.py" "$top/MAINTAINERS" \
			"$entry" MAINTAINERS ;;
	drivers/block/Kconfig)
		sed -i '/null_blk\/Kconfig"$/a\
\
source "drivers/block/blktap2/Kconfig"' "$1" ;;
	drivers/block/Makefile)
		sed -i "/^obj-\$(CONFIG_BLK_DEV_NULL_BLK)/i\\
obj-\$(CONFIG_BLK_DEV_TAP)${tab}+= blktap2/\\
" "$1" ;;
	drivers/net/Kconfig)
		sed -i '/^config VMXNET3$/i\
source "drivers/net/netchannel2/Kconfig"\
' "$1" ;;
	drivers/net/Makefile)
		sed -i "/^obj-\$(CONFIG_XEN_NETDEV_BACKEND)/a\\
obj-\$(CONFIG_XEN_NETCHANNEL2) += netchannel2/" "$1" ;;
	Documentation/networking/device_drivers/index.rst)
		sed -i 's/^   hamradio\/index$/&\n   netchannel2/' "$1" ;;
	Documentation/block/index.rst)
		sed -i 's/^   biovecs$/&\n   blktap2/; /blktap2/!b' "$1" ;;
	Documentation/userspace-api/ioctl/ioctl-number.rst)
		sed -i '/^0xC0  00-0F  linux\/usb\/iowarrior.h/i\
0xBA  01-0F  uapi/xen/blktap2.h                                        <mailto:xen-devel@lists.xenproject.org>' "$1" ;;
	*)
		die "do not know how to edit $1" ;;
	esac
	! cmp -s "$1" "$ksrc/$1" || die "the edit of $1 found no place"
}

# grow MAKEFILE: as it is, without the objects that have no source yet
grow()
{
	local dir=${1%/*}

	mkdir -p "$dir"
	awk -v dir="$dir" '
	function there(obj,	c, line, r) {
		c = dir "/" substr(obj, 1, length(obj) - 2) ".c"
		r = (getline line < c) >= 0
		close(c)
		return r
	}
	{ all = all $0 "\n" }
	/^[a-z0-9]+-(y|\$\(CONFIG_[A-Z0-9_]+\)) / && !/^obj-/ { list = 1 }
	!list { grown = grown $0 "\n"; next }
	{
		for (i = 1; i <= NF; i++)
			if ($i ~ /\.o$/ && !there($i))
				dropped = 1
			else if ($i != "\\")
				grown = grown $i " "
	}
	$NF != "\\" {
		list = 0
		sub(/ $/, "\n", grown)
	}
	END { printf "%s", dropped ? grown : all }' "$top/$1" >"$1"
}

# export_series NAME: make it in $work/NAME
export_series()
{
	local f p
	local patches=("$top/scripts/series/$1"/[0-9]*)
	local tree=$work/tree-$1 to=$work/$1

	read_series "$1" || die "scripts/series/$1/cover is not complete"
	export GIT_AUTHOR_NAME=$from GIT_COMMITTER_NAME=$from

	# Start from those files of the kernel that the series edits.
	git init -q "$tree"
	cd "$tree"
	# shellcheck disable=SC2046
	(cd "$ksrc" && cp --parents $(for p in "${patches[@]}"; do
		field "$p" Edit
	done | xargs -n 1 | sort -u) "$tree")
	git add . && git commit -q -m base
	git tag base

	for p in "${patches[@]}"; do
		for f in $(field "$p" Add); do
			[ -f "$top/$f" ] || die "$p: no file $f"
			mkdir -p "$(dirname "$f")"
			cp "$top/$f" "$f"
		done
		for f in $(field "$p" Edit); do
			edit "$f"
		done
		for f in $(field "$p" Grow); do
			grow "$f"
		done
		git add .
		! git diff --cached --quiet || die "$p adds nothing"
		{ field "$p" Subject; echo; sed '1,/^$/d' "$p"; } |
			git commit -q --cleanup=verbatim -F -
	done

	# What the last patch leaves must be all there is.
	for f in $(cd "$top" && maintained "$entry" MAINTAINERS |
			xargs git ls-files -co --exclude-standard --); do
		[ ! -e "$top/$f" ] || cmp -s "$top/$f" "$f" ||
			die "$f is in no patch, or not as it is here"
	done

	git format-patch -q --zero-commit --no-signature --full-index \
		--no-renames --cover-letter -o "$to" base..
	sed -i '/^Date: /d' "$to"/*.patch
	subject=$(field "$top/scripts/series/$1/cover" Subject) \
	body=$(sed '1,/^$/d' "$top/scripts/series/$1/cover") \
		perl -0pi -e 's/\*\*\* SUBJECT HERE \*\*\*/$ENV{subject}/;
		s/\*\*\* BLURB HERE \*\*\*/$ENV{body}/' "$to"/0000-*.patch
	cp "$top/scripts/series/README" "$to/README"
	cd "$top"
}

mkdir "$work/patches"
for series in $(all_series); do
	export_series "$series"
	mv "$work/$series" "$work/patches/"
done

if [ "${1:-}" = --check ]; then
	diff -r patches "$work/patches" >"$work/diff" || {
		echo "patches/ is not what the sources give; run scripts/mkpatches.sh"
		head -n 20 "$work/diff"
		exit 1
	}
else
	rm -rf patches
	mv "$work/patches" patches
	for series in $(all_series); do
		echo "patches/$series: $(find "patches/$series" -name '*.patch' |
			wc -l) files"
	done
fi
