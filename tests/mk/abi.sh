# SPDX-License-Identifier: BSD-2-Clause
#
# docs/linux-abi.md is what kernel/syscalls.def says, and each call of Linux is
# in it.

. "${QUERN_TOP:-.}/tests/mk/tree.sh"
cd "${QUERN_TOP:-.}" || exit 1

# usage: table DEF
table() {
	awk -f kernel/makesyscalls.awk -v out=abi.md "$1"
}

is_current() {
	table "$1" | diff - docs/linux-abi.md >/dev/null
}

outdated() {
	! is_current "$TMPDIR/def"
}

# Numbers 0 to 334 and 424 on, each once, in order; Linux 6.1 ends with 450.
numbers() {
	sed -n 's/^| \([0-9]*\) |.*/\1/p' docs/linux-abi.md >"$TMPDIR/have"
	{ seq 0 334; seq 424 450; } >"$TMPDIR/want"
	awk '$1 <= 450' "$TMPDIR/have" | diff - "$TMPDIR/want"
}

# In the contract of what is partial, and only there, a note.
notes() {
	awk -F ' [|] ' '/^[|] [0-9]/ {
		note = $4
		sub(/ *[|]$/, "", note)
		if (($3 == "partial" && note == "") ||
		    ($3 == "complete" && note != "") ||
		    $3 !~ /^(partial|complete|absent)$/) {
			print
			bad = 1
		}
	}
	END { exit bad }' docs/linux-abi.md
}

ok 'docs/linux-abi.md is what syscalls.def says (make abi)' \
    is_current kernel/syscalls.def
sed '/^	Lacks: families other/d' kernel/syscalls.def >"$TMPDIR/def"
ok 'a note that goes is noticed' outdated
sed 's/^\(0	kernel	\)read(/\1red(/' kernel/syscalls.def >"$TMPDIR/def"
ok 'a name that changes is noticed' outdated
ok 'every number of Linux 6.1 is there' numbers
ok 'what is partial says what lacks' notes
done_testing
