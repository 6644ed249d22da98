/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * procfs without guests: what is there while processes come and go.
 */
#include <tests/kernel/kmain.h>

extern const struct kcase kprocfs_cases[];

KCASE_TESTS(kprocfs_cases)

int
main(void)
{
	Suite *s = suite_create("procfs");

	KCASE_ADD(s, kprocfs_cases);
	return kmain(s);
}
