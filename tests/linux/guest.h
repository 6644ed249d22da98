/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What guest test programs have in common.
 *
 * Such a program is run on the host's kernel and as a guest, and must print the
 * same both times.  So it prints what both must agree on - results, errors, who
 * was told what - and no numbers of processes, addresses or times.
 */
#ifndef TESTS_LINUX_GUEST_H
#define TESTS_LINUX_GUEST_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* One line, at once: children print too. */
__attribute__((format(printf, 1, 2))) static inline void
say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	line[n++] = '\n';
	if (write(1, line, (size_t)n) != n)
		abort();
}

/* A call's result: the number if it is one that both agree on, or the error. */
#define RESULT(expr)                                                \
	do {                                                        \
		long res_;                                          \
		errno = 0;                                          \
		res_ = (long)(expr);                                \
		if (res_ == -1)                                     \
			say("%s: %s = %s", __func__, #expr,         \
			    strerrorname_np(errno));                \
		else                                                \
			say("%s: %s = %ld", __func__, #expr, res_); \
	} while (0)

/* The same where only success or the error counts. */
#define OK(expr)                                            \
	do {                                                \
		errno = 0;                                  \
		if ((long)(expr) == -1)                     \
			say("%s: %s: %s", __func__, #expr,  \
			    strerrorname_np(errno));        \
		else                                        \
			say("%s: %s: ok", __func__, #expr); \
	} while (0)

/* What must be so. */
#define TRUE(expr) say("%s: %s: %s", __func__, #expr, (expr) ? "yes" : "NO")

/* Have whoever reads go on; without a word, as it may print first. */
static inline void
put(int fd)
{
	if (write(fd, "x", 1) != 1)
		abort();
}

#endif /* TESTS_LINUX_GUEST_H */
