/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernels that die, with threads of all kinds inside, beside one that does not
 * notice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kernel/impl.h>
#include <quern/page.h>
#include <quern/slab.h>

#include "ktest.h"

static const struct qtag tag = { "test" };

/* What the dying kernel and everybody inside share. */
struct morgue {
	struct kenv *e;
	struct quern *k;
	struct quern *other;
	struct qspin s;
	struct qmutex m;
	struct qwaitq w;
	uint32_t in[8];     /* [a] threads about to wait, by kind */
	uint32_t held;      /* [a] the panicker has the locks */
	uint32_t other_end; /* [a] */
	uint32_t panics;    /* [a] calls of the callback */
	int64_t (*fn)(void *);
	char message[256];
	char lines[3000];
};

enum kind {
	BLOCKED = 0, /* on a wait queue */
	ASLEEP,      /* with a deadline far away */
	MUTEX,       /* for a mutex whose owner sleeps */
	SPIN,        /* for a spin lock, on a vCPU */
	WANTER,      /* for a vCPU */
	POLLER,      /* in quern_poll */
	KINDS
};

static void
keep_line(void *arg, int level, const char *line)
{
	struct morgue *g = arg;

	(void)level;
	strncat(g->lines, line, sizeof(g->lines) - strlen(g->lines) - 2);
	strcat(g->lines, "\n");
}

static void
on_panic(void *arg, const char *message)
{
	struct morgue *g = arg;

	strncpy(g->message, message, sizeof(g->message) - 1);
	__atomic_fetch_add(&g->panics, 1, __ATOMIC_RELEASE);
}

static struct morgue *
open_morgue(struct kenv *e)
{
	struct quern_config c = kenv_config(e);
	struct morgue *g = calloc(1, sizeof(*g));

	g->e = e;
	qspin_init(&g->s);
	qmutex_init(&g->m, "morgue");
	qwaitq_init(&g->w);
	c.name = "mortal";
	c.log = keep_line;
	c.panic = on_panic;
	c.arg = g;
	KCHECK_EQ(e, quern_create(&c, &g->k), 0);
	return g;
}

/* A dead kernel: no call gets in, and it can be destroyed. */
static void
bury(struct morgue *g)
{
	struct quern_proc *p = NULL;
	struct kenv *e = g->e;
	struct quern_stats st;

	KCHECK_EQ(e, __atomic_load_n(&g->panics, __ATOMIC_ACQUIRE), 1);
	KCHECK_EQ(e, quern_poll(g->k, 0), -Q_ENOTRECOVERABLE);
	KCHECK_EQ(e, quern_poll(g->k, QUERN_NEVER), -Q_ENOTRECOVERABLE);
	KCHECK_EQ(e, quern_proc_create(g->k, &p), -Q_ENOTRECOVERABLE);
	KCHECK(e, p == NULL);
	KCHECK_EQ(e, quern_stats(g->k, &st), 0);
	quern_kill(g->k, "again");
	KCHECK_EQ(e, g->panics, 1);
	kenv_destroy(e, g->k);
	KCHECK(e, strstr(g->lines, g->message) != NULL);
	KCHECK(e, strstr(g->lines, "mortal: panic: ") != NULL);
	free(g);
}

/* ---- everybody leaves -------------------------------------------------------- */

static int64_t
wait_blocked(void *arg)
{
	struct morgue *g = arg;

	qspin_lock(&g->w.w_lock);
	__atomic_fetch_add(&g->in[BLOCKED], 1, __ATOMIC_RELEASE);
	(void)qwaitq_sleep(&g->w, &g->w.w_lock, 0, QUERN_NEVER);
	KCHECK(g->e, !"a dead kernel woke a thread");
	return 0;
}

static int64_t
wait_asleep(void *arg)
{
	struct morgue *g = arg;

	__atomic_fetch_add(&g->in[ASLEEP], 1, __ATOMIC_RELEASE);
	(void)qthread_sleep_until(qclock_mono(g->k) + (UINT64_C(1) << 50),
	    false);
	KCHECK(g->e, !"a dead kernel woke a thread");
	return 0;
}

