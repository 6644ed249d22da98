/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll and select.
 */
#include "kcalls.h"
#include <tests/kernel/kmain.h>

KCASE_TESTS(kpoll_cases)

int
main(void)
{
	Suite *s = suite_create("poll");

	KCASE_ADD(s, kpoll_cases);
	return kmain(s);
}
