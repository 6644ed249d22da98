/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Crashes of the whole driver, and planted bugs that they must find.
 */
#include <components/vfs/ext4/impl.h>
#include <tests/kernel/kmain.h>

#include "k_crash.h"

/* A sanitizer is slow, and finds its own kind of thing in few worlds. */
static unsigned
worlds(unsigned n)
{
	const char *mode = getenv("QUERN_MODE");

	return mode != NULL && *mode != '\0' ? (n + 14) / 15 : n;
}

START_TEST(crashes)
{
	struct kcrash kc = { .kc_ops = 60, .kc_states = 4, .kc_fsck = 150 };

	kmust("crashes", kcrash_explore(1, worlds(140), &kc));
	printf("# %llu states, %llu of them shown to e2fsck, %llu us each\n",
	    (unsigned long long)kc.kc_seen, (unsigned long long)kc.kc_fscks,
	    (unsigned long long)(kc.kc_ns / (kc.kc_seen + 1) / 1000));
	if (getenv("SEED") == NULL && worlds(2) == 2)
		ck_assert_uint_ge(kc.kc_seen, 20000);
}
END_TEST

/* What once went wrong, by the worlds that showed it. */
START_TEST(found_before)
{
	static const uint64_t seeds[] = {
		53,   /* sync ended at a file that was just being made */
		375,  /* fsync missed a part that another thread was writing */
		585,  /* freeing in two transactions forgot the attributes */
		2270, /* a hole at the end kept the size from the disk */
	};
	struct kcrash kc = { .kc_ops = 60, .kc_states = 4 };
	size_t i;

	for (i = 0; i < worlds(sizeof(seeds) / sizeof(seeds[0])); i++)
		kmust("found_before", kcrash_explore(seeds[i], 1, &kc));
}
END_TEST

static const struct {
	const char *name;
	uint32_t bug, jbug;
	/* Where few worlds show it: the first, the image, and the latency. */
	unsigned first;
	const struct kcrash_image *image;
	uint64_t latency;
} bugs[] = {
	{ .name = "no flush before the commit block", .jbug = JDEBUG_NOFLUSH },
	{ .name = "no revocations", .jbug = JDEBUG_NOREVOKE },
	{ .name = "no waiting for ordered data",
	    .jbug = JDEBUG_NOORDER,
	    .first = 1000,
	    .image = &kcrash_images[KCRASH_EXT3],
	    .latency = 500000 },
	{ .name = "no flush before the tail moves", .jbug = JDEBUG_NOCPFLUSH },
	{ .name = "nothing noted as an orphan", .bug = EXT4_DEBUG_NOORPHAN },
	{ .name = "new blocks not unwritten", .bug = EXT4_DEBUG_EARLY },
	{ .name = "a rename in halves", .bug = EXT4_DEBUG_HALVES },
	{ .name = "blocks used before the commit", .bug = EXT4_DEBUG_REUSE },
};

START_TEST(planted)
{
	struct kcrash kc = { .kc_ops = 60,
		.kc_states = 4,
		.kc_image = bugs[_i].image,
		.kc_latency = bugs[_i].latency,
		.kc_debug = bugs[_i].bug,
		.kc_jdebug = bugs[_i].jbug };

	if (getenv("SEED") != NULL)
		return;
	if (kcrash_explore(1 + bugs[_i].first, 400, &kc) == NULL)
		ck_abort_msg("%s: not found", bugs[_i].name);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("crash");
	TCase *tc = tcase_create("crash");

	if (kcrash_make_images() == 0) {
		printf("SKIP: mke2fs is absent\n");
		return EXIT_SUCCESS;
	}
	tcase_set_timeout(tc, 200);
	tcase_add_test(tc, crashes);
	tcase_add_test(tc, found_before);
	tcase_add_loop_test(tc, planted, 0,
	    (int)(sizeof(bugs) / sizeof(bugs[0])));
	suite_add_tcase(s, tc);
	return kmain(s);
}
