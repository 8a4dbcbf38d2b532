#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# seeds.sh VHD-UTIL FOLDER: inputs for vhd_open_fuzz.c to start from.

set -e
util=$1
out=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out"

# seed NAME FLAGS SECTORS IMAGE [BAT...]: flags and size are put in front, BAT
# entries (octal bytes) over those of the image, the footer at the end is left
# to the fuzzer.
seed()
{
	name=$1
	printf '%b' "$2$3" >"$out/$name"
	head -c -512 "$4" >"$dir/image"
	if [ -n "$5" ]; then
		printf '%b' "$5" | dd of="$dir/image" bs=1 seek=1536 conv=notrunc \
			status=none
	fi
	cat "$dir/image" >>"$out/$name"
}

"$util" create -n "$dir/a.vhd" -s 8
"$util" snapshot -n "$dir/b.vhd" -p "$dir/a.vhd" -e
seed dynamic '\003' '\0\0\006' "$dir/a.vhd"
# Blocks 0 and 1 at sectors 7 and 4111.
seed blocks '\003' '\0\0040\050' "$dir/a.vhd" '\0\0\0\007\0\0\020\017'
seed lost '\001' '\0\0040\050' "$dir/a.vhd" '\0\0\0\007\0\0\020\017'
seed rdonly '\007' '\0\0040\050' "$dir/a.vhd" '\0\0\0\007\0\0\020\017'
# A parent a.vhd is there for the fuzzer's images, too.
seed child '\013' '\0\0\011' "$dir/b.vhd"
seed child-blocks '\013' '\0\0040\0100' "$dir/b.vhd" '\0\0\0\017\0\0\020\027'
