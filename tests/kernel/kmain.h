/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the t_*.c share: libcheck around tables of cases.
 *
 * CK_RUN_CASE=sim KCASE=name SEED=n build/tests/kernel/t_lock runs one case in
 * the world that a failure named; KTRACE=n shows its last n decisions, and
 * CK_FORK=no is for a debugger.
 */
#ifndef TESTS_KMAIN_H
#define TESTS_KMAIN_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "ktest.h"

/* Fail the test with a message of ktest.h's, unless it is NULL. */
static inline void
kmust(const char *name, const char *failure)
{
	if (failure != NULL)
		ck_abort_msg("%s: %s", name, failure);
}

/* Two loop tests, over the cases of `table` on posix and in worlds. */
#define KCASE_TESTS(table)                                          \
	START_TEST(table##_posix)                                   \
	{                                                           \
		kmust((table)[_i].name, kcase_posix(&(table)[_i])); \
	}                                                           \
	END_TEST                                                    \
	START_TEST(table##_sim)                                     \
	{                                                           \
		kmust((table)[_i].name, kcase_sim(&(table)[_i]));   \
	}                                                           \
	END_TEST

/* Add them to a suite, as its cases "posix" and "sim". */
#define KCASE_ADD(suite, table)                                               \
	do {                                                                  \
		TCase *tc_ = tcase_create("posix");                           \
		tcase_add_loop_test(tc_, table##_posix, 0,                    \
		    kcase_count(table));                                      \
		suite_add_tcase((suite), tc_);                                \
		tc_ = tcase_create("sim");                                    \
		tcase_add_loop_test(tc_, table##_sim, 0, kcase_count(table)); \
		suite_add_tcase((suite), tc_);                                \
	} while (0)

/* Run a suite; main's result. */
static inline int
kmain(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif /* TESTS_KMAIN_H */
