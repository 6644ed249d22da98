/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vDSO's pages; its functions are run by tests/linux/g_vdso.
 */
#include "tests/kernel/kmain.h"

extern const struct kcase kvdso_cases[];

KCASE_TESTS(kvdso_cases)

int
main(void)
{
	Suite *s = suite_create("vdso");

	KCASE_ADD(s, kvdso_cases);
	return kmain(s);
}
