#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: runtests.sh LIST TALLY
#
# Run the programs of LIST (a line each: seconds, path, and "alone" if nothing
# may run beside it; *.sh under sh), each in a session and with a TMPDIR of its
# own.  One line is printed for a program that succeeds, all of its output for
# one that does not.  What counts:
#	libcheck's lines "N%: Checks: n, Failures: n, Errors: n"
#	TAP lines on stdout: "ok ...", "not ok ...", "ok ... # SKIP reason"
#	a line "SKIP: reason": a skip
#	nothing of these: one, by the exit status
#	a crash, a timeout, an exit status other than 0 that no line above
#	explains: a failure more
# TALLY gets "passed failed skipped".  Exits 1 if anything failed.
#
# From the environment: QUERN_MODE (sanitizers), QUERN_FACTOR (multiplies the
# seconds), QUERN_JOBS (how many at once, default one per CPU), QUERN_SOAK
# (choose a seed and say it).
#
# Calls itself as `runtests.sh -one SECONDS PATH` for each program.

# --- one program ------------------------------------------------------------

# Show the threads of every process of a session, for a program that hangs.
backtraces() {
	command -v gdb >/dev/null 2>&1 || return 0
	for s in /proc/[0-9]*/stat; do
		# pid (comm) state ppid pgrp session
		p=$(sed 's/^\([0-9]*\) (.*) . [0-9]* [0-9]* \([0-9]*\) .*/\1 \2/' \
		    "$s" 2>/dev/null)
		[ "${p#* }" = "$1" ] || continue
		echo "--- process ${p% *}"
		timeout -k 5 60 gdb -p "${p% *}" -batch -nx \
		    -ex 'thread apply all bt' 2>/dev/null </dev/null |
		    grep -v '^\[New LWP'
	done
}

# usage: run SECONDS PATH: leaves $work/out, $work/err, sets rc and late.
run() {
	limit=$1
	case $2 in
	*.sh)	set -- sh "$2" ;;
	*)	set -- "./$2" ;;
	esac
	# shellcheck disable=SC2086 # prefix is words
	setsid $QUERN_PREFIX "$@" >"$work/out" 2>"$work/err" </dev/null &
	pid=$!
	setsid sh -c '
		sleep "$1"
		: >"$2/late"
		kill -USR1 "$3"' - "$limit" "$work" $$ >/dev/null 2>&1 &
	dog=$!
	# wait returns early when the watchdog's signal comes.
	trap : USR1
	wait "$pid"
	rc=$?
	late=0
	if [ -e "$work/late" ]; then
		late=1
		backtraces "$pid" >>"$work/err" 2>&1
		kill -s KILL -- "-$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	else
		kill -s KILL -- "-$dog" 2>/dev/null || kill -s KILL "$dog" 2>/dev/null
	fi
	wait "$dog" 2>/dev/null
	# Whatever the program left behind in its session.
	kill -s KILL -- "-$pid" 2>/dev/null
	pid= dog=
}

