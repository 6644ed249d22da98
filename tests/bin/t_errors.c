/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is wrong is said, with its place and the right exit status; nothing that
 * can be written crashes the console.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runquern.h"

/* ---- command lines -------------------------------------------------------------- */

static const struct usage {
	const char *argv[5]; /* after the program */
	int status;
	const char *says; /* on stderr, or on stdout where status is 0 */
} usages[] = {
	{ { NULL }, 2, "usage: quern COMMAND" },
	{ { "--version" }, 0, "quern 0." },
	{ { "help" }, 0, "call a kernel by hand" },
	{ { "--help" }, 0, "usage: quern COMMAND" },
	{ { "help", "call" }, 0, "usage: quern call" },
	{ { "help", "nonesuch" }, 2, "there is no command 'nonesuch'" },
	{ { "help", "call", "call" }, 2, "usage: quern" },
	{ { "nonesuch" }, 2, "there is no command 'nonesuch'" },
	{ { "call", "--help" }, 0, "usage: quern call" },
	{ { "call", "--nonesuch" }, 2, "unrecognized option '--nonesuch'" },
	{ { "call", "-x" }, 2, "invalid option -- 'x'" },
	{ { "call", "--cpus" }, 2, "requires an argument" },
	{ { "call", "--cpus=many" }, 2, "--cpus: want a number up to 1024" },
	{ { "call", "--cpus=1025" }, 2, "not '1025'" },
	{ { "call", "--cpus=-1" }, 2, "not '-1'" },
	{ { "call", "--cpus=" }, 2, "not ''" },
	{ { "call", "--cpus=1000" }, 1, "EINVAL" },
	{ { "call", "--runners=2" }, 1, "EINVAL" },
	{ { "call", "--ram=1000" }, 1, "EINVAL" },
	{ { "call", "--ram=16MB" }, 2, "--ram: want a number" },
	{ { "call", "--ram=99999999999G" }, 2, "--ram: want a number" },
	{ { "call", "--show=x" }, 2, "--show: want a number" },
	{ { "call", "--sim=" }, 2, "--sim: want a number" },
	{ { "call", "--sim=x" }, 2, "--sim: want a number" },
	{ { "call", "--pct" }, 2, "--pct is for --sim" },
	{ { "call", "--sim=1", "--param=a=b" }, 2, "is for the real host" },
	{ { "call", "--param=a" }, 2, "want NAME=VALUE, not 'a'" },
	{ { "call", "--param==b" }, 2, "want NAME=VALUE, not '=b'" },
	{ { "call", "--with=nonesuch" }, 2,
	    "there is no component 'nonesuch'" },
	{ { "call", "--with=all,," }, 0, "" },
	{ { "call", "--list", "nonesuch" }, 1, "there is no call 'nonesuch'" },
	{ { "call", "--list", "a", "b" }, 2, "--list takes one name" },
	{ { "call", "/nonesuch" }, 1, "/nonesuch: No such file" },
	{ { "call", "/" }, 1, "/:1:1: Is a directory" },
	{ { "call", "-e", "getpid", "-", NULL }, 0, "getpid() = 1" },
	{ { "call", "--param=a=b", "--eval=getpid" }, 0, "getpid() = 1\n" },
	{ { "call", "--ram=16M", "-qe", "getpid" }, 0, "" },
	{ { "call", "--show=2", "-e", "write 0, \"abc\"" }, 0, "\"ab\"..." },
	{ { "call", "--trace", "-e", "getpid" }, 0, "getpid() = 1" },
	{ { "call", "-k", "-e", "expect 1 == 2; expect 1 == 3" }, 1,
	    "-e:1:16: expected 1 == 3, got 1" },
};

