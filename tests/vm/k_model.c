/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model checker as a test: seeds, and bugs that it must find.
 */
#include "k_model.h"

static uint64_t
seed_of(struct kenv *e, uint64_t seed)
{
	return e->sim != NULL ? quern_sim_random(e->sim, 1u << 30) : seed;
}

/* In a world every lock is a point of decision, and dear. */
static uint64_t
steps_of(struct kenv *e, uint64_t steps)
{
	return e->sim != NULL ? steps / 200 : steps;
}

static void
random_steps(struct kenv *e)
{
	struct model_config c = { .steps = steps_of(e, KMODEL_STEPS),
		.ram = 4096,
		.swap = 60,
		.lazy = true };

	/* On posix each number of vCPUs is another seed. */
	c.seed = seed_of(e, e->ncpu * 10 + e->runners);
	model_run(e, &c);
}

/* A host that has no memory every so often, and little RAM. */
static void
random_hard(struct kenv *e)
{
	struct model_config c = { .steps = steps_of(e, KMODEL_STEPS / 4),
		.ram = 200,
		.swap = 200,
		.fail = 20,
		.lazy = true };

	c.seed = seed_of(e, e->ncpu * 10 + e->runners);
	model_run(e, &c);
}

static void
bug(struct kenv *e)
{
	struct model_config c = { .steps = 20000,
		.seed = quern_sim_random(e->sim, 1u << 30),
		.ram = 4096,
		.swap = 60,
		.bug = *(const uint32_t *)e->arg,
		.lazy = true };

	e->quiet = true;
	model_run(e, &c);
}

static const uint32_t bugs[] = { BUG_UNMAP, BUG_PROTECT, BUG_FREE,
	BUG_COLLAPSE };

const struct kcase kmodel_cases[] = {
	{ "random_steps", random_steps, 10, false, NULL },
	{ "random_hard", random_hard, 10, false, NULL },
	{ NULL, NULL, 0, false, NULL },
};

const struct kcase kmodel_bugs[] = {
	{ "unmap", bug, 20, true, (void *)(uintptr_t)&bugs[0] },
	{ "protect", bug, 20, true, (void *)(uintptr_t)&bugs[1] },
	{ "free", bug, 20, true, (void *)(uintptr_t)&bugs[2] },
	{ "collapse", bug, 20, true, (void *)(uintptr_t)&bugs[3] },
	{ NULL, NULL, 0, false, NULL },
};
