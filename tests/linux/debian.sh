#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# A Debian system's dynamic programs do what they do on the host, in a change of
# root.  Needs root, and a mirror that apt knows.

build=${QUERN_BUILD:-build}
work=$(mktemp -d "${TMPDIR:-/tmp}/debian.XXXXXX") || exit 1
trap 'rm -rf --one-file-system "$work"' EXIT
PATH=$PATH:/sbin:/usr/sbin
rc=0

skip() {
	echo "ok # SKIP $*"
	exit 0
}

[ "$(id -u)" = 0 ] || skip 'debootstrap needs root'
command -v debootstrap >/dev/null || skip 'debootstrap is not there'
command -v mke2fs >/dev/null || skip 'mke2fs is not there'
suite=$(. /etc/os-release 2>/dev/null && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 2>/dev/null |
    awk -v s="${suite:-bookworm}" '$2 == s { print $1; exit }')
[ -n "$mirror" ] || skip 'apt knows of no mirror'

timeout 240 debootstrap --variant=minbase --include=python3-minimal \
    "${suite:-bookworm}" "$work/root" "$mirror" >"$work/log" 2>&1 ||
    skip "debootstrap failed: $(tail -1 "$work/log")"
rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
mke2fs -q -F -t ext4 -d "$work/root" "$work/img" 600M >"$work/log" 2>&1 ||
    skip "mke2fs -d failed: $(tail -1 "$work/log")"

# usage: same WHAT COMMAND...
same() {
	what=$1
	shift
	chroot "$work/root" /usr/bin/env -i HOME=/ \
	    PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" >"$work/want" 2>&1 \
	    </dev/null
	want=$?
	guests "$@"
}

# usage: gives WHAT STATUS OUTPUT COMMAND...: without the host, whose chroot has
# no /proc.
gives() {
	what=$1
	want=$2
	printf '%s\n' "$3" >"$work/want"
	shift 3
	guests "$@"
}

# usage: guests COMMAND...: what is wanted comes of it.
guests() {
	for kind in ${QUERN_BACKENDS:-seccomp ptrace}; do
		timeout 120 "$build/bin/vkernel" --vmspace=$kind -m 256m \
		    -R "$work/img" -e PATH=/usr/sbin:/usr/bin:/sbin:/bin -- \
		    "$@" >"$work/got" 2>&1 </dev/null
		got=$?
		if [ $want = $got ] && cmp -s "$work/want" "$work/got"; then
			echo "ok $kind: $what"
		else
			echo "not ok $kind: $what: status $got for $want"
			diff "$work/want" "$work/got" | sed 's/^/# /' | head -20
			rc=1
		fi
	done
}

same bash bash -c 'for i in {1..20}; do echo $((i * i)); done | tac | tr "\n" " "
	declare -A m=([a]=1 [b]=2); echo "${m[b]}" "${BASH_VERSION}"
	coproc cat; echo hi >&"${COPROC[1]}"; read -r x <&"${COPROC[0]}"; echo "$x"'
gives 'process substitution' 0 "5a6
> 6
1" bash -c 'diff <(seq 5) <(seq 6); echo $?'
gives 'python and /proc' 0 'True True' python3 -c 'import os
print(os.readlink("/proc/self/exe").startswith("/usr/bin/python3"),
    str(os.getpid()) in os.listdir("/proc"))'
same ls sh -c 'find /etc /usr/bin /usr/lib/x86_64-linux-gnu ! -type d |
	sort | xargs ls -ldn --time-style=+%s; ls -aR /etc'
same grep sh -c 'grep -rc e /etc --include="*.conf" | sort'
same find sh -c 'find /usr /etc /var -xdev -type f -size +100k | sort'
same checksums bash -c 'cat /usr/bin/* /usr/lib/x86_64-linux-gnu/*.so* 2>/dev/null |
	sha256sum; md5sum /usr/bin/perl'
same perl perl -e 'my %h; $h{$_ % 7}++ for 1..50000; print join(",", map
	{ "$_=$h{$_}" } sort keys %h), "\n"; print "pid ok\n" if fork // die;
	print sprintf("%.10f", atan2(1, 1) * 4), "\n"; wait'
same python python3 -c 'import os, sys, signal, subprocess
print(sys.version_info[:2], sum(i * i for i in range(100000)))
print(subprocess.run(["sh", "-c", "echo $0 $1; exit 3", "a", "b"]).returncode)
r, w = os.pipe()
if os.fork() == 0:
    os.write(w, b"child"); os._exit(0)
print(os.read(r, 10), os.wait()[1])
signal.signal(signal.SIGALRM, lambda *a: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()
import threading
n = []
ts = [threading.Thread(target=n.append, args=(i,)) for i in range(20)]
[t.start() for t in ts]; [t.join() for t in ts]; print(sorted(n))'
same dpkg dpkg -l
same 'tar and xz' bash -c 'tar -C /usr/share --sort=name --mtime=@0 -cf - common-licenses | gzip -9n |
	sha256sum; printf x%.0s {1..100000} | gzip -n | base64 -w0 | md5sum'
exit $rc
