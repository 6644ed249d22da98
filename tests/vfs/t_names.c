/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The name cache and mounts under contention, on both hosts.
 */
#include "tests/kernel/kmain.h"

extern const struct kcase knames_cases[];

KCASE_TESTS(knames_cases)

int
main(void)
{
	Suite *s = suite_create("names");

	KCASE_ADD(s, knames_cases);
	return kmain(s);
}
