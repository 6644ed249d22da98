/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The simulator's machines, hypercall by hypercall.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quern/san.h>

#include "world.h"

#define RAM (1u << 17)

/* A world is one host thread: there is little in it for TSan. */
#ifdef QSAN_THREAD
#define SEEDS 5u
#else
#define SEEDS 50u
#endif

/* ---- core ------------------------------------------------------------------- */

static void
memory_body(struct quern_sim *w, void *arg)
{
	static const size_t aligns[] = { 4096, 8192, 65536, 1 << 20 };
	struct test_machine m;
	void *p[4], *q = NULL;
	unsigned i;
	size_t len;

	(void)arg;
	machine_begin(&m, w, 1);
	for (i = 0; i < 4; i++) {
		len = 4096 * (1 + 3 * i);
		ck_assert_int_eq(m.t_ops->map(m.t_ctx, len, aligns[i], 0,
				     &p[i]),
		    0);
		ck_assert_uint_eq((uintptr_t)p[i] % aligns[i], 0);
		ck_assert_int_eq(((char *)p[i])[len - 1], 0);
		memset(p[i], 1, len);
	}
	for (i = 0; i < 4; i++)
		m.t_ops->unmap(m.t_ctx, p[i], 4096 * (1 + 3 * i));
	ck_assert_int_eq(m.t_ops->map(m.t_ctx, 0, 4096, 0, &q), -EINVAL);
	ck_assert_int_eq(m.t_ops->map(m.t_ctx, 100, 4096, 0, &q), -EINVAL);
	ck_assert_int_eq(m.t_ops->map(m.t_ctx, 4096, 2048, 0, &q), -EINVAL);
	ck_assert_int_eq(m.t_ops->map(m.t_ctx, 4096, 12288, 0, &q), -EINVAL);
	ck_assert_int_eq(m.t_ops->map(m.t_ctx, SIZE_MAX - 4095, 1 << 20, 0, &q),
	    -EINVAL);
	ck_assert_int_eq(m.t_ops->map(m.t_ctx, (size_t)1 << 60, 4096, 0, &q),
	    -ENOMEM);
	ck_assert_ptr_null(q);
	machine_end(&m);
}

static void
ram_body(struct quern_sim *w, void *arg)
{
	struct test_machine m;
	char *ram = NULL;

	(void)arg;
	machine_begin(&m, w, 1);
	ck_assert_int_eq(m.t_ops->ram_create(m.t_ctx, 0, (void **)&ram),
	    -EINVAL);
	ck_assert_int_eq(m.t_ops->ram_create(m.t_ctx, 5000, (void **)&ram),
	    -EINVAL);
	ck_assert_int_eq(m.t_ops->ram_discard(m.t_ctx, 0, 4096), -EINVAL);
	ck_assert_int_eq(m.t_ops->ram_create(m.t_ctx, RAM, (void **)&ram), 0);
	ck_assert_int_eq(m.t_ops->ram_create(m.t_ctx, RAM, (void **)&ram),
	    -EEXIST);
	ck_assert_int_eq(ram[0] | ram[(RAM)-1], 0);
	memset(ram, 7, RAM);
	ck_assert_int_eq(m.t_ops->ram_discard(m.t_ctx, 8192, 4096), 0);
	ck_assert_int_eq(ram[8191], 7);
	ck_assert_int_eq(ram[8192] | ram[12287], 0);
	ck_assert_int_eq(ram[12288], 7);
	ck_assert_int_eq(m.t_ops->ram_discard(m.t_ctx, 100, 4096), -EINVAL);
	ck_assert_int_eq(m.t_ops->ram_discard(m.t_ctx, 0, 100), -EINVAL);
	ck_assert_int_eq(m.t_ops->ram_discard(m.t_ctx, RAM, 4096), -EINVAL);
	ck_assert_int_eq(m.t_ops->ram_discard(m.t_ctx, (uint64_t)0 - 4096,
			     8192),
	    -EINVAL);
	ck_assert_int_eq(m.t_ops->ram_discard(m.t_ctx, RAM, 0), 0);
	machine_end(&m);
}

