/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Worlds: that a seed decides everything, what the policies do, how runs end.
 *
 * Run as `t_world hash SEED POLICY` it prints the hash of one run of the
 * workload, for the test that compares processes.
 */
#include <errno.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kernel/impl.h>
#include <quern/slab.h>

#include "world.h"

static const struct qtag tag = { "world" };

/* ---- the workload: two kernels, clients, threads, timers, channels ---------- */

struct work {
	struct quern_sim *w;
	struct quern *k[2];
	struct qmutex m[2];
	struct qcv cv[2];
	unsigned n[2], ended;
};

struct client {
	struct work *x;
	unsigned id;
};

static void
thread_main(void *arg)
{
	struct client *c = arg;
	unsigned i = c->id % 2;

	qmutex_lock(&c->x->m[i]);
	c->x->n[i]++;
	qcv_broadcast(&c->x->cv[i]);
	qmutex_unlock(&c->x->m[i]);
}

static int64_t
client_call(void *arg)
{
	struct client *c = arg;
	struct work *x = c->x;
	struct qthread *t;
	unsigned i = c->id % 2;
	void *p = qalloc(&tag, 50 + c->id * 100);

	if (qthread_create(x->k[i], "worker", thread_main, c, QPRIO_NORMAL,
		QCPU_ANY, &t) != 0)
		return -1;
	(void)qthread_sleep_until(qclock_mono(x->k[i]) +
		quern_sim_random(x->w, 5000),
	    false);
	qmutex_lock(&x->m[i]);
	while (x->n[i] < 3)
		(void)qcv_wait(&x->cv[i], &x->m[i], 0, QUERN_NEVER);
	qmutex_unlock(&x->m[i]);
	qthread_join(t);
	qfree(p);
	return 0;
}

static void
client_main(void *arg)
{
	struct client *c = arg;
	uint32_t hint = 0;

	MUST(host_call(c->x->k[c->id % 2], NULL, &hint, client_call, c) == 0);
	c->x->ended++;
}

static void
no_log(void *arg, int level, const char *line)
{
	(void)arg, (void)level, (void)line;
}

static void
workload(struct quern_sim *w, void *arg)
{
	struct quern_config c = { .host = quern_sim_host(w),
		.ncpu = 2,
		.runners = 1,
		.log = no_log };
	struct work x = { .w = w };
	struct client cl[6];
	unsigned i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		qmutex_init(&x.m[i], "work");
		qcv_init(&x.cv[i]);
		MUST(quern_create(&c, &x.k[i]) == 0);
	}
	for (i = 0; i < 6; i++) {
		cl[i] = (struct client){ &x, i };
		world_task(w, "client", client_main, &cl[i]);
	}
	while (x.ended < 6)
		quern_sim_sleep(w, 10000);
	for (i = 0; i < 2; i++)
		while (quern_destroy(x.k[i]) == -EBUSY)
			quern_sim_sleep(w, 1000);
}

static struct run
run_workload(uint64_t seed, enum quern_sim_policy policy)
{
	struct quern_sim_config sc = { .seed = seed, .policy = policy };
	struct run r = world_run(&sc, workload, NULL);

	MUST(r.result == 0);
	return r;
}

/* ---- the seed decides -------------------------------------------------------- */

/* A world is one host thread: there is little in it for TSan. */
#ifdef QSAN_THREAD
#define SEEDS 4u
#else
#define SEEDS 40u
#endif

START_TEST(same_seed)
{
	enum quern_sim_policy policy = _i;
	struct run a, b;
	uint64_t seed;
	void *hole;

	for (seed = 1; seed <= SEEDS; seed++) {
		a = run_workload(seed, policy);
		/* Other addresses, the second time. */
		hole = malloc(seed * 4096);
		b = run_workload(seed, policy);
		free(hole);
		ck_assert_uint_eq(a.hash, b.hash);
		ck_assert_uint_eq(a.steps, b.steps);
		ck_assert_uint_eq(a.now, b.now);
	}
}
END_TEST

START_TEST(other_seed)
{
	uint64_t hash[2 * SEEDS];
	unsigned i, j;

	for (i = 0; i < SEEDS; i++) {
		hash[2 * i] = run_workload(1 + i, QUERN_SIM_RANDOM).hash;
		hash[2 * i + 1] = run_workload(1 + i, QUERN_SIM_PCT).hash;
	}
	for (i = 0; i < 2 * SEEDS; i++)
		for (j = 0; j < i; j++)
			ck_assert_uint_ne(hash[i], hash[j]);
}
END_TEST