static int64_t
wait_mutex(void *arg)
{
	struct morgue *g = arg;

	__atomic_fetch_add(&g->in[MUTEX], 1, __ATOMIC_RELEASE);
	qmutex_lock(&g->m);
	KCHECK(g->e, !"a dead thread gave its mutex back");
	return 0;
}

static int64_t
wait_spin(void *arg)
{
	struct morgue *g = arg;

	__atomic_fetch_add(&g->in[SPIN], 1, __ATOMIC_RELEASE);
	qspin_lock(&g->s);
	KCHECK(g->e, !"a dead thread gave its lock back");
	return 0;
}

static int64_t
wait_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void
client_of(struct morgue *g, int64_t (*fn)(void *))
{
	KCHECK_EQ(g->e, kcall(g->k, fn, g), -Q_ENOTRECOVERABLE);
	KCHECK_EQ(g->e, kcall(g->k, fn, g), -Q_ENOTRECOVERABLE);
}

static void
blocked_client(void *arg)
{
	client_of(arg, wait_blocked);
}

static void
asleep_client(void *arg)
{
	client_of(arg, wait_asleep);
}

static void
mutex_client(void *arg)
{
	struct morgue *g = arg;

	kawait(g->e, &g->held, 1);
	client_of(arg, wait_mutex);
}

static void
spin_client(void *arg)
{
	struct morgue *g = arg;

	kawait(g->e, &g->held, 2);
	client_of(arg, wait_spin);
}

static void
wanting_client(void *arg)
{
	struct morgue *g = arg;

	kawait(g->e, &g->in[SPIN], g->k->k_ncpu - 1);
	kawait(g->e, &g->held, 2);
	client_of(arg, wait_nothing);
}

static void
polling_client(void *arg)
{
	struct morgue *g = arg;
	int r;

	__atomic_fetch_add(&g->in[POLLER], 1, __ATOMIC_RELEASE);
	/* It may run this and that before. */
	while ((r = quern_poll(g->k, QUERN_NEVER)) == 1)
		continue;
	KCHECK_EQ(g->e, r, -Q_ENOTRECOVERABLE);
}

static unsigned
sleepers_of(struct qwaitq *w)
{
	struct qlist *l;
	unsigned n = 0;

	qspin_lock(&w->w_lock);
	QLIST_FOREACH(l, &w->w_list)
		n++;
	qspin_unlock(&w->w_lock);
	return n;
}

static void
nap(struct morgue *g)
{
	(void)qthread_sleep_until(qclock_mono(g->k) + 3000, false);
}

/*
 * Takes the mutex, waits until all that sleep are asleep, takes the spin lock,
 * waits until the others spin and want, and dies with both.
 */
static int64_t
die(void *arg)
{
	struct morgue *g = arg;
	struct quern *k = g->k;

	qmutex_lock(&g->m);
	__atomic_store_n(&g->held, 1, __ATOMIC_RELEASE);
	while (sleepers_of(&g->w) < 2 || sleepers_of(&g->m.m_wq) < 2 ||
	    __atomic_load_n(&g->in[ASLEEP], __ATOMIC_ACQUIRE) < 2 ||
	    __atomic_load_n(&g->in[POLLER], __ATOMIC_ACQUIRE) < 1)
		nap(g);
	qspin_lock(&g->s);
	__atomic_store_n(&g->held, 2, __ATOMIC_RELEASE);
	while (
	    __atomic_load_n(&g->in[SPIN], __ATOMIC_ACQUIRE) < k->k_ncpu - 1 ||
	    __atomic_load_n(&k->k_nwant, __ATOMIC_ACQUIRE) < 1)
		k->k_hyper->cpu_yield(k->k_ctx, QUERN_YIELD_SPIN);
	qpanic(k, "number %d died of %s", 6, "old age");
}

