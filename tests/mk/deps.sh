# SPDX-License-Identifier: BSD-2-Clause
#
# mk/deps.sh, with a made-up dpkg-query, apt-get, id and sudo.

. "${QUERN_TOP:-.}/tests/mk/tree.sh"
deps=$(cd "${QUERN_TOP:-.}" && pwd)/mk/deps.sh
mkdir "$TMPDIR/w" "$TMPDIR/w/mk" "$TMPDIR/bin"
cp "$deps" "$TMPDIR/w/mk/deps.sh"
cd "$TMPDIR/w" || exit 1
export FAKE="$TMPDIR"
export QUERN_DPKG_STATUS="$FAKE/have"
PATH=$TMPDIR/bin:$PATH

fake() {
	{
		echo '#!/bin/sh'
		cat
	} >"$FAKE/bin/$1"
	chmod +x "$FAKE/bin/$1"
}

fake dpkg-query <<'EOF'
echo dpkg-query >>"$FAKE/calls"
shift 2
for p; do
	grep -qxF -- "$p" "$FAKE/have" && echo "$p installed"
done
EOF
fake apt-get <<'EOF'
echo "apt-get $*" >>"$FAKE/calls"
case " $* " in
*' update '*) touch "$FAKE/updated"; exit 0 ;;
esac
[ -e "$FAKE/updated" ] || exit 100
for p; do
	grep -qxF -- "$p" "$FAKE/offered" && echo "$p" >>"$FAKE/have"
done
for p; do
	case $p in
	-* | *=* | install | apt-get) ;;
	*) grep -qxF -- "$p" "$FAKE/have" || exit 100 ;;
	esac
done
EOF
fake id <<'EOF'
cat "$FAKE/uid"
EOF
fake sudo <<'EOF'
[ -e "$FAKE/sudo" ] || exit 1
shift
exec "$@"
EOF
fake env <<'EOF'
exec /usr/bin/env "$@"
EOF

names=$(awk '/^(required|optional)=/ { on = 1 } on { print } /'"'"'$/ { on = 0 }' \
    mk/deps.sh | sed "s/.*='//; s/'//" | xargs)

# usage: start HAVE OFFERED UID
start() {
	rm -rf build "$FAKE/updated" "$FAKE/calls" "$FAKE/sudo"
	# shellcheck disable=SC2086 # words
	{
		printf '%s\n' $1 >"$FAKE/have"
		printf '%s\n' $2 >"$FAKE/offered"
	}
	# The stamp must be newer than what it stands for.
	touch -d '1 hour ago' "$FAKE/have" mk/deps.sh
	echo "$3" >"$FAKE/uid"
}

# usage: deps EXIT: with no output on stdout
deps() {
	sh mk/deps.sh >"$FAKE/stdout" 2>"$FAKE/stderr"
	rc=$?
	cat "$FAKE/stderr" "$FAKE/stdout"
	[ $rc = "$1" ] && [ ! -s "$FAKE/stdout" ]
}

said() {
	grep -q -- "$1" "$FAKE/stderr"
}

start "$names" '' 1000
ok 'everything is there' deps 0
not '... is not worth a word' test -s "$FAKE/stderr"
rm "$FAKE/calls"
ok '... the next time' deps 0
not "... dpkg isn't asked" test -e "$FAKE/calls"
touch -d '1 hour' "$FAKE/have"
ok "dpkg's database changed" deps 0
ok '... it is' grep -q dpkg-query "$FAKE/calls"

start 'gcc make' "$names" 0
ok 'root, packages missing, no lists' deps 0
ok '... installed' grep -qx check "$FAKE/have"
ok '... and the optional ones' grep -qx gdb "$FAKE/have"
start 'gcc make' "$names" 1000
: >"$FAKE/sudo"
ok 'by sudo' deps 0
ok '... installed' grep -qx check "$FAKE/have"
start "$(echo "$names" | sed 's/libffi-dev//g; s/gdb//g')" "$names" 1000
ok 'neither root nor sudo' deps 1
ok '... the packages are named' said 'apt-get install libffi-dev$'
ok '... and those that may be absent' said 'present): gdb'
start "$(echo "$names" | sed 's/graphviz//g; s/gdb//g')" gdb 0
ok 'an optional package that there is not' deps 0
ok '... is named' said 'could not install graphviz'
ok '... the others come' grep -qx gdb "$FAKE/have"
ok '... once' deps 0
not '... once' said graphviz
start "$(echo "$names" | sed 's/libffi-dev//g')" '' 0
ok 'a required package that there is not' deps 1
done_testing
