# SPDX-License-Identifier: BSD-2-Clause
#
# Sourced by the tests of the build: makes a small tree of made-up units around
# the real Makefile and mk/, in $TMPDIR/tree, and goes there.  Then
#
#	ok WHAT COMMAND...	one test: the command succeeds
#	not WHAT COMMAND...	one test: it fails
#
# and `done_testing` at the end.

# Run by hand, it must not make its tree in the root directory.
: "${TMPDIR:?must be an empty directory}"
tests_failed=0

report() {
	if [ "$1" = 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		sed 's/^/# /' "$TMPDIR/log"
		tests_failed=1
	fi
}

ok() {
	what=$1
	shift
	"$@" >"$TMPDIR/log" 2>&1
	report $? "$what"
}

not() {
	what=$1
	shift
	if "$@" >"$TMPDIR/log" 2>&1; then
		report 1 "$what"
	else
		report 0 "$what"
	fi
}

# Whatever make is run here is no part of the one that runs the tests.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES QUERN_INNER WERROR CFLAGS \
    LDFLAGS SANITIZE TESTS QUICK BUILD BENCH FUZZ V PREFIX DESTDIR

# usage: built PATTERN...: what the last `make` printed has each of them
built() {
	for p; do
		grep -q -- "$p" "$TMPDIR/make.log" || {
			cat "$TMPDIR/make.log"
			return 1
		}
	done
}

run_make() {
	${MAKE:-make} "$@" >"$TMPDIR/make.log" 2>&1 || {
		cat "$TMPDIR/make.log"
		return 1
	}
}

idle() {
	run_make "$@" || return
	! grep -E '^  (CC|LD|AR|AWK|LINK|EXAMPLE) ' "$TMPDIR/make.log"
}

done_testing() {
	exit $tests_failed
}

spdx='/* SPDX-License-Identifier: BSD-2-Clause */'

# usage: put FILE: stdin with the licence line before it
put() {
	mkdir -p "$(dirname "$1")"
	{
		case $1 in
		*Makefile | *.sh | *.def) echo '# SPDX-License-Identifier: BSD-2-Clause' ;;
		*.[chS]) echo "$spdx" ;;
		esac
		cat
	} >"$1"
}

