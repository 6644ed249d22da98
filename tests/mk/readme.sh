# SPDX-License-Identifier: BSD-2-Clause
#
# The program in the README is examples/hello/hello.c, which `make hello` and the
# installation test build and run.

. "${QUERN_TOP:-.}/tests/mk/tree.sh"
cd "${QUERN_TOP:-.}" || exit 1

same() {
	awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' README.md \
	    >"$TMPDIR/readme.c"
	# All but the licence line.
	sed 1d examples/hello/hello.c |
	    diff "$TMPDIR/readme.c" -
}

ok 'the README and examples/hello/hello.c agree' same
ok 'the first screen names make demo and make check' sh -c \
    'head -24 README.md | grep -q "make demo" && head -24 README.md | grep -q "make check"'
done_testing
