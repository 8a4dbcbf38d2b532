#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Show that each check of scripts/check.sh can fail: put a defect into a copy
# of the tree, and see that the check finds it there.
#
# Usage: scripts/check-selftest.sh [CHECK]...     (default: all)
#
# Prints TAP.  Takes several minutes; for whoever changes check.sh.

set -u
self=$(realpath "$(dirname "$0")")
top=$(realpath "$self/..")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
tree=$work/tree
drv=drivers/block/blktap2

fresh()
{
	rm -rf "$tree"
	mkdir "$tree"
	(cd "$top" && git ls-files -co --exclude-standard -z |
		xargs -0 cp --parents -t "$tree" 2>/dev/null)
	git -C "$tree" init -q
	cd "$tree" || exit 1
}

# into FILE TEXT: the file, made if need be, gets a defect at its end.
into()
{
	mkdir -p "$(dirname "$1")"
	[ -e "$1" ] || printf '/* SPDX-License-Identifier: GPL-2.0 */\n' >"$1"
	printf '%b' "$2" >>"$1"
}

# Each prints what the check must name.
defect()
{
	case $1 in
	sparse-*)
		into $drv/main.c '\n__le32 blktap_defect(void);\n__le32 blktap_defect(void)\n{\n\treturn 5;\n}\n'
		echo 'incorrect type in return' ;;
	cocci-tests)
		sed -i 's,/\* bad \*/,,' scripts/coccinelle/tests/bug.c
		echo 'bug.c: .* reports lines' ;;
	abi-docs)
		into $drv/defect.c '\nstatic DEVICE_ATTR_RO(defect);\n'
		echo 'defect: attribute without an entry' ;;
	patches)
		into $drv/main.c '\n/* defect */\n'
		echo 'not what the sources give' ;;
	bed)
		sed -i 's,> seconds / 2,> seconds / 9,' tests/qemu/bed
		echo 'limit of which enough was left: wrongly taken' ;;
	cocci-kernel)
		into $drv/defect.c '\nvoid blktap_defect(void *p)\n{\n\tif (p)\n\t\tkfree(p);\n}\n'
		echo 'defect.c:.*NULL check before some freeing' ;;
	cocci-own)
		into $drv/defect.c '\nvoid blktap_defect(int x)\n{\n\tBUG_ON(x);\n}\n'
		echo 'defect.c:.*BUG, panic' ;;
	checkpatch-kernel)
		into $drv/defect.h '\nint  x ;\n'
		echo 'FILE: drivers/block/blktap2/defect.h' ;;
	checkpatch-compat)
		into compat/include/linux/defect.h '\nint  x ;\n'
		echo 'FILE: compat/include/linux/defect.h' ;;
	checkpatch-tools)
		into tools/lib/defect.h '\nint  x ;\n'
		echo 'FILE: tools/lib/defect.h' ;;
	checkpatch-tests)
		into tests/unit/defect.h '\nint  x ;\n'
		echo 'FILE: tests/unit/defect.h' ;;
	kernel-doc)
		into $drv/defect.h '\n/**\n * blktap_defect() - no argument\n */\nint blktap_defect(int arg);\n'
		echo "'arg' not described in 'blktap_defect'" ;;
	limits)
		into $drv/defect.c "\nint blktap_defect(int x)\n{\n$(yes '\t\tx++;' |
			head -n 120 | paste -sd '#' | sed 's/#/\\n/g')\n\treturn x;\n}\n"
		echo 'defect.c:3: blktap_defect() has 12. lines' ;;
	compat)
		into $drv/defect.c '\n#if LINUX_VERSION_CODE < 5\n#endif\n'
		echo 'defect.c:.*LINUX_VERSION' ;;
	uapi)
		into include/uapi/xen/defect.h '\nstruct blktap_defect {\n\tu32 class;\n};\n'
		echo 'defect.h:.*u32' ;;
	shellcheck)
		into scripts/defect.sh ''
		# shellcheck disable=SC2016
		printf '#!/bin/sh\nrm $1\n' >scripts/defect.sh
		echo 'scripts/defect.sh:2' ;;
	codespell)
		into $drv/defect.h '\n/* wi''ch */\n'
		echo 'defect.h:3: wi''ch' ;;
	python)
		into scripts/defect.py ''
		printf 'import os\n' >scripts/defect.py
		echo "'os' imported but unused" ;;
	man)
		into Documentation/man/defect.8 ''
		printf '.TH X 8\n.XX\n' >Documentation/man/defect.8
		echo 'defect.8:' ;;
	rst)
		printf 'A title\n=====\n' >Documentation/block/defect.rst
		echo 'defect.rst:2:.*underline too short' ;;
	spdx)
		into tools/lib/defect.h ''
		echo 'int x;' >tools/lib/defect.h
		echo 'defect.h: no SPDX' ;;
	todo)
		into $drv/defect.h '\n/* FIX''ME: all */\n'
		echo 'defect.h:.*FIX''ME' ;;
	*)
		return 1 ;;
	esac
}

echo "TAP version 13"
n=0 failed=0
read -rd '' -a list <<<"${*:-$("$self/check.sh" -l)}"
for c in "${list[@]}"; do
	n=$((n + 1))
	fresh
	want=$(defect "$c") || want="a defect for $c is not known here"
	got=$(scripts/check.sh -c "$c" 2>&1)
	r=$?
	if [ $r = 1 ] && grep -q "^not ok .*$c " <<<"$got" &&
	   grep -q "$want" <<<"$got"; then
		echo "ok $n - check $c can fail"
	else
		failed=$((failed + 1))
		echo "not ok $n - check $c can fail"
		echo "# wanted: $want"
		head -n 20 <<<"$got" | sed 's/^/# /'
	fi
done
echo "1..$n"
[ $failed = 0 ]
