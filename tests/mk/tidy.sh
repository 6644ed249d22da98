# SPDX-License-Identifier: BSD-2-Clause
#
# Every checker of `make tidy` finds nothing in a clean tree, and a planted
# violation of what it is for.

. "${QUERN_TOP:-.}/tests/mk/tree.sh"
make_tree
export CC=${CC:-gcc}
cp -r . "$TMPDIR/clean"

# usage: check NAME: runs the checker on what is built
check() {
	case $1 in
	*.sh)	sh "mk/tidy/$1" build/check/manifest build ;;
	*.pl)	perl "mk/tidy/$1" build/check/manifest build ;;
	esac
}

# usage: finds CHECKER TEXT: it fails, and says TEXT
finds() {
	if check "$1"; then
		return 1
	fi >"$TMPDIR/found" 2>&1
	cat "$TMPDIR/found"
	grep -q -- "$2" "$TMPDIR/found"
}

# usage: planted WHAT CHECKER TEXT: then puts the clean tree back
planted() {
	run_make all graph >/dev/null
	ok "$2: $1" finds "$2" "$3"
	restore
}

# The files as they were, newer than whatever was built from the others.
restore() {
	rm -rf hypercall kernel components bin tests examples mk
	cp -r "$TMPDIR"/clean/[!b]* "$TMPDIR/clean/bin" .
}

# usage: add FILE: appends stdin
add() {
	cat >>"$1"
}

ok 'a clean tree' run_make tidy
ok '... has all checks' test "$(grep -c '^ok ' "$TMPDIR/make.log")" -ge 10
not '... and no failure' built '^FAIL'

# --- graph ---
sed -i 's/^USES = .*/USES = vfs/' components/vfs/ext4/Makefile
mkdir components/net
sed 's/vfs/net/g' components/vfs/Makefile >components/net/Makefile
sed 's/vfs/net/g; s/VFS/NET/' components/vfs/vfs.h >components/net/net.h
sed 's/vfs/net/g' components/vfs/vfs.c >components/net/net.c
sed -i 's/^USES = .*/USES = vfs net/' components/vfs/ext4/Makefile
planted 'a faction that uses another' graph.pl 'vfs and net meet only'
rm -rf components/net
sed -i 's/^USES = .*/USES = hypercall host-posix/' kernel/Makefile
planted 'the kernel uses a host' graph.pl 'only hypercall is for both'
mkdir components/net
cp components/vfs/Makefile components/net/
sed -i 's/vfs/net/; s/^USES = .*/USES = kernel ext4/' components/net/Makefile
cp components/vfs/vfs.h components/net/net.h
sed 's/qvfs/qnet/; s/vfs/net/' components/vfs/vfs.c >components/net/vfs.c
planted 'a core that uses a leaf' graph.pl "doesn't rank below it"
rm -rf components/net
printf 'unit\ta\tkernel\tfree\tb\t\nunit\tb\tkernel\tfree\ta\t\n' \
    >build/check/manifest
ok 'graph.pl: a circle' finds graph.pl circle

# --- makefiles.sh ---
printf 'all:\n\ttouch x\n' | add kernel/Makefile
ok 'makefiles.sh: a rule' finds makefiles.sh 'kernel/Makefile:[0-9]*: all:'
restore
printf 'ifdef X\nendif\n' | add bin/tool/Makefile
ok 'makefiles.sh: a conditional' finds makefiles.sh bin/tool
restore

# --- undefined symbols ---
sed -i 's/qvfs_open/qvfs_hidden/' components/vfs/vfs.h components/vfs/vfs.c \
    components/vfs/ext4/ext4.c
sed -i 's/^EXPORT = .*/EXPORT = qvfs_close/' components/vfs/Makefile
rm -r bin/tool
planted 'a function that is not exported' undefined.sh qvfs_hidden
add kernel/main.c <<'EOF'
char *getenv(const char *);
int quern_libc(void);
int
quern_libc(void)
{
	return (getenv("X") != 0);
}
EOF
planted 'libc in the kernel' undefined.sh getenv
add hypercall/posix/posix.c <<'EOF'
int nowhere(void);
int quern_posix2(void);
int
quern_posix2(void)
{
	return (nowhere());
}
EOF
rm -r bin/tool examples/hello
planted 'nowhere to be found, in a host' undefined.sh nowhere

# --- writable data ---
for v in 'int counter = 1;' 'static int zeroed; int *pz(void); int *pz(void) { return (&zeroed); }' \
    '__thread int mine;' '__thread int init = 3;' \
    'extern int other; int *rel = &other; int other = 2;' \
    'static void up(void) __attribute__((constructor)); static void up(void) { __asm__ volatile(""); }'; do
	echo "$v" | add kernel/main.c
	planted "$v" writable.sh 'unit kernel: section'
done
echo 'extern const int cc; const int *const rel = &cc; const int cc = 2;' |
    add kernel/main.c
run_make all graph >/dev/null
ok 'writable.sh: a constant pointer is no state' check writable.sh
restore

# --- headers ---
sed -i '/^struct quern;/a int quern_size(size_t len);' kernel/quern.h
sed -i '1i #include <stddef.h>' kernel/impl.h components/vfs/vfs.c
for f in kernel/main.c kernel/sub/sub.c components/vfs/vfs.c; do
	sed -i '2i #include <stddef.h>' $f
