#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: fuzz.sh COUNT		say why not, or start the inner make
#        fuzz.sh run PROGRAM...	inside it: run each for its share of FUZZ_S
#
# A fuzzer starts from tests/.../corpus/NAME/, where there is one, and keeps
# what it finds in BUILD/corpus/NAME.  An input that fails is left in
# BUILD/found/ and its name printed.

if [ "$1" != run ]; then
	if [ "$1" = 0 ]; then
		echo 'no fuzzers'
	elif ! command -v clang >/dev/null 2>&1; then
		echo 'clang absent: left out the fuzzers'
	else
		QUERN_INNER=1 exec $MAKE CC=clang FUZZ=1 fuzz-run
	fi
	exit 0
fi
shift

b=$QUERN_BUILD
share=$((FUZZ_S / $#))
[ $share -gt 0 ] || share=1
status=0
mkdir -p "$b/found"
for p; do
	name=${p##*/}
	corpus=$b/corpus/$name
	seeds=${p%/*}/corpus/$name
	mkdir -p "$corpus"
	[ -d "$seeds" ] || seeds=
	seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
	echo "== $p, $share s, SEED=$seed"
	ASAN_OPTIONS=detect_stack_use_after_return=0 "$b/$p" -seed="$seed" \
	    -max_total_time=$share -timeout=20 -print_final_stats=1 \
	    -verbosity=0 -artifact_prefix="$b/found/$name." "$corpus" $seeds ||
	    status=1
done
exit $status
