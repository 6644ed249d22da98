/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients, vCPUs and host threads: who runs what, where.
 */
#include <kernel/impl.h>

#include "ktest.h"

#define CLIENTS 5u

#if defined(QSAN_ADDRESS) || defined(QSAN_THREAD)
#define ROUNDS 100u
#else
#define ROUNDS 1000u
#endif

static unsigned
rounds(struct kenv *e)
{
	return e->sim != NULL ? 3 : ROUNDS;
}

/* ---- calls that sleep and are woken by other calls ------------------------ */

/* A token goes round; member i waits for it and passes it on. */
struct ring {
	struct kenv *e;
	struct quern *k;
	struct qspin s;
	struct qwaitq w[CLIENTS];
	unsigned turn;    /* [s] */
	uint32_t foreign; /* [a] sleeps after which another host ran us */
	struct member {
		struct ring *r;
		unsigned id;
		uint32_t hint;
		unsigned round;
	} m[CLIENTS];
};

static int64_t
pass_on(void *arg)
{
	struct member *m = arg;
	struct ring *r = m->r;
	struct qthread *t = qthread_current();

	qspin_lock(&r->s);
	while (r->turn != m->id) {
		KCHECK_EQ(r->e,
		    qwaitq_sleep(&r->w[m->id], &r->s, 0, QUERN_NEVER), 0);
		/* The same thread, whoever runs it now. */
		KCHECK(r->e, qthread_current() == t);
		if (qcpu_current()->v_host != t->t_host)
			__atomic_store_n(&r->foreign, 1, __ATOMIC_RELAXED);
		qspin_lock(&r->s);
	}
	r->turn = (m->id + 1) % CLIENTS;
	qspin_unlock(&r->s);
	(void)qwaitq_wake_one(&r->w[(m->id + 1) % CLIENTS]);
	return (int64_t)m->id << 32 | m->round;
}

static void
member_main(void *arg)
{
	struct member *m = arg;

	for (m->round = 0; m->round < rounds(m->r->e); m->round++)
		KCHECK_EQ(m->r->e,
		    host_call(m->r->k, NULL, &m->hint, pass_on, m),
		    (int64_t)m->id << 32 | m->round);
}

/* Each call returns its own result, on the host thread that made it. */
static void
token_ring(struct kenv *e)
{
	struct ring r = { .e = e };
	uint32_t *foreign = e->arg;
	unsigned i;

	r.k = kenv_kernel(e);
	if (r.k == NULL)
		return;
	qspin_init(&r.s);
	for (i = 0; i < CLIENTS; i++)
		qwaitq_init(&r.w[i]);
	for (i = 0; i < CLIENTS; i++) {
		r.m[i] = (struct member){ &r, i, i % r.k->k_ncpu, 0 };
		kspawn(e, member_main, &r.m[i]);
	}
	kjoin(e);
	KCHECK_EQ(e, r.turn, 0);
	if (foreign != NULL && r.foreign)
		__atomic_store_n(foreign, 1, __ATOMIC_RELAXED);
	kenv_destroy(e, r.k);
}

/* ---- entering ------------------------------------------------------------- */

struct crowd {
	struct kenv *e;
	struct quern *k;
	uint32_t inside, most, calls; /* [a] */
};