static void
clock_body(struct quern_sim *w, void *arg)
{
	struct quern_clock_params cp;
	struct test_machine m;
	uint64_t a, b, r;

	(void)arg;
	machine_begin(&m, w, 1);
	ck_assert_int_eq(m.t_ops->clock_read(m.t_ctx, QUERN_CLOCK_MONOTONIC,
			     &a),
	    0);
	ck_assert_uint_eq(a, quern_sim_now(w));
	quern_sim_sleep(w, 1000000);
	ck_assert_int_eq(m.t_ops->clock_read(m.t_ctx, QUERN_CLOCK_MONOTONIC,
			     &b),
	    0);
	ck_assert_uint_ge(b, a + 1000000);
	ck_assert_uint_lt(b, a + 1001000);
	/* Worlds begin in 2020. */
	ck_assert_int_eq(m.t_ops->clock_read(m.t_ctx, QUERN_CLOCK_REALTIME, &r),
	    0);
	ck_assert_uint_eq(r / 1000000000, 1577836800 + b / 1000000000);
	ck_assert_int_eq(m.t_ops->clock_read(m.t_ctx, QUERN_NCLOCK, &r),
	    -EINVAL);
	ck_assert_int_eq(m.t_ops->clock_params(m.t_ctx, &cp), -EOPNOTSUPP);
	machine_end(&m);
}

static void
param_body(struct quern_sim *w, void *arg)
{
	struct test_machine m;
	char buf[10] = "#########";

	(void)arg;
	machine_begin(&m, w, 1);
	ck_assert_int_eq(m.t_ops->param(m.t_ctx, "host", buf, sizeof(buf)), 3);
	ck_assert_mem_eq(buf, "sim#", 4);
	ck_assert_int_eq(m.t_ops->param(m.t_ctx, "host", buf + 5, 1), 3);
	ck_assert_mem_eq(buf, "sim##s###", 9);
	ck_assert_int_eq(m.t_ops->param(m.t_ctx, "ncpu", buf, sizeof(buf)), 1);
	ck_assert_int_gt(m.t_ops->param(m.t_ctx, "choice", NULL, 0), 0);
	ck_assert_int_eq(m.t_ops->param(m.t_ctx, "pollfd", buf, sizeof(buf)),
	    -ENOENT);
	ck_assert_int_eq(m.t_ops->param(m.t_ctx, "", buf, sizeof(buf)),
	    -ENOENT);
	machine_end(&m);
}

static void
random_body(struct quern_sim *w, void *arg)
{
	struct test_machine m;

	machine_begin(&m, w, 1);
	ck_assert_int_eq(m.t_ops->random(m.t_ctx, arg, 100), 0);
	machine_end(&m);
}

static void
none_body(struct quern_sim *w, void *arg)
{
	struct quern_vm_op op = { 0 };
	struct quern_net_info info;
	struct test_machine m;
	uint32_t id;

	(void)arg;
	machine_begin(&m, w, 1);
	ck_assert_int_eq(m.t_ops->net_open(m.t_ctx, "tap:0", &info, &id),
	    -EPROTONOSUPPORT);
	ck_assert_int_lt(m.t_ops->net_send(m.t_ctx, 0, 3, NULL, 0, NULL), 0);
	ck_assert_int_lt(m.t_ops->net_recv(m.t_ctx, 0, 3, NULL, 0, NULL), 0);
	ck_assert_int_eq(m.t_ops->vm_create(m.t_ctx, 1), -EOPNOTSUPP);
	ck_assert_int_eq(m.t_ops->vm_update(m.t_ctx, 0, 1, &op, 1), -ENOENT);
	ck_assert_int_eq(m.t_ops->vm_run(m.t_ctx, 0, 1, NULL, NULL, 0),
	    -ENOENT);
	ck_assert_int_eq(m.t_ops->vm_destroy(m.t_ctx, 1), -ENOENT);
	machine_end(&m);
}

/* ---- runners, waiting ----------------------------------------------------------- */

