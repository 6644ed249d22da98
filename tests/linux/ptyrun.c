/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "tests/linux/ptyrun.h"

#define PATIENCE_S 30

static void
child(int slave, const char *const *argv)
{
	(void)setsid();
	/* It ends with threads running, as any program may. */
	(void)setenv("TSAN_OPTIONS", "report_thread_leaks=0", 1);
	(void)ioctl(slave, TIOCSCTTY, 0);
	(void)dup2(slave, 0);
	(void)dup2(slave, 1);
	(void)dup2(slave, 2);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

void
pty_start(struct ptyrun *pr, const char *const *argv)
{
	memset(pr, 0, sizeof *pr);
	pr->pr_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(pr->pr_fd, 0);
	ck_assert_int_eq(grantpt(pr->pr_fd), 0);
	ck_assert_int_eq(unlockpt(pr->pr_fd), 0);
	pr->pr_slave = open(ptsname(pr->pr_fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(pr->pr_slave, 0);
	pty_resize(pr, 24, 80);
	pr->pr_pid = fork();
	ck_assert_int_ge(pr->pr_pid, 0);
	if (pr->pr_pid == 0)
		child(pr->pr_slave, argv);
}

void
pty_resize(struct ptyrun *pr, unsigned rows, unsigned cols)
{
	struct winsize ws = { .ws_row = (unsigned short)rows,
		.ws_col = (unsigned short)cols };

	ck_assert_int_eq(ioctl(pr->pr_fd, TIOCSWINSZ, &ws), 0);
}

void
pty_type(struct ptyrun *pr, const char *text)
{
	ck_assert_int_eq(write(pr->pr_fd, text, strlen(text)),
	    (ssize_t)strlen(text));
}

/* Read what there is, waiting up to `ms`. */
static bool
pump(struct ptyrun *pr, int ms)
{
	struct pollfd pfd = { .fd = pr->pr_fd, .events = POLLIN };
	ssize_t n;

	if (poll(&pfd, 1, ms) <= 0)
		return false;
	ck_assert_uint_lt(pr->pr_len, sizeof pr->pr_text - 1);
	n = read(pr->pr_fd, pr->pr_text + pr->pr_len,
	    sizeof pr->pr_text - 1 - pr->pr_len);
	if (n <= 0)
		return false;
	pr->pr_len += (size_t)n;
	pr->pr_text[pr->pr_len] = '\0';
	return true;
}

void
pty_expect(struct ptyrun *pr, const char *text)
{
	time_t until = time(NULL) + PATIENCE_S;
	char *at;

	for (;;) {
		at = strstr(pr->pr_text + pr->pr_seen, text);
		if (at != NULL)
			break;
		if (!pump(pr, 1000) && time(NULL) > until)
			ck_abort_msg("waited for '%s' in:\n%s", text,
			    pr->pr_text + pr->pr_seen);
	}
	pr->pr_seen = (size_t)(at - pr->pr_text) + strlen(text);
}

int
pty_end(struct ptyrun *pr)
{
	time_t until = time(NULL) + PATIENCE_S;
	int status;

	while (waitpid(pr->pr_pid, &status, WNOHANG) == 0) {
		(void)pump(pr, 50);
		if (time(NULL) > until) {
			kill(pr->pr_pid, SIGKILL);
			ck_abort_msg("it does not end; it said:\n%s",
			    pr->pr_text);
		}
	}
	while (pump(pr, 0))
		;
	close(pr->pr_fd);
	close(pr->pr_slave);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}