static int64_t
count_inside(void *arg)
{
	struct crowd *c = arg;
	uint32_t n = __atomic_add_fetch(&c->inside, 1, __ATOMIC_SEQ_CST);
	uint32_t most = __atomic_load_n(&c->most, __ATOMIC_SEQ_CST);

	while (n > most &&
	    !__atomic_compare_exchange_n(&c->most, &most, n, false,
		__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		continue;
	KCHECK(c->e, n <= c->k->k_ncpu);
	kchoice();
	kchoice();
	__atomic_sub_fetch(&c->inside, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&c->calls, 1, __ATOMIC_SEQ_CST);
	return 7;
}

static void
crowd_member(void *arg)
{
	struct crowd *c = arg;
	uint32_t hint = 0;
	unsigned i;

	for (i = 0; i < rounds(c->e); i++)
		KCHECK_EQ(c->e, host_call(c->k, NULL, &hint, count_inside, c),
		    7);
}

/* More clients than vCPUs: never more inside than these, and all get in. */
static void
crowding(struct kenv *e)
{
	struct crowd c = { .e = e };
	unsigned i;

	c.k = kenv_kernel(e);
	if (c.k == NULL)
		return;
	for (i = 0; i < CLIENTS; i++)
		kspawn(e, crowd_member, &c);
	kjoin(e);
	KCHECK_EQ(e, c.calls, CLIENTS * rounds(e));
	KCHECK(e, c.most >= 1 && c.most <= c.k->k_ncpu);
	kenv_destroy(e, c.k);
}

static int64_t
which_cpu(void *arg)
{
	(void)arg;
	return qcpu_current()->v_id;
}

struct hold {
	struct kenv *e;
	struct quern *k;
	uint32_t in, out; /* [a] */
};

static int64_t
hold_cpu(void *arg)
{
	struct hold *h = arg;

	__atomic_store_n(&h->in, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&h->out, __ATOMIC_ACQUIRE))
		h->k->k_hyper->cpu_yield(h->k->k_ctx, QUERN_YIELD_SPIN);
	return which_cpu(NULL);
}

static void
holder(void *arg)
{
	struct hold *h = arg;

	KCHECK_EQ(h->e, kcall(h->k, hold_cpu, h), 0);
}

/* The vCPU of last time if it is free, else another, which is remembered. */
static void
hint_follows(struct kenv *e)
{
	struct hold h = { .e = e };
	uint32_t hint;

	if (e->ncpu < 2)
		return;
	e->runners = 0; /* they would be on a vCPU now and then */
	h.k = kenv_kernel(e);
	if (h.k == NULL)
		return;
	hint = e->ncpu - 1;
	KCHECK_EQ(e, host_call(h.k, NULL, &hint, which_cpu, NULL), e->ncpu - 1);
	KCHECK_EQ(e, hint, e->ncpu - 1);
	kspawn(e, holder, &h);
	kawait(e, &h.in, 1);
	hint = 0;
	KCHECK(e, host_call(h.k, NULL, &hint, which_cpu, NULL) != 0);
	KCHECK(e, hint != 0);
	__atomic_store_n(&h.out, 1, __ATOMIC_RELEASE);
	kjoin(e);
	kenv_destroy(e, h.k);
}

/* ---- threads that never sleep ---------------------------------------------- */

struct busy {
	struct kenv *e;
	struct quern *k;
	uint32_t stop, calls; /* [a] */
	struct qthread *t[2];
};

static void
yield_for_ever(void *arg)
{
	struct busy *b = arg;

	while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE))
		qthread_yield();
}

static int64_t
start_busy(void *arg)
{
	struct busy *b = arg;
	unsigned i;

	for (i = 0; i < 2; i++)
		KCHECK_EQ(b->e,
		    qthread_create(b->k, "busy", yield_for_ever, b,
			QPRIO_CLIENT, QCPU_ANY, &b->t[i]),
		    0);
	return 0;
}

static int64_t
stop_busy(void *arg)
{
	struct busy *b = arg;

	__atomic_store_n(&b->stop, 1, __ATOMIC_RELEASE);
	qthread_join(b->t[0]);
	qthread_join(b->t[1]);
	return 0;
}

/* Sleeps for a while, beside threads that are always ready. */
static int64_t
nap(void *arg)
{
	struct busy *b = arg;
	uint64_t until = qclock_mono(b->k) + 20000;

	KCHECK_EQ(b->e, qthread_sleep_until(until, false), 0);
	KCHECK(b->e, qclock_mono(b->k) >= until);
	return 1;
}

static void
busy_client(void *arg)
{
	struct busy *b = arg;
	unsigned i;

	for (i = 0; i < 3; i++) {
		KCHECK_EQ(b->e, kcall(b->k, which_cpu, NULL) >= 0, 1);
		KCHECK_EQ(b->e, kcall(b->k, nap, b), 1);
	}
}

/*
 * Kernel threads that are always ready keep neither clients out nor timers
 * from firing.
 */
static void
busy_threads(struct kenv *e)
{
	struct busy b = { .e = e };
	unsigned i;

	b.k = kenv_kernel(e);
	if (b.k == NULL)
		return;
	KCHECK_EQ(e, kcall(b.k, start_busy, &b), 0);
	for (i = 0; i < 3; i++)
		kspawn(e, busy_client, &b);
	kjoin(e);
	KCHECK_EQ(e, kcall(b.k, stop_busy, &b), 0);
	kenv_destroy(e, b.k);
}

