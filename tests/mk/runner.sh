# SPDX-License-Identifier: BSD-2-Clause
#
# mk/runtests.sh counts what happened, and fails when anything did not go well.

. "${QUERN_TOP:-.}/tests/mk/tree.sh"
runner=$(cd "${QUERN_TOP:-.}" && pwd)/mk/runtests.sh
cd "$TMPDIR" || exit 1
mkdir progs

# usage: prog NAME: a program from stdin
prog() {
	cat >"progs/$1.sh"
}

# usage: counts EXIT TALLY NAME...
counts() {
	want=$1
	tally=$2
	shift 2
	for n; do
		echo "${seconds:-10} progs/$n.sh"
	done >list
	QUERN_FACTOR=1 sh "$runner" list tally >out 2>&1
	rc=$?
	cat out
	echo "exit $rc, tally $(cat tally)"
	[ $rc = "$want" ] && [ "$(cat tally)" = "$tally" ]
}

prog silent <<'EOF'
exit 0
EOF
prog libcheck <<'EOF'
echo '80%: Checks: 5, Failures: 1, Errors: 0'
exit 1
EOF
prog two_runs <<'EOF'
echo '100%: Checks: 5, Failures: 0, Errors: 0'
echo '100%: Checks: 2, Failures: 0, Errors: 0'
EOF
prog leak <<'EOF'
echo '100%: Checks: 5, Failures: 0, Errors: 0'
exit 66
EOF
prog crash <<'EOF'
echo '90%: Checks: 10, Failures: 1, Errors: 0'
kill -SEGV $$
EOF
prog tap <<'EOF'
echo 'ok - one'
echo 'not ok - two'
echo 'ok 3 # SKIP no three'
exit 1
EOF
prog skip <<'EOF'
echo 'SKIP: not here'
EOF
prog status <<'EOF'
echo 'what went wrong' >&2
exit 3
EOF
prog hang <<'EOF'
echo 'ok - one'
sleep 1000 &
wait
EOF
prog litter <<'EOF'
sleep 1000 &
echo $! >"${0%/*}/../pid"
EOF

ok 'exit status 0 is a test passed' counts 0 '1 0 0' silent
ok 'exit status 3 is a test failed' counts 1 '0 1 0' status
ok '... and what it printed is shown' grep -q 'what went wrong' out
ok "libcheck's counts" counts 1 '4 1 0' libcheck
ok '... of several runs' counts 0 '7 0 0' two_runs
ok 'all passed, but exit status 66' counts 1 '5 1 0' leak
ok 'a crash is a failure more' counts 1 '9 2 0' crash
ok 'TAP' counts 1 '1 1 1' tap
ok 'SKIP:' counts 0 '0 0 1' skip
seconds=1
ok 'a timeout is a failure' counts 1 '1 1 0' hang
ok '... and is told' grep -q 'no end after 1 s' out
seconds=
ok 'what a program leaves behind' counts 0 '1 0 0' litter
# Dead, even if nobody has waited for it yet.
gone() {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		state=$(awk '$1 == "State:" { print $2 }' \
		    "/proc/$(cat pid)/status" 2>/dev/null)
		case $state in
		'' | Z | X) return 0 ;;
		esac
		sleep 0.1
	done
	return 1
}
ok '... is ended' gone
ok 'the sum' counts 1 '6 2 1' silent tap libcheck

# Two that each wait for the other; "alone" forbids it.
cat >progs/left.sh <<'EOF'
d=${0%/*}
: >"$d/left.here"
n=0
until [ -e "$d/right.here" ]; do
	n=$((n + 1))
	[ $n -lt 40 ] || exit 1
	sleep 0.05
done
EOF
sed 's/left/x/g; s/right/left/g; s/x.here/right.here/' progs/left.sh \
    >progs/right.sh
export QUERN_JOBS=2
ok 'two at once' counts 0 '2 0 0' left right
rm progs/*.here
alone() {
	sed -i 's/$/ alone/' list
	sh "$runner" list tally >out 2>&1
	cat out tally
	# Whoever comes first waits in vain, the other finds its mark.
	[ "$(cat tally)" = '1 1 0' ]
}
ok 'not if alone' alone
not 'a list of which a program is missing' counts 0 '1 0 0' silent nonesuch
done_testing
