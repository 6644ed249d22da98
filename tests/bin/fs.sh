#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# quern fs on an image that mke2fs made of a tree.

quern=${QUERN_BUILD:-build}/bin/quern
work=$(mktemp -d "${TMPDIR:-/tmp}/fs.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/sbin:/usr/sbin
img=$work/img
rc=0

if ! command -v mke2fs >/dev/null; then
	echo 'ok # SKIP mke2fs is not there'
	exit 0
fi

# usage: is WHAT STATUS EXPECTED-OUTPUT COMMAND...: standard output and status.
is() {
	what=$1 want=$2 text=$3
	shift 3
	got=$("$quern" fs "$@" 2>"$work/err")
	status=$?
	if [ $status = "$want" ] && [ "$got" = "$text" ]; then
		echo "ok $what"
	else
		echo "not ok $what: status $status, said: $got"
		sed 's/^/# /' "$work/err"
		rc=1
	fi
}

# usage: says WHAT STATUS PATTERN COMMAND...: one line on standard error.
says() {
	what=$1 want=$2 pattern=$3
	shift 3
	"$quern" fs "$@" >/dev/null 2>"$work/err"
	status=$?
	if [ $status = "$want" ] && grep -q -- "$pattern" "$work/err" &&
	    [ "$(wc -l <"$work/err")" = 1 ]; then
		echo "ok $what"
	else
		echo "not ok $what: status $status"
		sed 's/^/# /' "$work/err"
		rc=1
	fi
}

mkdir -p "$work/tree/d/e"
echo hello >"$work/tree/d/f"
ln -s f "$work/tree/d/l"
ln "$work/tree/d/f" "$work/tree/d/g"
chmod 640 "$work/tree/d/f"
: >"$work/tree/.dot"
i=0
while [ $i -lt 3000 ]; do
	echo "line $i of a file that takes some blocks"
	i=$((i + 1))
done >"$work/tree/d/e/long"
mke2fs -q -t ext4 -b 1024 -d "$work/tree" "$img" 16M || {
	echo 'not ok mke2fs'
	exit 1
}

is 'ls' 0 'd
lost+found' "$img" ls
is 'ls -a' 0 '.dot
d
lost+found' "$img" ls -a /
is 'ls -R' 0 '/d:
e
f
g
l

/d/e:
long' "$img" ls -R /d
is 'cat' 0 hello "$img" cat /d/f
is 'cat through a symlink' 0 hello "$img" cat /d/l
is 'find' 0 '/d
/d/e
/d/e/long
/d/f
/d/g
/d/l' "$img" find /d
says 'no such file' 1 'cat: /no: No such file or directory' "$img" cat /no
says 'a directory' 1 'cat: /d: Is a directory' "$img" cat /d
says 'no image' 1 'none: No such file or directory' "$work/none" ls
says 'not an image' 1 'no file system' "$work/tree/d/e/long" ls
says 'no such command' 2 "no command 'frob'" "$img" frob
says 'bad option' 2 "bad option 'x'" "$img,x" ls
says 'no partition' 1 'No such file or directory' "$img,part=1" ls

if "$quern" fs "$img" ls -l /d | grep -q '^-rw-r-----   2 .* f$' &&
    "$quern" fs "$img" ls -l /d | grep -q ' l -> f$'; then
	echo 'ok ls -l'
else
	echo 'not ok ls -l'
	rc=1
fi
if "$quern" fs "$img" get -r /d "$work/out" &&
    diff -r "$work/tree/d" "$work/out" &&
    [ "$(stat -c %a "$work/out/f")" = 640 ] && [ -L "$work/out/l" ]; then
	echo 'ok get -r'
else
	echo 'not ok get -r'
	rc=1
fi
if [ "$(id -u)" = 0 ]; then
	# By descriptor, since the way to it may be closed to others.
	chmod 644 "$img"
	top=$(pwd)
	if setpriv --reuid=65534 --clear-groups test -r "$top/$quern"; then
		if [ "$(setpriv --reuid=65534 --clear-groups "$quern" \
		    fs /dev/fd/3 cat /d/f 3<"$img")" = hello ]; then
			echo 'ok as an ordinary user'
		else
			echo 'not ok as an ordinary user'
			rc=1
		fi
		# The image is his to write; owners in it are the files'.
		chmod 666 "$img"
		mkdir -m 777 "$work/his"
		echo mine >"$work/tree/mine"
		chown 12:34 "$work/tree/mine"
		as_user() {
			setpriv --reuid=65534 --clear-groups "$quern" fs \
			    /dev/fd/3 "$@" 3<>"$img" 4<"$work/tree" \
			    5<"$work/his"
		}
		if as_user put /dev/fd/4/mine /mine &&
		    as_user ls -l /mine | grep -q '^-rw-r--r--   1    12    34 ' &&
		    as_user get /mine /dev/fd/5/mine &&
		    cmp "$work/tree/mine" "$work/his/mine" &&
		    [ "$(stat -c %u "$work/his/mine")" = 65534 ] &&
		    e2fsck -fn "$img" >/dev/null 2>&1; then
			echo 'ok put and get as an ordinary user'
		else
			echo 'not ok put and get as an ordinary user'
			rc=1
		fi
	else
		echo 'ok as an ordinary user # SKIP the tree is out of its reach'
	fi
fi
exit $rc