static void
dying_client(void *arg)
{
	client_of(arg, die);
}

/* The other kernel goes about its business before and after. */
static int64_t
live(void *arg)
{
	struct morgue *g = arg;
	uint64_t *p = qalloc(&tag, 100);

	KCHECK(g->e, quern_current() == g->other);
	(void)qthread_sleep_until(qclock_mono(g->other) + 2000, false);
	qthread_yield();
	qfree(p);
	return 11;
}

static void
living_client(void *arg)
{
	struct morgue *g = arg;
	unsigned after = 0;

	while (after < 3) {
		KCHECK_EQ(g->e, kcall(g->other, live, g), 11);
		after += __atomic_load_n(&g->other_end, __ATOMIC_ACQUIRE);
	}
}

static void
everybody_leaves(struct kenv *e)
{
	struct morgue *g = open_morgue(e);
	unsigned i;

	g->other = kenv_kernel(e);
	if (g->k == NULL || g->other == NULL)
		return;
	kspawn(e, living_client, g);
	kspawn(e, dying_client, g);
	for (i = 0; i < 2; i++) {
		kspawn(e, blocked_client, g);
		kspawn(e, asleep_client, g);
		kspawn(e, mutex_client, g);
		kspawn(e, wanting_client, g);
	}
	kspawn(e, polling_client, g);
	for (i = 0; i + 1 < e->ncpu; i++)
		kspawn(e, spin_client, g);
	while (!__atomic_load_n(&g->k->k_dead, __ATOMIC_ACQUIRE))
		kpause(e);
	__atomic_store_n(&g->other_end, 1, __ATOMIC_RELEASE);
	kjoin(e);
	KCHECK_EQ(e, strcmp(g->message, "number 6 died of old age"), 0);
	kenv_destroy(e, g->other);
	bury(g);
}

/* ---- quern_kill --------------------------------------------------------------- */

static void
killed_from_outside(struct kenv *e)
{
	struct morgue *g = open_morgue(e);
	unsigned i;

	if (g->k == NULL)
		return;
	for (i = 0; i < 2; i++) {
		kspawn(e, blocked_client, g);
		kspawn(e, asleep_client, g);
		kspawn(e, polling_client, g);
	}
	kawait(e, &g->in[BLOCKED], 1);
	quern_kill(g->k, "had enough");
	kjoin(e);
	KCHECK_EQ(e, strcmp(g->message, "had enough"), 0);
	bury(g);
}

static int64_t
never_ending(void *arg)
{
	struct morgue *g = arg;

	__atomic_fetch_add(&g->in[BLOCKED], 1, __ATOMIC_RELEASE);
	for (;;)
		qthread_yield();
	return 0;
}

static void
never_ending_client(void *arg)
{
	client_of(arg, never_ending);
}

/* Also those who never sleep, as long as they switch. */
static void
killed_while_busy(struct kenv *e)
{
	struct morgue *g = open_morgue(e);
	unsigned i;

	if (g->k == NULL)
		return;
	for (i = 0; i < 3; i++)
		kspawn(e, never_ending_client, g);
	kawait(e, &g->in[BLOCKED], 1);
	quern_kill(g->k, "no patience");
	kjoin(e);
	bury(g);
}

/* -EBUSY as long as somebody is inside; then it goes. */
static void
destroy_waits(struct kenv *e)
{
	struct morgue *g = open_morgue(e);

	if (g->k == NULL)
		return;
	kspawn(e, blocked_client, g);
	kawait(e, &g->in[BLOCKED], 1);
	/* It may not have gone to sleep yet; then it has a vCPU. */
	KCHECK_EQ(e, quern_destroy(g->k), -Q_EBUSY);
	quern_kill(g->k, "in the way");
	kjoin(e);
	bury(g);
}

/* ---- panics in odd places -------------------------------------------------------- */

