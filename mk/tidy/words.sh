#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Nothing unfinished is marked in the source, and every source file says its
# licence in one of its first three lines (a Makefile that only sets variables
# need not).

bad=0
dirs='hypercall kernel components bin tests mk examples docs'

# shellcheck disable=SC2086 # words
find $dirs Makefile README.md -type f 2>/dev/null | sort |
    xargs grep -n 'FIX''ME' /dev/null && bad=1

# shellcheck disable=SC2086
for f in $(find $dirs Makefile .ci/run -type f 2>/dev/null | sort); do
	case $f in
	*.c | *.h | *.S | *.sh | *.pl | *.mk | *.awk | *.def | */run | Makefile)
		sed 3q "$f" | grep -q 'SPDX-License-Identifier: BSD-2-Clause' ||
		    { echo "$f: no SPDX-License-Identifier"; bad=1; }
		;;
	esac
done
exit $bad
