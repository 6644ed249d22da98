/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading lines of files, and the signals that reading a terminal has to do
 * with.
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "call.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

#define NSIGNALS (sizeof(signals) / sizeof(signals[0]))

volatile sig_atomic_t ending, interrupted;

char *
read_line(FILE *f, size_t *lenp, bool *too_long)
{
	size_t len = 0, room = 0;
	char *line = NULL;
	int c;

	*too_long = false;
	while ((c = getc_unlocked(f)) != EOF) {
		if (len + 1 >= room) {
			if (len >= PARSE_TEXT_MAX) {
				*too_long = true;
				free(line);
				return NULL;
			}
			room = room != 0 ? 2 * room : 128;
			line = xrealloc(line, room);
		}
		line[len++] = (char)c;
		if (c == '\n')
			break;
	}
	*lenp = len;
	return line;
}

/* Only what may be done while the thread is in a kernel, too. */
static void
on_signal(int sig)
{
	struct quern_proc *p = in_call;

	if (sig == SIGINT)
		interrupted = 1;
	else
		ending = sig;
	if (p != NULL)
		quern_interrupt(p);
}

void
signals_init(void)
{
	/* The thread may be on a kernel's stack, which is not large. */
	static stack_t stack = { .ss_size = 64 * 1024 };
	struct sigaction sa = { .sa_handler = on_signal,
		.sa_flags = SA_ONSTACK };
	struct sigaction old;
	size_t i;

	stack.ss_sp = xmalloc(stack.ss_size);
	if (sigaltstack(&stack, NULL) != 0) {
		free(stack.ss_sp);
		return;
	}
	for (i = 0; i < NSIGNALS; i++)
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &sa, NULL);
}

bool
wait_key(void)
{
	struct pollfd pf = { .fd = STDIN_FILENO, .events = POLLIN };
	sigset_t block, old;
	size_t i;
	int n = 0;

	sigemptyset(&block);
	for (i = 0; i < NSIGNALS; i++)
		sigaddset(&block, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &block, &old);
	/* A signal that comes before the wait begins ends it, too. */
	while (n <= 0 && interrupted == 0 && ending == 0)
		n = ppoll(&pf, 1, NULL, &old);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return n > 0;
}
