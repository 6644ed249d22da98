/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel threads: making and joining them, their stacks.
 */
#include <string.h>

#include <kernel/impl.h>

#include "ktest.h"

struct shared {
	struct kenv *e;
	struct quern *k;
	struct qwaitq w;
	uint32_t ran;   /* [a] */
	bool open;      /* [w.w_lock] */
	uint32_t timer; /* [a] */
	unsigned n;
};

/* Is this a stack of the kernel's, and the thread the one that owns it? */
static void
check_here(struct shared *s, const char *name)
{
	struct qthread *t = qthread_current();
	char *here = __builtin_frame_address(0);

	KCHECK(s->e, t->t_k == s->k && quern_current() == s->k);
	KCHECK(s->e, qcpu_current() == t->t_cpu && t->t_cpu->v_k == s->k);
	KCHECK_EQ(s->e, t->t_state, QT_RUNNING);
	KCHECK_EQ(s->e, t->t_oncpu, 1);
	KCHECK_EQ(s->e, strcmp(t->t_name, name), 0);
	KCHECK_EQ(s->e, (uintptr_t)here % 16, 0);
	KCHECK(s->e,
	    here < (char *)t &&
		here >
		    (char *)t + QTHREAD_ROOM - QSTACK_SIZE + QUERN_PAGE_SIZE);
}

static void __attribute__((noinline))
check_deep(struct shared *s, const char *name, unsigned depth)
{
	volatile char room[500];

	room[0] = (char)depth;
	if (depth > 0)
		check_deep(s, name, depth - 1);
	else
		check_here(s, name);
	(void)room[0];
}

static void
here_main(void *arg)
{
	struct shared *s = arg;

	check_here(s, "a thread");
	check_deep(s, "a thread", 30);
	qthread_yield();
	check_here(s, "a thread");
	__atomic_fetch_add(&s->ran, 1, __ATOMIC_RELAXED);
}

static void
here_timer(struct qtimer *tm)
{
	struct shared *s = tm->tm_arg;

	check_here(s, "idle");
	__atomic_store_n(&s->timer, 1, __ATOMIC_RELEASE);
}

static int64_t
here_body(void *arg)
{
	struct shared *s = arg;
	struct qthread *t;
	struct qtimer tm;

	check_here(s, "client");
	check_deep(s, "client", 30);
	qtimer_init(&tm, here_timer, s);
	qtimer_arm(&tm, qclock_mono(s->k) + 3000);
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "a thread", here_main, s, QPRIO_NORMAL,
		QCPU_ANY, &t),
	    0);
	while (!__atomic_load_n(&s->timer, __ATOMIC_ACQUIRE))
		(void)qthread_sleep_until(qclock_mono(s->k) + 2000, false);
	qthread_join(t);
	check_here(s, "client");
	(void)qtimer_stop(&tm);
	return 0;
}

/* The current thread and vCPU are right on every kind of stack. */
static void
current_thread(struct kenv *e)
{
	struct shared s = { .e = e };

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, kcall(s.k, here_body, &s), 0);
	KCHECK_EQ(e, s.ran, 1);
	kenv_destroy(e, s.k);
}

static void
gate_main(void *arg)
{
	struct shared *s = arg;

	qspin_lock(&s->w.w_lock);
	while (!s->open) {
		(void)qwaitq_sleep(&s->w, &s->w.w_lock, 0, QUERN_NEVER);
		qspin_lock(&s->w.w_lock);
	}
	qspin_unlock(&s->w.w_lock);
	__atomic_fetch_add(&s->ran, 1, __ATOMIC_RELAXED);
}

#define MANY 4000u

static int64_t
many_body(void *arg)
{
	static struct qthread *t[MANY];
	struct shared *s = arg;
	unsigned i;

	for (i = 0; i < s->n; i++)
		KCHECK_EQ(s->e,
		    qthread_create(s->k, "one of many", gate_main, s,
			QPRIO_NORMAL, QCPU_ANY, &t[i]),
		    0);
	(void)qthread_sleep_until(qclock_mono(s->k) + 5000, false);
	KCHECK_EQ(s->e, __atomic_load_n(&s->ran, __ATOMIC_RELAXED), 0);
	qspin_lock(&s->w.w_lock);
	s->open = true;
	qspin_unlock(&s->w.w_lock);
	(void)qwaitq_wake_all(&s->w);
	for (i = 0; i < s->n; i++)
		qthread_join(t[i]);
	KCHECK_EQ(s->e, __atomic_load_n(&s->ran, __ATOMIC_RELAXED), s->n);
	s->ran = 0;
	s->open = false;
	return 0;
}

