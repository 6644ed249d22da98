/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line discipline beside the host's: always the same cases, or that of SEED.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "ldisc.h"

#define CASES 1500

static bool
yes(void)
{
	return true;
}

START_TEST(same_as_host)
{
	const char *one = getenv("SEED");
	uint64_t first = one != NULL ? strtoull(one, NULL, 0) : 1;

	if (!ldisc_compare(first, one != NULL ? 1 : CASES, yes))
		printf("ok # SKIP the host has no ptys\n");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("line discipline");
	TCase *tc = tcase_create("host");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 50);
	tcase_add_test(tc, same_as_host);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
