#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: writable.sh MANIFEST BUILD
#
# No freestanding unit has a byte that is writable at run time, or thread-local:
# all state hangs off struct quern.  Told by the sections of the linked unit.
# .data.rel.ro is written by the dynamic linker only.

manifest=$1
b=$2
bad=0

for unit in $(awk -F '\t' '$1 == "unit" && $4 == "free" { print $2 }' \
    "$manifest"); do
	readelf -SW "$b/obj/$unit.o" | sed 's/^ *\[ *[0-9]*\] *//' |
	    awk -v unit="$unit" '
	# name type address offset size entsize flags link info align
	$6 !~ /^[0-9a-f]+$/ || $7 !~ /W/ || $7 !~ /A/ { next }
	$5 ~ /^0+$/ || $1 ~ /^\.data\.rel\.ro/ { next }
	{ print "unit " unit ": section " $1 ", 0x" $5 " bytes"; bad = 1 }
	END { exit bad }' || {
		bad=1
		nm "$b/obj/$unit.o" | awk '$2 ~ /^[bBdDC]$/ { print "    " $2, $3 }'
	}
done
exit $bad