START_TEST(usage)
{
	const struct usage *u = &usages[_i];
	const char *argv[RUN_ARGS] = { "" };
	struct run r;
	unsigned i;

	for (i = 0; i < 5 && u->argv[i] != NULL; i++)
		argv[i + 1] = u->argv[i];
	run_quern(&r, argv, "", 0);
	if (r.r_status != u->status ||
	    strstr(u->status == 0 ? r.r_out : r.r_err, u->says) == NULL)
		ck_abort_msg("%s %s: status %d, want %d, saying %s:\n%s%s",
		    argv[1], argv[2] != NULL ? argv[2] : "", r.r_status,
		    u->status, u->says, r.r_out, r.r_err);
	run_free(&r);
}
END_TEST

/* ---- scripts ---------------------------------------------------------------------- */

static const struct bad {
	const char *text;
	const char *says;
} bads[] = {
	/* The text. */
	{ "foo", ":1:1: there is no call or command 'foo'" },
	{ "\n\nfoo(1)", ":3:1: there is no call 'foo'" },
	{ "close(", ":1:7: want a value, but the command ends here" },
	{ "close(1\n\n", ":3:1: want ')', but the command ends here" },
	{ "close(1))", ":1:9: want the end of the command, not ')'" },
	{ "close 1 2", ":1:9: want the end of the command, not '2'" },
	{ "close(1 2)", ":1:9: want ')', not '2'" },
	{ "[1, 2", "want ']'" },
	{ "{a=1", "want '}'" },
	{ "$", ":1:1: $ without a name" },
	{ "$?=1", ":1:1: $? is what the last call returned" },
	{ "\"abc", ":1:1: the quote is not closed" },
	{ "print \"a\nb\"", ":1:7: the quote is not closed" },
	{ "print \"\\q\"", ":1:8: this escape means nothing" },
	{ "print \"\\x4\"", ":1:8: this escape means nothing" },
	{ "print \"\\777\"", ":1:8: this escape means nothing" },
	{ "print ''", "want one character" },
	{ "print 'ab'", "want one character" },
	{ "print 0x", "0x without digits" },
	{ "print 08", "this is no number" },
	{ "print 12abc", "this is no number" },
	{ "print 18446744073709551616", "the number is too large" },
	{ "print 18446744073709551615K", "the number is too large" },
	{ "print \001", "this character has no meaning" },
	{ "print @", "this character has no meaning" },
	{ "print 1 +", "want a value" },
	{ "print $x.", ":1:10: want a member's name" },
	{ "spawn", "want a name for the call" },
	{ "spawn x 1", ":1:9: want a call to spawn" },
	{ "use", "want a name" },
	{ "expect", "want a value" },
	/* Values. */
	{ "$x", ":1:1: $x has no value" },
	{ "$x = $y", ":1:6: $y has no value" },
	{ "print NONESUCH", ":1:7: 'NONESUCH' is the name of no constant" },
	{ "print 1 + \"a\"", "'+' does nothing with a number and a string" },
	{ "print -\"a\"", "want a number, this is a string" },
	{ "print \"a\" * -1", "too long" },
	{ "print \"a\" * 1G", "too long" },
	{ "$a = \"a\" * 64M; print $a + $a", "too long" },
	{ "print [1] * 2M", "too long" },
	{ "print [1, 2][2]", "[2] of 2 elements" },
	{ "print [1, 2][-1]", "[-1] of 2 elements" },
	{ "print \"abc\"[1:9]", "[1:9] of 3 elements" },
	{ "print \"abc\"[2:1]", "[2:1] of 3 elements" },
	{ "print 1[0]", "a number has no elements" },
	{ "print 1[0:1]", "a number has no elements" },
	{ "print 1.a", "a number has no members" },
	{ "print [1].a", "a list has no members" },
	{ "print {a=1}.b", "it has no member 'b'" },
	{ "sleep -1", "want a time" },
	{ "sleep \"x\"", "want a time" },
	/* Arguments. */
	{ "close", ":1:1: fd is missing in close(fd fd) = none" },
	{ "close 1, 2", ":1:10: too many arguments for close" },
	{ "close \"x\"", "want a number for fd, not a string" },
	{ "close [1]", "want a number for fd, not a list" },
	{ "close 0x100000000", "4294967296 does not fit fd, an int" },
	{ "close -0x80000001", "does not fit fd, an int" },
	{ "write 0, 12345678, 1", "want a pointer for buf" },
	{ "write 0, [1]", "want a string for buf, not a list" },
	{ "write 0, $x", "$x has no value" },
	{ "pipe2 $f, O_BOGUS", "'O_BOGUS' is the name of no constant" },
	{ "poll [{x=1}], 1, 0", "struct pollfd has no member 'x'" },
	{ "poll [{1, 2, 3, 4}], 1, 0", "struct pollfd has only 3 members" },
	{ "poll [1], 1, 0", "want a struct pollfd here" },
	{ "poll [{0, 65536}], 1, 0", "65536 does not fit 2 bytes" },
	{ "poll [{\"x\"}], 1, 0", "want a number here, not a string" },
	{ "select 1, [-1]", "can't be in a set" },
	{ "select 1, [\"x\"]", "can't be in a set" },
	{ "select 1, \"x\"", "want a list of numbers" },
	{ "writev 1, \"x\"", "want a list of buffers" },
	{ "writev 1, [[1]]", "is no element of a vector" },
	{ "writev 1, [{1}]", "want {iov_base, iov_len}" },
	{ "writev 1, [{0x12345678, 1}]", "may be an address" },
	{ "writev 1, [{\"x\", 1000000G}]", "there is no memory of" },
	{ "fcntl 0, F_SETLK, {l_type=\"x\"}", "want a number here" },
	{ "read 0, _, 100000G", "there is no memory of" },
	{ "pselect6 0,NULL,NULL,NULL,NULL,{[1]}", "want a string or NULL" },
	{ "setgroups 1, [\"x\"]", "want a number here" },
	/* Expectations. */
	{ "expect 1 == 2", ":1:1: expected 1 == 2, got 1" },
	{ "expect close(9) == 0", "expected close(9) == 0, got -9 (EBADF)" },
	{ "expect close(9)", "expected close(9), got -9 (EBADF)" },
	{ "expect 1 != 1", "expected 1 != 1, got 1" },
	{ "expect 2 < 2", "got 2" },
	{ "expect 2 > 2", "got 2" },
	{ "expect 3 <= 2", "got 3" },
	{ "expect 1 >= 2", "got 1" },
	{ "expect 5 & 3", "got 5" },
	{ "\n\nexpect \"ab\" ==\\\n \"cd\"", ":3:1: expected \"ab\" ==" },
	{ "expect \"a\" == \"a\\0\"", "got \"a\"" },
	{ "expect [1, 2] == [1]", "got [1, 2]" },
	{ "expect {a=1} == {b=1}", "got {a=1}" },
	{ "expect {a={b=1}} == {a={b=2}}", "got {a={b=1}}" },
	{ "expect 1 == \"1\"", "got 1" },
	{ "expect \"a\" < \"b\"", "only numbers can be compared so" },
	{ "expect \"a\"", "only numbers can be compared so" },
	/* Processes and calls beside the script. */
	{ "use x", "there is no process 'x'" },
	{ "x: getpid", "there is no process 'x'" },
	{ "spawn j x: getpid", "there is no process 'x'" },
	{ "spawn j foo(1)", "there is no call 'foo'" },
	{ "spawn j close(\"\")", "want a number for fd" },
	{ "interrupt x", "there is no process 'x'" },
	{ "end main", "'main' ends with the console" },
	{ "proc p; proc p", ":1:14: there is a process 'p' already" },
	{ "fork main", "there is a process 'main' already" },
	{ "join j", "no call 'j' was spawned" },
	{ "spawn j getpid; spawn j getpid", "'j' has not been joined" },
	{ "proc p; spawn j p: getpid; end p", "a call of 'p' is not joined" },
	{ "help nonesuch", "there is no call 'nonesuch'" },
};