static void
thread_panics(void *arg)
{
	struct morgue *g = arg;

	qassert(g->e == NULL);
}

static int64_t
panic_in_thread(void *arg)
{
	struct morgue *g = arg;
	struct qthread *t;

	KCHECK_EQ(g->e,
	    qthread_create(g->k, "victim", thread_panics, g, QPRIO_NORMAL,
		QCPU_ANY, &t),
	    0);
	qthread_join(t);
	return 0;
}

/* An assertion names file, line, function and what did not hold. */
static void
assertion_in_thread(struct kenv *e)
{
	struct morgue *g = open_morgue(e);

	if (g->k == NULL)
		return;
	g->fn = panic_in_thread;
	KCHECK_EQ(e, kcall(g->k, panic_in_thread, g), -Q_ENOTRECOVERABLE);
	kawait(e, &g->panics, 1); /* a runner may be at it still */
	KCHECK(e, strstr(g->message, "k_panic.c:") != NULL);
	KCHECK(e, strstr(g->message, "thread_panics") != NULL);
	KCHECK(e, strstr(g->message, "g->e == NULL") != NULL);
	KCHECK(e, strstr(g->lines, "in thread victim") != NULL);
	KCHECK(e, strstr(g->lines, "#0 0x") != NULL);
	bury(g);
}

static void
timer_panics(struct qtimer *tm)
{
	struct morgue *g = tm->tm_arg;

	qpanic(g->k, "in a timer");
}

static int64_t
arm_and_wait(void *arg)
{
	struct morgue *g = arg;
	struct qtimer tm;

	qtimer_init(&tm, timer_panics, g);
	qtimer_arm(&tm, qclock_mono(g->k) + 2000);
	return wait_blocked(arg);
}

static void
panic_in_timer(struct kenv *e)
{
	struct morgue *g = open_morgue(e);

	if (g->k == NULL)
		return;
	KCHECK_EQ(e, kcall(g->k, arm_and_wait, g), -Q_ENOTRECOVERABLE);
	kawait(e, &g->panics, 1); /* a runner may be at it still */
	KCHECK_EQ(e, strcmp(g->message, "in a timer"), 0);
	bury(g);
}

static void
one_of_two(void *arg)
{
	struct morgue *g = arg;

	__atomic_fetch_add(&g->in[SPIN], 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&g->in[SPIN], __ATOMIC_SEQ_CST) < 2) {
		if (__atomic_load_n(&g->k->k_dead, __ATOMIC_ACQUIRE))
			break;
		qthread_yield();
	}
	qpanic(g->k, "one of two");
}

static int64_t
two_panics(void *arg)
{
	struct morgue *g = arg;
	struct qthread *t[2];
	unsigned i;

	for (i = 0; i < 2; i++)
		KCHECK_EQ(g->e,
		    qthread_create(g->k, "twin", one_of_two, g, QPRIO_CLIENT,
			(int)(i % g->k->k_ncpu), &t[i]),
		    0);
	return wait_blocked(arg);
}

/* The first of two panics counts, and both threads leave. */
static void
panic_twice(struct kenv *e)
{
	struct morgue *g = open_morgue(e);

	if (g->k == NULL)
		return;
	KCHECK_EQ(e, kcall(g->k, two_panics, g), -Q_ENOTRECOVERABLE);
	/* A runner may be at it still; the kernel's end waits for it. */
	kawait(e, &g->panics, 1);
	bury(g);
}

static int64_t __attribute__((noinline)) panic_here(void *arg)
{
	struct morgue *g = arg;

	qpanic(g->k, "with a backtrace");
}

