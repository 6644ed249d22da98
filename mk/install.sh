#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: install.sh BUILD, with PREFIX and DESTDIR in the environment

set -e
b=$1
to=$DESTDIR$PREFIX

awk -F '\t' -v b="$b" '
$1 == "unit" {
	n = split($7, w, " ")
	for (i = 1; i <= n; i++)
		print "header", $3 "/" w[i], w[i]
	n = split($8, w, " ")
	for (i = 1; i <= n; i++)
		print "header", b "/include/" $2 "/quern/" w[i], w[i]
}
$1 ~ /^(lib|pc|bin|man)$/ { print $1, $2 }' "$b/check/manifest" |
while read -r what file name; do
	case $what in
	header)	mode=644 dest=include/quern/$name ;;
	lib)	mode=644 dest=lib/${file##*/} ;;
	bin)	mode=755 dest=bin/${file##*/} ;;
	man)	mode=644 dest=share/man/man${file##*.}/${file##*/} ;;
	pc)
		install -d "$to/lib/pkgconfig"
		sed -e "s|^prefix=.*|prefix=$PREFIX|" \
		    -e 's|^includedir=.*|includedir=${prefix}/include|' \
		    "$file" >"$to/lib/pkgconfig/${file##*/}"
		chmod 644 "$to/lib/pkgconfig/${file##*/}"
		continue
		;;
	esac
	install -D -m $mode "$file" "$to/$dest"
done

# For gdb: (gdb) source PREFIX/share/quern/quern-gdb.py
if [ -e kernel/quern-gdb.py ]; then
	install -D -m 644 kernel/quern-gdb.py "$to/share/quern/quern-gdb.py"
fi
