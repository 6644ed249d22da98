/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks: on posix, in 10,000 schedules of worlds, and bugs that those find.
 */
#include <string.h>

#include <quern/abi/errno.h>

#include "kmain.h"

KCASE_TESTS(klock_cases)

START_TEST(planted)
{
	const struct kcase *c = &klock_bugs[_i];

	kmust(c->name,
	    ktest_find(c->body, 1, c->seeds, NULL, (const char *)c->arg));
}
END_TEST

/*
 * A kick that is lost.  Not every kick is needed, so only one of those tried
 * must be missed.
 */
START_TEST(lost_kick)
{
	const struct kcase *c = &klock_cases[4]; /* waitq_hands_over */
	struct quern_sim_config sc = { .seed = 1 };
	const char *failure = NULL;

	for (; sc.seed < 20 && failure == NULL; sc.seed++)
		for (sc.lose_kick = 1; sc.lose_kick < 40 && failure == NULL;
		     sc.lose_kick++)
			failure = ktest_world(c->body, 2, 0, &sc, NULL, NULL);
	ck_assert_msg(failure != NULL, "no lost kick was found");
	ck_assert_msg(strstr(failure, "deadlock") != NULL, "%s", failure);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lock");
	TCase *tc = tcase_create("planted");

	KCASE_ADD(s, klock_cases);
	tcase_add_loop_test(tc, planted, 0, kcase_count(klock_bugs));
	tcase_add_test(tc, lost_kick);
	suite_add_tcase(s, tc);
	return kmain(s);
}
