#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: check-install.sh BUILD
#
# Install into an empty directory, and use from there what was installed:
# every .pc file, and every example built with what pkg-config says.

b=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/quern-install.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
passed=0 failed=0 skipped=0

try() {
	what=$1
	shift
	if ! "$@" >"$work/log" 2>&1; then
		failed=$((failed + 1))
		echo "FAIL install: $what"
		sed 's/^/    | /' "$work/log"
	elif reason=$(sed -n 's/^SKIP: //p' "$work/log") && [ -n "$reason" ]; then
		skipped=$((skipped + 1))
		echo "SKIP install: $what: $reason"
	else
		passed=$((passed + 1))
		echo "ok   install: $what"
	fi
}

pc() {
	PKG_CONFIG_PATH=$work/usr/lib/pkgconfig ${PKG_CONFIG:-pkg-config} "$@"
}

every_pc() {
	for f in "$work"/usr/lib/pkgconfig/*.pc; do
		n=${f##*/}
		pc --cflags --libs "${n%.pc}" || return 1
	done
}

# Nothing installed may refer to the tree it was built in.
no_tree() {
	! grep -rlF -e "$(pwd)" -e "$b/" "$work/usr/lib/pkgconfig" \
	    "$work/usr/include"
}

# The same files under DESTDIR as under PREFIX.
same_under_destdir() {
	DESTDIR=$work/dest PREFIX=/opt/q sh mk/install.sh "$b" || return 1
	(cd "$work/usr" && find . -type f | sort) >"$work/a"
	(cd "$work/dest/opt/q" && find . -type f | sort) >"$work/b"
	cmp "$work/a" "$work/b" &&
	    ! grep -rlF "$work" "$work/dest/opt/q/lib/pkgconfig"
}

# usage: example DIRECTORY SOURCES PACKAGES
# It is run alone, or by its run.sh where that makes what it works on.
example() {
	srcs=$(for s in $2; do echo "$1/$s"; done)
	# shellcheck disable=SC2086 # words
	flags=$(pc --cflags --libs $3) || return 1
	# shellcheck disable=SC2086 # words
	${CC:-gcc} -Wall -Wextra -Werror $srcs $flags -o "$work/example" ||
	    return 1
	if [ -f "$1/run.sh" ]; then
		TMPDIR=$work sh "$1/run.sh" "$work/example" </dev/null
	else
		"$work/example" </dev/null
	fi
}

DESTDIR='' PREFIX=$work/usr
export DESTDIR PREFIX
try 'make install' sh mk/install.sh "$b"
try 'the same under DESTDIR' same_under_destdir
try 'every .pc file resolves' every_pc
try 'nothing refers to the build' no_tree
awk -F '\t' '$1 == "example"' "$b/check/manifest" >"$work/examples"
while IFS='	' read -r _ dir srcs pkgs; do
	try "$dir by pkg-config" example "$dir" "$srcs" "$pkgs"
done <"$work/examples"

echo "$passed $failed $skipped" >"$b/check/install.tally"
[ "$failed" = 0 ]
