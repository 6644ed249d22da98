#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The host's table is narrow: 1 to 32 entries.

[ -e hypercall/hypercall.h ] || exit 77
names=$(perl "${QUERN_TOP:-.}/mk/hypercalls.pl" hypercall/hypercall.h) || exit 1
n=$(echo "$names" | grep -c .)
echo "$n entries"
[ "$n" -ge 1 ] && [ "$n" -le 32 ]
