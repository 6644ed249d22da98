/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls that meet others half-way, on both hosts.
 */
#include "tests/kernel/kmain.h"

extern const struct kcase kraces_cases[];

KCASE_TESTS(kraces_cases)

int
main(void)
{
	Suite *s = suite_create("races");

	KCASE_ADD(s, kraces_cases);
	return kmain(s);
}