static void
runner_body(struct quern_sim *w, void *arg)
{
	struct test_machine m;

	(void)arg;
	machine_begin(&m, w, 2);
	ck_assert_int_eq(m.t_ops->cpu_stop(m.t_ctx, 0), -ESRCH);
	ck_assert_int_eq(m.t_ops->cpu_stop(m.t_ctx, 99), -ESRCH);
	ck_assert_int_eq(m.t_ops->cpu_start(m.t_ctx, 2, -1), -EINVAL);
	ck_assert_int_eq(m.t_ops->cpu_start(m.t_ctx, 0, 7), -EINVAL);
	ck_assert_int_eq(m.t_ops->cpu_start(m.t_ctx, 0, 0), 0);
	ck_assert_int_eq(m.t_ops->cpu_start(m.t_ctx, 0, -1), -EEXIST);
	ck_assert_int_eq(m.t_ops->cpu_start(m.t_ctx, 1, -1), 0);
	ck_assert_int_eq(m.t_ops->cpu_stop(m.t_ctx, 0), 0);
	ck_assert_int_eq(m.t_ops->cpu_stop(m.t_ctx, 1), 0);
	ck_assert_uint_eq(m.t_ran, 3);
	/* Again. */
	ck_assert_int_eq(m.t_ops->cpu_start(m.t_ctx, 1, -1), 0);
	ck_assert_int_eq(m.t_ops->cpu_stop(m.t_ctx, 1), 0);
	machine_end(&m);
}

struct kicker {
	struct test_machine *m;
	struct quern_seat *seat;
	uint64_t after;
};

static void
kick_later(void *arg)
{
	struct kicker *k = arg;

	quern_sim_sleep(k->m->t_w, k->after);
	k->m->t_ops->cpu_kick(k->m->t_ctx, k->seat);
}

static void
idle_body(struct quern_sim *w, void *arg)
{
	struct quern_seat seat = { 0 }, other = { 0 };
	struct test_machine m;
	struct kicker k = { &m, &seat, 1000000 };
	uint64_t start;

	(void)arg;
	machine_begin(&m, w, 1);
	/* A deadline that has passed; one that has not. */
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, &seat, 0, 0), -ETIMEDOUT);
	start = quern_sim_now(w);
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, &seat, 1, start + 5000),
	    -ETIMEDOUT);
	ck_assert_uint_ge(quern_sim_now(w), start + 5000);
	/* A kick is latched, once, on its seat. */
	m.t_ops->cpu_kick(m.t_ctx, &seat);
	m.t_ops->cpu_kick(m.t_ctx, &seat);
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, &other, 1, 0), -ETIMEDOUT);
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, NULL, 1, 0), 0);
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, &seat, 1, QUERN_NEVER),
	    -EINTR);
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, &seat, 1, 0), -ETIMEDOUT);
	/* A kick ends a wait. */
	world_task(w, "kicker", kick_later, &k);
	start = quern_sim_now(w);
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, &seat, 0, QUERN_NEVER),
	    -EINTR);
	ck_assert_uint_ge(quern_sim_now(w), start + 1000000);
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, &seat, 1, 0), -ETIMEDOUT);
	/* cpu_fence is there or says that it isn't. */
	start = (uint64_t)m.t_ops->cpu_fence(m.t_ctx);
	ck_assert(start == 0 || (int)start == -EOPNOTSUPP);
	machine_end(&m);
}

/* ---- channels -------------------------------------------------------------------- */

/* Wait for the next event of these CPUs. */
static void
await_event(struct test_machine *m, uint64_t cpus, struct quern_event *ev,
    int64_t result)
{
	struct quern_seat seat = { 0 };
	unsigned n = m->t_ngot;

	ck_assert_int_eq(m->t_ops->cpu_idle(m->t_ctx, &seat, cpus, QUERN_NEVER),
	    1);
	ck_assert_uint_eq(m->t_ngot, n + 1);
	ck_assert_ptr_eq(m->t_got[n].g_ev, ev);
	ck_assert_int_eq(m->t_got[n].g_result, result);
}

