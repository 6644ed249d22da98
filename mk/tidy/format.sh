#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The source is as clang-format 14 would have it (other versions differ).
# `sh mk/tidy/format.sh fix [FILE...]` makes it so.

for f in clang-format-14 clang-format none; do
	[ $f = none ] && echo 'clang-format 14 absent' && exit 77
	case $($f --version 2>/dev/null) in
	*'version 14.'*) break ;;
	esac
done

case $1 in
fix)
	how=-i
	shift
	;;
*)
	how='--dry-run -Werror'
	set --
	;;
esac
if [ $# = 0 ]; then
	find hypercall kernel components bin tests examples -name '*.[ch]' \
	    2>/dev/null | sort
else
	printf '%s\n' "$@"
fi | xargs -r $f --style=file $how 2>&1 |
    awk '/: error:/ { n[substr($1, 1, index($1, ":") - 1)]++; if (k++ < 20) print }
	END {
		for (i in n)
			print i ": " n[i] " places"
		if (k)
			print "mend with: sh mk/tidy/format.sh fix"
		exit k > 0
	}'
