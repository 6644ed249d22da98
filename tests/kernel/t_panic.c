/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panics and what the kernel asserts.
 */
#include "kmain.h"

KCASE_TESTS(kpanic_cases)
KCASE_TESTS(kmisuse_cases)

int
main(void)
{
	Suite *s = suite_create("panic");

	KCASE_ADD(s, kpanic_cases);
	KCASE_ADD(s, kmisuse_cases);
	return kmain(s);
}
