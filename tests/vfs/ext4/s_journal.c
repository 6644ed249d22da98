/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Crashes of the journal at random, for `make soak`: SEED is the first world's.
 */
#include <stdio.h>
#include <stdlib.h>

#include "k_journal.h"

#define WORLDS 4000u

int
main(void)
{
	static struct kjournal_crash kc[] = {
		{ .ops = 20, .writes = 120, .states = 100 },
		{ .ops = 60, .writes = 400, .states = 10 },
		{ .ops = 200, .writes = 1500, .states = 4 },
	};
	const char *seed = getenv("SEED"), *failure;
	uint64_t first = seed != NULL ? strtoull(seed, NULL, 0) : 1;
	unsigned i;

	unsetenv("SEED"); /* which otherwise is the only one */
	printf("SEED=%llu\n", (unsigned long long)first);
	for (i = 0; i < sizeof(kc) / sizeof(kc[0]); i++) {
		failure = ktest_explore(kjournal_crash, first, WORLDS, &kc[i]);
		if (failure != NULL) {
			printf("not ok %u - %s\n", i + 1, failure);
			return EXIT_FAILURE;
		}
		printf("ok %u\n", i + 1);
	}
	return EXIT_SUCCESS;
}
