/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The console at a terminal: a pseudo terminal, on which this program types.
 *
 * What is typed next waits for what was printed before, never for time; where
 * it can't be seen whether a call blocks yet, Ctrl-C is typed until it does.
 */
#include <sys/wait.h>
#include <check.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "runquern.h"

/* Is the program linked with libedit? */
static bool
has_libedit(void)
{
	static char command[1200];

	snprintf(command, sizeof(command), "grep -q 'libedit\\.so' %s",
	    quern_path());
	return system(command) == 0;
}

/* A console and what it has printed. */
struct tty {
	int y_master, y_slave;
	pid_t y_pid;
	struct termios y_before;
	char y_text[65536];
	size_t y_len, y_seen; /* all; what `see` has gone past */
};

static void
start(struct tty *y, const char *option)
{
	memset(y, 0, sizeof(*y));
	ck_assert_int_eq(openpty(&y->y_master, &y->y_slave, NULL, NULL, NULL),
	    0);
	ck_assert_int_eq(tcgetattr(y->y_slave, &y->y_before), 0);
	y->y_pid = fork();
	ck_assert_int_ge(y->y_pid, 0);
	if (y->y_pid == 0) {
		close(y->y_master);
		(void)login_tty(y->y_slave);
		setenv("TERM", "vt100", 1);
		execl(quern_path(), "quern", "call", option, (char *)NULL);
		_exit(127);
	}
}

static void
type(struct tty *y, const char *keys)
{
	ck_assert_int_eq(write(y->y_master, keys, strlen(keys)),
	    (ssize_t)strlen(keys));
}

/* Read what there is within `ms`; false: nothing. */
static bool
more(struct tty *y, int ms)
{
	struct pollfd pf = { .fd = y->y_master, .events = POLLIN };
	const char *s;
	ssize_t n;

	if (poll(&pf, 1, ms) <= 0)
		return false;
	n = read(y->y_master, y->y_text + y->y_len,
	    sizeof(y->y_text) - 1 - y->y_len);
	if (n <= 0)
		return false;
	/* Some terminals are sent bytes of 0 to take their time. */
	for (s = y->y_text + y->y_len; n-- > 0; s++)
		if (*s != '\0')
			y->y_text[y->y_len++] = *s;
	y->y_text[y->y_len] = '\0';
	return true;
}

/* Is `want` there behind what was seen?  Then that is seen, too. */
static bool
seen(struct tty *y, const char *want)
{
	const char *s = strstr(y->y_text + y->y_seen, want);

	if (s == NULL)
		return false;
	y->y_seen = (size_t)(s - y->y_text) + strlen(want);
	return true;
}

static void
see(struct tty *y, const char *want)
{
	while (!seen(y, want))
		if (!more(y, 20000))
			ck_abort_msg("'%s' did not come; but: %.1000s", want,
			    y->y_text + y->y_seen);
}

/*
 * Until keys are read one by one: libedit shows its prompt before that, and
 * until then Ctrl-D and other keys mean something to the terminal.
 */
static void
keys(struct tty *y)
{
	struct termios t;

	do {
		(void)more(y, 1);
		ck_assert_int_eq(tcgetattr(y->y_slave, &t), 0);
	} while (has_libedit() && (t.c_lflag & ICANON) != 0);
}

/*
 * Have all that was typed be read, by what is printed: an echo may be the
 * terminal's, and Ctrl-C drops what has not been read.  Leaves it at a prompt.
 */
static void
settle(struct tty *y)
{
	type(y, "print 4242\n");
	see(y, "\n4242\r\n");
	see(y, "quern> ");
}

/* Ctrl-C until `want` is there: it may come before the call that it is for. */
static void
interrupt_until(struct tty *y, const char *want)
{
	int i;

	for (i = 0; !seen(y, want); i++) {
		if (i == 400)
			ck_abort_msg("'%s' did not come; but: %.1000s", want,
			    y->y_text + y->y_seen);
		type(y, "\003");
		while (more(y, 50))
			continue;
	}
}

/* The wait status; the terminal must be as it was. */
static int
finish(struct tty *y)
{
	struct termios after;
	int status;

	/* It can't end before what it printed is read. */
	while (waitpid(y->y_pid, &status, WNOHANG) == 0)
		(void)more(y, 20);
	ck_assert_int_eq(tcgetattr(y->y_slave, &after), 0);
	ck_assert_uint_eq(after.c_lflag, y->y_before.c_lflag);
	ck_assert_uint_eq(after.c_iflag, y->y_before.c_iflag);
	ck_assert_uint_eq(after.c_oflag, y->y_before.c_oflag);
	ck_assert_uint_eq(after.c_cflag, y->y_before.c_cflag);
	ck_assert_mem_eq(after.c_cc, y->y_before.c_cc, sizeof(after.c_cc));
	close(y->y_master);
	close(y->y_slave);
	return status;
}

