/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers.  The clock of a world is exact, so most is checked there; posix shows
 * that nothing is early and nothing is lost.
 */
#include <stdlib.h>

#include <kernel/impl.h>

#include "ktest.h"

#define US   UINT64_C(1000)
#define MS   UINT64_C(1000000)
#define SEC  UINT64_C(1000000000)
#define DAY  (86400 * SEC)
#define TICK (UINT64_C(1) << QWHEEL_SHIFT)

/* How late a timer may be in a world where nothing else runs. */
#define LATE (TICK + 20 * US)

#define TIMERS 40u

struct one {
	struct qtimer tm;
	struct shared *s;
	uint64_t when;  /* 0: not armed */
	uint32_t fired; /* [a] */
};

struct shared {
	struct kenv *e;
	struct quern *k;
	struct one t[TIMERS];
	uint64_t last;   /* tick of the last one that fired */
	uint64_t armed;  /* the clock when the last one was armed */
	uint32_t fired;  /* [a] in all */
	bool in_order;   /* check it */
	struct qwaitq w; /* told of every one */
};

static uint64_t
now_of(struct shared *s)
{
	return qclock_mono(s->k);
}

static uint64_t
tick_of(uint64_t ns)
{
	return (ns + TICK - 1) / TICK;
}

static void
fire(struct qtimer *tm)
{
	struct one *t = tm->tm_arg;
	struct shared *s = t->s;
	uint64_t now = now_of(s), tick = tick_of(t->when);

	KCHECK(s->e, t->when != 0);
	KCHECK(s->e, now >= t->when);
	if (s->in_order) {
		/* By the tick they are due at; those due at once, at once. */
		if (t->when < s->armed)
			tick = tick_of(s->armed);
		KCHECK(s->e, tick >= s->last);
		s->last = tick;
	}
	t->when = 0;
	__atomic_fetch_add(&t->fired, 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&s->fired, 1, __ATOMIC_RELEASE);
	(void)qwaitq_wake_all(&s->w);
}

static struct shared *
open_shared(struct kenv *e)
{
	struct shared *s = calloc(1, sizeof(*s));
	unsigned i;

	s->e = e;
	qwaitq_init(&s->w);
	for (i = 0; i < TIMERS; i++) {
		s->t[i].s = s;
		qtimer_init(&s->t[i].tm, fire, &s->t[i]);
	}
	s->k = kenv_kernel(e);
	return s;
}

static void
close_shared(struct shared *s)
{
	kenv_destroy(s->e, s->k);
	free(s);
}

static void
arm(struct shared *s, struct one *t, uint64_t when)
{
	t->when = when;
	s->armed = now_of(s);
	qtimer_arm(&t->tm, when);
}

/* Sleep until `n` have fired in all. */
static void
await_fired(struct shared *s, uint32_t n)
{
	for (;;) {
		qspin_lock(&s->w.w_lock);
		if (__atomic_load_n(&s->fired, __ATOMIC_ACQUIRE) >= n)
			break;
		(void)qwaitq_sleep(&s->w, &s->w.w_lock, 0, QUERN_NEVER);
	}
	qspin_unlock(&s->w.w_lock);
}

static uint64_t
some(struct shared *s, uint64_t below)
{
	return s->e->sim != NULL ? quern_sim_random(s->e->sim, below) :
				   (now_of(s) >> 4) * 2654435761u % below;
}

/* ---- order ------------------------------------------------------------------ */

static int64_t
order_body(void *arg)
{
	struct shared *s = arg;
	uint64_t base = now_of(s) + 5 * MS, span;
	unsigned i;

	/* From the same tick to a minute apart, whole or close. */
	for (i = 0; i < TIMERS; i++) {
		span = s->e->sim != NULL ? UINT64_C(1) << some(s, 37) :
					   UINT64_C(1) << some(s, 23);
		arm(s, &s->t[i], base + some(s, span));
	}
	s->in_order = true;
	await_fired(s, TIMERS);
	for (i = 0; i < TIMERS; i++)
		KCHECK_EQ(s->e, s->t[i].fired, 1);
	return 0;
}

/* They fire in the order of their ticks, each once, none early. */
static void
order(struct kenv *e)
{
	struct shared *s;

	if (e->ncpu != 1)
		return; /* two wheels are not in step */
	s = open_shared(e);
	if (s->k != NULL)
		KCHECK_EQ(e, kcall(s->k, order_body, s), 0);
	close_shared(s);
}

