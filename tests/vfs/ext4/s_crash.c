/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Crashes of ext4 at random, for `make soak`: SEED is the world to run, and
 * WORLDS how many from there on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "k_crash.h"

/* Worlds that have some two million states, in half an hour. */
#define MILLIONS 12000

int
main(void)
{
	struct kcrash kc = { .kc_ops = 60, .kc_states = 4, .kc_fsck = 200 };
	const char *seed = getenv("SEED"), *worlds = getenv("WORLDS");
	uint64_t first = seed != NULL ? strtoull(seed, NULL, 0) : 1;
	const char *failure;

	unsetenv("SEED"); /* which otherwise is the only one */
	if (kcrash_make_images() == 0) {
		printf("SKIP: mke2fs is absent\n");
		return EXIT_SUCCESS;
	}
	printf("SEED=%llu\n", (unsigned long long)first);
	failure = kcrash_explore(first,
	    worlds != NULL ? (unsigned)atoi(worlds) : MILLIONS, &kc);
	printf("# %llu states, %llu more seen before, %llu writes, %llu "
	       "e2fsck, %llu us a state\n",
	    (unsigned long long)kc.kc_seen, (unsigned long long)kc.kc_same,
	    (unsigned long long)kc.kc_writes, (unsigned long long)kc.kc_fscks,
	    (unsigned long long)(kc.kc_ns / (kc.kc_seen + 1) / 1000));
	if (failure != NULL) {
		printf("not ok 1 - %s\n", failure);
		return EXIT_FAILURE;
	}
	printf("ok 1\n");
	return EXIT_SUCCESS;
}
