# SPDX-License-Identifier: BSD-2-Clause
#
# `quern call --list` says what kernel/syscalls.def does; manual pages.

quern=${QUERN_BUILD:-build}/bin/quern
top=${QUERN_TOP:-.}
work=${TMPDIR:-/tmp}
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

# What has a unit and is not for guests, without its public name.
sed -n 's/^[0-9][0-9]*	[a-z][a-z0-9-]*	//p' "$top/kernel/syscalls.def" |
    grep -v ' guest$' | sed 's,^\([a-z_0-9]*\)/[a-z_0-9]*(,\1(,' >"$work/want"
$quern call --list >"$work/got"
[ -s "$work/want" ] && diff "$work/want" "$work/got"
result $? "--list: $(wc -l <"$work/got") calls"

n=0
for name in $(sed 's/(.*//' "$work/want"); do
	$quern call --list "$name" >"$work/one" || break
	[ "$(sed 1q "$work/one")" = "$(grep "^$name(" "$work/want")" ] || break
	[ "$(wc -l <"$work/one")" -ge 3 ] || break
	n=$((n + 1))
done
[ $n = "$(wc -l <"$work/want")" ]
result $? "--list NAME: each"
$quern call --list poll | grep -q 'struct pollfd {fd, events, revents}' &&
    $quern call --list poll | grep -q 'POLLRDHUP' &&
    $quern call --list lseek | grep -q 'SEEK_SET SEEK_CUR' &&
    $quern call --list fcntl | grep -q 'F_GETLK  *inout struct flock'
result $? "--list NAME: structs, constants, commands"

# Every option of the usage is in the manual, and has a meaning.
$quern help call | grep -o -- '--[a-z-]*' | sort -u >"$work/options"
for o in $(cat "$work/options"); do
	grep -q "Fl -${o#--}" "$top/bin/quern/quern-call.1" ||
	    { echo "# not in quern-call.1: $o"; false; } || break
done
result $? 'options in quern-call.1'
if command -v groff >/dev/null 2>&1; then
	for m in "$top"/bin/quern/*.1; do
		groff -mandoc -Tascii -ww "$m" 2>&1 >/dev/null
	done >"$work/groff"
	cat "$work/groff"
	[ ! -s "$work/groff" ]
	result $? 'manual pages'
else
	echo 'SKIP: groff absent'
fi
exit $rc
