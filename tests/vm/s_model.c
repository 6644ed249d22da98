/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model checker for longer, and threads in many worlds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../kernel/ktest.h"
#include "model.h"

extern const struct kcase kvmrace_cases[];

#define RUNS   60u
#define STEPS  1000000u
#define WORLDS 20000u

static uint64_t first;

static void
one_run(struct kenv *e)
{
	uint64_t seed = *(const uint64_t *)e->arg;
	struct model_config c = { .steps = STEPS,
		.seed = seed,
		.ram = seed % 2 == 0 ? 4096 : 180 + seed % 64,
		.swap = seed % 3 * 100,
		.fail = seed % 4 == 3 ? 10 : 0,
		.lazy = true };

	model_run(e, &c);
}

static int
report(const char *name, uint64_t seed, const char *failure)
{
	if (failure == NULL)
		printf("ok %s SEED=%lu\n", name, (unsigned long)seed);
	else
		printf("not ok %s SEED=%lu: %s\n", name, (unsigned long)seed,
		    failure);
	fflush(stdout);
	return failure != NULL;
}

int
main(void)
{
	const char *s = getenv("SEED");
	uint64_t seed;
	int failed = 0;

	first = s != NULL ? strtoull(s, NULL, 0) : 1;
	for (seed = first; seed < first + RUNS; seed++)
		failed |= report("model", seed,
		    ktest_posix(one_run, 1, 0, &seed));
	unsetenv("SEED");
	failed |= report("threads", first,
	    ktest_explore(kvmrace_cases[0].body, first, WORLDS, NULL));
	return failed;
}
