/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vkernel: a guest system of Linux programs, as an ordinary process.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vkernel.h"

static const char *line_end = "\n";

void
vk_line(const char *line)
{
	/* One write: lines of several processes stay whole. */
	fprintf(stderr, "%s%s", line, line_end);
	fflush(stderr);
}

static void
say(const char *fmt, va_list ap)
{
	char line[1024] = "vkernel: ";
	size_t n = strlen(line);

	vsnprintf(line + n, sizeof line - n, fmt, ap);
	vk_line(line);
}

void
vk_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void
vk_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	/* What tools do at exit the kernel process may not do any more. */
	_exit(VK_FAILED);
}

void
vk_raw_lines(void)
{
	line_end = "\r\n";
}

uint64_t
vk_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int
main(int argc, char **argv)
{
	struct vk_options o;

	vk_options(argc, argv, &o);
	return vk_supervise(&o, argv);
}
