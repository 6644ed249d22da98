/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instances: many at once, failing to be made, busy when they are to go, with
 * and without threads to run them, talking to each other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <kernel/impl.h>
#include <quern/component.h>
#include <quern/slab.h>

#include "khost.h"
#include "ktest.h"

static const struct qtag tag = { "instance" };

/* ---- many ------------------------------------------------------------------- */

struct maker {
	struct kenv *e;
	unsigned id;
};

struct thing {
	struct kenv *e;
	struct quern *k;
	struct qwaitq w;
	uint32_t n; /* [a] */
};

static void
count_up(void *arg)
{
	struct thing *x = arg;

	KCHECK(x->e, quern_current() == x->k);
	qthread_yield();
	__atomic_fetch_add(&x->n, 1, __ATOMIC_RELAXED);
}

static int64_t
use(void *arg)
{
	struct thing *x = arg;
	struct qthread *t;
	void *p = qalloc(&tag, 300);

	KCHECK_EQ(x->e,
	    qthread_create(x->k, "x", count_up, x, QPRIO_NORMAL, QCPU_ANY, &t),
	    0);
	(void)qthread_sleep_until(qclock_mono(x->k) + 2000, false);
	qthread_join(t);
	qfree(p);
	KCHECK_EQ(x->e, x->n, 1);
	return 9;
}

static void
maker_main(void *arg)
{
	struct maker *m = arg;
	struct quern_config c = kenv_config(m->e);
	struct thing x;
	char name[20];
	unsigned i, n = m->e->sim != NULL ? 3 : 20;

	for (i = 0; i < n; i++) {
		x = (struct thing){ .e = m->e };
		snprintf(name, sizeof(name), "kernel %u.%u", m->id, i);
		c.name = name;
		c.ncpu = 1 + (m->id + i) % 3;
		c.runners = i % 2;
		if (!KCHECK_EQ(m->e, quern_create(&c, &x.k), 0))
			return;
		memset(name, 'x', sizeof(name) - 1);
		KCHECK_EQ(m->e, kcall(x.k, use, &x), 9);
		kenv_destroy(m->e, x.k);
	}
}

/* Kernels come and go on several host threads at once. */
static void
many_at_once(struct kenv *e)
{
	struct maker m[4];
	struct khost_count held;
	unsigned i;

	e->host = khost_wrap(e->host);
	for (i = 0; i < 4; i++) {
		m[i] = (struct maker){ e, i };
		kspawn(e, maker_main, &m[i]);
	}
	kjoin(e);
	held = khost_held();
	KCHECK_EQ(e, held.machines, 0);
	KCHECK_EQ(e, held.maps, 0);
	KCHECK_EQ(e, held.bytes, 0);
	KCHECK_EQ(e, held.runners, 0);
}

/* ---- failing to be made ------------------------------------------------------- */

static int
part_init(struct quern *k, void **statep)
{
	struct qthread *t;
	struct thing x = { .k = k };
	void *p = qalloc(&tag, 5000);
	int error;

	if (p == NULL)
		return -Q_ENOMEM;
	*statep = qalloc(&tag, 100);
	error = *statep == NULL ?
	    -Q_ENOMEM :
	    qthread_create(k, "part", count_up, &x, QPRIO_NORMAL, QCPU_ANY, &t);
	if (error != 0)
		qfree(*statep);
	else
		qthread_join(t);
	qfree(p);
	return error;
}

static void
part_fini(struct quern *k, void *state)
{
	(void)k;
	qfree(state);
}

static const struct quern_component part = { "part", NULL, part_init, part_fini,
	NULL };
static const struct quern_component *const need_part[] = { &part, NULL };
static const struct quern_component part2 = { "part2", need_part, part_init,
	part_fini, NULL };
static const struct quern_component *const parts[] = { &part2, &part, NULL };

