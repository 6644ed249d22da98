/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every case of the base in ever new worlds, for about SECONDS seconds.  SEED
 * in the environment says where to begin; a failure says how to see it again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ktest.h"

/* Of other headers. */
extern const struct kcase ksync_cases[], ktrace_cases[], kblock_cases[],
    kblockapi_cases[], kpipe_cases[], kpoll_cases[], kepoll_cases[],
    kevent_cases[], kcalls_cases[], kfd_cases[], kfile_cases[];

#define SECONDS 120

/* Worlds of a case at a time. */
#define BATCH 40u

/* A case that `make check` runs in fewer worlds is not about schedules. */
#define FEW 20u

static const struct {
	const char *program;
	const struct kcase *cases;
} tables[] = {
	{ "t_lock", klock_cases },
	{ "t_sched", ksched_cases },
	{ "t_share", kshare_cases },
	{ "t_thread", kthread_cases },
	{ "t_timer", ktimer_cases },
	{ "t_mem", kmem_cases },
	{ "t_instance", kinstance_cases },
	{ "t_panic", kpanic_cases },
	{ "t_component", kcomponent_cases },
	{ "t_sync", ksync_cases },
	{ "t_trace", ktrace_cases },
	{ "t_block", kblock_cases },
	{ "t_blockapi", kblockapi_cases },
	{ "t_pipe", kpipe_cases },
	{ "t_poll", kpoll_cases },
	{ "t_epoll", kepoll_cases },
	{ "t_epoll", kevent_cases },
	{ "t_calls", kcalls_cases },
	{ "t_calls", kfd_cases },
	{ "t_calls", kfile_cases },
};

int
main(void)
{
	const char *seedtext = getenv("SEED"), *failure;
	uint64_t seed = seedtext != NULL ? strtoull(seedtext, NULL, 0) : 1;
	uint64_t first = seed * 1000003, worlds = 0;
	time_t end = time(NULL) + SECONDS;
	const struct kcase *c;
	unsigned i, round;

	/* To ktest_explore it would mean: this one only. */
	unsetenv("SEED");
	printf("from world %llu on\n", (unsigned long long)first);
	for (round = 0; time(NULL) < end; round++)
		for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
			for (c = tables[i].cases; c->name != NULL; c++) {
				if (c->seeds < FEW)
					continue;
				failure = ktest_explore(c->body,
				    first + (uint64_t)round * BATCH, BATCH,
				    c->arg);
				worlds += BATCH;
				if (failure == NULL)
					continue;
				printf("not ok - %s %s: %s\n",
				    tables[i].program, c->name, failure);
				return 1;
			}
	printf("ok - %llu worlds\n", (unsigned long long)worlds);
	return 0;
}
