/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scripts that must succeed: on this host, in worlds, without privileges; and
 * each world the same the second time.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <quern/syscall.h>

#include "runquern.h"

static const char *const scripts[] = { "pipe", "wait", "ids" };

#define NSCRIPTS ((int)(sizeof(scripts) / sizeof(scripts[0])))

static const char *
script(int i)
{
	char rest[64];

	snprintf(rest, sizeof(rest), "tests/bin/scripts/%s.q", scripts[i]);
	return in_top(rest);
}

static void
must_succeed(const struct run *r, const char *what)
{
	if (r->r_status != 0 || *r->r_err != '\0')
		ck_abort_msg("%s: status %d: %s\n%s", what, r->r_status,
		    r->r_err, r->r_out);
}

START_TEST(posix)
{
	static const char *const shapes[][3] = { { "--cpus=1", "--runners=0" },
		{ "--cpus=2", "--runners=1" }, { "--cpus=4", "--runners=4" } };
	const char *argv[] = { "", "call", NULL, NULL, NULL, NULL };
	struct run r;
	unsigned i;

	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		argv[2] = shapes[i][0];
		argv[3] = shapes[i][1];
		argv[4] = script(_i);
		run_quern(&r, argv, "", 0);
		must_succeed(&r, scripts[_i]);
		ck_assert_str_ne(r.r_out, "");
		run_free(&r);
	}
}
END_TEST

START_TEST(sim)
{
	const char *argv[] = { "", "call", NULL, NULL, "--runners=1", NULL,
		"--quiet", NULL };
	struct run r, again;
	char seed[32];
	int i;

	for (i = 0; i < 12; i++) {
		snprintf(seed, sizeof(seed), "--sim=%d", i);
		argv[2] = seed;
		argv[3] = i % 2 == 0 ? "--cpus=1" : "--cpus=3";
		argv[5] = script(_i);
		argv[6] = i % 3 == 0 ? "--pct" : "--keep-going";
		run_quern(&r, argv, "", 0);
		must_succeed(&r, seed);
		run_quern(&again, argv, "", 0);
		must_succeed(&again, seed);
		ck_assert_str_eq(r.r_out, again.r_out);
		run_free(&r);
		run_free(&again);
	}
}
END_TEST

/* As nobody, from a file that nobody can read otherwise than on stdin. */
START_TEST(unprivileged)
{
	static char command[2048];

	if (geteuid() != 0 || system("setpriv --version >/dev/null 2>&1") != 0)
		return;
	snprintf(command, sizeof(command),
	    "setpriv --reuid=65534 --regid=65534 --clear-groups %s call -q "
	    "<%s >/dev/null 2>&1 || test ! -x %s",
	    quern_path(), script(_i), quern_path());
	/* The tree may be where nobody can look: then there is nothing to do. */
	if (system("setpriv --reuid=65534 --regid=65534 --clear-groups "
		   "test -x . 2>/dev/null") != 0)
		return;
	ck_assert_int_eq(system(command), 0);
}
END_TEST

/* Everything is read from standard input, too; and what is printed is right. */
START_TEST(standard_input)
{
	static const char text[] =
	    "$a = 1|2 # three\n"
	    "print $a\n"
	    "pipe2(_, O_CLOEXEC); close(0)\n"
	    "write(1,\n  \"a\\tb\\x7f\\\"\\\\\", # a comment\n  4)\n"
	    "print [1, {x=2, y=\"s\"}, NULL, \"ab\"[1]]\n"
	    "clock_nanosleep CLOCK_MONOTONIC, \\\n TIMER_ABSTIME, {0, 5}\n"
	    "proc p2\np2: getpid\n"
	    "print \"ab\" * 2 + \"c\"\n"
	    "[1] + [2]\n"
	    "exit\nno such thing";
	static const char want[] =
	    "3\n"
	    "pipe2([0, 1], O_CLOEXEC) = 0\n"
	    "close(0) = 0\n"
	    "write(1, \"a\\tb\\x7f\", 4) = -1 EPIPE\n"
	    "[1, {x=2, y=\"s\"}, NULL, 98]\n"
	    "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=0, "
	    "tv_nsec=5}, NULL) = 0\n"
	    "p2: getpid() = 2\n"
	    "\"ababc\"\n"
	    "[1, 2]\n";
	const char *argv[] = { "", "call", NULL };
	struct run r;

	run_quern(&r, argv, text, sizeof(text) - 1);
	must_succeed(&r, "stdin");
	ck_assert_str_eq(r.r_out, want);
	run_free(&r);
}
END_TEST

/* Every call of the table can be made, with nothing but its defaults. */
START_TEST(every_call)
{
	const char *argv[] = { "", "call", "--sim=1", "-k", "--with=all",
		NULL };
	static char text[65536];
	const struct qsys_desc *d;
	unsigned nr, i, calls = 0, lines = 0;
	size_t len = 0;
	struct run r;
	char *s;

	for (nr = 0; nr < QSYS_MAX; nr++) {
		d = &qsys_descs[nr];
		/* Of no unit, or for guests. */
		if (d->d_name == NULL || (d->d_flags & QSYS_GUEST) != 0 ||
		    d->d_ret == QARG_NONE)
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s(",
		    d->d_name);
		for (i = 0; i < d->d_nargs; i++)
			if (d->d_args[i].a_kind != QARG_HOLE)
				len += (size_t)snprintf(text + len,
				    sizeof(text) - len, "%s_",
				    i > 0 ? "," : "");
		len += (size_t)snprintf(text + len, sizeof(text) - len, ")\n");
		calls++;
	}
	ck_assert_uint_gt(calls, 50);
	run_quern(&r, argv, text, len);
	must_succeed(&r, "every call");
	for (s = r.r_out; *s != '\0'; s++)
		lines += *s == '\n';
	ck_assert_uint_eq(lines, calls);
	ck_assert_ptr_null(strstr(r.r_out, "ENOSYS"));
	run_free(&r);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("script");
	TCase *tc = tcase_create("script");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, posix, 0, NSCRIPTS);
	tcase_add_loop_test(tc, sim, 0, NSCRIPTS);
	tcase_add_loop_test(tc, unprivileged, 0, NSCRIPTS);
	tcase_add_test(tc, standard_input);
	tcase_add_test(tc, every_call);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
