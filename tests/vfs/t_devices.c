/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices, fifos and what moves through them, on both hosts.
 */
#include "tests/kernel/kmain.h"

extern const struct kcase kdevices_cases[];

KCASE_TESTS(kdevices_cases)

int
main(void)
{
	Suite *s = suite_create("devices");

	KCASE_ADD(s, kdevices_cases);
	return kmain(s);
}