/* The hash that another process comes to; `fixed`: without ASLR. */
static uint64_t
hash_elsewhere(uint64_t seed, int policy, bool fixed)
{
	char arg[2][24], line[40] = "";
	int fd[2], status;
	pid_t pid;

	snprintf(arg[0], sizeof(arg[0]), "%llu", (unsigned long long)seed);
	snprintf(arg[1], sizeof(arg[1]), "%d", policy);
	ck_assert_int_eq(pipe(fd), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		/* TSan wants it fixed in any case. */
		personality(fixed ? ADDR_NO_RANDOMIZE : 0);
		dup2(fd[1], 1);
		execl("/proc/self/exe", "t_world", "hash", arg[0], arg[1],
		    (char *)NULL);
		_exit(9);
	}
	close(fd[1]);
	ck_assert_int_gt(read(fd[0], line, sizeof(line) - 1), 0);
	close(fd[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return strtoull(line, NULL, 16);
}

START_TEST(other_process)
{
	uint64_t seed, here;
	int policy;

	for (seed = 1; seed <= 4; seed++)
		for (policy = QUERN_SIM_RANDOM; policy <= QUERN_SIM_PCT;
		     policy++) {
			here = run_workload(seed, policy).hash;
			ck_assert_uint_eq(here,
			    hash_elsewhere(seed, policy, true));
#ifndef QSAN_THREAD
			ck_assert_uint_eq(here,
			    hash_elsewhere(seed, policy, false));
			ck_assert_uint_eq(here,
			    hash_elsewhere(seed, policy, false));
#endif
		}
}
END_TEST

/* ---- schedules --------------------------------------------------------------------- */

struct trace {
	unsigned n;
	char who[3000];
	unsigned extra; /* numbers that the workload draws besides */
	unsigned yields;
	struct quern_sim *w;
};

static void
note_decision(void *arg, uint64_t step, uint64_t now, const char *task,
    enum quern_yield why)
{
	struct trace *t = arg;

	(void)step, (void)now, (void)why;
	if (t->n < sizeof(t->who))
		t->who[t->n++] = task[0];
}

static void
yielder(void *arg)
{
	struct trace *t = arg;
	unsigned i;

	for (i = 0; i < t->yields; i++) {
		quern_sim_yield(t->w);
		if (t->extra)
			(void)quern_sim_random(t->w, 0);
	}
}

static void
yielders(struct quern_sim *w, void *arg)
{
	struct trace *t = arg;

	t->w = w;
	world_task(w, "a", yielder, t);
	world_task(w, "b", yielder, t);
	world_task(w, "c", yielder, t);
	world_task(w, "d", yielder, t);
}

static struct trace
trace_yielders(uint64_t seed, enum quern_sim_policy policy, unsigned extra)
{
	struct trace t = { .extra = extra, .yields = 500 };
	struct quern_sim_config sc = { .seed = seed,
		.policy = policy,
		.trace = note_decision,
		.arg = &t };

	ck_assert_int_eq(world_run(&sc, yielders, &t).result, 0);
	return t;
}

/* A workload that draws numbers has the schedule of one that doesn't. */
START_TEST(data_apart)
{
	struct trace a = trace_yielders(3, _i, 0), b = trace_yielders(3, _i, 1);

	ck_assert_uint_eq(a.n, b.n);
	ck_assert_mem_eq(a.who, b.who, a.n);
}
END_TEST

/* A random walk gives everyone a quarter; PCT lets one run. */
START_TEST(policies)
{
	struct trace t = trace_yielders(4, QUERN_SIM_RANDOM, 0);
	unsigned i, count[4] = { 0 }, switches = 0;

	for (i = 0; i < 1000; i++)
		if (t.who[i] >= 'a' && t.who[i] <= 'd')
			count[t.who[i] - 'a']++;
	for (i = 0; i < 4; i++)
		ck_assert(count[i] > 180 && count[i] < 320);
	t = trace_yielders(4, QUERN_SIM_PCT, 0);
	for (i = 1; i < t.n; i++)
		switches += t.who[i] != t.who[i - 1];
	/* Five tasks ending and a few changes. */
	ck_assert_uint_lt(switches, 20);
}
END_TEST

/* Sleepers wake in order and in time, also while others are busy. */
struct sleeper {
	struct quern_sim *w;
	uint64_t ns;
	unsigned *order, *n, id;
	bool *stop;
};

static void
sleeper_main(void *arg)
{
	struct sleeper *s = arg;
	uint64_t start = quern_sim_now(s->w);

	quern_sim_sleep(s->w, s->ns);
	ck_assert_uint_ge(quern_sim_now(s->w), start + s->ns);
	ck_assert_uint_lt(quern_sim_now(s->w), start + s->ns + 20000);
	s->order[(*s->n)++] = s->id;
}

static void
busy_main(void *arg)
{
	struct sleeper *s = arg;

	while (!*s->stop)
		quern_sim_yield(s->w);
}

static void
sleep_body(struct quern_sim *w, void *arg)
{
	static const uint64_t ns[] = { 300000, 100000, 0, 200000 };
	unsigned order[4] = { 0 }, n = 0, i;
	struct sleeper s[4];
	bool stop = false;

	for (i = 0; i < 4; i++) {
		s[i] = (struct sleeper){ w, ns[i], order, &n, i, &stop };
		world_task(w, "sleeper", sleeper_main, &s[i]);
	}
	if (arg != NULL)
		world_task(w, "busy", busy_main, &s[0]);
	quern_sim_sleep(w, 1000000);
	stop = true;
	ck_assert_uint_eq(n, 4);
	ck_assert_uint_eq(order[0], 2);
	ck_assert_uint_eq(order[1], 1);
	ck_assert_uint_eq(order[2], 3);
	ck_assert_uint_eq(order[3], 0);
	quern_sim_sleep(w, 1000); /* let the busy one see it */
}

START_TEST(sleeping)
{
	struct quern_sim_config sc = { .seed = 1 };
	struct run r;

	for (; sc.seed < 30; sc.seed++) {
		sc.policy = (enum quern_sim_policy)(sc.seed % 2);
		r = world_run(&sc, sleep_body, _i != 0 ? "" : NULL);
		ck_assert_int_eq(r.result, 0);
	}
}
END_TEST

/* ---- ends ------------------------------------------------------------------------------ */

struct stuck {
	struct test_machine m;
	struct quern_seat seat[2];
};

static void
wait_first(void *arg)
{
	struct stuck *s = arg;

	(void)s->m.t_ops->cpu_idle(s->m.t_ctx, &s->seat[0], 1, QUERN_NEVER);
	ck_abort_msg("woken by nobody");
}

static void
wait_second(void *arg)
{
	struct stuck *s = arg;

	(void)s->m.t_ops->cpu_idle(s->m.t_ctx, &s->seat[1], 0, QUERN_NEVER);
	ck_abort_msg("woken by nobody");
}

static void
spin_on(void *arg)
{
	struct stuck *s = arg;

	for (;;)
		s->m.t_ops->cpu_yield(s->m.t_ctx, QUERN_YIELD_SPIN);
}

static struct stuck stuck;

static void
deadlock_body(struct quern_sim *w, void *arg)
{
	memset(&stuck, 0, sizeof(stuck));
	machine_begin(&stuck.m, w, 1);
	world_task(w, "philosopher", wait_first, &stuck);
	world_task(w, "fork", wait_second, &stuck);
	if (arg != NULL)
		world_task(w, "dervish", spin_on, &stuck);
}

/* Nobody can run: the log says who waits, and who spins. */
START_TEST(deadlock)
{
	struct quern_sim_config sc = { .seed = 1 };
	struct run r;

	for (; sc.seed < 20; sc.seed++) {
		sc.policy = (enum quern_sim_policy)(sc.seed % 2);
		r = world_run(&sc, deadlock_body, _i != 0 ? "" : NULL);
		ck_assert_int_eq(r.result, -EDEADLK);
		ck_assert_ptr_nonnull(strstr(r.log, "deadlock"));
		ck_assert_ptr_nonnull(strstr(r.log, "philosopher waits"));
		ck_assert_ptr_nonnull(strstr(r.log, "fork waits"));
		ck_assert_ptr_null(strstr(r.log, "main"));
		if (_i != 0)
			ck_assert_ptr_nonnull(strstr(r.log, "dervish spins"));
	}
}
END_TEST

static void
runner_waits(struct test_machine *m, unsigned runner)
{
	static struct quern_seat seat;

	(void)runner;
	(void)m->t_ops->cpu_idle(m->t_ctx, &seat, 1, QUERN_NEVER);
}

static void
runner_body(struct quern_sim *w, void *arg)
{
	(void)arg;
	machine_begin(&stuck.m, w, 1);
	stuck.m.t_runner = runner_waits;
	ck_assert_int_eq(stuck.m.t_ops->cpu_start(stuck.m.t_ctx, 0, -1), 0);
}

/* Only runner threads are left, and wait: that is an end. */
START_TEST(runners_left)
{
	ck_assert_int_eq(world_run(NULL, runner_body, NULL).result, 0);
}
END_TEST

static void
endless(struct quern_sim *w, void *arg)
{
	struct quern_config c = { .host = quern_sim_host(w),
		.ncpu = 2,
		.runners = 2 };
	struct quern *k;

	(void)arg;
	ck_assert_int_eq(quern_create(&c, &k), 0);
	for (;;)
		quern_sim_yield(w);
}

/* A run that does not end is given up, and its kernels go with the world. */
START_TEST(max_steps)
{
	struct quern_sim_config sc = { .seed = 1, .max_steps = 5000 };
	struct run r = world_run(&sc, endless, NULL);

	ck_assert_int_eq(r.result, -ETIME);
	ck_assert_uint_eq(r.steps, 5001);
	ck_assert_ptr_nonnull(strstr(r.log, "gave up after 5000 steps"));
}
END_TEST

static void
nothing(void *arg)
{
	++*(unsigned *)arg;
}

START_TEST(arguments)
{
	struct quern_sim_config sc = { .seed = 1, .policy = 7 };
	struct quern_sim *w;
	unsigned n = 0, tasks = 0;
	int error;

	ck_assert_int_eq(quern_sim_create(NULL, &w), -EFAULT);
	ck_assert_int_eq(quern_sim_create(&sc, NULL), -EFAULT);
	ck_assert_int_eq(quern_sim_create(&sc, &w), -EINVAL);
	sc.policy = QUERN_SIM_PCT;
	sc.pct_changes = 1000; /* as many as it can */
	ck_assert_int_eq(quern_sim_create(&sc, &w), 0);
	ck_assert_int_eq(quern_sim_run(w), 0); /* nobody there */
	while ((error = quern_sim_task(w, "t", nothing, &n)) == 0)
		tasks++;
	ck_assert_int_eq(error, -EAGAIN);
	ck_assert_uint_eq(tasks, 1000);
	ck_assert_int_eq(quern_sim_run(w), 0);
	ck_assert_uint_eq(n, 1000);
	quern_sim_destroy(w);
	/* One whose tasks never ran. */
	ck_assert_int_eq(quern_sim_create(&sc, &w), 0);
	ck_assert_int_eq(quern_sim_task(w, "t", nothing, &n), 0);
	quern_sim_destroy(w);
}
END_TEST

/* ---- kernels --------------------------------------------------------------------------- */

struct making {
	int error;
	uint64_t leaks;
};

static void
make_kernel(struct quern_sim *w, void *arg)
{
	struct quern_config c = { .host = quern_sim_host(w),
		.ncpu = 2,
		.runners = 2,
		.log = no_log };
	struct making *mk = arg;
	struct quern *k = (void *)mk;

	mk->error = quern_create(&c, &k);
	if (mk->error == 0)
		while (quern_destroy_count(k, &mk->leaks) == -EBUSY)
			quern_sim_sleep(w, 1000);
	else
		ck_assert_ptr_null(k);
}

/* Creation fails cleanly at every hypercall that can, whoever runs first. */
START_TEST(every_call)
{
	struct quern_sim_config sc;
	struct making mk;
	struct run r;
	uint64_t n;

	for (n = 1; n < 200; n++) {
		sc = (struct quern_sim_config){ .seed = n,
			.fail_n = n,
			.policy = (enum quern_sim_policy)(n % 2) };
		mk = (struct making){ .error = 1 };
		r = world_run(&sc, make_kernel, &mk);
		ck_assert_msg(r.result == 0, "fail_n %llu: %d: %s",
		    (unsigned long long)n, r.result, r.log);
		ck_assert_uint_eq(mk.leaks, 0);
		if (r.failed == 0)
			break;
		ck_assert_int_lt(mk.error, 0);
	}
	ck_assert_int_eq(mk.error, 0);
	ck_assert_uint_gt(n, 10);
}
END_TEST

int
main(int argc, char **argv)
{
	TCase *tc;
	Suite *s;

	if (argc == 4 && strcmp(argv[1], "hash") == 0) {
		printf("%llx\n",
		    (unsigned long long)run_workload(strtoull(argv[2], NULL, 0),
			(enum quern_sim_policy)atoi(argv[3]))
			.hash);
		return 0;
	}
	s = suite_create("sim world");
	tc = tcase_create("world");
	tcase_add_loop_test(tc, same_seed, 0, 2);
	tcase_add_test(tc, other_seed);
	tcase_add_test(tc, other_process);
	tcase_add_loop_test(tc, data_apart, 0, 2);
	tcase_add_test(tc, policies);
	tcase_add_loop_test(tc, sleeping, 0, 2);
	tcase_add_loop_test(tc, deadlock, 0, 2);
	tcase_add_test(tc, runners_left);
	tcase_add_test(tc, max_steps);
	tcase_add_test(tc, arguments);
	tcase_add_test(tc, every_call);
	suite_add_tcase(s, tc);
	return world_main(s);
}
