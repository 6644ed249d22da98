#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: demo.sh BUILD
#
# Boot a small Linux system: Debian's busybox in an ext4 image that is made here,
# run by vkernel.  On a terminal it gives a shell; otherwise it shows itself
# around and ends.  Nothing is left but BUILD/demo.

build=$1
demo=$build/demo
PATH=$PATH:/sbin:/usr/sbin
image=$demo/root.img

fail() {
	echo "demo: $*" >&2
	exit 1
}

busybox=
for b in /bin/busybox /usr/bin/busybox; do
	[ -x $b ] && busybox=$b && break
done
[ -n "$busybox" ] || fail 'no busybox: install busybox-static'
command -v mke2fs >/dev/null || fail 'no mke2fs: install e2fsprogs'

# The tree, every name that busybox has a link to it.
make_tree() {
	rm -rf "$demo" && mkdir -p "$demo/root" && cd "$demo/root" || return 1
	mkdir bin sbin etc dev proc sys tmp root var usr usr/bin usr/sbin
	chmod 1777 tmp
	cp "$busybox" bin/busybox
	for a in $("$busybox" --list); do
		[ "$a" = busybox ] || ln -s busybox "bin/$a"
	done
	for a in init poweroff reboot halt; do
		ln -s ../bin/busybox "sbin/$a"
	done
	echo root:x:0:0:root:/root:/bin/sh >etc/passwd
	echo root:x:0: >etc/group
	cat >etc/inittab <<-'TAB'
		::sysinit:/etc/hello
		ttyS0::respawn:-/bin/sh
		::ctrlaltdel:/sbin/reboot
		::shutdown:/bin/sync
	TAB
	cat >etc/hello <<-'HELLO'
		#!/bin/sh
		echo
		echo "This is $(uname -srm), as process $$ of a Quern kernel."
		echo "poweroff ends it."
		echo
	HELLO
	cat >etc/tour <<-'TOUR'
		#!/bin/sh
		say() { echo; echo "# $*"; "$@"; }
		say uname -a
		say df -h /
		say ls -l /
		say sh -c 'echo "one two three" | tr " " "\n" | sort -r'
		say sh -c 'seq 1 100000 | md5sum'
		say sh -c 'cd /tmp && tar -cf t.tar /bin/busybox 2>/dev/null && ls -l t.tar'
		say sh -c 'sleep 100 & kill $!; wait $!; echo "killed: $?"'
	TOUR
	chmod 755 etc/hello etc/tour
}

# An empty file system of mke2fs's, filled by our own driver.
make_image() {
	mke2fs -q -F -t ext4 "$image" 64M >/dev/null || return 1
	for d in "$demo"/root/*; do
		"$build/bin/quern" fs "$image" put "$d" / || return 1
	done
}

(make_tree) || fail 'cannot make the tree'
make_image || fail 'cannot make the image'

if [ -t 0 ] && [ -t 1 ]; then
	exec "$build/bin/vkernel" -v -m 256m -R "$image"
fi
"$build/bin/vkernel" -v -m 256m -R "$image" -- /etc/tour || exit
