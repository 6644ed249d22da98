/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers.
 */
#include "kmain.h"

KCASE_TESTS(ktimer_cases)

int
main(void)
{
	Suite *s = suite_create("timer");

	KCASE_ADD(s, ktimer_cases);
	return kmain(s);
}
