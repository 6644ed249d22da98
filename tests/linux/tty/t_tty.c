/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Terminals: ptys, jobs, the console.
 */
#include "ktty.h"
#include <tests/kernel/kmain.h>

KCASE_TESTS(ktty_cases)
KCASE_TESTS(kjob_cases)
KCASE_TESTS(kconsole_cases)

int
main(void)
{
	Suite *s = suite_create("terminals");

	KCASE_ADD(s, ktty_cases);
	KCASE_ADD(s, kjob_cases);
	KCASE_ADD(s, kconsole_cases);
	return kmain(s);
}