static void
check_nothing_held(struct kenv *e)
{
	struct khost_count held = khost_held();

	KCHECK_EQ(e, held.machines, 0);
	KCHECK_EQ(e, held.maps, 0);
	KCHECK_EQ(e, held.bytes, 0);
	KCHECK_EQ(e, held.runners, 0);
	KCHECK_EQ(e, held.channels, 0);
}

/* At every allocation. */
static void
creation_fails_alloc(struct kenv *e)
{
	struct quern_config c;
	struct quern_stats st;
	struct quern *k;
	uint64_t n;
	int error;

	e->host = khost_wrap(e->host);
	e->quiet = true;
	c = kenv_config(e);
	c.components = parts;
	for (n = 1;; n++) {
		c.fail_alloc = n;
		k = (void *)&c;
		error = quern_create(&c, &k);
		if (error == 0)
			break;
		KCHECK_EQ(e, error, -Q_ENOMEM);
		KCHECK(e, k == NULL);
		check_nothing_held(e);
		if (!KCHECK(e, n < 1000))
			return;
	}
	/* It has gone through since nothing was left to fail. */
	KCHECK(e, n > 5);
	KCHECK_EQ(e, quern_stats(k, &st), 0);
	if (e->runners == 0)
		KCHECK(e, st.st_allocs < n);
	kenv_destroy(e, k);
	check_nothing_held(e);
}

/* At every hypercall that can fail. */
static void
creation_fails_call(struct kenv *e)
{
	struct quern_config c;
	struct quern *k;
	unsigned n, failed = 0;
	int error;

	e->host = khost_wrap(e->host);
	e->quiet = true;
	c = kenv_config(e);
	c.components = parts;
	for (n = 1;; n++) {
		khost_fail(n);
		k = (void *)&c;
		error = quern_create(&c, &k);
		if (!khost_failed())
			break;
		KCHECK(e,
		    error == -Q_ENOMEM || error == -Q_EMFILE ||
			error == -Q_EAGAIN || error == -Q_EIO);
		KCHECK(e, k == NULL);
		failed++;
		check_nothing_held(e);
		if (!KCHECK(e, n < 1000))
			return;
	}
	khost_fail(0);
	KCHECK_EQ(e, error, 0);
	/* begin, core things, a stack a vCPU, magazines, a client's stack. */
	KCHECK(e, failed >= 5 + 2 * e->ncpu);
	kenv_destroy(e, k);
	check_nothing_held(e);
}

/* ---- busy -------------------------------------------------------------------------- */

static int ninit, nfini;

static int
counted_init(struct quern *k, void **statep)
{
	(void)k, (void)statep;
	ninit++;
	return 0;
}

static void
counted_fini(struct quern *k, void *state)
{
	(void)k, (void)state;
	nfini++;
}

static const struct quern_component counted = { "counted", NULL, counted_init,
	counted_fini, NULL };
static const struct quern_component *const just_counted[] = { &counted, NULL };

static int64_t
sleep_here(void *arg)
{
	struct thing *x = arg;

	qspin_lock(&x->w.w_lock);
	__atomic_store_n(&x->n, 1, __ATOMIC_RELEASE);
	(void)qwaitq_sleep(&x->w, &x->w.w_lock, 0, QUERN_NEVER);
	return 21;
}

static int64_t
stay_here(void *arg)
{
	struct thing *x = arg;

	__atomic_store_n(&x->n, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&x->n, __ATOMIC_ACQUIRE) != 2)
		x->k->k_hyper->cpu_yield(x->k->k_ctx, QUERN_YIELD_SPIN);
	return 21;
}

static int64_t
wake_there(void *arg)
{
	struct thing *x = arg;

	return qwaitq_wake_all(&x->w);
}

static void
sleeping_client(void *arg)
{
	struct thing *x = arg;

	KCHECK_EQ(x->e, kcall(x->k, sleep_here, x), 21);
}

