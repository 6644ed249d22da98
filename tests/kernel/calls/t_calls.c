/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors, processes, time, calls by number, the trace.
 */
#include <tests/kernel/kmain.h>

#include "kcalls.h"

KCASE_TESTS(kfd_cases)
KCASE_TESTS(kcalls_cases)
KCASE_TESTS(kfile_cases)

int
main(void)
{
	Suite *s = suite_create("calls");

	KCASE_ADD(s, kfd_cases);
	KCASE_ADD(s, kcalls_cases);
	KCASE_ADD(s, kfile_cases);
	return kmain(s);
}
