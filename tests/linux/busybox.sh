#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# busybox on an ext4 root: every applet that needs no network starts, scripts do
# what they do on the host, and the file system is clean afterwards; as a user
# without any privilege, on every backend.

top=$PWD
build=${QUERN_BUILD:-build}
tmp=${TMPDIR:-/tmp}
# Nobody has to get there, too.
[ "$(id -u)" = 0 ] && tmp=/tmp
work=$(mktemp -d "$tmp/busybox.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/sbin:/usr/sbin
rc=0

skip() {
	echo "ok # SKIP $*"
	exit 0
}

command -v mke2fs >/dev/null || skip 'mke2fs is not there'
[ -x /bin/busybox ] || skip 'there is no busybox-static'
case $(file -L /bin/busybox 2>/dev/null) in
*dynamically*) skip 'busybox is not static' ;;
esac

# As nobody, where we are somebody.
as=
if [ "$(id -u)" = 0 ]; then
	as='setpriv --reuid=65534 --regid=65534 --clear-groups'
	$as true 2>/dev/null || as=
	chmod 755 "$work"
fi
cp "$build/bin/vkernel" "$build/bin/quern" "$work" || exit 1
vkernel=$work/vkernel
quern=$work/quern

# --- the tree ----------------------------------------------------------------

mkdir "$work/root" && cd "$work/root" || exit 1
mkdir bin sbin dev etc proc sys tmp root
chmod 1777 tmp
cp /bin/busybox bin/
for a in $(/bin/busybox --list); do
	[ "$a" = busybox ] || ln -s busybox "bin/$a"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' \
    >etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >etc/group

# Each says how it is used; what that needs no network and comes back.
cat >etc/applets <<'SCRIPT'
n=0
for a in $(busybox --list); do
	busybox $a --help </dev/null >/tmp/out 2>&1
	case $? in
	0|1) n=$((n + 1)) ;;
	*) echo "$a: $?" ;;
	esac
done
[ $n -gt 200 ] && echo enough
SCRIPT

# The same words here and there.
cat >etc/script <<'SCRIPT'
cd "$1" || exit 1
seq 1 2000 >a
sort -rn a | head -2
cat a | grep 7 | sed 's/7/x/' | awk '{ n += length($1) } END { print n }'
i=0
while [ $i -lt 100 ]; do echo $i | cat >>b; i=$((i + 1)); done
md5sum <b
cat <<E | tr a-z A-Z
a here document with $((6 * 7)) and $(echo a command)
E
mkdir -p d/e/f && touch d/1 d/e/2 d/e/f/3 && ln -s e d/link
find d | sort | xargs ls -d
tar -cf t.tar d && mkdir x && tar -xf t.tar -C x && find x | sort
gzip -c a | gunzip | cmp - a && echo same
dd if=/dev/zero of=z bs=4k count=300 2>/dev/null && wc -c <z
trap 'echo trapped' USR1
kill -USR1 $$
(exit 3)
echo $?
sleep 100 &
kill $!
wait $! 2>/dev/null
echo $?
set -- one 'two three'
for x in "$@"; do echo "<$x>"; done
mkfifo p
echo through >p &
cat p
expr 3 '*' 4
printf '%05d %s\n' 42 x
cut -d: -f1 <<E
first:second
E
f() { local v=$1; [ $v -le 1 ] && echo 1 && return; echo $((v * $(f $((v - 1))))); }
f 10
echo done | { read x; echo "$x"; }
ls nonexistent 2>/dev/null || echo none
test -d d -a ! -e q && echo yes
rm -rf d x p
ls
SCRIPT

