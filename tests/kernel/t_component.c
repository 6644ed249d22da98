/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Components.
 */
#include "kmain.h"

KCASE_TESTS(kcomponent_cases)

int
main(void)
{
	Suite *s = suite_create("component");

	KCASE_ADD(s, kcomponent_cases);
	return kmain(s);
}
