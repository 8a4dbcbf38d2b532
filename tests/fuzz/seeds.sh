#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# seeds.sh VHD-UTIL FOLDER: inputs for the targets to start from, in a folder
# for each that takes the same.

set -e
util=$1
root=$2
out=$root/vhd
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out"

# seed NAME FLAGS SECTORS IMAGE [OFFSET BYTES]...: flags and size are put in
# front; bytes (octal) go over those of the image; the footer at the end is
# left to the fuzzer.
seed()
{
	name=$1
	printf '%b' "$2$3" >"$out/$name"
	head -c -512 "$4" >"$dir/image"
	shift 4
	while [ $# -gt 0 ]; do
		printf '%b' "$2" | dd of="$dir/image" bs=1 seek="$1" \
			conv=notrunc status=none
		shift 2
	done
	cat "$dir/image" >>"$out/$name"
}

"$util" create -n "$dir/a.vhd" -s 8
"$util" snapshot -n "$dir/b.vhd" -p "$dir/a.vhd" -e
full=$(head -c 512 /dev/zero | sed 's/\x0/\\0377/g')
half=$(head -c 256 /dev/zero | sed 's/\x0/\\0252/g')
# Blocks 0 and 1 at sectors 7 and 4111, in the child 15 and 4119.
blocks='\0\0\0\007\0\0\020\017'
later='\0\0\0\017\0\0\020\027'
# A disk of 64 KiB in blocks of 4 KiB, two of which lie in the input.
small='\0\0\0\0\0\001\0\0\0\0\0\0\0\001\0\0\0\0\0\0'
seed dynamic '\003' '\0\0\006' "$dir/a.vhd"
seed blocks '\003' '\0\0040\050' "$dir/a.vhd" 1536 "$blocks"
seed lost '\001' '\0\0040\050' "$dir/a.vhd" 1536 "$blocks"
seed option '\007' '\0\0040\050' "$dir/a.vhd" 1536 "$blocks"
seed full '\043' '\0\0040\050' "$dir/a.vhd" 1536 "$blocks" 2560 '\0200' \
	3584 "$full"
seed small '\003' '\0\0\060' "$dir/a.vhd" 40 "$small" 540 '\0\0\0\020' \
	544 '\0\0\020\0' 1536 '\0\0\0\007\0\0\0\020' 3584 '\0377' 8192 '\0252'
# A parent a.vhd is there for the fuzzer's images, too.
seed child '\013' '\0\0\011' "$dir/b.vhd"
seed child-blocks '\013' '\0\0040\0100' "$dir/b.vhd" 1536 "$later" 7680 "$half"
seed child-full '\053' '\0\0040\0100' "$dir/b.vhd" 1536 "$later" \
	2560 '\0200' 7680 "$full"
seed child-option '\017' '\0\0040\0100' "$dir/b.vhd" 1536 "$later" 7680 "$half"

# nc2 NAME STEPS: an input of netchannel2, see nc2_input.h and the target.
nc2()
{
	printf '%b' "$2" >"$out/$1"
}

# The consumer reads what a right producer has written; then one byte is wrong.
take='\05\0377\06'
out=$root/nc2_ring
mkdir -p "$out"
nc2 small '\0\0\0\0\0\01\0\074\0\0'$take
nc2 copy '\0\0\0\0\0\01\021\0377\0\0\01\041\062\0\0'$take
nc2 staged '\020\0\0\0\0\01\0200\0\0\0\01\0301\0\0\0'$take
nc2 wrap '\061\0360\0377\0\0\01\03\062\0\0\01\0200\0\0\0'$take'\01\021\0377\0\0'$take
nc2 bytes '\0\0\0\0\0\0\0\0\010\0377\0\010\0\0\0\0\0\02\01'$take
nc2 wrong '\0\0\0\0\0\01\02\074\020\0377'$take
nc2 change '\024\0\0\0\0\01\02\074\0\0\01\0200\0\0\0\01\0\0144\0\0'$take$take
nc2 thread '\030\0\0\0\0\01\02\074\0\0\01\0200\0\0\0\01\021\0144\0\0'
# The producer writes until there is no room, waits, and goes on.
put='\03\0260\01\020\04'
out=$root/nc2_producer
mkdir -p "$out"
nc2 once '\0\0\0\0\0\02\01\0\0\0'$put'\0\0260\05'
nc2 full '\0\0\0\0\0'$put$put$put$put$put$put$put$put$put$put$put'\06\0144\0\0377\05'$put
nc2 wrap '\060\0360\0377\0\0'$put$put$put'\0\0144\05'$put'\01\0\0\0\0\05'
nc2 lies '\0\0\0\0\0'$put'\01\0\0\0\0200\05\01\0\020\0\0\05\0\01\05\01\07\0\0\0\05'
