#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# usage: check.sh full|quick
#
# `make check` and `make check-quick`: the stages, each a make of its own, and
# then the sum of what they counted as the last line.  A stage that ends
# without having counted (it does not build) is one failure; the stages after
# it run all the same.  With QUERN_TALLY set the last line goes to that file
# instead.

export QUERN_INNER=1
# Use all processors, unless this make was told how many.
case ${MAKEFLAGS:-} in
*-j*)	;;
*)	MAKE="$MAKE -j$(nproc)" ;;
esac
passed=0 failed=0 skipped=0

# usage: stage TITLE TALLY-FILE COMMAND...
stage() {
	echo "== $1"
	tally=$2
	shift 2
	rm -f "$tally"
	"$@"
	rc=$?
	if [ -s "$tally" ]; then
		read -r p f s <"$tally"
	else
		p=0 f=0 s=0
	fi
	if [ $rc != 0 ] && [ "$f" = 0 ]; then
		echo "FAIL $* (exit status $rc)"
		f=1
	fi
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
}

# usage: sanitized NAME: a stage under -fsanitize=NAME, if that links here.
sanitized() {
	dir=$BUILD/san-$(echo "$1" | tr , -)
	if why=$($MAKE -s SANITIZE="$1" san-works 2>&1); then
		stage "tests, -fsanitize=$1" "$dir/check/tally" \
		    $MAKE SANITIZE="$1" test
	else
		echo "$why"
		echo "SKIP: no program links with -fsanitize=$1"
		skipped=$((skipped + 1))
	fi
}

case $1 in
quick)
	stage tests "$BUILD/check/tally" $MAKE QUICK=1 test
	stage tidy "$BUILD/check/tidy.tally" $MAKE tidy
	;;
full)
	stage tests "$BUILD/check/tally" $MAKE test
	sanitized address,undefined
	sanitized thread
	stage fuzzers "$BUILD/check/fuzz.tally" \
	    $MAKE SEED=1 FUZZ_S="${FUZZ_S:-60}" fuzz
	stage tidy "$BUILD/check/tidy.tally" $MAKE tidy
	stage installation "$BUILD/check/install.tally" $MAKE check-install
	;;
esac

line="$passed passed, $failed failed, $skipped skipped"
if [ -n "${QUERN_TALLY:-}" ]; then
	echo "$line" >"$QUERN_TALLY"
else
	echo "$line"
fi
[ "$failed" = 0 ]
