/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fair shares of guest threads.
 */
#include "kmain.h"

KCASE_TESTS(kshare_cases)

int
main(void)
{
	Suite *s = suite_create("share");

	KCASE_ADD(s, kshare_cases);
	return kmain(s);
}