/* Thousands of threads; their stacks are used again. */
static void
many_threads(struct kenv *e)
{
	struct shared s = { .e = e, .n = MANY };
	struct quern_stats before, after;

#ifdef QSAN_THREAD
	s.n = 300; /* TSan has a limit */
#endif
	if (e->sim != NULL)
		s.n = 100;
	qwaitq_init(&s.w);
	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, kcall(s.k, many_body, &s), 0);
	KCHECK_EQ(e, quern_stats(s.k, &before), 0);
	KCHECK(e, before.st_threads >= s.n);
	KCHECK_EQ(e, kcall(s.k, many_body, &s), 0);
	KCHECK_EQ(e, quern_stats(s.k, &after), 0);
	/* A few more, if others took a spare meanwhile. */
	KCHECK(e, after.st_threads <= before.st_threads + 4);
	kenv_destroy(e, s.k);
}

static void
quick_main(void *arg)
{
	struct shared *s = arg;

	__atomic_fetch_add(&s->ran, 1, __ATOMIC_RELAXED);
}

static int64_t
join_body(void *arg)
{
	struct shared *s = arg;
	struct qthread *t;
	unsigned i;

	for (i = 0; i < 20; i++) {
		KCHECK_EQ(s->e,
		    qthread_create(s->k, "quick", quick_main, s, QPRIO_CLIENT,
			QCPU_ANY, &t),
		    0);
		if (i % 2 == 0) { /* join after it has ended */
			while (__atomic_load_n(&s->ran, __ATOMIC_RELAXED) <= i)
				qthread_yield();
			qthread_yield();
		}
		qthread_join(t);
		KCHECK_EQ(s->e, __atomic_load_n(&s->ran, __ATOMIC_RELAXED),
		    i + 1);
	}
	return 0;
}

static void
joining(struct kenv *e)
{
	struct shared s = { .e = e };

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, kcall(s.k, join_body, &s), 0);
	kenv_destroy(e, s.k);
}

/* Joined by others than who made them, all at once. */
struct crossed {
	struct shared *s;
	struct qthread *t;
	uint32_t made; /* [a] */
};

static int64_t
make_one(void *arg)
{
	struct crossed *c = arg;

	return qthread_create(c->s->k, "crossed", quick_main, c->s,
	    QPRIO_NORMAL, QCPU_ANY, &c->t);
}

static int64_t
join_one(void *arg)
{
	struct crossed *c = arg;

	qthread_join(c->t);
	return 0;
}

static void
crossed_joiner(void *arg)
{
	struct crossed *c = arg;

	kawait(c->s->e, &c->made, 1);
	KCHECK_EQ(c->s->e, kcall(c->s->k, join_one, c), 0);
}

static void
crossed_joins(struct kenv *e)
{
	struct shared s = { .e = e };
	struct crossed c[4];
	unsigned i;

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	for (i = 0; i < 4; i++) {
		c[i] = (struct crossed){ .s = &s };
		kspawn(e, crossed_joiner, &c[i]);
	}
	for (i = 0; i < 4; i++) {
		KCHECK_EQ(e, kcall(s.k, make_one, &c[i]), 0);
		__atomic_store_n(&c[i].made, 1, __ATOMIC_RELEASE);
	}
	kjoin(e);
	KCHECK_EQ(e, s.ran, 4);
	kenv_destroy(e, s.k);
}

static int64_t
args_body(void *arg)
{
	struct shared *s = arg;
	struct qthread *t = NULL;

	KCHECK_EQ(s->e,
	    qthread_create(s->k, "x", quick_main, s, QPRIO_NORMAL,
		(int)s->k->k_ncpu, &t),
	    -Q_EINVAL);
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "x", quick_main, s, QPRIO_NORMAL, -2, &t),
	    -Q_EINVAL);
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "x", quick_main, s, QNPRIO, QCPU_ANY, &t),
	    -Q_EINVAL);
	KCHECK(s->e, t == NULL);
	KCHECK_EQ(s->e,
	    qthread_create(s->k, "a name of more than 23 characters",
		quick_main, s, QPRIO_NORMAL, QCPU_ANY, &t),
	    0);
	KCHECK_EQ(s->e, strcmp(t->t_name, "a name of more than 23 "), 0);
	qthread_join(t);
	KCHECK_EQ(s->e, s->ran, 1);
	return 0;
}

static void
arguments(struct kenv *e)
{
	struct shared s = { .e = e };

	s.k = kenv_kernel(e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, kcall(s.k, args_body, &s), 0);
	kenv_destroy(e, s.k);
}

const struct kcase kthread_cases[] = {
	{ "current_thread", current_thread, 300, false, NULL },
	{ "many_threads", many_threads, 20, false, NULL },
	{ "joining", joining, 500, false, NULL },
	{ "crossed_joins", crossed_joins, 1000, false, NULL },
	{ "arguments", arguments, 10, false, NULL },
	{ 0 },
};