static void
staying_client(void *arg)
{
	struct thing *x = arg;

	KCHECK_EQ(x->e, kcall(x->k, stay_here, x), 21);
}

static int64_t
nothing(void *arg)
{
	(void)arg;
	return 4;
}

static void
busy(struct kenv *e, bool sleeps)
{
	struct quern_config c = kenv_config(e);
	struct thing x = { .e = e };
	struct quern_proc *p = NULL;
	unsigned i;

	ninit = nfini = 0;
	qwaitq_init(&x.w);
	c.components = just_counted;
	KCHECK_EQ(e, quern_create(&c, &x.k), 0);
	if (x.k == NULL)
		return;
	KCHECK_EQ(e, quern_proc_create(x.k, &p), 0);
	kspawn(e, sleeps ? sleeping_client : staying_client, &x);
	kawait(e, &x.n, 1);
	for (i = 0; i < 3; i++) {
		KCHECK_EQ(e, quern_destroy(x.k), -Q_EBUSY);
		if (e->sim != NULL)
			quern_sim_yield(e->sim);
	}
	/* Nothing has happened. */
	KCHECK_EQ(e, nfini, 0);
	if (sleeps || e->ncpu > 1) {
		KCHECK(e, quern_getpid(p) > 0);
		KCHECK_EQ(e, kcall(x.k, nothing, NULL), 4);
		KCHECK(e,
		    __atomic_load_n(&x.k->k_runners_left, __ATOMIC_SEQ_CST) ==
			c.runners);
	}
	if (sleeps)
		while (kcall(x.k, wake_there, &x) == 0)
			kpause(e);
	else
		__atomic_store_n(&x.n, 2, __ATOMIC_RELEASE);
	kjoin(e);
	kenv_destroy(e, x.k);
	KCHECK_EQ(e, ninit, 1);
	KCHECK_EQ(e, nfini, 1);
}

/* -EBUSY while a call sleeps inside ... */
static void
busy_sleeping(struct kenv *e)
{
	busy(e, true);
}

/* ... and while one runs. */
static void
busy_running(struct kenv *e)
{
	busy(e, false);
}

/* ---- arguments ------------------------------------------------------------------------ */

static char lines[1000];

static void
keep_line(void *arg, int level, const char *line)
{
	(void)arg, (void)level;
	strncat(lines, line, sizeof(lines) - strlen(lines) - 2);
	strcat(lines, "\n");
}

static void
refused(struct kenv *e, const struct quern_config *c, const char *says)
{
	struct quern *k = (void *)lines;

	lines[0] = '\0';
	KCHECK_EQ(e, quern_create(c, &k), -Q_EINVAL);
	KCHECK(e, k == NULL);
	KCHECK(e, strstr(lines, says) != NULL);
	check_nothing_held(e);
}

