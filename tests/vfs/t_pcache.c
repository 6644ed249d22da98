/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page cache on both hosts.
 */
#include "../kernel/kmain.h"

extern const struct kcase kpcache_cases[], kpcache_bugs[];

KCASE_TESTS(kpcache_cases)

/* What breaks the rules is found. */
START_TEST(planted)
{
	const struct kcase *c = &kpcache_bugs[_i];

	kmust(c->name, ktest_must_find(c->body, 1, c->seeds, c->arg));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("page cache");
	TCase *tc = tcase_create("planted");

	KCASE_ADD(s, kpcache_cases);
	tcase_add_loop_test(tc, planted, 0, kcase_count(kpcache_bugs));
	suite_add_tcase(s, tc);
	return kmain(s);
}