/* The backtrace goes from the kernel's stack on to the client's. */
static void
backtrace(struct kenv *e)
{
	struct morgue *g = open_morgue(e);
	unsigned long at = 0;
	const char *line;
	bool found = false;

	if (g->k == NULL)
		return;
	KCHECK_EQ(e, kcall(g->k, panic_here, g), -Q_ENOTRECOVERABLE);
	KCHECK(e, strstr(g->lines, "(host stack)") != NULL);
	KCHECK(e, strstr(g->lines, "in thread client") != NULL);
	/* One of the frames is panic_here's. */
	for (line = g->lines; (line = strstr(line, " 0x")) != NULL; line++) {
		at = strtoul(line, NULL, 16);
		found |= at > (uintptr_t)panic_here &&
		    at < (uintptr_t)panic_here + 200;
	}
	KCHECK(e, found);
	bury(g);
}

const struct kcase kpanic_cases[] = {
	{ "everybody_leaves", everybody_leaves, 2000, false, NULL },
	{ "killed_from_outside", killed_from_outside, 2000, false, NULL },
	{ "killed_while_busy", killed_while_busy, 500, false, NULL },
	{ "destroy_waits", destroy_waits, 500, false, NULL },
	{ "assertion_in_thread", assertion_in_thread, 300, false, NULL },
	{ "panic_in_timer", panic_in_timer, 300, false, NULL },
	{ "panic_twice", panic_twice, 1000, false, NULL },
	{ "backtrace", backtrace, 50, false, NULL },
	{ 0 },
};

/* ---- misuse --------------------------------------------------------------------------- */

static int64_t
sleep_with_spin(void *arg)
{
	struct morgue *g = arg;

	qspin_lock(&g->s);
	qspin_lock(&g->w.w_lock);
	return qwaitq_sleep(&g->w, &g->w.w_lock, 0, QUERN_NEVER);
}

static int64_t
yield_with_spin(void *arg)
{
	struct morgue *g = arg;

	qspin_lock(&g->s);
	qthread_yield();
	return 0;
}

static int64_t
mutex_with_spin(void *arg)
{
	struct morgue *g = arg;

	qspin_lock(&g->s);
	qmutex_lock(&g->m);
	return 0;
}

static int64_t
leave_with_spin(void *arg)
{
	struct morgue *g = arg;

	qspin_lock(&g->s);
	return 0;
}

static int64_t
end_with_spin(void *arg)
{
	struct morgue *g = arg;

	qthread_yield();
	(void)qthread_sleep_until(qclock_mono(g->k) + 1000, false);
	qspin_lock(&g->s);
	return 0;
}

static int64_t
mutex_twice(void *arg)
{
	struct morgue *g = arg;

	qmutex_lock(&g->m);
	qmutex_lock(&g->m);
	return 0;
}

static int64_t
spin_twice(void *arg)
{
	struct morgue *g = arg;

	qspin_lock(&g->s);
	qspin_lock(&g->s);
	return 0;
}

static int64_t
mutex_not_held(void *arg)
{
	struct morgue *g = arg;

	qmutex_unlock(&g->m);
	return 0;
}

static int64_t
spin_not_held(void *arg)
{
	struct morgue *g = arg;

	qspin_unlock(&g->s);
	return 0;
}

static int64_t
sleep_unlocked(void *arg)
{
	struct morgue *g = arg;

	return qwaitq_sleep(&g->w, &g->w.w_lock, 0, QUERN_NEVER);
}

static int64_t
wait_without_mutex(void *arg)
{
	struct morgue *g = arg;
	struct qcv cv;

	qcv_init(&cv);
	return qcv_wait(&cv, &g->m, 0, QUERN_NEVER);
}

static int64_t
join_self(void *arg)
{
	(void)arg;
	qthread_join(qthread_current());
	return 0;
}

static int64_t
free_twice(void *arg)
{
	void *p = qalloc(&tag, 50);

	(void)arg;
	qfree(p);
	qfree(p);
	return 0;
}

static int64_t
free_inside(void *arg)
{
	char *p = qalloc(&tag, 50);

	(void)arg;
	qfree(p + 16);
	return 0;
}

static int64_t
page_put_twice(void *arg)
{
	struct morgue *g = arg;
	struct qpage *pg = qpage_alloc(g->k, 0);

	qpage_put(g->k, pg);
	qpage_put(g->k, pg);
	return 0;
}