static void
bad_config(struct kenv *e)
{
	struct quern_config good, c;
	struct quern_hyper wrong;
	struct quern *k;
	int pin[2] = { 4000, -1 };

	e->host = khost_wrap(e->host);
	good = kenv_config(e);
	good.log = keep_line;
	KCHECK_EQ(e, quern_create(NULL, &k), -Q_EFAULT);
	KCHECK_EQ(e, quern_create(&good, NULL), -Q_EFAULT);
	c = good;
	c.host.h_ops = NULL;
	refused(e, &c, "config: host");
	wrong = *good.host.h_ops;
	wrong.hy_version++;
	c.host.h_ops = &wrong;
	refused(e, &c, "config: host: version");
	wrong.hy_version--;
	wrong.hy_size -= 8;
	refused(e, &c, "config: host: version");
	c = good;
	c.ram = 4095;
	refused(e, &c, "config: ram");
	c.ram = ((size_t)1 << 44) + 4096;
	refused(e, &c, "config: ram");
	c.ram = SIZE_MAX - 4095;
	refused(e, &c, "config: ram");
	c = good;
	c.ncpu = QUERN_MAXCPU + 1;
	refused(e, &c, "config: ncpu");
	c.ncpu = UINT32_MAX;
	refused(e, &c, "config: ncpu");
	c.ncpu = 2;
	c.runners = 3;
	refused(e, &c, "config: runners");
	c.ncpu = 0; /* one */
	c.runners = 2;
	refused(e, &c, "config: runners");
	c.runners = 0;
	c.pin = pin;
	refused(e, &c, "config: pin");
	c.runners = 1;
	refused(e, &c, "config: pin");
	/* The smallest and the largest that are allowed. */
	c = good;
	c.ram = 4096;
	c.ncpu = QUERN_MAXCPU;
	c.runners = 0;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	kenv_destroy(e, k);
	KCHECK_EQ(e, quern_destroy(NULL), -Q_EFAULT);
	KCHECK_EQ(e, quern_poll(NULL, 0), -Q_EFAULT);
	KCHECK_EQ(e, quern_pollfd(NULL), -Q_EFAULT);
	KCHECK_EQ(e, quern_stats(NULL, NULL), -Q_EFAULT);
	KCHECK_EQ(e, quern_run(NULL, NULL, NULL), -Q_EFAULT);
}

/* All zero but the host. */
static void
zero_config(struct kenv *e)
{
	struct quern_config c = { .host = e->host };
	struct thing x = { .e = e };
	struct quern_stats st;

	KCHECK_EQ(e, quern_create(&c, &x.k), 0);
	if (x.k == NULL)
		return;
	KCHECK_EQ(e, x.k->k_ncpu, 1);
	KCHECK_EQ(e, x.k->k_nrunner, 0);
	KCHECK_EQ(e, quern_stats(x.k, NULL), -Q_EFAULT);
	KCHECK_EQ(e, quern_stats(x.k, &st), 0);
	KCHECK_EQ(e, st.st_ram_total, (64 << 20) / 4096);
	KCHECK_EQ(e, st.st_ram_free, st.st_ram_total);
	KCHECK(e, st.st_inuse < 65536);
	KCHECK_EQ(e, kcall(x.k, use, &x), 9);
	kenv_destroy(e, x.k);
}

/* ---- channels between kernels ------------------------------------------------------------ */

/* An end of a channel, in one kernel. */
struct end {
	struct kenv *e;
	struct quern *k;
	const char *name;
	uint32_t id;
	struct quern_event ev;
	struct qwaitq w;
	bool ready; /* [w.w_lock] */
	int fd;     /* on posix */
};

static void
end_ready(void *k, struct quern_event *ev)
{
	struct end *n = QCONTAINER(ev, struct end, ev);

	(void)k;
	KCHECK_EQ(n->e, ev->e_result, 0);
	qspin_lock(&n->w.w_lock);
	n->ready = true;
	qspin_unlock(&n->w.w_lock);
	(void)qwaitq_wake_all(&n->w);
}

/* Read or write some, waiting until it is possible. */
static int64_t
end_move(struct end *n, void *buf, size_t len, bool write)
{
	const struct quern_hyper *hy = n->k->k_hyper;
	struct qcpu *v;
	int64_t r;

	for (;;) {
		n->ready = false;
		n->ev.e_fn = end_ready;
		v = qcpu_current();
		__atomic_fetch_add(&v->v_sched->r_inflight, 1,
		    __ATOMIC_SEQ_CST);
		if (write)
			r = hy->chan_write(n->k->k_ctx, v->v_id, n->id, buf,
			    len, &n->ev);
		else
			r = hy->chan_read(n->k->k_ctx, v->v_id, n->id, buf, len,
			    &n->ev);
		if (r != -Q_EAGAIN) {
			__atomic_fetch_sub(&v->v_sched->r_inflight, 1,
			    __ATOMIC_SEQ_CST);
			return r;
		}
		qspin_lock(&n->w.w_lock);
		while (!n->ready) {
			(void)qwaitq_sleep(&n->w, &n->w.w_lock, 0, QUERN_NEVER);
			qspin_lock(&n->w.w_lock);
		}
		qspin_unlock(&n->w.w_lock);
	}
}