make_units() {
	put hypercall/Makefile <<'EOF'
DESC = the contract
PUBLIC = hypercall.h
EOF
	put hypercall/hypercall.h <<'EOF'
#ifndef HC_H
#define HC_H
struct quern_hyper {
	int version;
	/* Do this. */
	int (*first)(void *ctx, void (*done)(void *));
	/* Do that. */
	void *(*second)(void *ctx, const char *a_name_of_some_length,
	    int another_one_to_fill_the_line);
};
struct quern_upcalls {
	/* Tell. */
	void (*up)(void *ctx);
};
#endif
EOF
	put hypercall/posix/Makefile <<'EOF'
SRCS = posix.c
SRCS_liburing = uring.c
SRCS_NO_nonesuch = nouring.c
SRCS_nonesuch = nonesuch.c
USES = hypercall
EXPORT = quern_posix*
DESC = a process # as a host
PUBLIC = posix.h
EOF
	put hypercall/posix/posix.h <<'EOF'
#ifndef POSIX_H
#define POSIX_H
struct quern_hyper;
/* Return the table. */
const struct quern_hyper *quern_posix(void);
#endif
EOF
	put hypercall/posix/posix.c <<'EOF'
#include <stdlib.h>
#include <quern/hypercall.h>
#include <quern/posix.h>

int nouring(void);

const struct quern_hyper *
quern_posix(void)
{
	return (nouring() ? abort(), NULL : NULL);
}
EOF
	put hypercall/posix/uring.c <<'EOF'
#include <liburing.h>

int uring(void);

int
uring(void)
{
	struct io_uring r;

	return (io_uring_queue_init(1, &r, 0));
}
EOF
	put hypercall/posix/nouring.c <<'EOF'
int nouring(void);

int
nouring(void)
{
	return (0);
}
EOF
	put kernel/Makefile <<'EOF'
SRCS = main.c sub/sub.c low.S
USES = hypercall
EXPORT = quern_*
DESC = the base
PUBLIC = quern.h abi/num.h
SYSCALLS = yes
EOF
	put kernel/quern.h <<'EOF'
#ifndef QUERN_H
#define QUERN_H
#include <quern/abi/num.h>
#include <quern/calls.h>
#ifdef __cplusplus
extern "C" {
#endif
struct quern;
/*
 * Answer.
 */
int quern_answer(struct quern *k);
#ifdef __cplusplus
}
#endif
#endif
EOF
	put kernel/abi/num.h <<'EOF'
#ifndef NUM_H
#define NUM_H
#define QNUM 42
#endif
EOF
	put kernel/impl.h <<'EOF'
#include <quern/hypercall.h>
#include <quern/quern.h>

int main_local(void);
int sub_local(void);
int low_zero(void);
int quern_table(void);
EOF
	put kernel/main.c <<'EOF'
#include "impl.h"

int
main_local(void)
{
	return (QNUM);
}

int
quern_answer(struct quern *k)
{
	(void)k;
	return (main_local() + sub_local() + low_zero() + quern_null() +
	    quern_table());
}
EOF
	put kernel/sub/sub.c <<'EOF'
#include "impl.h"

int
sub_local(void)
{
	return (0);
}
EOF
	put kernel/low.S <<'EOF'
	.text
	.globl	low_zero
	.type	low_zero, @function
low_zero:
	xorl	%eax, %eax
	ret
	.size	low_zero, . - low_zero
	.section .note.GNU-stack, "", @progbits
EOF
	echo '0 kernel null' | put kernel/syscalls.def
	cat >kernel/makesyscalls.awk <<'EOF'
# SPDX-License-Identifier: BSD-2-Clause
/^#/ { next }
$2 == unit && out == "wrappers.c" {
	print "#include \"impl.h\"\n\nint\nquern_" $3 "(void)\n{\n\treturn (" $1 ");\n}"
}
out == "calls.h" { print "#pragma once\n/* Call. */\nint quern_" $3 "(void);" }
out == "table.c" && !n++ {
	print "#include \"impl.h\"\n\nint\nquern_table(void)\n{\n\treturn (0);\n}"
}
EOF
	put components/vfs/Makefile <<'EOF'
SRCS = vfs.c
USES = kernel
EXPORT = qvfs_*
DESC = files
PUBLIC = vfs.h
EOF
	put components/vfs/vfs.h <<'EOF'
#ifndef VFS_H
#define VFS_H
int qvfs_open(void); /* not above */

/* Close. */
int qvfs_close(void);
#endif
EOF
	sed -i '/^int qvfs_open/i /* Open. */' components/vfs/vfs.h
	put components/vfs/vfs.c <<'EOF'
#include <quern/quern.h>
#include <quern/vfs.h>

int
qvfs_open(void)
{
	return (quern_answer(0));
}

int
qvfs_close(void)
{
	return (0);
}
EOF
	put components/vfs/ext4/Makefile <<'EOF'
SRCS = ext4.c
USES = vfs
EXPORT = qext4_*
DESC = ext4
PUBLIC = ext4.h
EOF
	put components/vfs/ext4/ext4.h <<'EOF'
#ifndef EXT4_H
#define EXT4_H
/* Mount. */
int qext4_mount(void);
#endif
EOF
	put components/vfs/ext4/ext4.c <<'EOF'
#include <quern/vfs.h>
#include <quern/ext4.h>

int
qext4_mount(void)
{
	return (qvfs_open());
}
EOF
	put bin/tool/Makefile <<'EOF'
SRCS = tool.c
USES = ext4 host-posix
MAN = tool.1
EOF
	echo '.TH tool 1' >bin/tool/tool.1
	put bin/tool/tool.c <<'EOF'
#include <stdio.h>
#include <quern/ext4.h>
#include <quern/posix.h>

int
main(void)
{
	(void)quern_posix();
	printf("%d\n", qext4_mount());
	return (0);
}
EOF
	put tests/kernel/Makefile <<'EOF'
PROGS = t_kernel t_plain
SRCS_t_kernel = t_kernel.c k_kernel.c
USES = kernel
PKGS = check
SHELL_TESTS = shell.sh
BENCHES = b_base
SOAK = s_long
FUZZERS = f_any
EOF
	put tests/kernel/t_kernel.c <<'EOF'
#include <check.h>
#include <stdlib.h>
#include <kernel/impl.h>

int k_kernel(void);

START_TEST(test_local)
{
	ck_assert_int_eq(main_local(), QNUM);
	ck_assert(k_kernel() == 1);
}
END_TEST

START_TEST(test_answer)
{
	ck_assert_int_eq(quern_answer(NULL), QNUM);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("kernel");
	TCase *tc = tcase_create("all");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, test_local);
	tcase_add_test(tc, test_answer);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return (failed ? EXIT_FAILURE : EXIT_SUCCESS);
}
EOF
	put tests/kernel/k_kernel.c <<'EOF'
int k_kernel(void);

int
k_kernel(void)
{
	return (1);
}
EOF
	put tests/kernel/t_plain.c <<'EOF'
#include <stdio.h>

int
main(void)
{
	printf("SKIP: no reason\n");
	return (0);
}
EOF
	cp tests/kernel/t_plain.c tests/kernel/s_long.c
	put tests/kernel/shell.sh <<'EOF'
echo 'ok - shell'
EOF
	put tests/kernel/b_base.c <<'EOF'
#include <stdio.h>

int
main(int argc, char **argv)
{
	FILE *f = fopen(argv[argc - 1], "w");

	if (f == NULL)
		return (1);
	fprintf(f, "null_call\t11.5\tns\tgetppid\t107\t0.107\n");
	fprintf(f, "create_destroy_us\t400\tus\t-\t-\t-\n");
	return (fclose(f));
}
EOF
	put tests/kernel/f_any.c <<'EOF'
#include <stddef.h>
#include <stdint.h>
#include <kernel/impl.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return (size > 3 && data[0] == 'x' && quern_answer(0) == 0);
}
EOF
	put examples/hello/Makefile <<'EOF'
SRCS = hello.c
USES = kernel host-posix
EOF
	put examples/hello/run.sh <<'EOF'
"$1"
EOF
	put examples/hello/hello.c <<'EOF'
#include <stdio.h>
#include <quern/quern.h>
#include <quern/posix.h>

int
main(void)
{
	(void)quern_posix();
	printf("%d\n", quern_answer(NULL));
	return (0);
}
EOF
}

make_tree() {
	top=${QUERN_TOP:-$(pwd)}
	mkdir "$TMPDIR/tree" || exit 1
	cp -r "$top/Makefile" "$top/mk" "$top/.clang-format" "$TMPDIR/tree"
	cd "$TMPDIR/tree" || exit 1
	make_units
}