static int64_t
exact_body(void *arg)
{
	struct shared *s = arg;
	uint64_t when, ns;
	unsigned l, i;

	/* On, before and behind every boundary of the wheel, from any time. */
	for (l = 0; l <= 40; l++)
		for (i = 0; i < 3; i++) {
			ns = (UINT64_C(1) << l) + i - 1;
			when = now_of(s) + ns;
			KCHECK_EQ(s->e, qthread_sleep_until(when, false), 0);
			KCHECK(s->e, now_of(s) >= when);
			KCHECK(s->e, now_of(s) <= when + LATE);
			when = (now_of(s) | (TICK << l)) & ~((TICK << l) - 1);
			if (l < 30) {
				KCHECK_EQ(s->e,
				    qthread_sleep_until(when + i, false), 0);
				KCHECK(s->e, now_of(s) >= when + i);
			}
		}
	return 0;
}

/* A time that has passed is as soon as can be, whichever it is. */
static int64_t
past_body(void *arg)
{
	static const uint64_t ago[] = { 0, 1, TICK - 1, TICK, TICK + 1,
		2 * TICK, 3 * TICK, 100 * TICK, MS, 100 * MS };
	struct shared *s = arg;
	struct qwheel *w = &qcpu_current()->v_sched->r_wheel;
	uint64_t when;
	unsigned i, n = 0;

	(void)qthread_sleep_until(now_of(s) + SEC, false);
	for (i = 0; i < QARRAYLEN(ago); i++) {
		when = now_of(s) - ago[i];
		arm(s, &s->t[0], when);
		await_fired(s, ++n);
		KCHECK(s->e, now_of(s) < s->armed + LATE);
		/* On the very tick where the wheel is. */
		arm(s, &s->t[0], w->wh_now << QWHEEL_SHIFT);
		await_fired(s, ++n);
		KCHECK(s->e, now_of(s) < s->armed + LATE);
	}
	arm(s, &s->t[0], 1);
	await_fired(s, ++n);
	return 0;
}

/* What is stopped causes no tick: the vCPU has nothing to wait for. */
static int64_t
silence_body(void *arg)
{
	struct shared *s = arg;
	struct qcpu_sched *r = qcpu_current()->v_sched;
	uint64_t when = now_of(s) + MS;

	KCHECK_EQ(s->e, r->r_next, QUERN_NEVER);
	arm(s, &s->t[0], when);
	arm(s, &s->t[1], when + MS);
	KCHECK(s->e, r->r_next < when + TICK);
	KCHECK(s->e, qtimer_stop(&s->t[0].tm));
	KCHECK(s->e, r->r_next < when + MS + TICK);
	KCHECK(s->e, qtimer_stop(&s->t[1].tm));
	KCHECK_EQ(s->e, r->r_next, QUERN_NEVER);
	return 0;
}

static void
exact(struct kenv *e)
{
	struct shared *s = open_shared(e);

	if (s->k != NULL) {
		KCHECK_EQ(e, kcall(s->k, silence_body, s), 0);
		KCHECK_EQ(e, kcall(s->k, past_body, s), 0);
		KCHECK_EQ(e, kcall(s->k, exact_body, s), 0);
	}
	close_shared(s);
}

/* ---- against a model ---------------------------------------------------------- */

static int64_t
model_body(void *arg)
{
	struct shared *s = arg;
	unsigned i, op, armed;
	uint64_t until, earliest, when;
	struct one *t;
	bool was;

	s->in_order = s->e->ncpu == 1;
	for (op = 0; op < 300; op++) {
		t = &s->t[some(s, TIMERS)];
		switch (some(s, 4)) {
		case 0:
		case 1:
			when = now_of(s) +
			    some(s, UINT64_C(1) << (1 + some(s, 46)));
			/* Now and then a time that has passed. */
			if (some(s, 6) == 0)
				when = now_of(s) - some(s, 500 * US);
			arm(s, t, when);
			break;
		case 2:
			/* It is armed iff it has not fired. */
			was = t->when != 0;
			KCHECK_EQ(s->e, qtimer_stop(&t->tm), was);
			KCHECK_EQ(s->e, qtimer_stop(&t->tm), false);
			t->when = 0;
			break;
		default:
			until = now_of(s) +
			    some(s, UINT64_C(1) << (1 + some(s, 44)));
			(void)qthread_sleep_until(until, false);
			/* Nothing that is due is left. */
			for (i = 0; i < TIMERS; i++)
				KCHECK(s->e,
				    s->t[i].when == 0 ||
					s->t[i].when + LATE > until);
			s->last = 0;
			break;
		}
	}
	/* Then the rest, however far away. */
	for (;;) {
		earliest = UINT64_MAX;
		for (i = armed = 0; i < TIMERS; i++)
			if (s->t[i].when != 0) {
				armed++;
				if (s->t[i].when < earliest)
					earliest = s->t[i].when;
			}
		if (armed == 0)
			break;
		(void)qthread_sleep_until(earliest + LATE, false);
		for (i = 0; i < TIMERS; i++)
			KCHECK(s->e,
			    s->t[i].when == 0 || s->t[i].when > earliest);
	}
	return 0;
}

