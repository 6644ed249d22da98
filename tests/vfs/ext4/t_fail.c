/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each change of a file system, with each allocation and each request to the
 * disk in it failing.
 */
#include <string.h>

#include <components/vfs/ext4/impl.h>
#include <tests/kernel/kmain.h>

#include "k_fail.h"

static unsigned
step(void)
{
	const char *mode = getenv("QUERN_MODE");

	return mode != NULL && *mode != '\0' ? 9 : 1;
}

static void
all(unsigned op, bool disk)
{
	const char *only = getenv("KCASE");
	struct kfail_sums ks = { 0 };
	unsigned i;

	if (only != NULL && strcmp(only, kfail_ops[op]) != 0)
		return;
	for (i = 0; kcrash_images[i].ki_name != NULL; i++)
		kmust(kfail_ops[op],
		    kfail_each(&kcrash_images[i], op, disk, step(), 0, &ks));
	printf("# %s, %s: %llu times done, %llu not done, %llu read-only\n",
	    kfail_ops[op], disk ? "requests" : "allocations",
	    (unsigned long long)ks.ks_done, (unsigned long long)ks.ks_undone,
	    (unsigned long long)ks.ks_rdonly);
	ck_assert_uint_gt(ks.ks_runs, 4);
}

START_TEST(memory)
{
	all((unsigned)_i, false);
}
END_TEST

START_TEST(disk)
{
	all((unsigned)_i, true);
}
END_TEST

/* Whoever commits half of a change is found out. */
START_TEST(planted)
{
	struct kfail_sums ks = { 0 };
	unsigned op;

	for (op = 0; strcmp(kfail_ops[op], "rmdir") != 0; op++)
		continue;
	ck_assert_ptr_nonnull(kfail_each(&kcrash_images[0], op, false, 1,
	    EXT4_DEBUG_NOABORT, &ks));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("failures");
	TCase *tc = tcase_create("failures");
	int n;

	if (kcrash_make_images() == 0) {
		printf("SKIP: mke2fs is absent\n");
		return EXIT_SUCCESS;
	}
	for (n = 0; kfail_ops[n] != NULL; n++)
		continue;
	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, memory, 0, n);
	tcase_add_loop_test(tc, disk, 0, n);
	tcase_add_test(tc, planted);
	suite_add_tcase(s, tc);
	return kmain(s);
}
