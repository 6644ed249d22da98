/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix sockets between threads in ever new worlds, for about SECONDS seconds.  SEED
 * says where to begin; a failure says how to see it again with t_unix.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tests/kernel/ktest.h>

extern const struct kcase kunix_cases[];

#define SECONDS 60

/* Worlds of a case at a time; of what `make check` runs in few, none. */
#define BATCH 40u
#define FEW   20u

int
main(void)
{
	const char *text = getenv("SEED"), *failure;
	uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 1;
	uint64_t first = seed * 1000003, worlds = 0;
	time_t end = time(NULL) + SECONDS;
	const struct kcase *c;

	/* To ktest_explore it would mean: this one only. */
	unsetenv("SEED");
	printf("from world %llu on\n", (unsigned long long)first);
	for (; time(NULL) < end; first += BATCH)
		for (c = kunix_cases; c->name != NULL; c++) {
			if (c->seeds < FEW)
				continue;
			failure = ktest_explore(c->body, first, BATCH, c->arg);
			worlds += BATCH;
			if (failure == NULL)
				continue;
			printf("not ok - t_unix %s: %s\n", c->name, failure);
			return 1;
		}
	printf("ok - %llu worlds\n", (unsigned long long)worlds);
	return 0;
}