static struct tty tty;

START_TEST(lines)
{
	struct tty *y = &tty;

	start(y, "--cpus=2");
	see(y, "quern> ");
	type(y, "getpid\n");
	see(y, "getpid() = 1");
	see(y, "quern> ");
	type(y, "close(\n");
	see(y, "quern... ");
	type(y, "9)\n");
	see(y, "close(9) = -1 EBADF");
	see(y, "quern> ");
	/* Mistakes end nothing, and say where they are. */
	type(y, "close(,)\n");
	see(y, "tty:4:7: want a value, not ','");
	see(y, "quern> ");
	type(y, "expect 1 == 2\n");
	see(y, "expected 1 == 2, got 1");
	see(y, "quern> ");
	type(y, "proc p2; use p2\n");
	see(y, "p2> ");
	type(y, "help close\n");
	see(y, "close(fd fd) = none");
	see(y, "p2> ");
	type(y, "help\n");
	see(y, "interrupt");
	see(y, "p2> ");
	keys(y);
	type(y, "\004");
	ck_assert_int_eq(finish(y), 0);
}
END_TEST

START_TEST(simulated)
{
	struct tty *y = &tty;

	start(y, "--sim=1");
	see(y, "quern> ");
	type(y, "nanosleep({1000000, 0})\n");
	see(y, "= 0");
	see(y, "quern> ");
	type(y, "exit\n");
	ck_assert_int_eq(finish(y), 0);
}
END_TEST

START_TEST(interrupts)
{
	struct tty *y = &tty;

	start(y, _i == 0 ? "--cpus=1" : "--runners=1");
	see(y, "quern> ");
	type(y, "pipe($f)\n");
	see(y, "pipe([0, 1]) = 0");
	see(y, "quern> ");
	type(y, "print 77; read($f[0])\n");
	see(y, "\n77\r\n");
	interrupt_until(y, "read(0, ..., 4096) = -1 EINTR");
	settle(y);
	/* A call beside the script is interrupted while it is waited for. */
	type(y, "spawn j read($f[0]); print 78; join j\n");
	see(y, "\n78\r\n");
	interrupt_until(y, "= -1 EINTR");
	settle(y);
	type(y, "print 79; sleep 1000s\n");
	see(y, "\n79\r\n");
	interrupt_until(y, "interrupted");
	settle(y);
	/* A line that was begun is dropped; nothing is left of it all. */
	type(y, "write($f[1], ");
	see(y, "write($f[1], ");
	interrupt_until(y, "quern> ");
	settle(y);
	type(y, "write($f[1], \"abc\"); read($f[0])\n");
	see(y, "\"abc\", 4096) = 3");
	see(y, "quern> ");
	/* At the end somebody still waits. */
	type(y, "spawn k read($f[0])\n");
	see(y, "quern> ");
	type(y, "exit\n");
	ck_assert_int_eq(finish(y), 0);
}
END_TEST

START_TEST(editing)
{
	struct tty *y = &tty;

	if (!has_libedit()) {
		puts("SKIP: libedit absent");
		return;
	}
	start(y, "--cpus=1");
	see(y, "quern> ");
	keys(y);
	type(y, "getpi\t\n");
	see(y, "getpid() = 1");
	see(y, "quern> ");
	keys(y);
	type(y, "print O_NONB\t\n");
	see(y, "\n2048");
	see(y, "quern> ");
	/* Several that it could be. */
	keys(y);
	type(y, "epoll_pw\t");
	see(y, "ait");
	type(y, "\t");
	see(y, "epoll_pwait2");
	/* Away with the line; the one before last again; one character less. */
	type(y, "\025\020\020\n");
	see(y, "getpid() = 1");
	see(y, "quern> ");
	keys(y);
	type(y, "print 777\010\n");
	see(y, "\n77\r\n");
	see(y, "quern> ");
	keys(y);
	type(y, "\004");
	ck_assert_int_eq(finish(y), 0);
}
END_TEST

/* Killed at the prompt, and in a call: the terminal is as it was. */
START_TEST(killed)
{
	struct tty *y = &tty;
	int status;

	start(y, "--cpus=1");
	see(y, "quern> ");
	if (_i == 1) {
		type(y, "pipe($f); read($f[0])\n");
		see(y, "pipe([0, 1]) = 0");
	}
	ck_assert_int_eq(kill(y->y_pid, SIGTERM), 0);
	status = finish(y);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGTERM);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("tty");
	TCase *tc = tcase_create("tty");
	SRunner *sr = srunner_create(s);
	int failed;

	suite_add_tcase(s, tc);
	tcase_add_test(tc, lines);
	tcase_add_test(tc, simulated);
	tcase_add_loop_test(tc, interrupts, 0, 2);
	tcase_add_test(tc, editing);
	tcase_add_loop_test(tc, killed, 0, 2);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