done
planted 'a type that another header must bring' headers.sh 'alone, freestanding C:'
sed -i 's/^#define HC_H/&\n#include <string.h>/' hypercall/hypercall.h
mkdir -p build/check
printf 'unit\thypercall\thypercall\theaders\t\thypercall\thypercall.h\t\t\n' \
    >build/check/manifest
ok 'headers.sh: a libc header in a public one' finds headers.sh \
    'alone, freestanding C:'
restore
if command -v g++ >/dev/null 2>&1; then
	sed -i '/^struct quern;/a struct quern_class { int new; };' kernel/quern.h
	planted 'a keyword of C++' headers.sh 'freestanding C++'
fi
sed -i '/^struct quern;/a struct termios { int t; };' kernel/quern.h
planted "a name of libc's" headers.sh "libc's"
sed -i '/^#ifndef NUM_H/d; $d' kernel/abi/num.h
sed -i 's/^#define NUM_H/struct num { int n; };/' kernel/abi/num.h
planted 'no guard' headers.sh 'abi/num.h alone'

# --- documented ---
sed -i '/^ \* Answer/,/^ \*\//d; /^\/\*$/d' kernel/quern.h
planted 'a function without a comment' documented.pl quern_answer
sed -i 's/^ \*\/$/ *\/\n/' kernel/quern.h
planted 'an empty line between' documented.pl quern_answer
sed -i '/^$/d; /^\/\* Close/d' components/vfs/vfs.h
planted "the comment of the line before" documented.pl qvfs_close
sed -i '/^int quern_answer/a int quern_other(struct quern *k);' kernel/quern.h
planted 'a comment that does not name it' documented.pl quern_other
sed -i '/^int quern_answer/a int quern_other(struct quern *k);' kernel/quern.h
sed -i 's/Answer\./& quern_other: another./' kernel/quern.h
run_make all graph >/dev/null
ok 'documented.pl: a comment for two' check documented.pl
restore
sed -i '/Do that/d' hypercall/hypercall.h
planted 'a hypercall' documented.pl second
sed -i '/Tell/d' hypercall/hypercall.h
planted 'an upcall' documented.pl 'up has no'
sed -i 's/Call. .../&int quern_x(void);\\n/' kernel/makesyscalls.awk
planted 'a generated header' documented.pl quern_x
printf '/* Add. */\nstatic inline int qadd(int a) { return (a); }\nstatic inline int qsub(int a) { return (-a); }\n' |
    add kernel/abi/num.h
sed -i '/^#endif/d; $a #endif' kernel/abi/num.h
planted 'an inline function' documented.pl qsub

# --- hypercalls ---
for i in $(seq 1 31); do
	sed -i "/^struct quern_hyper {/a /* N. */\nint (*n$i)(int (*cb)(void));" \
	    hypercall/hypercall.h
done
ok 'hypercalls.sh: 33' finds hypercalls.sh '33 entries'
restore
for i in $(seq 1 40); do
	sed -i "/^struct quern_upcalls {/a /* N. */\nint (*n$i)(int (*cb)(void));" \
	    hypercall/hypercall.h
done
ok 'hypercalls.sh: upcalls are not counted' check hypercalls.sh
restore

# --- function length ---
long() {
	printf 'int\n%s(int x)\n{\n' "$1"
	for i in $(seq 1 "$2"); do
		printf '\tx++;\n'
	done
	printf '}\n'
}
long almost 118 | add kernel/main.c
ok 'length.pl: 120 lines' check length.pl
ok '... are listed' sh -c 'perl mk/tidy/length.pl | grep -q "almost: 120 lines$"'
long more 119 | add kernel/main.c
ok 'length.pl: 121 lines' finds length.pl 'more: 121 lines, over'
restore

# --- the rest ---
printf '#ifdef X\n#endif\n' | add components/vfs/vfs.c
ok 'noif.sh: a condition' finds noif.sh vfs.c
restore
printf '\t# if 1\n#endif\n' | add kernel/sub/sub.c
ok 'noif.sh: with blanks' finds noif.sh sub.c
restore
echo '/* FIX''ME: soon */' | add kernel/sub/sub.c
ok 'words.sh: an unfinished thing' finds words.sh kernel/sub/sub.c
restore
sed -i 1d kernel/sub/sub.c
ok 'words.sh: no licence' finds words.sh kernel/sub/sub.c
restore
check format.sh >"$TMPDIR/log" 2>&1
case $? in
77)	echo 'SKIP: clang-format 14 absent' ;;
0)
	echo 'int  f(void) ;' | add kernel/impl.h
	ok 'format.sh: blanks' finds format.sh kernel/impl.h
	ok 'format.sh: fix' sh mk/tidy/format.sh fix
	ok '... mends it' check format.sh
	restore
	;;
*)	report 1 'format.sh: a clean tree' ;;
esac

# run.sh fails when a checker does.
echo '/* FIX''ME: soon */' | add kernel/sub/sub.c
not 'tidy as a whole' run_make tidy
ok '... says which' built '^FAIL tidy: no FIX''ME'
ok '... and counts' grep -qE '^[0-9]+ 1 [0-9]+$' build/check/tidy.tally
done_testing
