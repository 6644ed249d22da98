/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rwlock, seqlock, epochs and work queues on both hosts, and bugs to be found.
 */
#include "kmain.h"

extern const struct kcase ksync_cases[], ksync_bugs[];

KCASE_TESTS(ksync_cases)

START_TEST(planted)
{
	const struct kcase *c = &ksync_bugs[_i];

	kmust(c->name,
	    ktest_find(c->body, 1, c->seeds, NULL, (const char *)c->arg));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sync");
	TCase *tc = tcase_create("planted");

	KCASE_ADD(s, ksync_cases);
	tcase_add_loop_test(tc, planted, 0, kcase_count(ksync_bugs));
	suite_add_tcase(s, tc);
	return kmain(s);
}
