/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The line discipline beside the host's, ever new cases, for SECONDS seconds.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ldisc.h"

#define SECONDS 60

static time_t end;

static bool
in_time(void)
{
	return time(NULL) < end;
}

START_TEST(same_as_host)
{
	const char *seed = getenv("SEED");
	uint64_t first = (seed != NULL ? strtoull(seed, NULL, 0) : 1) * 1000003;

	end = time(NULL) + SECONDS;
	printf("from case %llu on\n", (unsigned long long)first);
	if (!ldisc_compare(first, UINT64_MAX, in_time))
		printf("ok # SKIP the host has no ptys\n");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("line discipline, random");
	TCase *tc = tcase_create("host");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 4 * SECONDS);
	tcase_add_test(tc, same_as_host);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
