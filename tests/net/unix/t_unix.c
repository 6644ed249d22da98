/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix sockets between several threads, and what they leave behind.
 */
#include <tests/kernel/kmain.h>

extern const struct kcase kunix_cases[];

KCASE_TESTS(kunix_cases)

int
main(void)
{
	Suite *s = suite_create("unix sockets");

	KCASE_ADD(s, kunix_cases);
	return kmain(s);
}