static void
fails(const char *text, size_t len, const char *says, const char *option)
{
	const char *argv[] = { "", "call", option, "-", NULL };
	struct run r;

	run_quern(&r, argv, text, len);
	if (r.r_status != 1 || strstr(r.r_err, "<stdin>:") == NULL ||
	    strstr(r.r_err, says) == NULL)
		ck_abort_msg("%.100s: status %d, want: %s\n%.1000s%.1000s",
		    text, r.r_status, says, r.r_out, r.r_err);
	run_free(&r);
}

START_TEST(posix)
{
	fails(bads[_i].text, strlen(bads[_i].text), bads[_i].says, "-q");
}
END_TEST

START_TEST(sim)
{
	fails(bads[_i].text, strlen(bads[_i].text), bads[_i].says, "--sim=1");
}
END_TEST

/* ---- hostile ----------------------------------------------------------------------- */

static void
fails_long(const char *a, const char *b, size_t times, const char *says)
{
	size_t la = strlen(a), lb = strlen(b);
	char *text = malloc(la + lb * times + 1);
	size_t i;

	ck_assert_ptr_nonnull(text);
	memcpy(text, a, la + 1);
	for (i = 0; i < times; i++)
		memcpy(text + la + i * lb, b, lb + 1);
	fails(text, la + lb * times, says, "-q");
	free(text);
}

