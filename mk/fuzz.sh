#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: fuzz.sh COUNT		say why not, or start the inner make
#        fuzz.sh run PROGRAM...	inside it: run each for its share of FUZZ_S
#
# A fuzzer starts from tests/.../corpus/NAME/, where there is one, and keeps
# what it finds in BUILD/corpus/NAME for the next run.  With SEED it begins anew,
# so that runs with the same seed try the same inputs.  An input that fails is
# left in BUILD/found/, and how to run it again is printed.
#
# QUERN_TALLY gets "passed failed skipped", one for each fuzzer.

skip() {
	echo "SKIP: $1: left out the fuzzers"
	echo "0 0 $2" >"$QUERN_TALLY"
	exit 0
}

# Does clang link fuzzers?
works() {
	probe=$(mktemp) || return 1
	echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n)
	    { return p == 0 && n; }' |
	    clang -fsanitize=fuzzer,address -x c - -o "$probe" 2>/dev/null
	status=$?
	rm -f "$probe"
	return $status
}

if [ "$1" != run ]; then
	if [ "$1" = 0 ]; then
		echo 'no fuzzers'
	elif ! command -v clang >/dev/null 2>&1; then
		skip 'clang absent' "$1"
	elif ! works; then
		skip 'clang has no libFuzzer' "$1"
	else
		QUERN_INNER=1 exec $MAKE CC=clang FUZZ=1 fuzz-run
	fi
	exit 0
fi
shift

b=$QUERN_BUILD
share=$((FUZZ_S / $#))
[ $share -gt 0 ] || share=1
passed=0 failed=0
mkdir -p "$b/found" "$b/corpus"
: "${ASAN_SYMBOLIZER_PATH:=$(command -v llvm-symbolizer ||
    command -v llvm-symbolizer-14)}"
export ASAN_SYMBOLIZER_PATH
# Stacks are the kernel's own: no fake ones.
export ASAN_OPTIONS=detect_stack_use_after_return=0
export UBSAN_OPTIONS=print_stacktrace=1
for p; do
	name=${p##*/}
	corpus=$b/corpus/$name
	seeds=${p%/*}/corpus/$name
	log=$b/found/$name.log
	if [ -n "${SEED:-}" ]; then
		seed=$SEED
		corpus=$b/corpus/$name.seed
		rm -rf "$corpus"
	else
		seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
	fi
	mkdir -p "$corpus"
	[ -d "$seeds" ] || seeds=
	"$b/$p" -seed="$seed" -max_total_time=$share -timeout=20 \
	    -rss_limit_mb=4096 -print_final_stats=1 -verbosity=0 \
	    -print_funcs=0 -artifact_prefix="$b/found/$name." "$corpus" $seeds \
	    >"$log" 2>&1
	rc=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	what="$p, ${runs:-no} runs, SEED=$seed"
	if [ $rc = 0 ] && [ "${runs:-0}" -gt 0 ]; then
		passed=$((passed + 1))
		echo "ok   $what"
		continue
	fi
	failed=$((failed + 1))
	echo "FAIL $what (exit status $rc)"
	sed 's/^/    | /' "$log"
	sed -n "s,.*Test unit written to \(.*\)$,again: $b/$p \1,p" "$log"
done
echo "$passed $failed 0" >"$QUERN_TALLY"
[ $failed = 0 ]
