/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes.
 */
#include "kcalls.h"
#include <tests/kernel/kmain.h>

KCASE_TESTS(kpipe_cases)

int
main(void)
{
	Suite *s = suite_create("pipe");

	KCASE_ADD(s, kpipe_cases);
	return kmain(s);
}
