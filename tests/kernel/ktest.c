/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kernel/impl.h>

#include "ktest.h"

#define THREADS_MAX 256u

struct kthread {
	struct kenv *e;
	void (*fn)(void *);
	void *arg;
	pthread_t tid;
	bool done;
	char name[12];
};

struct kthread_list {
	unsigned n;
	struct kthread t[THREADS_MAX];
};

static char message[700];

/* Is this the first failure?  Bodies have threads. */
static bool
first_failure(struct kenv *e)
{
	return __atomic_exchange_n(&e->failed, 1, __ATOMIC_SEQ_CST) == 0;
}

bool
kcheck(struct kenv *e, bool ok, const char *expr, const char *file, int line)
{
	if (!ok && first_failure(e))
		snprintf(e->failure, sizeof(e->failure), "%s:%d: %s", file,
		    line, expr);
	return ok;
}

bool
kcheck_eq(struct kenv *e, int64_t got, int64_t want, const char *expr,
    const char *file, int line)
{
	if (got != want && first_failure(e))
		snprintf(e->failure, sizeof(e->failure),
		    "%s:%d: %s is %lld, not %lld", file, line, expr,
		    (long long)got, (long long)want);
	return got == want;
}

/*
 * Wait, the n-th time for one thing.  In a world ever longer, since virtual
 * time is free when nobody runs; false: nobody can be running any more.
 */
static bool
wait_more(struct kenv *e, unsigned *n)
{
	if (e->sim == NULL) {
		kpause(e);
		return true;
	}
	quern_sim_sleep(e->sim, UINT64_C(2000) << *n);
	return ++*n < 48;
}