#define TRIPS 8u

/* One sends numbers, the other sends them back plus one. */
static int64_t
ping_body(void *arg)
{
	struct end *n = arg;
	uint64_t x = 0;
	unsigned i;

	KCHECK_EQ(n->e, n->k->k_hyper->chan_open(n->k->k_ctx, n->name, &n->id),
	    0);
	for (i = 0; i < TRIPS; i++) {
		KCHECK_EQ(n->e, end_move(n, &x, sizeof(x), true), sizeof(x));
		KCHECK_EQ(n->e, end_move(n, &x, sizeof(x), false), sizeof(x));
	}
	KCHECK_EQ(n->e, x, TRIPS);
	n->k->k_hyper->chan_close(n->k->k_ctx, n->id);
	return 1;
}

static int64_t
pong_body(void *arg)
{
	struct end *n = arg;
	uint64_t x;
	unsigned i;

	KCHECK_EQ(n->e, n->k->k_hyper->chan_open(n->k->k_ctx, n->name, &n->id),
	    0);
	for (i = 0; i < TRIPS; i++) {
		KCHECK_EQ(n->e, end_move(n, &x, sizeof(x), false), sizeof(x));
		x++;
		KCHECK_EQ(n->e, end_move(n, &x, sizeof(x), true), sizeof(x));
	}
	/* The other side has hung up. */
	KCHECK_EQ(n->e, end_move(n, &x, sizeof(x), false), 0);
	n->k->k_hyper->chan_close(n->k->k_ctx, n->id);
	return 2;
}

static void
ping_main(void *arg)
{
	struct end *n = arg;

	KCHECK_EQ(n->e, kcall(n->k, ping_body, n), 1);
	if (n->fd >= 0)
		shutdown(n->fd, SHUT_RDWR); /* "fd:" is not closed */
}

static void
pong_main(void *arg)
{
	struct end *n = arg;

	KCHECK_EQ(n->e, kcall(n->k, pong_body, n), 2);
}

/* Two kernels, a client in each, and bytes between them. */
static void
channel(struct kenv *e)
{
	struct end a = { .e = e, .fd = -1 }, b = { .e = e, .fd = -1 };
	char names[2][24] = { "loop:x", "loop:x" };
	int fd[2] = { -1, -1 };
	unsigned i;

	if (e->sim == NULL) {
		if (!KCHECK_EQ(e, socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0))
			return;
		for (i = 0; i < 2; i++)
			snprintf(names[i], sizeof(names[i]), "fd:%d", fd[i]);
	}
	qwaitq_init(&a.w);
	qwaitq_init(&b.w);
	a.fd = fd[0];
	a.name = names[0];
	b.name = names[1];
	a.k = kenv_kernel(e);
	b.k = kenv_kernel(e);
	if (a.k == NULL || b.k == NULL)
		return;
	kspawn(e, ping_main, &a);
	kspawn(e, pong_main, &b);
	kjoin(e);
	kenv_destroy(e, a.k);
	kenv_destroy(e, b.k);
	for (i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

const struct kcase kinstance_cases[] = {
	{ "many_at_once", many_at_once, 300, false, NULL },
	{ "creation_fails_alloc", creation_fails_alloc, 20, false, NULL },
	{ "creation_fails_call", creation_fails_call, 20, false, NULL },
	{ "busy_sleeping", busy_sleeping, 1000, false, NULL },
	{ "busy_running", busy_running, 1000, false, NULL },
	{ "bad_config", bad_config, 10, false, NULL },
	{ "zero_config", zero_config, 20, false, NULL },
	{ "channel", channel, 1000, false, NULL },
	{ 0 },
};
