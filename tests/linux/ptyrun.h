/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program on a terminal, typed at.
 */
#ifndef TESTS_LINUX_PTYRUN_H
#define TESTS_LINUX_PTYRUN_H

#include <stddef.h>
#include <sys/types.h>

struct ptyrun {
	pid_t pr_pid;
	int pr_fd;              /* the master */
	int pr_slave;           /* the other end, which is kept open */
	char pr_text[262144];   /* what it has written */
	size_t pr_len, pr_seen; /* and as far as pty_expect has looked */
};

/* Start argv[] in a session of its own with a terminal of 24 by 80. */
void pty_start(struct ptyrun *pr, const char *const *argv);

/* Type. */
void pty_type(struct ptyrun *pr, const char *text);

/*
 * Wait until `text` has been written, behind what was expected before.  Fails
 * the test after half a minute.
 */
void pty_expect(struct ptyrun *pr, const char *text);

/* Another window size. */
void pty_resize(struct ptyrun *pr, unsigned rows, unsigned cols);

/* Wait for its end: its status as of a shell. */
int pty_end(struct ptyrun *pr);

#endif /* TESTS_LINUX_PTYRUN_H */
