/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads in one address space, on both hosts.
 */
#include "../kernel/kmain.h"

extern const struct kcase kvmrace_cases[], kvmrace_bugs[];

KCASE_TESTS(kvmrace_cases)

/* What breaks the rules is found. */
START_TEST(planted)
{
	const struct kcase *c = &kvmrace_bugs[_i];

	kmust(c->name, ktest_must_find(c->body, 1, c->seeds, c->arg));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("threads in address spaces");
	TCase *tc = tcase_create("planted");

	KCASE_ADD(s, kvmrace_cases);
	tcase_add_loop_test(tc, planted, 0, kcase_count(kvmrace_bugs));
	suite_add_tcase(s, tc);
	return kmain(s);
}
