/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal: threads, crashes, planted bugs, and what other tools write.
 */
#include <string.h>

#include <components/vfs/ext4/jimpl.h>
#include <tests/kernel/kmain.h>

#include "k_journal.h"

KCASE_TESTS(kjournal_cases)

/* Worlds to try: a sanitizer is slow, and finds its own kind of thing in few. */
static unsigned
worlds(unsigned n)
{
	const char *mode = getenv("QUERN_MODE");

	return mode != NULL && *mode != '\0' ? (n + 9) / 10 : n;
}

#define SHORT                                          \
	{                                              \
		.ops = 20, .writes = 120, .states = 60 \
	}
#define LONG                                          \
	{                                             \
		.ops = 60, .writes = 400, .states = 4 \
	}

START_TEST(crashes)
{
	struct kjournal_crash few = SHORT, many = LONG;

	kmust("crashes", ktest_explore(kjournal_crash, 1, worlds(400), &few));
	kmust("crashes",
	    ktest_explore(kjournal_crash, 1000, worlds(300), &many));
	/* Nobody waited for a request of a vCPU given away with other work. */
	kmust("crashes", ktest_explore(kjournal_crash, 779084, 1, &few));
	kmust("crashes", ktest_explore(kjournal_crash, 779084, 1, &many));
}
END_TEST

static const char *const calls[] = { "blk_submit", "map" };

/* Each request fails, then each allocation. */
START_TEST(errors)
{
	struct quern_sim_config sc = { .fail_call = calls[_i] };
	unsigned step = worlds(10) < 10 ? 7 : 1;
	uint64_t failed = 1;

	for (sc.fail_n = 1; failed != 0; sc.fail_n += step) {
		sc.seed = 2 + sc.fail_n % 2;
		kmust(calls[_i],
		    ktest_world(kjournal_error, 2, 1, &sc, &failed, NULL));
	}
	ck_assert_uint_gt(sc.fail_n, 10);
}
END_TEST

/* Every write of one run, every state. */
START_TEST(every_write)
{
	struct kjournal_crash kc = { .ops = 8, .states = 300 };

	for (kc.cut = 1; kc.cut <= worlds(60); kc.cut++)
		kmust("every_write", ktest_explore(kjournal_crash, 6, 1, &kc));
}
END_TEST

static const struct {
	const char *name;
	uint32_t bug;
	unsigned worlds;
	struct kjournal_crash kc;
} bugs[] = {
	{ "no flush before the commit block", JDEBUG_NOFLUSH, 60, SHORT },
	{ "no revocations", JDEBUG_NOREVOKE, 600, LONG },
	{ "no waiting for ordered data", JDEBUG_NOORDER, 60, SHORT },
	{ "no copies while a transaction commits", JDEBUG_NOFROZEN, 200,
	    SHORT },
	{ "no flush before the tail moves", JDEBUG_NOCPFLUSH, 200, SHORT },
	{ "in place before the commit", JDEBUG_NOHELD, 200, SHORT },
};

START_TEST(planted)
{
	struct kjournal_crash kc = bugs[_i].kc;

	kc.debug = bugs[_i].bug;
	if (getenv("SEED") != NULL)
		return;
	kmust(bugs[_i].name,
	    ktest_must_find(kjournal_crash, 1, bugs[_i].worlds, &kc));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("journal");
	TCase *tc = tcase_create("crash");

	KCASE_ADD(s, kjournal_cases);
	tcase_set_timeout(tc, 200);
	tcase_add_test(tc, crashes);
	tcase_add_test(tc, every_write);
	tcase_add_loop_test(tc, errors, 0, 2);
	tcase_add_loop_test(tc, planted, 0,
	    (int)(sizeof(bugs) / sizeof(bugs[0])));
	suite_add_tcase(s, tc);
	return kmain(s);
}
