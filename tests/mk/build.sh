# SPDX-License-Identifier: BSD-2-Clause
#
# The build rules, on a made-up tree: what is built, and above all that what
# changed is built again and nothing else.

. "${QUERN_TOP:-.}/tests/mk/tree.sh"
make_tree

all_there() {
	for f in lib/libquern-kernel.a lib/libquern-vfs.a lib/libquern-ext4.a \
	    lib/libquern-host-posix.a pkgconfig/quern-kernel.pc bin/tool; do
		[ -s build/$f ] || { echo "no $f"; return 1; }
	done
	[ "$(build/bin/tool)" = 42 ]
}

# The names an archive keeps global.
globals() {
	nm -g --defined-only "$1" | awk 'NF == 3 { print $3 }' | sort | xargs
}

localised() {
	[ "$(globals build/lib/libquern-kernel.a)" = \
	    'quern_answer quern_null quern_table' ] &&
	    nm build/obj/kernel.o | grep -q ' T main_local'
}

pc_text() {
	grep -q "^Requires: $2\$" "build/pkgconfig/quern-$1.pc" ||
	    { cat "build/pkgconfig/quern-$1.pc"; return 1; }
}

ok 'all, -j2' run_make -j2
ok 'archives, .pc files and programs' all_there
ok 'only what EXPORT names is global' localised
ok 'Requires: of the kernel' pc_text kernel quern-hypercall
ok 'Requires: of a leaf' pc_text ext4 quern-vfs
ok 'nothing to do the second time' idle

# --- an absent optional package ---
run_make
ok 'what an absent package is for is named' \
    built 'nonesuch absent: left out hypercall/posix/nonesuch.c'
echo 'PKGS = nonesuch' >>components/vfs/ext4/Makefile
ok 'make without a package that a unit needs' run_make
ok 'the unit and its users are left out' built \
    'nonesuch absent: left out components/vfs/ext4' \
    'nonesuch absent: left out bin/tool'
sed -i '$d' components/vfs/ext4/Makefile
run_make

# --- incremental ---
changed() {
	sleep 0.02
	"$@"
}

touched() {
	changed touch "$1"
	shift
	run_make && built "$@"
}

# Everything but what was named stays.
only() {
	n=$(grep -cE '^  CC ' "$TMPDIR/make.log")
	[ "$n" = "$1" ] || { cat "$TMPDIR/make.log"; return 1; }
}

ok 'a source' touched kernel/main.c 'CC *kernel/main.c' \
    'AR *build/lib/libquern-kernel.a' 'LINK *build/bin/tool'
ok '... alone is compiled' only 1
ok 'a private header' touched kernel/impl.h 'CC *kernel/main.c' \
    'CC *kernel/sub/sub.c' 'CC *build/gen/kernel/wrappers.c'
ok '... for its unit only' only 4
ok 'a public header, through its link' touched kernel/abi/num.h \
    'CC *kernel/main.c' 'CC *components/vfs/vfs.c'
echo '1 kernel one' >>kernel/syscalls.def
ok 'the table of calls' run_make
ok '... is generated and compiled' built 'AWK .*calls.h' 'AWK .*wrappers.c' \
    'CC *build/gen/kernel/wrappers.c' 'CC *components/vfs/vfs.c'
ok '... and everything at once' idle
ok '... the new call is in' sh -c \
    'nm build/lib/libquern-kernel.a | grep -q "T quern_one"'

printf '#include <quern/quern.h>\nint extra_local(void);\nint\nextra_local(void)\n{\n\treturn (1);\n}\n' |
    put kernel/extra.c
sed -i 's/^SRCS = .*/& extra.c/' kernel/Makefile
ok 'a source added to SRCS' run_make
ok '... is compiled alone, and linked' built 'CC *kernel/extra.c' \
    'LD *build/obj/kernel.o'
ok '... alone' only 1
sed -i 's/ extra.c$//' kernel/Makefile
rm kernel/extra.c
ok 'a source taken out and deleted' run_make
not '... is out of the unit' sh -c 'nm build/obj/kernel.o | grep extra_local'

sed -i 's/^EXPORT = .*/EXPORT = quern_answer quern_null/' kernel/Makefile
ok 'another EXPORT' run_make
ok '... counts' test "$(globals build/lib/libquern-kernel.a)" = \
    'quern_answer quern_null'

sed -i 's,impl.h",other.h",' kernel/main.c
mv kernel/impl.h kernel/other.h
printf '#include "other.h"\n' | put kernel/impl.h
ok 'a header renamed' run_make
printf '#include <quern/quern.h>\n' >kernel/new.h
sed -i 's/^PUBLIC = .*/& new.h/' kernel/Makefile
ok 'a public header added' run_make
ok '... is there' test -e build/include/kernel/quern/new.h
sed -i 's/ new.h$//' kernel/Makefile
rm kernel/new.h
ok 'a public header taken out' run_make
not '... is gone' test -L build/include/kernel/quern/new.h
ok 'nothing to do after all that' idle

