/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler: clients, vCPUs, host threads.
 */
#include "kmain.h"

KCASE_TESTS(ksched_cases)

/* In some schedule a client's call is gone on with by another host thread. */
START_TEST(foreign_host)
{
	const struct kcase *c = &ksched_cases[0]; /* token_ring */
	uint32_t foreign = 0;
	unsigned seed;

	for (seed = 1; seed < 200 && !foreign; seed++)
		kmust(c->name,
		    ktest_sim(c->body, 1 + seed % 3, 0, seed,
			seed % 2 == 0 ? QUERN_SIM_RANDOM : QUERN_SIM_PCT,
			&foreign));
	ck_assert_uint_ne(foreign, 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sched");
	TCase *tc = tcase_create("seldom");

	KCASE_ADD(s, ksched_cases);
	tcase_add_test(tc, foreign_host);
	suite_add_tcase(s, tc);
	return kmain(s);
}
