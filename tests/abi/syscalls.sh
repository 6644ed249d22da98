#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Numbers and names in kernel/syscalls.def are the host's; makesyscalls.awk
# makes the same with every awk there is, and refuses what is wrong.

top=${QUERN_TOP:-.}
def=$top/kernel/syscalls.def
gen=$top/kernel/makesyscalls.awk
work=$(mktemp -d "${TMPDIR:-/tmp}/calls.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
rc=0

# usage: result STATUS NAME
result() {
	if [ "$1" = 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2"
		rc=1
	fi
}

# Ours must be the host's; the host may know fewer than we do.
echo '#include <asm/unistd.h>' | ${CC:-gcc} -E -dM - |
    sed -n 's/^#define __NR_\([a-z_0-9]*\) \([0-9]*\)$/\2 \1/p' | sort -n \
    >"$work/host"
sed -n 's/^\([0-9][0-9]*\)	[^	]*	\([a-z_0-9]*\).*/\1 \2/p' "$def" \
    >"$work/ours"
comm -13 "$(sort "$work/ours" >"$work/o" && echo "$work/o")" \
    "$(sort "$work/host" >"$work/h" && echo "$work/h")" >"$work/lacking"
sed 's/^/# lacking or different: /' "$work/lacking"
[ -s "$work/host" ] && [ ! -s "$work/lacking" ]
result $? "numbers: $(wc -l <"$work/ours") of ours, $(wc -l <"$work/host") of the host's"

# Every awk makes the same.
first=
for a in mawk gawk original-awk 'busybox awk'; do
	command -v "${a%% *}" >/dev/null 2>&1 || continue
	for out in calls.h wrappers.c table.c calltab.c; do
		$a -f "$gen" -v unit=kernel -v out=$out "$def" || echo "failed: $out"
	done >"$work/made" 2>&1
	if [ -z "$first" ]; then
		first=$a
		mv "$work/made" "$work/first"
		! grep -q '^failed' "$work/first"
		result $? "$a"
	else
		cmp -s "$work/first" "$work/made"
		result $? "$a makes what $first makes"
	fi
done

# usage: refuse LINE MESSAGE TEXT: the def with TEXT for its end is refused at
# LINE of that text.
refuse() {
	printf '%s\n' "$3" >"$work/bad.def"
	msg=$(awk -f "$gen" -v unit=kernel -v out=table.c "$work/bad.def" 2>&1 \
	    >/dev/null)
	status=$?
	case "$status $msg" in
	"1 $work/bad.def:$1: "*"$2"*) echo "ok refused: $2" ;;
	*)	echo "# $status $msg"
		echo "not ok refused: $2"
		rc=1 ;;
	esac
}

t=$(printf '\t')
good="39${t}kernel${t}getpid() = pid
${t}Its number."
refuse 1 'neither a number nor a kind' "bogus line"
refuse 1 'continues nothing' "${t}text"
refuse 3 'number 39 after 39' "$good
39${t}kernel${t}two() = int
${t}Text."
refuse 1 'is no result' "1${t}kernel${t}one() = banana
${t}Text."
refuse 1 'has no contract' "1${t}kernel${t}one() = int"
refuse 1 'is no type' "1${t}kernel${t}one(banana b) = int
${t}Text."
refuse 1 'lacks its length' "1${t}kernel${t}one(in buf b) = int
${t}Text."
refuse 1 'is no argument of this call' "1${t}kernel${t}one(in buf[len] b) = int
${t}Text."
refuse 1 "there is no set 'x'" "1${t}kernel${t}one(flags:x f) = int
${t}Text."
refuse 1 "is not used" "flags x
${t}O_RDONLY
$good"
refuse 3 "is a set of flags" "flags x
${t}O_RDONLY
1${t}kernel${t}one(enum:x f) = int
${t}Text."
refuse 1 'at most six arguments' \
    "1${t}kernel${t}one(int a, int b, int c, int d, int e, int f, int g) = int
${t}Text."
refuse 1 'two arguments are called' "1${t}kernel${t}one(int a, int a) = int
${t}Text."
refuse 1 'is taken' "1${t}kernel${t}one(int p) = int
${t}Text."
refuse 1 'go up to 511' "512${t}kernel${t}one() = int
${t}Text."
refuse 3 "a call 'getpid' already" "$good
40${t}-${t}getpid"
refuse 1 'is empty' "enum x"
refuse 1 'want: NUMBER - NAME' "1${t}-${t}name(int)"
refuse 1 "struct 'x' is not described" "1${t}kernel${t}one(in struct x a) = int
${t}Text."
refuse 1 "struct 'x' is not used" "struct x
${t}int a
$good"
refuse 2 'want: TYPE NAME' "struct x
${t}int"
refuse 2 'is no type' "struct x
${t}banana a"
refuse 2 "struct 'y' is not described before" "struct x
${t}struct y a"
refuse 3 "struct 'x' is described already" "struct x
${t}int a
struct x
${t}int a"
refuse 1 "'=ret' is for" "1${t}kernel${t}one(in buf[a=ret] b, int a) = int
${t}Text."
exit $rc