# Prints "passed failed skipped" for one program from its output.
count() {
	awk -v rc="$1" -v late="$2" '
	/^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/ {
		n = $3 + 0; b = $5 + $7
		pass += n - b; fail += b; lines++
		next
	}
	/^ok( |$)/ {
		if ($0 ~ /# *SKIP/) skip++; else pass++
		lines++
	}
	/^not ok( |$)/ { fail++; lines++ }
	/^SKIP: / { skip++; lines++ }
	END {
		if (late)
			fail++
		else if (rc != 0 && (fail == 0 || rc >= 128))
			fail++
		else if (lines == 0)
			pass++
		print pass + 0, fail + 0, skip + 0
	}' "$work/out"
}

# Say how it went, in one piece.
report() {
	how=
	if [ $late = 1 ]; then
		how=" (no end after $limit s)"
	elif [ "$rc" -ge 128 ]; then
		how=" (signal $((rc - 128)))"
	elif [ "$rc" != 0 ]; then
		how=" (exit status $rc)"
	fi
	printf '%-4s %-32s %5d passed %3d failed %3d skipped %7d ms%s\n' \
	    "$([ "$2" = 0 ] && echo ok || echo FAIL)" \
	    "${path#"${QUERN_BUILD:-build}"/}" "$1" "$2" "$3" "$ms" "$how"
	if [ "$2" != 0 ]; then
		sed 's/^/    | /' "$work/out" "$work/err"
	elif [ "$3" != 0 ]; then
		grep -E '^SKIP: |^ok .*# *SKIP' "$work/out" | sed 's/^/    | /'
	fi
}

if [ "$1" = -one ]; then
	limit=$(($2 * QUERN_FACTOR))
	path=$3
	work=$(mktemp -d "$QUERN_WORK/XXXXXX") || exit 1
	export TMPDIR="$work/tmp"
	mkdir "$TMPDIR"
	pid= dog=
	trap '[ -z "$pid" ] || kill -s KILL -- "-$pid" "-$dog"; exit 130' \
	    INT TERM HUP
	start=$(date +%s%N)
	run $limit "$path"
	ms=$((($(date +%s%N) - start) / 1000000))
	# shellcheck disable=SC2046 # three words
	set -- $(count $rc $late)
	echo "$*" >"$work/count"
	report "$@" >"$work/report"
	cat "$work/report"
	# A program may have taken its own permissions away.
	chmod -R u+rwx "$TMPDIR" 2>/dev/null
	rm -rf "$TMPDIR"
	exit 0
fi

# --- the list ---------------------------------------------------------------

list=$1
tally=$2
QUERN_WORK=$(mktemp -d "${TMPDIR:-/tmp}/quern-test.XXXXXX") || exit 1
trap 'rm -rf "$QUERN_WORK"' EXIT
trap 'exit 130' INT TERM HUP

unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES QUERN_INNER
QUERN_FACTOR=${QUERN_FACTOR:-1}
QUERN_TOP=$(pwd)
# A libcheck test that waits for a condition gets longer than libcheck's 4 s.
CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-$((30 * QUERN_FACTOR))}
export QUERN_WORK QUERN_FACTOR QUERN_TOP CK_DEFAULT_TIMEOUT

# Stacks are the kernel's own: no fake ones.
: "${ASAN_SYMBOLIZER_PATH:=$(command -v llvm-symbolizer ||
    command -v llvm-symbolizer-14)}"
export ASAN_SYMBOLIZER_PATH
export ASAN_OPTIONS="detect_stack_use_after_return=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
export TSAN_OPTIONS="second_deadlock_stack=1:history_size=4${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
QUERN_PREFIX=
case ${QUERN_MODE:-} in
*thread*)
	# TSan's shadow wants mappings where it expects them.
	setarch -R true 2>/dev/null && QUERN_PREFIX='setarch -R'
	;;
esac
export QUERN_PREFIX
if [ -n "${QUERN_SOAK:-}" ]; then
	SEED=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
	export SEED
	echo "SEED=$SEED"
fi

# usage: together JOBS: the programs on stdin
together() {
	xargs -r -P "$1" -L 1 sh "$0" -one
}
awk 'NF == 2 { print $1, $2 }' "$list" | together "${QUERN_JOBS:-$(nproc)}"
awk 'NF > 2 { print $1, $2 }' "$list" | together 1

awk 'NF' "$list" | wc -l >"$QUERN_WORK/expected"
cat "$QUERN_WORK"/*/count 2>/dev/null | awk -v expected="$(
    cat "$QUERN_WORK/expected")" '
{ p += $1; f += $2; s += $3 }
END { print p + 0, f + (expected > NR ? expected - NR : 0), s + 0 }' >"$tally"
read -r _ failed _ <"$tally"
[ "$failed" = 0 ]
