#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: headers.sh MANIFEST BUILD
#
# Every public header compiles alone, freestanding, as C and as C++; and all of
# them together beside all of libc's, whichever comes first.

manifest=$1
b=$2
cc=${CC:-gcc}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

resources() {
	case $($1 --version) in
	*clang*) echo "$($1 -print-resource-dir)/include" ;;
	*)	$1 -print-file-name=include ;;
	esac
}

libc='aio.h arpa/inet.h assert.h ctype.h dirent.h dlfcn.h elf.h endian.h
    err.h errno.h fcntl.h fenv.h float.h fnmatch.h ftw.h getopt.h glob.h grp.h
    ifaddrs.h inttypes.h langinfo.h libgen.h limits.h link.h locale.h malloc.h
    math.h mntent.h mqueue.h net/ethernet.h net/if.h net/if_arp.h net/route.h
    netdb.h netinet/icmp6.h netinet/in.h netinet/ip.h netinet/ip6.h
    netinet/ip_icmp.h netinet/tcp.h netinet/udp.h poll.h pthread.h pty.h pwd.h
    regex.h sched.h search.h semaphore.h setjmp.h signal.h spawn.h stdalign.h
    stdarg.h stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h
    strings.h sys/auxv.h sys/epoll.h sys/eventfd.h sys/fanotify.h sys/file.h
    sys/fsuid.h sys/inotify.h sys/ioctl.h sys/ipc.h sys/mman.h sys/mount.h
    sys/msg.h sys/param.h sys/personality.h sys/poll.h sys/prctl.h
    sys/ptrace.h sys/random.h sys/reboot.h sys/resource.h sys/select.h
    sys/sem.h sys/sendfile.h sys/shm.h sys/signalfd.h sys/socket.h sys/stat.h
    sys/statfs.h sys/statvfs.h sys/swap.h sys/syscall.h sys/sysinfo.h
    sys/time.h sys/timerfd.h sys/times.h sys/timex.h sys/types.h sys/ucontext.h
    sys/uio.h sys/un.h sys/user.h sys/utsname.h sys/vfs.h sys/wait.h sys/xattr.h
    syslog.h termios.h time.h uchar.h ucontext.h unistd.h utime.h
    utmpx.h wchar.h wctype.h'

# usage: try WHAT COMMAND...
try() {
	what=$1
	shift
	"$@" >"$work/log" 2>&1 && return
	bad=1
	echo "$what:"
	sed 10q "$work/log" | sed 's/^/    /'
}

cxx=
for c in g++ clang++; do
	command -v $c >/dev/null 2>&1 && cxx=$c && break
done

warn='-Wall -Wextra -Werror'
free="-ffreestanding -nostdinc -isystem $(resources "$cc")"
[ -z "$cxx" ] || freexx="-ffreestanding -nostdinc -isystem $(resources $cxx)"
tab=$(printf '\t')
: >"$work/ours"
includes=

# unit, closure, its headers
awk -F '\t' -v OFS='\t' '
$1 == "unit" && $7 $8 != "" { print $2, $6, $7 " " $8 }' "$manifest" \
    >"$work/units"
while IFS=$tab read -r unit closure headers; do
	inc=
	for u in $closure; do
		inc="$inc -I$b/include/$u"
	done
	includes="$includes $inc"
	for h in $headers; do
		printf '#include <quern/%s>\n' "$h" >>"$work/ours"
		# Twice, for the guard.
		printf '#include <quern/%s>\n#include <quern/%s>\n' "$h" "$h" \
		    >"$work/one.c"
		# shellcheck disable=SC2086 # words
		{
			try "quern/$h alone, freestanding C" $cc -std=c11 \
			    -fsyntax-only $warn $free $inc "$work/one.c"
			[ -z "$cxx" ] ||
			    try "quern/$h alone, freestanding C++" $cxx \
			    -std=c++17 -fsyntax-only $warn $freexx $inc \
			    -x c++ "$work/one.c"
		}
	done
done <"$work/units"

# usage: guarded HEADERS: include those that exist
guarded() {
	for h; do
		printf '#if __has_include(<%s>)\n#include <%s>\n#endif\n' "$h" "$h"
	done
}
# C's own, and what C++ has another way.
only_c='complex.h stdatomic.h threads.h'
# shellcheck disable=SC2086 # words
guarded $libc >"$work/libc"
# shellcheck disable=SC2086
guarded $libc $only_c >"$work/libc.c"
cat "$work/libc.c" "$work/ours" >"$work/after.c"
cat "$work/ours" "$work/libc.c" >"$work/before.c"
cat "$work/libc" "$work/ours" >"$work/after.cc"
cat "$work/ours" "$work/libc" >"$work/before.cc"
others="$cc clang"
[ "$cc" != clang ] || others='clang gcc'
for order in after before; do
	# shellcheck disable=SC2086
	for c in $others; do
		command -v "$c" >/dev/null 2>&1 || continue
		try "all $order libc's, $c" $c -std=gnu11 -D_GNU_SOURCE \
		    -fsyntax-only $warn $includes "$work/$order.c"
	done
	# shellcheck disable=SC2086
	[ -z "$cxx" ] || try "all $order libc's, C++" $cxx -std=gnu++17 \
	    -fsyntax-only $warn $includes "$work/$order.cc"
done
[ -n "$cxx" ] || echo 'no C++ compiler: tried as C only'
exit $bad
