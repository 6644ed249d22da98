/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bodies of tests that run on any host.
 *
 * A body is `void body(struct kenv *e)`.  It makes kernels with e->host, uses
 * them, spawns threads that use them too, and checks with KCHECK, which notes
 * the first failure and lets the body go on.  The same body runs
 *
 *	ktest_posix(body, ncpu, runners)	on host threads,
 *	ktest_sim(body, ncpu, runners, seed, policy)	as tasks of a world,
 *
 * and ktest_explore runs it over many seeds of both policies.  All return NULL
 * or a message in static memory that says what failed, where, and the seed.
 */
#ifndef TESTS_KTEST_H
#define TESTS_KTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quern/posix.h>
#include <quern/quern.h>
#include <quern/sim.h>

struct kenv {
	struct quern_host host;
	unsigned ncpu, runners;         /* what the body should configure */
	struct quern_sim *sim;          /* NULL on posix */
	struct quern_sim_config simcfg; /* sim: may be set before */
	void *arg;                      /* the caller's */
	bool quiet;                     /* drop log lines */
	char failure[512];              /* first failed check, or empty */
	uint32_t failed;                /* somebody writes, or wrote, failure */
	struct kthread_list *threads;
};

typedef void (*kbody)(struct kenv *e);

/* A body by name: k_*.c export tables of these, ended by a zero. */
struct kcase {
	const char *name;
	kbody body;
	unsigned seeds; /* worlds to try in `make check`; 0: not on sim */
	bool nohost;    /* not on posix */
	void *arg;
};

extern const struct kcase klock_cases[], klock_bugs[], ksched_cases[],
    kthread_cases[], ktimer_cases[], kmem_cases[], kinstance_cases[],
    kpanic_cases[], kmisuse_cases[], kcomponent_cases[], kshare_cases[];

/* Note a failure unless `ok`; true when it was. */
bool kcheck(struct kenv *e, bool ok, const char *expr, const char *file,
    int line);
#define KCHECK(e, x) kcheck((e), (x), #x, __FILE__, __LINE__)

/* Check that an integer has a value, and show it when not. */
bool kcheck_eq(struct kenv *e, int64_t got, int64_t want, const char *expr,
    const char *file, int line);
#define KCHECK_EQ(e, x, want) \
	kcheck_eq((e), (int64_t)(x), (int64_t)(want), #x, __FILE__, __LINE__)

/* A config with the environment's host, ncpu and runners. */
struct quern_config kenv_config(struct kenv *e);

/* quern_create with that, checked.  NULL on failure. */
struct quern *kenv_kernel(struct kenv *e);

/* quern_destroy, tried again while -EBUSY; checks that nothing leaked. */
void kenv_destroy(struct kenv *e, struct quern *k);

/* Run fn(arg) on a thread of the host; up to 64.  kjoin waits for all. */
void kspawn(struct kenv *e, void (*fn)(void *), void *arg);
void kjoin(struct kenv *e);

/* Let others run for a moment: for loops that wait for a condition. */
void kpause(struct kenv *e);

/* Wait until *flag, which another thread sets, is at least `n`. */
void kawait(struct kenv *e, const uint32_t *flag, uint32_t n);

/* Run fn(arg) in the kernel, as a call that belongs to no process. */
int64_t kcall(struct quern *k, int64_t (*fn)(void *), void *arg);

/* In the kernel: a point where a world may let another vCPU go first. */
void kchoice(void);

const char *ktest_posix(kbody body, unsigned ncpu, unsigned runners, void *arg);
const char *ktest_sim(kbody body, unsigned ncpu, unsigned runners,
    uint64_t seed, enum quern_sim_policy policy, void *arg);

/* As ktest_sim, with a world configured by the caller. */
const char *ktest_world(kbody body, unsigned ncpu, unsigned runners,
    const struct quern_sim_config *cfg, void *arg, uint64_t *hash);

/*
 * Run `body` in `n` worlds, seeds `first` onwards, both policies in turn, with
 * 1 to 3 vCPUs and 0 to 2 runners.  SEED= in the environment runs just that
 * one.  The first failure ends it.
 */
const char *ktest_explore(kbody body, uint64_t first, unsigned n, void *arg);

/* The same for a body with a planted bug: NULL when some seed found it. */
const char *ktest_must_find(kbody body, uint64_t first, unsigned n, void *arg);

/* As before, and what was found must contain `what` ("deadlock"). */
const char *ktest_find(kbody body, uint64_t first, unsigned n, void *arg,
    const char *what);

/* Run a case on posix: with 1 to 4 vCPUs and 0 to 2 runners. */
const char *kcase_posix(const struct kcase *c);

/* Run it in c->seeds worlds, fewer under a sanitizer. */
const char *kcase_sim(const struct kcase *c);

/* How many cases a table has. */
int kcase_count(const struct kcase *c);

#endif /* TESTS_KTEST_H */
