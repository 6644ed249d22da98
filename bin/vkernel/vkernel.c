/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vkernel: a guest system of Linux programs in a process.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "vkernel.h"

void
vk_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("vkernel: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(VK_USAGE);
}

int
main(int argc, char **argv)
{
	struct vk_options o;

	vk_options(argc, argv, &o);
	return vk_boot(&o);
}
