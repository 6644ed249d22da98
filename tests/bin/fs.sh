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
mke2fs -q -t ext4 -b 1024 -d "$work/tree" "$img" 16M >/dev/null || {
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
is 'du' 0 '126	/d/e
128	/d' "$img" du /d
is 'du -s counts a file with two names once' 0 '1	/d/f' "$img" du -s /d/f /d/g

# usage: shows WHAT EXPECTED COMMANDS: modes, owners and names that they print,
# on a view of the image that forgets what is written.
shows() {
	printf '%s\n' "$3" >"$work/commands"
	got=$("$quern" fs "$img,cow" script "$work/commands" 2>&1 |
	    awk '{ print $1, $3, $4, $8 }')
	if [ "$got" = "$2" ]; then
		echo "ok $1"
	else
		echo "not ok $1: $got"
		rc=1
	fi
}

shows 'chmod with letters' '-rwx---r-- 0 0 /d/f
drwx--S--- 0 0 d
drwx------ 0 0 lost+found' 'chmod 642 /d/f
chmod u+x,g-r,o=rX,o-x /d/f
ls -l /d/f
chmod 2755 /d
chmod a=,u=rwX /d
ls -l /'
shows 'chmod -R' 'drwxrwx--- 0 0 e
-rw-rw---- 0 0 f
-rw-rw---- 0 0 g
lrwxrwxrwx 0 0 l' 'chmod -R g=u,o= /d
ls -l /d'
shows 'chown' 'drwxr-xr-x 0 0 e
-rw-r----- 12 56 f
-rw-r----- 12 56 g
lrwxrwxrwx 78 0 l' 'chown 12:34 /d/f
chown :56 /d/l
chown -h 78 /d/l
ls -l /d'
shows 'chown -R' 'drwxr-xr-x 9 7 e
-rw-r----- 9 7 f
-rw-r----- 9 7 g
lrwxrwxrwx 9 7 l' 'chown -R 9:7 /
ls -l /d'
says 'no mode' 1 'chmod: u~x: is no mode' "$img" chmod u~x /d
says 'no owner' 1 'chown: root: is no owner' "$img" chown root /d
says 'no such file' 1 'chown: /no: No such file' "$img" chown -R 1 /no
for c in rm mkdir ln chown; do
	"$quern" fs "$img" $c -z /d /d2 2>/dev/null
	if [ $? = 2 ] && [ "$("$quern" fs "$img" ls /)" = 'd
lost+found' ]; then
		echo "ok $c with a wrong option does nothing"
	else
		echo "not ok $c with a wrong option"
		rc=1
	fi
done

is 'ls --json of nothing' 0 '[
]' "$img" ls --json /lost+found
got=$("$quern" fs "$img" find --json /d/l /d/g | sed 's/:"20[^"]*Z"/:T/g
	s/"inode":[0-9]*/"inode":I/')
if [ "$got" = '[
{"path":"/d/l","type":"symlink","mode":"0777","inode":I,"links":1,"uid":0,"gid":0,"size":1,"blocks":0,"atime":T,"mtime":T,"ctime":T,"target":"f"},
{"path":"/d/g","type":"file","mode":"0640","inode":I,"links":2,"uid":0,"gid":0,"size":6,"blocks":2,"atime":T,"mtime":T,"ctime":T}
]' ]; then
	echo 'ok find --json'
else
	echo "not ok find --json: $got"
	rc=1
fi
if printf 'write "/x\377\t"\nls --json /\n' | "$quern" fs "$img,cow" script - |
    grep -qF '{"path":"/x\ufffd\u0009","path_hex":"2f78ff09",'; then
	echo 'ok a name that is not UTF-8'
else
	echo 'not ok a name that is not UTF-8'
	rc=1
fi
# A name that needs every kind of escape, read by somebody else's JSON.
for c in 'ls -R' 'stat /x/.' find df info; do
	if ! perl -MJSON::PP -e 1 2>/dev/null; then
		echo "ok $c --json # SKIP no JSON::PP"
		continue
	fi
	# shellcheck disable=SC2086 # words
	if printf 'mkdir /x\ntouch "/x/%s"\n%s --json\n' \
	    'a\"\\'"$(printf '\001\303\244\377z')" "$c" |
	    "$quern" fs "$img,cow" script - 2>"$work/err" |
	    perl -MJSON::PP -e 'local $/; decode_json(<STDIN>)' 2>>"$work/err"
	then
		echo "ok $c --json"
	else
		echo "not ok $c --json"
		sed 's/^/# /' "$work/err"
		rc=1
	fi
done
if "$quern" fs "$img" info | tr '\n' ' ' | grep -q \
    'system: ext4, clean .*features: has_journal .*extent .*journal: clean '
then
	echo 'ok info'
else
	echo 'not ok info'
	rc=1
fi

# Somebody has it open: known by what he prints.
mkfifo "$work/fifo.in" "$work/fifo.out"
exec 8<>"$work/fifo.in" 9<>"$work/fifo.out" # which wait for nobody
"$quern" fs "$img" script "$work/fifo.in" >"$work/fifo.out" 8>&- 9>&- &
other=$!
echo 'find /d/f' >&8
read -r got <&9
says 'in use' 1 'img: in use by another program$' "$img" ls
exec 8>&-
if wait "$other" && [ "$got" = /d/f ]; then
	echo 'ok the other one'
else
	echo 'not ok the other one'
	rc=1
fi
exec 9<&-

# The image as the first partition of a disk: of type 0x83, from sector 2048 on,
# 32768 of them.
dd if="$img" of="$work/disk" bs=1048576 seek=1 2>/dev/null
printf '\000\000\000\000\203\000\000\000\000\010\000\000\000\200\000\000' |
    dd of="$work/disk" bs=1 seek=446 conv=notrunc 2>/dev/null
printf '\125\252' | dd of="$work/disk" bs=1 seek=510 conv=notrunc 2>/dev/null
is 'a partition' 0 hello "$work/disk,part=1,type=ext4,ro" cat /d/f
is 'writing into a partition' 0 '' "$work/disk,part=1" mv /d/f /d/h
is 'and not forgetting it' 0 hello "$work/disk,part=1" cat /d/h
says 'no second partition' 1 'disk: No such file' "$work/disk,part=2" ls
says 'the whole disk' 1 'disk: no file system' "$work/disk" ls
says 'a type that is not known' 1 'disk: no such type' "$work/disk,part=1,type=ntfs" ls
says 'writing read-only' 1 'rm: /d/h: Read-only file system' \
    "$work/disk,part=1,ro" rm /d/h

# Through a server.
if ! command -v nbdkit >/dev/null; then
	echo 'ok nbd # SKIP there is no nbdkit'
else
	# shellcheck disable=SC2016 # nbdkit's shell has them
	QUERN=$quern nbdkit -U - file "$img" --run '
		"$QUERN" fs "$uri" touch /nbd && "$QUERN" fs "$uri" cat /d/f' \
	    >"$work/out.nbd" 2>"$work/err"
	if grep -q 'not supported' "$work/err"; then
		echo 'ok nbd # SKIP built without libnbd'
	elif [ "$(cat "$work/out.nbd")" = hello ] && [ ! -s "$work/err" ] &&
	    "$quern" fs "$img" rm /nbd; then
		echo 'ok nbd'
	else
		echo 'not ok nbd'
		sed 's/^/# /' "$work/err"
		rc=1
	fi
fi

cp "$img" "$work/bad"
printf 'XXXXXXXX' | dd of="$work/bad" bs=1 seek=1032 conv=notrunc 2>/dev/null
says 'a damaged image' 1 'bad: Structure needs cleaning (.*' "$work/bad" ls

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
		if as_user chown 56:78 /mine && as_user mkdir -p /his/own &&
		    as_user cp -a /mine /his/own &&
		    as_user cp -a /d /his && as_user rm -r /his/d/e &&
		    [ "$(as_user ls -lR /his | awk '{ print $3, $4, $8 }' |
			xargs)" = '0 0 d 0 0 own 0 0 f 0 0 g 0 0 l 56 78 mine' ] &&
		    e2fsck -fn "$img" >/dev/null 2>&1; then
			echo 'ok changes as an ordinary user'
		else
			echo 'not ok changes as an ordinary user'
			rc=1
		fi
		as_user tar -c -f /dev/fd/5/a.tar -C /his 2>"$work/err"
		if grep -q 'without libarchive' "$work/err"; then
			echo 'ok tar as an ordinary user # SKIP no libarchive'
		elif [ ! -s "$work/err" ] && as_user rm -r /his &&
		    as_user tar -x -f /dev/fd/5/a.tar &&
		    as_user ls -l /own | grep -q ' 56    78 ' &&
		    e2fsck -fn "$img" >/dev/null 2>&1; then
			echo 'ok tar as an ordinary user'
		else
			echo 'not ok tar as an ordinary user'
			sed 's/^/# /' "$work/err"
			rc=1
		fi
	else
		echo 'ok as an ordinary user # SKIP the tree is out of its reach'
	fi
fi
exit $rc
