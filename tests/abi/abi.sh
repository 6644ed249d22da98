#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Every constant, struct and member in kernel/abi has the value, size and offset
# that the host's headers give it: the kernel's, and libc's where they agree.

here=${QUERN_TOP:-.}/tests/abi
abi=${QUERN_TOP:-.}/kernel/abi
cc=${CC:-gcc}
work=$(mktemp -d "${TMPDIR:-/tmp}/abi.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

# usage: compare DIRECTORY HEADER SIDE
compare() {
	mkdir -p "$work/inc/quern"
	rm -f "$work/inc/quern/abi"
	ln -s "$(cd "$1" && pwd)" "$work/inc/quern/abi"
	awk -f "$here/compare.awk" -v header="$2" -v side="$3" "$here/names" \
	    "$1/$2.h" >"$work/t.c" &&
	    $cc -w -D_GNU_SOURCE -I"$work/inc" -o "$work/t" "$work/t.c" \
		2>"$work/log" || {
		sed 's/^/# /; 20q' "$work/log"
		echo "not ok abi/$2.h, $3: does not compile"
		return 1
	}
	"$work/t"
}

rc=0
for h in "$abi"/*.h; do
	h=$(basename "$h" .h)
	compare "$abi" "$h" kernel || rc=1
	if grep -q "^libc $h " "$here/names"; then
		compare "$abi" "$h" libc || rc=1
	fi
done

# usage: planted WHAT HEADER SCRIPT: sed SCRIPT on the header must be found.
planted() {
	rm -rf "$work/doctored"
	cp -r "$abi" "$work/doctored"
	sed "$3" "$abi/$2.h" >"$work/doctored/$2.h"
	if cmp -s "$abi/$2.h" "$work/doctored/$2.h"; then
		echo "not ok planted: $1: nothing was changed"
		rc=1
	elif compare "$work/doctored" "$2" kernel >/dev/null; then
		echo "not ok planted: $1 is not found"
		rc=1
	else
		echo "ok planted: $1"
	fi
}

planted 'a wrong value' fcntl '/Q_O_APPEND/s/02000/04000/'
planted 'a name that the host lacks' poll \
    's/^#define Q_POLLIN .*/&\n#define Q_POLLQUERN 0x1/'
planted 'a struct of another size' time 's/int32_t tz_dsttime/int64_t tz_dsttime/'
planted 'a member at another place' poll \
    's/int16_t events/int16_t xx/; s/int16_t revents/int16_t events/; s/int16_t xx/int16_t revents/'
planted 'a struct that is not packed' epoll 's/__attribute__((packed))//'
exit $rc