static void
channel_body(struct quern_sim *w, void *arg)
{
	struct quern_event rev = { 0 }, wev = { 0 }, rev2 = { 0 };
	struct test_machine m, n;
	static char buf[10000];
	uint32_t a, b, c, d, id;
	int64_t r, sent;

	(void)arg;
	machine_begin(&m, w, 2);
	machine_begin(&n, w, 2);
	ck_assert_int_eq(m.t_ops->chan_open(m.t_ctx, "stdio:", &id),
	    -EPROTONOSUPPORT);
	ck_assert_int_eq(m.t_ops->chan_open(m.t_ctx,
			     "loop:a-name-that-is-much-too-long-for-it", &id),
	    -EINVAL);
	ck_assert_int_eq(m.t_ops->chan_read(m.t_ctx, 0, 3, buf, 1, NULL),
	    -EBADF);
	ck_assert_int_eq(m.t_ops->chan_write(m.t_ctx, 0, 77, buf, 1, NULL),
	    -EBADF);
	m.t_ops->chan_close(m.t_ctx, 5); /* nothing */
	ck_assert_int_eq(m.t_ops->chan_open(m.t_ctx, "loop:x", &a), 0);
	/* Nobody at the other end yet. */
	ck_assert_int_eq(m.t_ops->chan_write(m.t_ctx, 1, a, buf, 1, &wev),
	    -EAGAIN);
	ck_assert_int_eq(m.t_ops->chan_write(m.t_ctx, 1, a, buf, 1, &wev),
	    -EBUSY);
	ck_assert_int_eq(m.t_ops->chan_write(m.t_ctx, 1, a, buf, 1, NULL),
	    -EAGAIN);
	ck_assert_int_eq(m.t_ops->chan_read(m.t_ctx, 0, a, buf, 1, &rev),
	    -EAGAIN);
	ck_assert_int_eq(m.t_ops->chan_read(m.t_ctx, 0, a, buf, 1, &rev2),
	    -EBUSY);
	ck_assert_int_eq(n.t_ops->chan_open(n.t_ctx, "loop:x", &b), 0);
	/* The event comes to the CPU that asked, not to another. */
	quern_sim_sleep(w, 1000000);
	ck_assert_int_eq(m.t_ops->cpu_idle(m.t_ctx, NULL, 1, 0), 0);
	await_event(&m, 2, &wev, 0);
	ck_assert_uint_eq(wev.e_cpu, 1);
	/* A third begins a new pair. */
	ck_assert_int_eq(n.t_ops->chan_open(n.t_ctx, "loop:x", &c), 0);
	ck_assert_int_eq(n.t_ops->chan_write(n.t_ctx, 0, c, "c", 1, NULL),
	    -EAGAIN);
	ck_assert_int_eq(n.t_ops->chan_open(n.t_ctx, "loop:x", &d), 0);
	ck_assert_int_eq(n.t_ops->chan_write(n.t_ctx, 0, c, "c", 1, NULL), 1);
	ck_assert_int_eq(n.t_ops->chan_read(n.t_ctx, 0, d, buf, 9, NULL), 1);
	ck_assert_int_eq(buf[0], 'c');
	/* Across kernels, with the event that was armed before. */
	ck_assert_int_eq(n.t_ops->chan_write(n.t_ctx, 0, b, "hello", 5, NULL),
	    5);
	await_event(&m, 1, &rev, 0);
	ck_assert_int_eq(m.t_ops->chan_read(m.t_ctx, 0, a, buf, 3, &rev), 3);
	ck_assert_mem_eq(buf, "hel", 3);
	ck_assert_int_eq(m.t_ops->chan_read(m.t_ctx, 0, a, buf, 0, NULL), 0);
	ck_assert_int_eq(m.t_ops->chan_read(m.t_ctx, 0, a, buf, 9, NULL), 2);
	ck_assert_mem_eq(buf, "lo", 2);
	/* What doesn't fit is not taken, and then there is room. */
	for (sent = 0;
	     (r = m.t_ops->chan_write(m.t_ctx, 0, a, buf, 3000, &wev)) > 0;)
		sent += r;
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_int_eq(n.t_ops->chan_read(n.t_ctx, 0, b, buf, 10000, NULL),
	    sent);
	await_event(&m, 1, &wev, 0);
	ck_assert_int_gt(m.t_ops->chan_write(m.t_ctx, 0, a, buf, 3000, NULL),
	    0);
	/* Closing: what is armed is cancelled; the other end sees the end. */
	ck_assert_int_eq(m.t_ops->chan_read(m.t_ctx, 0, a, buf, 1, &rev),
	    -EAGAIN);
	m.t_ops->chan_close(m.t_ctx, a);
	await_event(&m, 1, &rev, -ECANCELED);
	ck_assert_int_eq(m.t_ops->chan_read(m.t_ctx, 0, a, buf, 1, NULL),
	    -EBADF);
	ck_assert_int_eq(n.t_ops->chan_write(n.t_ctx, 0, b, buf, 1, NULL),
	    -EPIPE);
	ck_assert_int_eq(n.t_ops->chan_read(n.t_ctx, 0, b, buf, 10000, NULL),
	    3000);
	ck_assert_int_eq(n.t_ops->chan_read(n.t_ctx, 0, b, buf, 1, NULL), 0);
	machine_end(&n); /* with three open */
	machine_end(&m);
}