/* ---- who runs kernel threads ------------------------------------------------ */

struct work {
	struct kenv *e;
	struct quern *k;
	struct qthread *t[6];
	uint32_t done; /* [a] */
	uint32_t up[2];
	uint32_t order[8], n; /* of what ran, by a vCPU's threads */
};

static void
work_main(void *arg)
{
	struct work *w = arg;

	(void)qthread_sleep_until(qclock_mono(w->k) + 5000, false);
	qthread_yield();
	__atomic_add_fetch(&w->done, 1, __ATOMIC_RELEASE);
}

static int64_t
work_start(void *arg)
{
	struct work *w = arg;
	unsigned i;

	for (i = 0; i < 6; i++)
		KCHECK_EQ(w->e,
		    qthread_create(w->k, "work", work_main, w, QPRIO_NORMAL,
			QCPU_ANY, &w->t[i]),
		    0);
	return 0;
}

static int64_t
work_join(void *arg)
{
	struct work *w = arg;
	unsigned i;

	for (i = 0; i < 6; i++)
		qthread_join(w->t[i]);
	return 0;
}

/*
 * Threads that a client started and left go on: runner threads run them, or
 * quern_poll does.
 */
static void
background(struct kenv *e)
{
	struct work w = { .e = e };
	unsigned n = 0;
	int r;

	w.k = kenv_kernel(e);
	if (w.k == NULL)
		return;
	KCHECK_EQ(e, kcall(w.k, work_start, &w), 0);
	if (e->runners != 0)
		kawait(e, &w.done, 6);
	while (__atomic_load_n(&w.done, __ATOMIC_ACQUIRE) < 6) {
		r = quern_poll(w.k, QUERN_NEVER);
		KCHECK(e, r >= 0);
		if (!KCHECK(e, ++n < 1000))
			break;
	}
	KCHECK_EQ(e, kcall(w.k, work_join, &w), 0);
	/* Nothing is left to do, nor will be. */
	if (e->runners == 0)
		KCHECK_EQ(e, quern_poll(w.k, 0), 0);
	kenv_destroy(e, w.k);
}

/* ---- stealing, binding ------------------------------------------------------- */

/* Two threads, each waiting for the other to run: they must do so at once. */
static void
meet(struct work *w, unsigned me)
{
	__atomic_store_n(&w->up[me], 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&w->up[!me], __ATOMIC_ACQUIRE))
		w->k->k_hyper->cpu_yield(w->k->k_ctx, QUERN_YIELD_SPIN);
}

static void
meet_first(void *arg)
{
	meet(arg, 0);
}

static void
meet_second(void *arg)
{
	meet(arg, 1);
}

static int64_t
meeting(void *arg)
{
	struct work *w = arg;

	KCHECK_EQ(w->e,
	    qthread_create(w->k, "first", meet_first, w, QPRIO_NORMAL, QCPU_ANY,
		&w->t[0]),
	    0);
	KCHECK_EQ(w->e,
	    qthread_create(w->k, "second", meet_second, w, QPRIO_NORMAL,
		QCPU_ANY, &w->t[1]),
	    0);
	qthread_join(w->t[0]);
	qthread_join(w->t[1]);
	return 0;
}

static void
stealing(struct kenv *e)
{
	struct work w = { .e = e };
	struct quern_stats st;
	unsigned i;

	if (e->ncpu < 2 || e->runners < 1)
		return;
	w.k = kenv_kernel(e);
	if (w.k == NULL)
		return;
	for (i = 0; i < rounds(e); i++) {
		w.up[0] = w.up[1] = 0;
		KCHECK_EQ(e, kcall(w.k, meeting, &w), 0);
	}
	KCHECK_EQ(e, quern_stats(w.k, &st), 0);
	KCHECK(e, st.st_steals >= 1);
	kenv_destroy(e, w.k);
}

static void
passer_by(void *arg)
{
	struct work *w = arg;
	unsigned i;

	for (i = 0; i < 4; i++)
		KCHECK(w->e, kcall(w->k, which_cpu, NULL) >= 0);
}