/* Random arming, moving, stopping and sleeping, against what should be armed. */
static void
model(struct kenv *e)
{
	struct shared *s;

	e->ncpu = 1;
	e->runners = e->runners > 1 ? 1 : e->runners;
	s = open_shared(e);
	if (s->k != NULL)
		KCHECK_EQ(e, kcall(s->k, model_body, s), 0);
	close_shared(s);
}

/* ---- from its own function ------------------------------------------------------ */

struct periodic {
	struct shared *s;
	struct qtimer tm;
	uint64_t when, period;
	unsigned left;
	uint32_t over; /* [a] */
};

static void
again(struct qtimer *tm)
{
	struct periodic *p = tm->tm_arg;

	KCHECK(p->s->e, qclock_mono(p->s->k) >= p->when);
	/* From its own function this neither waits nor finds it armed. */
	KCHECK_EQ(p->s->e, qtimer_stop(tm), false);
	if (--p->left > 0) {
		p->when += p->period;
		qtimer_arm(tm, p->when);
		return;
	}
	__atomic_store_n(&p->over, 1, __ATOMIC_RELEASE);
	(void)qwaitq_wake_all(&p->s->w);
}

static int64_t
rearm_body(void *arg)
{
	struct shared *s = arg;
	struct periodic p = { .s = s, .period = 100 * US, .left = 50 };
	uint64_t start = now_of(s);

	qtimer_init(&p.tm, again, &p);
	p.when = start + p.period;
	qtimer_arm(&p.tm, p.when);
	for (;;) {
		qspin_lock(&s->w.w_lock);
		if (__atomic_load_n(&p.over, __ATOMIC_ACQUIRE))
			break;
		(void)qwaitq_sleep(&s->w, &s->w.w_lock, 0, QUERN_NEVER);
	}
	qspin_unlock(&s->w.w_lock);
	KCHECK_EQ(s->e, p.left, 0);
	KCHECK(s->e, now_of(s) >= start + 50 * p.period);
	(void)qtimer_stop(&p.tm); /* it may still be returning */
	return 0;
}

static void
rearm(struct kenv *e)
{
	struct shared *s = open_shared(e);

	if (s->k != NULL)
		KCHECK_EQ(e, kcall(s->k, rearm_body, s), 0);
	close_shared(s);
}

/* ---- stopped from elsewhere ------------------------------------------------------ */

struct race {
	struct shared *s;
	struct qtimer tm;
	uint32_t armed, stopped; /* [a] rounds */
	uint32_t in, fired;      /* [a] */
	uint32_t rounds;
};

static void
race_fire(struct qtimer *tm)
{
	struct race *r = tm->tm_arg;

	__atomic_store_n(&r->in, 1, __ATOMIC_RELEASE);
	kchoice();
	__atomic_fetch_add(&r->fired, 1, __ATOMIC_RELAXED);
	kchoice();
	__atomic_store_n(&r->in, 0, __ATOMIC_RELEASE);
}

/* Bound to the last vCPU: arms, and has its timers run. */
static void
race_armer(void *arg)
{
	struct race *r = arg;
	unsigned i;

	for (i = 0; i < r->rounds; i++) {
		qtimer_arm(&r->tm, now_of(r->s) + 2 * US);
		__atomic_store_n(&r->armed, i + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&r->stopped, __ATOMIC_ACQUIRE) <= i)
			(void)qthread_sleep_until(now_of(r->s) + US, false);
	}
}

static void
race_stopper(void *arg)
{
	struct race *r = arg;
	uint32_t before = 0, fired;
	unsigned i;
	bool was;

	for (i = 0; i < r->rounds; i++) {
		while (__atomic_load_n(&r->armed, __ATOMIC_ACQUIRE) <= i)
			(void)qthread_sleep_until(now_of(r->s) + US, false);
		if (i % 3 == 0)
			(void)qthread_sleep_until(now_of(r->s) +
				some(r->s, 5 * US),
			    false);
		was = qtimer_stop(&r->tm);
		/* Not running any more, and run or stopped, not both. */
		KCHECK_EQ(r->s->e, __atomic_load_n(&r->in, __ATOMIC_ACQUIRE),
		    0);
		fired = __atomic_load_n(&r->fired, __ATOMIC_RELAXED);
		KCHECK_EQ(r->s->e, fired - before, !was);
		before = fired;
		__atomic_store_n(&r->stopped, i + 1, __ATOMIC_RELEASE);
	}
}