static void
many_channels_body(struct quern_sim *w, void *arg)
{
	struct test_machine m;
	uint32_t id;
	int n, error;

	(void)arg;
	machine_begin(&m, w, 1);
	for (n = 0; (error = m.t_ops->chan_open(m.t_ctx, "loop:m", &id)) == 0;
	     n++)
		ck_assert_int_lt(n, 1000);
	ck_assert_int_eq(error, -EMFILE);
	ck_assert_int_ge(n, 8);
	machine_end(&m);
}

/* ---- failures ---------------------------------------------------------------------- */

static int64_t
call_once(struct test_machine *m, const char *name)
{
	static char buf[4096];
	uint32_t id, peer;
	int64_t r;
	void *p;

	if (strcmp(name, "map") == 0) {
		r = m->t_ops->map(m->t_ctx, 4096, 4096, 0, &p);
		if (r == 0)
			m->t_ops->unmap(m->t_ctx, p, 4096);
		return r;
	}
	if (strcmp(name, "ram_create") == 0)
		return m->t_ops->ram_create(m->t_ctx, 4096, &p);
	if (strcmp(name, "ram_discard") == 0) {
		(void)m->t_ops->ram_create(m->t_ctx, 4096, &p);
		return m->t_ops->ram_discard(m->t_ctx, 0, 4096);
	}
	if (strcmp(name, "random") == 0)
		return m->t_ops->random(m->t_ctx, buf, 8);
	if (strcmp(name, "cpu_start") == 0) {
		r = m->t_ops->cpu_start(m->t_ctx, 0, -1);
		if (r == 0)
			r = m->t_ops->cpu_stop(m->t_ctx, 0);
		return r;
	}
	r = m->t_ops->chan_open(m->t_ctx, "loop:f", &id);
	if (r != 0)
		return r;
	(void)m->t_ops->chan_open(m->t_ctx, "loop:f", &peer);
	if (strcmp(name, "chan_read") == 0) {
		(void)m->t_ops->chan_write(m->t_ctx, 0, peer, buf, 1, NULL);
		r = m->t_ops->chan_read(m->t_ctx, 0, id, buf, 1, NULL) - 1;
	} else if (strcmp(name, "chan_write") == 0) {
		r = m->t_ops->chan_write(m->t_ctx, 0, id, buf, 1, NULL) - 1;
	}
	m->t_ops->chan_close(m->t_ctx, id);
	m->t_ops->chan_close(m->t_ctx, peer);
	return r;
}

static const struct failure {
	const char *name;
	int error;
} failures[] = { { "map", -ENOMEM }, { "ram_create", -ENOMEM },
	{ "ram_discard", -EIO }, { "random", -EIO }, { "cpu_start", -EAGAIN },
	{ "chan_open", -EMFILE }, { "chan_read", -EIO - 1 },
	{ "chan_write", -EIO - 1 } };

static void
failure_body(struct quern_sim *w, void *arg)
{
	const struct failure *f = arg;
	struct test_machine m;

	machine_begin(&m, w, 1);
	ck_assert_int_eq(call_once(&m, f->name), f->error);
	ck_assert_uint_eq(quern_sim_failed(w), 1);
	machine_end(&m);
	/* The next one does not fail. */
	machine_begin(&m, w, 1);
	ck_assert_int_eq(call_once(&m, f->name), 0);
	ck_assert_uint_eq(quern_sim_failed(w), 1);
	machine_end(&m);
}

START_TEST(failing)
{
	struct quern_sim_config sc = { .seed = 1, .fail_n = 1 };
	struct failure f = failures[_i];

	sc.fail_call = f.name;
	ck_assert_int_eq(world_run(&sc, failure_body, &f).result, 0);
}
END_TEST

static void
begin_fails_body(struct quern_sim *w, void *arg)
{
	struct quern_host host = quern_sim_host(w);
	struct quern_machine qm = { 1, "x", 100 };
	struct quern_upcalls up = { 0 };
	void *ctx, *core;

	(void)arg;
	ck_assert_int_eq(host.h_ops->begin(host.h_arg, &qm, &up, &ctx, &core),
	    -ENOMEM);
	qm.m_ncpu = 0;
	ck_assert_int_eq(host.h_ops->begin(host.h_arg, &qm, &up, &ctx, &core),
	    -EINVAL);
	qm.m_ncpu = QUERN_MAXCPU + 1;
	ck_assert_int_eq(host.h_ops->begin(host.h_arg, &qm, &up, &ctx, &core),
	    -EINVAL);
	qm.m_ncpu = QUERN_MAXCPU;
	ck_assert_int_eq(host.h_ops->begin(host.h_arg, &qm, &up, &ctx, &core),
	    0);
	host.h_ops->end(ctx);
}

