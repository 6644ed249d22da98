/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces on both hosts.
 */
#include "../kernel/kmain.h"

extern const struct kcase kvm_cases[];

KCASE_TESTS(kvm_cases)

int
main(void)
{
	Suite *s = suite_create("vm");

	KCASE_ADD(s, kvm_cases);
	return kmain(s);
}
