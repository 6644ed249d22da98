/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bug that needs two vCPUs and bad luck, found in simulated worlds and then
 * seen again, step by step.
 *
 * The planted bug: who takes money from one account and puts it into another
 * gives the lock back in between, with the old balance in its hand.
 */
#include <stdio.h>
#include <string.h>

#include <quern/component.h>
#include <quern/lock.h>
#include <quern/quern.h>
#include <quern/sim.h>

#define WORLDS 10000u

struct bank {
	struct quern_sim *w;
	struct quern *k;
	struct qmutex lock;
	int account[2];
	unsigned left; /* clients at work */
};

/* Kernel code. */
static int64_t
transfer(void *arg)
{
	struct bank *b = arg;
	int from;

	qmutex_lock(&b->lock);
	from = b->account[0];
	qmutex_unlock(&b->lock); /* the bug: and then it is taken again */
	qmutex_lock(&b->lock);
	b->account[0] = from - 1;
	b->account[1]++;
	qmutex_unlock(&b->lock);
	return 0;
}

static void
client(void *arg)
{
	struct bank *b = arg;
	struct quern_proc *p;

	if (quern_proc_create(b->k, &p) == 0) {
		(void)quern_run(p, transfer, b);
		quern_proc_destroy(p);
	}
	b->left--;
}

static void
bank_main(void *arg)
{
	struct bank *b = arg;
	struct quern_config cfg = { .host = quern_sim_host(b->w), .ncpu = 2 };

	if (quern_create(&cfg, &b->k) != 0)
		return;
	qmutex_init(&b->lock, "bank");
	b->left = 2;
	if (quern_sim_task(b->w, "second", client, b) != 0)
		b->left--;
	client(b);
	while (b->left > 0)
		quern_sim_sleep(b->w, 1000000);
	(void)quern_destroy(b->k);
}

static void
show(void *arg, uint64_t step, uint64_t now, const char *task,
    enum quern_yield why)
{
	(void)arg, (void)now;
	if (why == QUERN_YIELD_LOCK || why == QUERN_YIELD_UNLOCK)
		printf("  step %llu: %s %s\n", (unsigned long long)step, task,
		    why == QUERN_YIELD_LOCK ? "locks" : "unlocks");
}

/* The money in world `seed` at its end, and the hash of all that happened. */
static int
world(uint64_t seed, int verbose, uint64_t *hash)
{
	struct quern_sim_config sc = { .seed = seed,
		.trace = verbose ? show : NULL };
	struct bank b = { .account = { 100, 0 } };

	if (quern_sim_create(&sc, &b.w) != 0)
		return -1;
	if (quern_sim_task(b.w, "first", bank_main, &b) != 0 ||
	    quern_sim_run(b.w) != 0)
		b.account[0] = -1;
	*hash = quern_sim_hash(b.w);
	quern_sim_destroy(b.w);
	return b.account[0] + b.account[1];
}

int
main(void)
{
	uint64_t seed, hash, again;
	int money = 100;

	for (seed = 1; seed < WORLDS && money == 100; seed++)
		money = world(seed, 0, &hash);
	seed--;
	if (money == 100) {
		printf("not found in %u worlds\n", WORLDS);
		return 1;
	}
	printf("world %llu has %d where there were 100, hash %016llx\n",
	    (unsigned long long)seed, money, (unsigned long long)hash);
	if (world(seed, 1, &again) != money || again != hash) {
		printf("and not again\n");
		return 1;
	}
	printf("and again, hash %016llx\n", (unsigned long long)again);
	return 0;
}