static void
drop(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

struct quern_config
kenv_config(struct kenv *e)
{
	struct quern_config c = {
		.host = e->host,
		.ncpu = e->ncpu,
		.runners = e->runners,
		.log = e->quiet ? drop : NULL,
	};

	return c;
}

struct quern *
kenv_kernel(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct quern *k = NULL;

	KCHECK_EQ(e, quern_create(&c, &k), 0);
	return k;
}

void
kenv_destroy(struct kenv *e, struct quern *k)
{
	uint64_t leaks = 0;
	unsigned tries = 0;
	int error;

	if (k == NULL)
		return;
	while ((error = quern_destroy_count(k, &leaks)) == -Q_EBUSY &&
	    wait_more(e, &tries))
		continue;
	KCHECK_EQ(e, error, 0);
	KCHECK_EQ(e, leaks, 0);
}

/* ---- threads ------------------------------------------------------------ */

static void
thread_body(void *arg)
{
	struct kthread *t = arg;

	t->fn(t->arg);
	__atomic_store_n(&t->done, true, __ATOMIC_RELEASE);
}

static void *
thread_main(void *arg)
{
	thread_body(arg);
	return NULL;
}

void
kspawn(struct kenv *e, void (*fn)(void *), void *arg)
{
	struct kthread *t;
	int error;

	if (!KCHECK(e, e->threads->n < THREADS_MAX))
		return;
	t = &e->threads->t[e->threads->n++];
	*t = (struct kthread){ .e = e, .fn = fn, .arg = arg };
	snprintf(t->name, sizeof(t->name), "thread%u", e->threads->n - 1);
	if (e->sim != NULL)
		error = quern_sim_task(e->sim, t->name, thread_body, t);
	else
		error = pthread_create(&t->tid, NULL, thread_main, t);
	if (!KCHECK_EQ(e, error, 0))
		e->threads->n--;
}

void
kjoin(struct kenv *e)
{
	struct kthread *t;
	unsigned i, n;

	for (i = 0; i < e->threads->n; i++) {
		t = &e->threads->t[i];
		if (e->sim == NULL)
			pthread_join(t->tid, NULL);
		for (n = 0; !__atomic_load_n(&t->done, __ATOMIC_ACQUIRE);)
			if (!wait_more(e, &n)) {
				KCHECK(e, !"a thread never ends");
				break;
			}
	}
	e->threads->n = 0;
}

void
kpause(struct kenv *e)
{
	struct timespec ts = { 0, 100000 };

	if (e->sim != NULL)
		quern_sim_sleep(e->sim, 5000);
	else
		nanosleep(&ts, NULL);
}

void
kawait(struct kenv *e, const uint32_t *flag, uint32_t n)
{
	unsigned tries = 0;

	while (__atomic_load_n(flag, __ATOMIC_ACQUIRE) < n)
		if (!wait_more(e, &tries)) {
			KCHECK(e, !"what is waited for never happens");
			break;
		}
}

/* ---- in the kernel ------------------------------------------------------ */

int64_t
kcall(struct quern *k, int64_t (*fn)(void *), void *arg)
{
	uint32_t hint = 0;

	return host_call(k, NULL, &hint, fn, arg);
}

void
kchoice(void)
{
	qchoice(qcpu_current(), QUERN_YIELD_ATOMIC);
}

/* ---- running ------------------------------------------------------------ */

const char *
ktest_posix(kbody body, unsigned ncpu, unsigned runners, void *arg)
{
	struct kthread_list threads = { 0 };
	struct kenv e = {
		.host = quern_posix(),
		.ncpu = ncpu,
		.runners = runners,
		.arg = arg,
		.threads = &threads,
	};

	body(&e);
	if (e.failure[0] == '\0')
		return NULL;
	snprintf(message, sizeof(message), "posix, %u vCPUs, %u runners: %s",
	    ncpu, runners, e.failure);
	return message;
}

struct run {
	kbody body;
	struct kenv *e;
	bool returned;
};

static void
run_main(void *arg)
{
	struct run *r = arg;

	r->body(r->e);
	r->returned = true;
}

static void
sim_drop(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

/*
 * With KTRACE=n in the environment, a world that fails has its last n
 * decisions printed.
 */
struct trace {
	unsigned n;
	uint64_t total;
	struct {
		uint64_t step, now;
		const char *task;
		enum quern_yield why;
	} * d;
};

static void
trace_note(void *arg, uint64_t step, uint64_t now, const char *task,
    enum quern_yield why)
{
	struct trace *tr = arg;
	uint64_t i = tr->total++ % tr->n;

	tr->d[i].step = step;
	tr->d[i].now = now;
	tr->d[i].task = task;
	tr->d[i].why = why;
}

static void
trace_print(const struct trace *tr)
{
	static const char *const names[] = { "spin", "enter", "lock", "unlock",
		"wake", "switch", "atomic" };
	uint64_t i, first = tr->total > tr->n ? tr->total - tr->n : 0;

	for (i = first; i < tr->total; i++)
		fprintf(stderr, "%8llu %12llu %-7s -> %s\n",
		    (unsigned long long)tr->d[i % tr->n].step,
		    (unsigned long long)tr->d[i % tr->n].now,
		    names[tr->d[i % tr->n].why], tr->d[i % tr->n].task);
}

const char *
ktest_world(kbody body, unsigned ncpu, unsigned runners,
    const struct quern_sim_config *cfg, void *arg, uint64_t *hash)
{
	struct kthread_list threads = { 0 };
	struct quern_sim_config sc = *cfg;
	struct kenv e = {
		.ncpu = ncpu,
		.runners = runners,
		.arg = arg,
		.threads = &threads,
		.quiet = true,
	};
	struct run r = { body, &e, false };
	const char *ktrace = getenv("KTRACE");
	struct trace tr = { 0 };
	uint64_t steps;
	int error;

	if (sc.max_steps == 0)
		sc.max_steps = 5000000;
	if (sc.log == NULL)
		sc.log = sim_drop;
	if (ktrace != NULL && (tr.n = (unsigned)atoi(ktrace)) != 0 &&
	    (tr.d = calloc(tr.n, sizeof(*tr.d))) != NULL) {
		sc.trace = trace_note;
		sc.arg = &tr;
	}
	e.simcfg = sc;
	if (quern_sim_create(&sc, &e.sim) != 0)
		return "quern_sim_create failed";
	e.host = quern_sim_host(e.sim);
	error = quern_sim_task(e.sim, "main", run_main, &r);
	if (error == 0)
		error = quern_sim_run(e.sim);
	steps = quern_sim_steps(e.sim);
	if (hash != NULL)
		*hash = quern_sim_hash(e.sim);
	if (tr.d != NULL && (error != 0 || !r.returned || e.failed))
		trace_print(&tr);
	free(tr.d);
	quern_sim_destroy(e.sim);
	if (error == 0 && r.returned && !e.failed)
		return NULL;
	snprintf(message, sizeof(message),
	    "SEED=%llu (%s, %u vCPUs, %u runners): %s after %llu steps: %s",
	    (unsigned long long)sc.seed,
	    sc.policy == QUERN_SIM_PCT ? "PCT" : "random", ncpu, runners,
	    error == -Q_EDEADLK   ? "deadlock" :
		error == -Q_ETIME ? "no end" :
		error != 0        ? "error" :
				    "check failed",
	    (unsigned long long)steps, e.failure);
	return message;
}

const char *
ktest_sim(kbody body, unsigned ncpu, unsigned runners, uint64_t seed,
    enum quern_sim_policy policy, void *arg)
{
	struct quern_sim_config sc = { .seed = seed, .policy = policy };

	return ktest_world(body, ncpu, runners, &sc, arg, NULL);
}

static const char *
run_seed(kbody body, uint64_t seed, void *arg)
{
	unsigned ncpu = 1 + (unsigned)(seed / 2 % 3);
	unsigned runners = (unsigned)(seed / 6 % 3);

	if (runners > ncpu)
		runners = ncpu;
	return ktest_sim(body, ncpu, runners, seed,
	    seed % 2 == 0 ? QUERN_SIM_RANDOM : QUERN_SIM_PCT, arg);
}

const char *
ktest_explore(kbody body, uint64_t first, unsigned n, void *arg)
{
	const char *only = getenv("SEED"), *failure;
	unsigned i;

	if (only != NULL)
		return run_seed(body, strtoull(only, NULL, 0), arg);
	for (i = 0; i < n; i++) {
		failure = run_seed(body, first + i, arg);
		if (failure != NULL)
			return failure;
	}
	return NULL;
}

const char *
ktest_find(kbody body, uint64_t first, unsigned n, void *arg, const char *what)
{
	const char *failure;
	unsigned i;

	for (i = 0; i < n; i++) {
		failure = run_seed(body, first + i, arg);
		if (failure != NULL)
			return strstr(failure, what) != NULL ? NULL : failure;
	}
	snprintf(message, sizeof(message),
	    "a planted bug was not found in %u schedules", n);
	return message;
}

const char *
ktest_must_find(kbody body, uint64_t first, unsigned n, void *arg)
{
	return ktest_find(body, first, n, arg, "");
}

/* ---- cases -------------------------------------------------------------- */

/* A world is one host thread: there is little in it for TSan, at 50x. */
#if defined(QSAN_THREAD)
#define SEEDS_DIVISOR 50u
#elif defined(QSAN_ADDRESS)
#define SEEDS_DIVISOR 10u
#else
#define SEEDS_DIVISOR 1u
#endif

static const struct {
	unsigned ncpu, runners;
} shapes[] = { { 1, 0 }, { 1, 1 }, { 2, 0 }, { 2, 1 }, { 2, 2 }, { 4, 2 } };

/* Is it the one that KCASE names, if it is set? */
static bool
chosen(const struct kcase *c)
{
	const char *only = getenv("KCASE");

	return only == NULL || strcmp(only, c->name) == 0;
}

const char *
kcase_posix(const struct kcase *c)
{
	const char *failure = NULL;
	unsigned i;

	if (c->nohost || !chosen(c))
		return NULL;
	for (i = 0; i < QARRAYLEN(shapes) && failure == NULL; i++)
		failure = ktest_posix(c->body, shapes[i].ncpu,
		    shapes[i].runners, c->arg);
	return failure;
}

const char *
kcase_sim(const struct kcase *c)
{
	unsigned n = (c->seeds + SEEDS_DIVISOR - 1) / SEEDS_DIVISOR;

	if (!chosen(c))
		return NULL;
	return ktest_explore(c->body, 1, n, c->arg);
}

int
kcase_count(const struct kcase *c)
{
	int n = 0;

	while (c[n].name != NULL)
		n++;
	return n;
}