/*
 * The same while other clients come and go, so that there may be no free vCPU
 * when the second thread is made, and nobody to tell later.
 */
static void
stealing_crowded(struct kenv *e)
{
	struct work w = { .e = e };
	unsigned i;

	if (e->ncpu < 2 || e->runners < 1)
		return;
	w.k = kenv_kernel(e);
	if (w.k == NULL)
		return;
	for (i = 0; i < 2; i++)
		kspawn(e, passer_by, &w);
	KCHECK_EQ(e, kcall(w.k, meeting, &w), 0);
	kjoin(e);
	kenv_destroy(e, w.k);
}

struct bound {
	struct work *w;
	int cpu;
};

static void
bound_main(void *arg)
{
	struct bound *b = arg;
	struct work *w = b->w;
	unsigned i;

	for (i = 0; i < rounds(w->e); i++) {
		KCHECK_EQ(w->e, qcpu_current()->v_id, b->cpu);
		if (i % 2 == 0)
			qthread_yield();
		else
			(void)qthread_sleep_until(qclock_mono(w->k) + 1500,
			    false);
	}
	KCHECK_EQ(w->e, qcpu_current()->v_id, b->cpu);
}

static int64_t
bind_all(void *arg)
{
	struct work *w = arg;
	struct bound b[6];
	unsigned i;

	for (i = 0; i < 6; i++) {
		b[i] = (struct bound){ w, (int)(i % w->k->k_ncpu) };
		KCHECK_EQ(w->e,
		    qthread_create(w->k, "bound", bound_main, &b[i],
			QPRIO_NORMAL, b[i].cpu, &w->t[i]),
		    0);
	}
	for (i = 0; i < 6; i++)
		qthread_join(w->t[i]);
	return 0;
}

/* A bound thread runs on its vCPU only, whoever has to run that. */
static void
binding(struct kenv *e)
{
	struct work w = { .e = e };

	w.k = kenv_kernel(e);
	if (w.k == NULL)
		return;
	KCHECK_EQ(e, kcall(w.k, bind_all, &w), 0);
	kenv_destroy(e, w.k);
}

/* ---- order on one vCPU --------------------------------------------------------- */

struct prio_thread {
	struct work *w;
	unsigned id;
};

static void
note_order(void *arg)
{
	struct prio_thread *p = arg;

	p->w->order[p->w->n++] = p->id;
}

/* Bound to vCPU 0 like those it makes, which run when it sleeps. */
static void
prio_parent(void *arg)
{
	static const enum qprio prios[] = { QPRIO_LOW, QPRIO_NORMAL,
		QPRIO_CLIENT, QPRIO_HIGH, QPRIO_NORMAL };
	struct work *w = arg;
	struct prio_thread p[5];
	struct qthread *t[5];
	unsigned i;

	for (i = 0; i < 5; i++) {
		p[i] = (struct prio_thread){ w, i };
		KCHECK_EQ(w->e,
		    qthread_create(w->k, "prio", note_order, &p[i], prios[i], 0,
			&t[i]),
		    0);
	}
	KCHECK_EQ(w->e, w->n, 0);
	qthread_yield(); /* LOW: everybody else goes first */
	for (i = 0; i < 5; i++)
		qthread_join(t[i]);
}

static int64_t
prio_body(void *arg)
{
	struct work *w = arg;

	KCHECK_EQ(w->e,
	    qthread_create(w->k, "parent", prio_parent, w, QPRIO_LOW, 0,
		&w->t[0]),
	    0);
	qthread_join(w->t[0]);
	return 0;
}

static void
priorities(struct kenv *e)
{
	static const unsigned want[] = { 3, 2, 1, 4, 0 };
	struct work w = { .e = e };
	unsigned i;

	w.k = kenv_kernel(e);
	if (w.k == NULL)
		return;
	KCHECK_EQ(e, kcall(w.k, prio_body, &w), 0);
	KCHECK_EQ(e, w.n, 5);
	for (i = 0; i < 5; i++)
		KCHECK_EQ(e, w.order[i], want[i]);
	kenv_destroy(e, w.k);
}

#define TURNS 40u

struct turns {
	struct kenv *e;
	struct quern *k;
	unsigned n;
	uint8_t who[3 * TURNS];
};