ok 'another optimisation' run_make CFLAGS='-O1 -g'
ok '... compiles everything' built 'CC *kernel/main.c' 'CC *bin/tool/tool.c'
ok 'and nothing the second time' idle CFLAGS='-O1 -g'
if command -v clang >/dev/null 2>&1; then
	ok 'another compiler' run_make -j2 CC=clang WERROR=1
	ok '... compiles everything' built 'CC *kernel/main.c' \
	    'LINK *build/bin/tool'
else
	echo 'SKIP: clang absent'
fi
run_make -j2

# --- what must not build ---
sed -i 's/^USES = .*/USES = hypercall/' components/vfs/Makefile
not 'a header of a unit that USES does not name' run_make
sed -i 's/^USES = .*/USES = kernel/' components/vfs/Makefile
echo '#include <stdio.h>' >>kernel/other.h
not 'a header of libc in the kernel' run_make
sed -i '$d' kernel/other.h
sed -i 's/^USES = .*/USES = hypercall ext4/' kernel/Makefile
not 'units in a circle' run_make
ok '... are told' built 'in a circle'
sed -i 's/^USES = .*/USES = hypercal/' kernel/Makefile
not 'an unknown unit' run_make
ok '... is told' built "uses 'hypercal', which is no unit"
sed -i 's/^USES = .*/USES = hypercall/' kernel/Makefile
sed -i 's/return (main_local/int unused; return (main_local/' kernel/main.c
ok 'a warning' run_make
not '... is an error with WERROR=1' run_make WERROR=1
sed -i 's/int unused; //' kernel/main.c
run_make

# --- tests, examples, the rest ---
ok 'test' run_make test
ok '... runs what there is' built 't_kernel *2 passed' 'shell.sh *1 passed' \
    'SKIP: no reason'
ok 'test, one program' run_make test TESTS=t_kernel
not '... and no other' built t_plain
ok 'hello' run_make hello
ok '... prints' built '^42$'
ok 'bench' run_make bench
ok '... writes rows' test "$(cut -f 1 build/bench/base.tsv | xargs)" = \
    'null_call create_destroy_us'
not 'a bench that is not there' run_make bench BENCH=nonesuch
sed -i 's/11\.5/0/' tests/kernel/b_base.c
not 'a bench with a figure of 0' run_make bench BENCH=base
sed -i 's/0\\tns/11.5\\tns/' tests/kernel/b_base.c
ok 'soak' run_make soak
ok '... says its seed' built '^SEED='
ok 'graph' run_make graph
ok '... has the edges' grep -q '"ext4" -> "vfs"' build/graph.dot
ok 'hypercalls' test "$(${MAKE:-make} hypercalls | xargs)" = 'first second'
ok 'help' run_make help
ok 'install' run_make install DESTDIR="$TMPDIR/dest" PREFIX=/p
ok '... of everything' test "$(cd "$TMPDIR/dest/p" && find . -type f | wc -l)" = \
    18
ok 'check-install' run_make check-install

# --- sanitizers ---
# A use after free inside the kernel unit, reached by a test.
put tests/kernel/k_kernel.c <<'EOF'
#include <stdlib.h>

int k_kernel(void);

int
k_kernel(void)
{
	int *volatile p = malloc(sizeof(int));

	free(p);
	return (*p == 12345 ? 2 : 1);
}
EOF
ok 'test without a sanitizer' run_make test TESTS=t_kernel CFLAGS='-O0 -g'
if run_make SANITIZE=address,undefined san-works; then
	not 'test with the address sanitizer' run_make test TESTS=t_kernel \
	    CFLAGS='-O0 -g' SANITIZE=address,undefined
	ok '... finds a use after free' built heap-use-after-free
else
	echo 'SKIP: no address sanitizer'
fi
put tests/kernel/k_kernel.c <<'EOF'
#include <pthread.h>

int k_kernel(void);

static int shared;

static void *
racer(void *arg)
{
	shared++;
	return (arg);
}

int
k_kernel(void)
{
	pthread_t t;

	pthread_create(&t, NULL, racer, NULL);
	shared++;
	pthread_join(t, NULL);
	return (1);
}
EOF
if run_make SANITIZE=thread san-works; then
	not 'test with the thread sanitizer' run_make test TESTS=t_kernel \
	    SANITIZE=thread
	ok '... finds a race' built 'data race'
else
	echo 'SKIP: no thread sanitizer'
fi

ok 'clean' run_make clean
not '... leaves nothing' test -e build
done_testing
