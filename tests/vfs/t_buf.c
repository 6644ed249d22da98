/* SPDX-License-Identifier: BSD-2-Clause */
#include <tests/kernel/kmain.h>

#include "k_buf.h"

KCASE_TESTS(kbuf_cases)

static const char *const calls[] = { "blk_submit", "map" };

/* Each request fails, then each allocation. */
START_TEST(errors)
{
	struct quern_sim_config sc = { .seed = 3, .fail_call = calls[_i] };
	const char *mode = getenv("QUERN_MODE");
	unsigned step = mode != NULL && *mode != '\0' ? 7 : 1;
	uint64_t failed = 1;

	for (sc.fail_n = 1; failed != 0; sc.fail_n += step)
		kmust(calls[_i],
		    ktest_world(kbuf_error, 1, 0, &sc, &failed, NULL));
	ck_assert_uint_gt(sc.fail_n, 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("buf");
	TCase *tc = tcase_create("errors");

	KCASE_ADD(s, kbuf_cases);
	tcase_add_loop_test(tc, errors, 0, 2);
	suite_add_tcase(s, tc);
	return kmain(s);
}
