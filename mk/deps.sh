#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Install the Debian packages that the build needs and the ones it can make use
# of.  Silent and quick when there is nothing to do: a stamp says that the last
# look was satisfied, and counts until dpkg's database or this file changes.
# Prints only to stderr, since make reads stdout.  Fails if a required package
# is missing and can't be installed.

required='gcc make binutils pkgconf libffi-dev check libc6-dev'
optional='liburing-dev libnbd-dev libedit-dev libarchive-dev graphviz clang
    clang-format-14 libclang-rt-14-dev llvm-14 g++ valgrind gdb nbdkit
    qemu-utils fio e2fsprogs fuse2fs busybox-static
    debootstrap user-mode-linux runsc'

status=${QUERN_DPKG_STATUS:-/var/lib/dpkg/status}
stamp=build/.deps

[ -e "$stamp" ] && ! [ "$status" -nt "$stamp" ] &&
    ! [ mk/deps.sh -nt "$stamp" ] && exit 0

say() {
	echo "deps: $*" >&2
}

# The packages among "$@" that are not installed, one a line.
missing() {
	dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
	    awk -v want="$*" '
	$2 == "installed" { have[$1] = 1 }
	END {
		n = split(want, w, /[ \t\n]+/)
		for (i = 1; i <= n; i++)
			if (w[i] != "" && !(w[i] in have))
				print w[i]
	}'
}

# Without dpkg: name what is absent, install nothing.
other_system() {
	lacking=
	for c in gcc make ld objcopy ar awk perl; do
		command -v "$c" >/dev/null 2>&1 || lacking="$lacking $c"
	done
	if command -v pkg-config >/dev/null 2>&1; then
		for p in libffi check; do
			pkg-config --exists "$p" || lacking="$lacking $p"
		done
	else
		lacking="$lacking pkg-config libffi check"
	fi
	[ -z "$lacking" ] && return 0
	say "this is no Debian system; install by hand:$lacking"
	return 1
}

apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq \
	    -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null \
	    >>"$log" 2>&1
}

install() {
	apt install -y --no-install-recommends "$@" && return 0
	[ -n "$updated" ] && return 1
	updated=yes
	apt update
	apt install -y --no-install-recommends "$@"
}

if ! command -v dpkg-query >/dev/null 2>&1; then
	other_system || exit 1
	mkdir -p build && : >"$stamp"
	exit 0
fi

# shellcheck disable=SC2086 # lists of words
need=$(missing $required)
# shellcheck disable=SC2086
want=$(missing $optional)

if [ -n "$need$want" ]; then
	updated=
	log=$(mktemp) || exit 1
	trap 'rm -f "$log"' EXIT
	if [ "$(id -u)" = 0 ]; then
		sudo=
	elif sudo -n true 2>/dev/null; then
		sudo='sudo -n'
	else
		sudo=none
	fi
	# Words again: one line of names.
	need=$(echo $need)
	want=$(echo $want)
	if [ "$sudo" = none ]; then
		[ -z "$want" ] || say "not installed (not needed, but used where" \
		    "present): $want"
		if [ -n "$need" ]; then
			say "not root, and sudo needs a password; please run"
			say "    apt-get install $need"
			exit 1
		fi
	else
		if [ -n "$need" ]; then
			say "installing $need"
			install $need || {
				cat "$log" >&2
				say "could not install: $need"
				exit 1
			}
		fi
		if [ -n "$want" ]; then
			say "installing $want"
			install $want || for p in $want; do
				install "$p" || say "could not install $p;" \
				    "what needs it is left out"
			done
		fi
	fi
fi
mkdir -p build && : >"$stamp"