static int64_t
page_put_busy(void *arg)
{
	struct morgue *g = arg;
	struct qpage *pg = qpage_alloc(g->k, 0);

	qpage_busy(g->k, pg);
	qpage_put(g->k, pg);
	return 0;
}

static int64_t
page_put_pinned(void *arg)
{
	struct morgue *g = arg;
	struct qpage *pg = qpage_alloc(g->k, 0);

	qpage_pin(pg);
	qpage_put(g->k, pg);
	return 0;
}

static int64_t
page_put_mapped(void *arg)
{
	struct morgue *g = arg;
	struct qpage *pg = qpage_alloc(g->k, 0);

	qpage_map(g->k, pg, NULL);
	qpage_put(g->k, pg);
	return 0;
}

static int64_t
page_clean_idle(void *arg)
{
	struct morgue *g = arg;
	struct qpage *pg = qpage_alloc(g->k, 0);

	return qpage_clean(g->k, pg);
}

static int64_t
page_unbusy_idle(void *arg)
{
	struct morgue *g = arg;
	struct qpage *pg = qpage_alloc(g->k, 0);

	qpage_unbusy(g->k, pg);
	return 0;
}

static int64_t
page_order(void *arg)
{
	struct morgue *g = arg;

	return qpage_alloc(g->k, QPAGE_MAXORDER + 1) != NULL;
}

static const struct misuse {
	const char *name;
	int64_t (*fn)(void *);
	const char *says; /* part of the message */
} misuses[] = {
	{ "sleep_with_spin", sleep_with_spin, "t_spins == 1" },
	{ "yield_with_spin", yield_with_spin, "t_spins == 0" },
	{ "mutex_with_spin", mutex_with_spin, "t_spins == 0" },
	{ "leave_with_spin", leave_with_spin, "t_spins == 0" },
	{ "end_with_spin", end_with_spin, "t_spins == 0" },
	{ "mutex_twice", mutex_twice, "!qmutex_held" },
	{ "spin_twice", spin_twice, "!qspin_held" },
	{ "mutex_not_held", mutex_not_held, "qmutex_held" },
	{ "spin_not_held", spin_not_held, "qspin_held" },
	{ "sleep_unlocked", sleep_unlocked, "qspin_held" },
	{ "wait_without_mutex", wait_without_mutex, "qmutex_held" },
	{ "join_self", join_self, "qthread_current" },
	{ "free_twice", free_twice, "sl_tags" },
	{ "free_inside", free_inside, "sl_tags" },
	{ "page_put_twice", page_put_twice, "old != 0" },
	{ "page_put_busy", page_put_busy, "QPG_BUSY" },
	{ "page_put_pinned", page_put_pinned, "pg_pins" },
	{ "page_put_mapped", page_put_mapped, "qpage_mapped" },
	{ "page_clean_idle", page_clean_idle, "is_busy" },
	{ "page_unbusy_idle", page_unbusy_idle, "QPG_BUSY" },
	{ "page_order", page_order, "QPAGE_MAXORDER" },
};

/* Each is noticed, and says which assertion it broke. */
static void
misuse(struct kenv *e)
{
	struct morgue *g;
	unsigned i;

	for (i = 0; i < QARRAYLEN(misuses) && !e->failed; i++) {
		g = open_morgue(e);
		if (g->k == NULL)
			return;
		if (!KCHECK_EQ(e, kcall(g->k, misuses[i].fn, g),
			-Q_ENOTRECOVERABLE) ||
		    !KCHECK(e, strstr(g->message, misuses[i].says) != NULL))
			fprintf(stderr, "%s: '%s'\n", misuses[i].name,
			    g->message);
		bury(g);
	}
}

const struct kcase kmisuse_cases[] = {
	{ "misuse", misuse, 30, false, NULL },
	{ 0 },
};
