# SPDX-License-Identifier: BSD-2-Clause
#
# mk/fuzz.sh, with made-up fuzzers and a made-up clang: what is counted, what is
# printed of a finding, what is skipped.

. "${QUERN_TOP:-.}/tests/mk/tree.sh"
script=$(cd "${QUERN_TOP:-.}" && pwd)/mk/fuzz.sh
mkdir "$TMPDIR/w" "$TMPDIR/bin"
cd "$TMPDIR/w" || exit 1
mkdir -p build/fuzz/tests/a tests/a/corpus/f_good
export QUERN_TALLY="$TMPDIR/tally" QUERN_BUILD=build/fuzz
unset SEED

fake() {
	cat >"$1"
	chmod +x "$1"
}

fake build/fuzz/tests/a/f_good <<'EOT'
#!/bin/sh
echo "$*" >>"$TMPDIR/args"
echo 'stat::number_of_executed_units: 1234'
EOT
fake build/fuzz/tests/a/f_bad <<'EOT'
#!/bin/sh
echo 'ERROR: a bug'
echo 'Test unit written to build/fuzz/found/f_bad.crash-1'
echo 'stat::number_of_executed_units: 7'
exit 77
EOT
fake build/fuzz/tests/a/f_idle <<'EOT'
#!/bin/sh
exit 0
EOT

# usage: fuzz EXIT ARGUMENT...
fuzz() {
	want=$1
	shift
	rm -f "$QUERN_TALLY"
	sh "$script" "$@" >"$TMPDIR/out" 2>&1
	rc=$?
	cat "$TMPDIR/out"
	[ $rc = "$want" ]
}

said() {
	grep -q -- "$1" "$TMPDIR/out" || { cat "$TMPDIR/out"; return 1; }
}

tally() {
	[ "$(cat "$QUERN_TALLY")" = "$1" ] || { cat "$QUERN_TALLY"; return 1; }
}

export FUZZ_S=6
ok 'two that find nothing' fuzz 0 run tests/a/f_good tests/a/f_good
ok '... are counted' tally '2 0 0'
ok '... and their runs said' said 'f_good, 1234 runs, SEED=[0-9]'
ok '... with half of the time each' grep -q -- '-max_total_time=3 ' "$TMPDIR/args"
ok '... and the seeds beside them' \
    grep -q 'build/fuzz/corpus/f_good tests/a/corpus/f_good$' "$TMPDIR/args"
ok 'one that finds something' fuzz 1 run tests/a/f_good tests/a/f_bad
ok '... is counted' tally '1 1 0'
ok '... shown' said 'ERROR: a bug'
ok '... and how to run it again' \
    said '^again: build/fuzz/tests/a/f_bad build/fuzz/found/f_bad.crash-1$'
ok 'one that runs nothing' fuzz 1 run tests/a/f_idle
ok '... has failed' tally '0 1 0'

: >build/fuzz/corpus/f_good/found
export SEED=5
ok 'a seed' fuzz 0 run tests/a/f_good
ok '... is used' grep -q -- '-seed=5 ' "$TMPDIR/args"
ok '... with nothing from the last run' \
    grep -q 'build/fuzz/corpus/f_good.seed' "$TMPDIR/args"
unset SEED

MAKE='echo made:'
export MAKE
fake "$TMPDIR/bin/clang" <<'EOT'
#!/bin/sh
[ -e "$TMPDIR/fuzzer" ]
EOT
ok 'no fuzzers' fuzz 0 0
ok '... is said' said 'no fuzzers'
PATH=$TMPDIR/bin:$PATH
ok 'clang without libFuzzer' fuzz 0 3
ok '... is a skip' said '^SKIP: clang has no libFuzzer'
ok '... for each' tally '0 0 3'
touch "$TMPDIR/fuzzer"
ok 'clang with it' fuzz 0 3
ok '... makes them' said 'made: CC=clang FUZZ=1 fuzz-run'
done_testing