static int64_t
race_body(void *arg)
{
	struct shared *s = arg;
	struct race *r = calloc(1, sizeof(*r));
	struct qthread *t[2];

	r->s = s;
	r->rounds = s->e->sim != NULL ? 6 : 300;
	qtimer_init(&r->tm, race_fire, r);
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "armer", race_armer, r, QPRIO_NORMAL,
		(int)s->k->k_ncpu - 1, &t[0]),
	    0);
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "stopper", race_stopper, r, QPRIO_NORMAL, 0,
		&t[1]),
	    0);
	qthread_join(t[0]);
	qthread_join(t[1]);
	free(r);
	return 0;
}

/* After qtimer_stop on another vCPU the function neither runs nor will. */
static void
stopped_elsewhere(struct kenv *e)
{
	struct shared *s = open_shared(e);

	if (s->k != NULL)
		KCHECK_EQ(e, kcall(s->k, race_body, s), 0);
	close_shared(s);
}

/* ---- many sleepers --------------------------------------------------------------- */

struct sleeper {
	struct shared *s;
	struct qthread *t;
	uint64_t ns;
	uint32_t hint;
};

static int64_t
sleeper_body(void *arg)
{
	struct sleeper *z = arg;
	uint64_t until = qclock_mono(z->s->k) + z->ns;

	KCHECK_EQ(z->s->e, qthread_sleep_until(until, false), 0);
	KCHECK(z->s->e, qclock_mono(z->s->k) >= until);
	return 3;
}

static void
sleeper_main(void *arg)
{
	struct sleeper *z = arg;
	unsigned i;

	for (i = 0; i < 4; i++)
		KCHECK_EQ(z->s->e,
		    host_call(z->s->k, NULL, &z->hint, sleeper_body, z), 3);
}

/* Clients on every vCPU sleep for different times; all come back. */
static void
sleepers(struct kenv *e)
{
	struct shared *s = open_shared(e);
	struct sleeper z[6];
	unsigned i;

	for (i = 0; i < 6 && s->k != NULL; i++) {
		z[i] = (struct sleeper){ s, NULL, (1 + i * i) * 20 * US,
			i % s->k->k_ncpu };
		kspawn(e, sleeper_main, &z[i]);
	}
	kjoin(e);
	close_shared(s);
}

/* ---- idling ------------------------------------------------------------------------ */

static int64_t
day_body(void *arg)
{
	struct shared *s = arg;
	uint64_t start = now_of(s);
	struct qtimer *far = &s->t[0].tm;

	arm(s, &s->t[0], start + 400 * DAY);
	KCHECK_EQ(s->e, qthread_sleep_until(start + DAY, false), 0);
	KCHECK(s->e, now_of(s) >= start + DAY);
	KCHECK(s->e, now_of(s) < start + DAY + LATE);
	KCHECK(s->e, qtimer_stop(far));
	return 0;
}

/* A day in which nothing happens takes a few steps, and so does a decade. */
static void
idle_day(struct kenv *e)
{
	struct shared *s = open_shared(e);
	uint64_t steps;

	if (s->k != NULL) {
		steps = quern_sim_steps(e->sim);
		KCHECK_EQ(e, kcall(s->k, day_body, s), 0);
		KCHECK(e, quern_sim_now(e->sim) >= DAY);
		KCHECK(e, quern_sim_steps(e->sim) - steps < 500);
	}
	close_shared(s);
}

static int64_t
far_body(void *arg)
{
	struct shared *s = arg;
	uint64_t start = now_of(s);

	/* Beyond what the wheel spans; and QUERN_NEVER as a time. */
	arm(s, &s->t[0], start + 30 * 365 * DAY);
	arm(s, &s->t[1], UINT64_MAX);
	(void)qthread_sleep_until(start + 8 * 365 * DAY, false);
	KCHECK_EQ(s->e, s->t[0].fired, 0);
	KCHECK(s->e, qtimer_stop(&s->t[0].tm));
	KCHECK(s->e, qtimer_stop(&s->t[1].tm));
	/* The wheel goes on working. */
	arm(s, &s->t[2], now_of(s) + MS);
	await_fired(s, 1);
	KCHECK_EQ(s->e, s->t[2].fired, 1);
	return 0;
}

static void
far_away(struct kenv *e)
{
	struct shared *s = open_shared(e);

	if (s->k != NULL)
		KCHECK_EQ(e, kcall(s->k, far_body, s), 0);
	close_shared(s);
}

const struct kcase ktimer_cases[] = {
	{ "order", order, 600, false, NULL },
	{ "exact", exact, 20, true, NULL },
	{ "model", model, 500, true, NULL },
	{ "rearm", rearm, 300, false, NULL },
	{ "stopped_elsewhere", stopped_elsewhere, 3000, false, NULL },
	{ "sleepers", sleepers, 1000, false, NULL },
	{ "idle_day", idle_day, 100, true, NULL },
	{ "far_away", far_away, 20, true, NULL },
	{ 0 },
};