# What looks at the system: each line says that something is as it should be.
cat >etc/tools <<'SCRIPT'
# usage: tell NAME COMMAND...
tell() {
	local name=$1
	shift
	if "$@" >/tmp/out 2>&1; then echo "$name"; else cat /tmp/out; fi
}
has() { grep -q "$@" /tmp/text; }
sleep 1000 &
pid=$!
until grep -q '^sleep' /proc/$pid/cmdline && grep -q 'State:.S' /proc/$pid/status
do :; done
ps -o pid,ppid,stat,args >/tmp/text
tell 'ps: init' has '^ *1 *0 .*\[init\]'
tell 'ps: sleep' has "^ *$pid *$$ *S *sleep 1000$"
top -bn1 >/tmp/text
tell 'top: memory' has '^Mem: [0-9]*K used, [0-9]*K free'
tell 'top: load' has '^Load average: [0-9.]* [0-9.]* [0-9.]* [0-9]*/[0-9]* [0-9]*$'
tell 'top: sleep' has "^ *$pid *$$ root .*sleep 1000"
free >/tmp/text
tell 'free' has '^Mem: *6[0-9]* *[1-9]'
uptime >/tmp/text
tell 'uptime' has 'up 0 min.*load average: 0\.'
df >/tmp/text
tell 'df: root' has '^/dev/vda .*% /$'
tell 'df: no more' test "$(grep -c ' /$' /tmp/text)" = 1
mount >/tmp/text
tell 'mount: root' has '^/dev/vda on / type ext4 (rw,relatime)$'
tell 'mount: proc' has '^proc on /proc type proc'
tell 'mount: all' test "$(wc -l </tmp/text)" = 5
tell 'pidof' test "$(pidof sleep)" = $pid
tell 'exe' test "$(readlink /proc/$pid/exe)" = /bin/busybox
tell 'cmdline' test "$(tr '\0' . </proc/$pid/cmdline)" = sleep.1000.
tell 'environ' grep -q '^HOME=/$' /proc/$pid/environ -z
tell 'stdin' test "$(echo again | cat /dev/stdin)" = again
tell 'dev' grep -q '^devtmpfs on /dev type devtmpfs' /tmp/text
ln -s null /dev/link && mkfifo /dev/fifo && mkdir /dev/dir && rm /dev/full
tell 'new names' test -c /dev/link -a -p /dev/fifo -a -d /dev/dir -a ! -e /dev/full
syslogd -O /tmp/log
until test -S /dev/log; do :; done
logger -t test hello
until grep -q 'test: hello' /tmp/log; do :; done
tell 'syslogd' grep -q 'user.notice test: hello' /tmp/log
tell 'dmesg' sh -c 'dmesg | grep -q "Linux version"'
killall syslogd
killall sleep
wait $pid 2>/dev/null
tell 'killall' test ! -e /proc/$pid
hostname changed
tell 'hostname' test "$(uname -n)$(cat /proc/sys/kernel/hostname)" = \
    changedchanged
tell 'sysctl' test "$(sysctl -n kernel.ostype)" = Linux
SCRIPT
cd "$top" || exit 1

mke2fs -q -F -t ext4 -d "$work/root" "$work/img" 48M >/dev/null 2>&1 ||
    skip 'mke2fs can not fill an image'
chmod 666 "$work/img"

# usage: same WHAT EXPECTED GOT
same() {
	if cmp -s "$2" "$3"; then
		echo "ok $1"
	else
		echo "not ok $1"
		diff "$2" "$3" | sed 's/^/# /' | head -20
		rc=1
	fi
}

[ -z "$as" ] || $as "$vkernel" -h >/dev/null 2>&1 || {
	echo 'ok as nobody # SKIP nobody can not run what is here'
	as=
}

# --- on each backend ---------------------------------------------------------

mkdir -m 777 "$work/there"
/bin/busybox sh "$work/root/etc/script" "$work/there" >"$work/want" 2>&1
echo enough >"$work/enough"
grep -o "^tell '[^']*" "$work/root/etc/tools" | sed "s/^tell '//" >"$work/tools"
dd if=/dev/zero of="$work/swap" bs=1M count=4 2>/dev/null
printf 'Swap: 4092\n/dev/vdb 0\nSwap: 0\n' >"$work/swap.want"
chmod 666 "$work/swap"
for kind in ${QUERN_BACKENDS:-seccomp ptrace}; do
	vk="$as $vkernel --vmspace=$kind"
	timeout -k 5 200 $vk -R "$work/img" -- sh /etc/applets \
	    >"$work/got" 2>&1 </dev/null
	same "$kind: applets" "$work/enough" "$work/got"
	timeout -k 5 60 $vk -R "$work/img" -- sh /etc/tools \
	    >"$work/got" 2>&1 </dev/null
	same "$kind: tools" "$work/tools" "$work/got"
	timeout -k 5 60 $vk -R "$work/img" -R "$work/swap" -- sh -c '
		mkswap /dev/vdb >/dev/null && swapon /dev/vdb
		free | grep Swap | tr -s " " | cut -d" " -f 1-2
		swapoff /dev/vdb; echo /dev/vdb $?
		free | grep Swap | tr -s " " | cut -d" " -f 1-2' \
	    >"$work/got" 2>&1 </dev/null
	same "$kind: swap" "$work/swap.want" "$work/got"
	timeout -k 5 120 $vk -r "$work/img" -- sh /etc/script /tmp \
	    >"$work/got" 2>&1 </dev/null
	same "$kind: scripts" "$work/want" "$work/got"
	if e2fsck -fn "$work/img" >"$work/fsck" 2>&1; then
		echo "ok $kind: e2fsck"
	else
		echo "not ok $kind: e2fsck"
		sed 's/^/# /' "$work/fsck"
		rc=1
	fi
	"$quern" fs "$work/img" rm -rf /tmp/a /tmp/b /tmp/t.tar /tmp/z
done
exit $rc