struct turn_taker {
	struct turns *y;
	uint8_t id;
};

static void
take_turns(void *arg)
{
	struct turn_taker *t = arg;
	unsigned i;

	for (i = 0; i < TURNS; i++) {
		t->y->who[t->y->n++] = t->id;
		qthread_yield();
	}
}

static void
turns_parent(void *arg)
{
	struct turns *y = arg;
	struct turn_taker tt[3];
	struct qthread *t[3];
	unsigned i;

	for (i = 0; i < 3; i++) {
		tt[i] = (struct turn_taker){ y, (uint8_t)i };
		KCHECK_EQ(y->e,
		    qthread_create(y->k, "turn", take_turns, &tt[i],
			QPRIO_NORMAL, 0, &t[i]),
		    0);
	}
	for (i = 0; i < 3; i++)
		qthread_join(t[i]);
}

static int64_t
turns_body(void *arg)
{
	struct turns *y = arg;
	struct qthread *t;

	KCHECK_EQ(y->e,
	    qthread_create(y->k, "parent", turns_parent, y, QPRIO_NORMAL, 0,
		&t),
	    0);
	qthread_join(t);
	return 0;
}

/* Threads that yield to each other take strict turns. */
static void
fairness(struct kenv *e)
{
	struct turns y = { .e = e };
	unsigned i;

	y.k = kenv_kernel(e);
	if (y.k == NULL)
		return;
	KCHECK_EQ(e, kcall(y.k, turns_body, &y), 0);
	KCHECK_EQ(e, y.n, 3 * TURNS);
	for (i = 0; i < 3 * TURNS; i++)
		KCHECK_EQ(e, y.who[i], i % 3);
	kenv_destroy(e, y.k);
}

/* ---- a kernel called from another's callback ---------------------------------- */

struct outer {
	struct kenv *e;
	struct quern *inner;
	uint32_t logged;
};

static int64_t
sleep_a_bit(void *arg)
{
	struct kenv *e = arg;
	struct quern *k = quern_current();

	KCHECK_EQ(e, qthread_sleep_until(qclock_mono(k) + 10000, false), 0);
	KCHECK(e, quern_current() == k);
	return 5;
}

static void
log_through(void *arg, int level, const char *line)
{
	struct outer *o = arg;

	(void)level, (void)line;
	if (o->inner != NULL)
		KCHECK_EQ(o->e, kcall(o->inner, sleep_a_bit, o->e), 5);
	o->logged++;
}

static int64_t
say(void *arg)
{
	struct outer *o = arg;
	struct quern *k = quern_current();
	struct qthread *t = qthread_current();

	qlog(k, QUERN_LOG_INFO, "hello");
	KCHECK(o->e, quern_current() == k && qthread_current() == t);
	qthread_yield();
	KCHECK(o->e, quern_current() == k && qthread_current() == t);
	return 0;
}

/* The log callback of one kernel makes a call of another, which sleeps. */
static void
callback_enters_other(struct kenv *e)
{
	struct outer o = { .e = e };
	struct quern_config c = kenv_config(e);
	struct quern *k = NULL;

	o.inner = kenv_kernel(e);
	c.log = log_through;
	c.arg = &o;
	KCHECK_EQ(e, quern_create(&c, &k), 0);
	if (o.inner == NULL || k == NULL)
		return;
	o.logged = 0;
	KCHECK_EQ(e, kcall(k, say, &o), 0);
	KCHECK_EQ(e, o.logged, 1);
	kenv_destroy(e, k);
	kenv_destroy(e, o.inner);
}

const struct kcase ksched_cases[] = {
	{ "token_ring", token_ring, 5000, false, NULL },
	{ "crowding", crowding, 2000, false, NULL },
	{ "hint_follows", hint_follows, 200, false, NULL },
	{ "busy_threads", busy_threads, 1000, false, NULL },
	{ "background", background, 2000, false, NULL },
	{ "stealing", stealing, 500, false, NULL },
	{ "stealing_crowded", stealing_crowded, 3000, false, NULL },
	{ "binding", binding, 1000, false, NULL },
	{ "priorities", priorities, 200, false, NULL },
	{ "fairness", fairness, 200, false, NULL },
	{ "callback_enters_other", callback_enters_other, 100, false, NULL },
	{ 0 },
};
