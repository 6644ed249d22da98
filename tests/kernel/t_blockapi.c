/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks as an embedder uses them.
 */
#include "kmain.h"

extern const struct kcase kblockapi_cases[];

KCASE_TESTS(kblockapi_cases)

int
main(void)
{
	Suite *s = suite_create("blockapi");

	KCASE_ADD(s, kblockapi_cases);
	return kmain(s);
}