START_TEST(deep)
{
	static const char *const opens[] = { "[", "(", "{", "-", "~",
		"{a=", "getpid(", "main:", "$x[", "- - ", "[-(", "1+(" };
	unsigned i;

	for (i = 0; i < sizeof(opens) / sizeof(opens[0]); i++)
		fails_long("print ", opens[i], 100000,
		    "levels within each other");
	fails_long("print $x", "[0]", 100000, "too many parts of parts");
	fails_long("print $x", ".a", 100000, "too many parts of parts");
	fails_long("print 1", "+1", 100000, "more than 64 operators");
	fails_long("print [", "\n", 100000, "want a value");
}
END_TEST

START_TEST(large)
{
	static const char zero[] = "get\0pid";
	static char noise[4096];
	uint32_t x = 1;
	unsigned i, round;
	const char *argv[] = { "", "call", "-q", NULL };
	struct run r;

	fails_long("\"", "a", 1 << 20, "the quote is not closed");
	fails_long("", "a", 1 << 20, "there is no call or command 'aaaa");
	fails_long("print [1", ",1", 1100000, "the list is too long");
	fails_long("close ", "1", 1 << 20, "the number is too large");
	fails(zero, sizeof(zero) - 1, "1:4: this character has no meaning",
	    "-q");
	for (round = 0; round < 20; round++) {
		for (i = 0; i < sizeof(noise); i++) {
			x = x * 1664525 + 1013904223;
			noise[i] = (char)(x >> 24);
		}
		run_quern(&r, argv, noise, sizeof(noise));
		ck_assert_int_le(r.r_status, 1);
		run_free(&r);
	}
}
END_TEST

/* A call that can never return: a world knows. */
START_TEST(for_ever)
{
	fails("pipe($f)\nread($f[0])", 20, ":2: the call waits for ever",
	    "--sim=3");
	fails("pipe($f)\nspawn j read($f[0])\njoin j", 35,
	    ":3:1: the call 'j' never ends", "--sim=3");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("errors");
	TCase *tc = tcase_create("errors");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_loop_test(tc, usage, 0, sizeof(usages) / sizeof(usages[0]));
	tcase_add_loop_test(tc, posix, 0, sizeof(bads) / sizeof(bads[0]));
	tcase_add_loop_test(tc, sim, 0, sizeof(bads) / sizeof(bads[0]));
	tcase_add_test(tc, deep);
	tcase_add_test(tc, large);
	tcase_add_test(tc, for_ever);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