START_TEST(begin_fails)
{
	struct quern_sim_config sc = { .seed = 1,
		.fail_call = "begin",
		.fail_n = 1 };

	ck_assert_int_eq(world_run(&sc, begin_fails_body, NULL).result, 0);
}
END_TEST

/* Counting over all the calls, the n-th fails. */
static void
count_body(struct quern_sim *w, void *arg)
{
	int *failed_at = arg, i;
	struct test_machine m;
	char byte;

	machine_begin(&m, w, 1); /* the first */
	for (i = 2; i < 20; i++)
		if (m.t_ops->random(m.t_ctx, &byte, 1) != 0)
			*failed_at = i;
	machine_end(&m);
}

START_TEST(nth_of_all)
{
	struct quern_sim_config sc = { .seed = 1 };
	int failed_at;
	struct run r;

	for (sc.fail_n = 2; sc.fail_n < 20; sc.fail_n++) {
		failed_at = 0;
		r = world_run(&sc, count_body, &failed_at);
		ck_assert_int_eq(r.result, 0);
		ck_assert_int_eq(failed_at, (int)sc.fail_n);
		ck_assert_uint_eq(r.failed, 1);
		ck_assert_uint_eq(r.failable, 19);
	}
}
END_TEST

/* Bytes come from the seed. */
START_TEST(random_bytes)
{
	char a[100], b[100], c[100];
	struct quern_sim_config sc = { .seed = 5 };
	unsigned i, differ = 0;

	(void)world_run(&sc, random_body, a);
	(void)world_run(&sc, random_body, b);
	sc.seed = 6;
	(void)world_run(&sc, random_body, c);
	ck_assert_mem_eq(a, b, sizeof(a));
	for (i = 0; i < sizeof(a); i++)
		differ += a[i] != c[i];
	ck_assert_uint_gt(differ, 80);
}
END_TEST

static void (*const bodies[])(struct quern_sim *, void *) = { memory_body,
	ram_body, clock_body, param_body, none_body, runner_body, idle_body,
	channel_body, many_channels_body };

#define NBODY ((int)(sizeof(bodies) / sizeof(bodies[0])))

/* In several worlds, since kicks and events come in any order. */
START_TEST(calls)
{
	struct quern_sim_config sc = { .seed = 1 };
	struct run r;

	for (; sc.seed <= SEEDS; sc.seed++) {
		sc.policy = sc.seed % 2 == 0 ? QUERN_SIM_RANDOM : QUERN_SIM_PCT;
		r = world_run(&sc, bodies[_i], NULL);
		ck_assert_msg(r.result == 0, "seed %llu: %d\n%s",
		    (unsigned long long)sc.seed, r.result, r.log);
	}
}
END_TEST

static char *guarded;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t off = (uintptr_t)info->si_addr - (uintptr_t)guarded;

	(void)sig, (void)context;
	_exit(off < 4096 ? 42 : 1);
}

static void
guard_body(struct quern_sim *w, void *arg)
{
	struct sigaction sa = { .sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO };
	struct test_machine m;
	void *p;

	(void)arg;
	machine_begin(&m, w, 1);
	if (sigaction(SIGSEGV, &sa, NULL) != 0 ||
	    m.t_ops->map(m.t_ctx, 16384, 16384, QUERN_MAP_GUARD, &p) != 0)
		_exit(3);
	guarded = p;
	memset(guarded + 4096, 1, 12288); /* the first page only */
	*(volatile char *)(guarded + 4095) = 1;
	_exit(4);
}

/* The first page of an area with a guard faults. */
START_TEST(guard)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)world_run(NULL, guard_body, NULL);
		_exit(5);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 42);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sim machine");
	TCase *tc = tcase_create("machine");

	tcase_add_loop_test(tc, calls, 0, NBODY);
	tcase_add_loop_test(tc, failing, 0,
	    (int)(sizeof(failures) / sizeof(failures[0])));
	tcase_add_test(tc, begin_fails);
	tcase_add_test(tc, nth_of_all);
	tcase_add_test(tc, random_bytes);
	tcase_add_test(tc, guard);
	suite_add_tcase(s, tc);
	return world_main(s);
}
