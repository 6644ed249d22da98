/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations against the model, and bugs that this must find.
 */
#include "../kernel/kmain.h"
#include "k_model.h"

KCASE_TESTS(kmodel_cases)

START_TEST(planted)
{
	const struct kcase *c = &kmodel_bugs[_i];

	kmust(c->name, ktest_must_find(c->body, 1, c->seeds, c->arg));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("model of address spaces");
	TCase *tc = tcase_create("planted");

	KCASE_ADD(s, kmodel_cases);
	tcase_add_loop_test(tc, planted, 0, kcase_count(kmodel_bugs));
	suite_add_tcase(s, tc);
	return kmain(s);
}
