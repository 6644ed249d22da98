#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: run.sh BUILD
#
# `make tidy`: run every checker from the top of the tree.  A checker exits 0,
# 1 when it found something, 77 when it can't run here; what it prints is shown.
# Each counts as one test.  tests/mk/tidy.sh proves that each finds what it is
# for.

b=$1
t=mk/tidy
manifest=$b/check/manifest
passed=0 failed=0 skipped=0

check() {
	name=$1
	shift
	out=$("$@" 2>&1)
	case $? in
	0)	passed=$((passed + 1)); word=ok ;;
	77)	skipped=$((skipped + 1)); word=SKIP ;;
	*)	failed=$((failed + 1)); word=FAIL ;;
	esac
	printf '%-4s tidy: %s\n' "$word" "$name"
	[ -z "$out" ] || echo "$out" | sed 's/^/    | /'
}

check 'units use only what may be used' perl $t/graph.pl "$manifest"
check 'unit Makefiles only set variables' sh $t/makefiles.sh
check 'undefined symbols' sh $t/undefined.sh "$manifest" "$b"
check 'no writable data in the kernel' sh $t/writable.sh "$manifest" "$b"
check 'public headers stand alone' sh $t/headers.sh "$manifest" "$b"
check 'public functions documented' perl $t/documented.pl "$manifest" "$b"
check 'hypercalls, at most 32' sh $t/hypercalls.sh
check 'function length' perl $t/length.pl
check 'no #if in the kernel' sh $t/noif.sh
check 'no FIX''ME, licence line' sh $t/words.sh
check 'format' sh $t/format.sh

echo "$passed $failed $skipped" >"$b/check/tidy.tally"
[ "$failed" = 0 ]
