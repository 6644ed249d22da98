/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks and wait queues, used by clients and kernel threads at once.
 */
#include <kernel/impl.h>

#include "ktest.h"

#define CLIENTS 4u

#if defined(QSAN_ADDRESS) || defined(QSAN_THREAD)
#define ROUNDS 200u
#else
#define ROUNDS 2000u
#endif

/* What the threads of a body share. */
struct shared {
	struct kenv *e;
	struct quern *k;
	struct qmutex m;
	struct qspin s;
	struct qwaitq w;
	struct qcv cv, cv2;
	unsigned inside, count; /* under the lock of the body */
	unsigned got, given;
	uint64_t sleeps, wakes; /* [a] */
	uint32_t flag;          /* [a] */
	unsigned rounds;
	int64_t (*fn)(void *);
	struct qthread *t[8];
};

static void
open_shared(struct shared *s, struct kenv *e)
{
	memset(s, 0, sizeof(*s));
	s->e = e;
	s->rounds = e->sim != NULL ? 4 : ROUNDS;
	qmutex_init(&s->m, "test");
	qspin_init(&s->s);
	qwaitq_init(&s->w);
	qcv_init(&s->cv);
	qcv_init(&s->cv2);
	s->k = kenv_kernel(e);
}

/* Alone between a lock and its unlock. */
static void
critical(struct shared *s)
{
	KCHECK_EQ(s->e, s->inside++, 0);
	kchoice();
	s->count++;
	KCHECK_EQ(s->e, --s->inside, 0);
}

struct client {
	struct shared *s;
	int64_t (*fn)(void *);
	uint32_t hint;
	bool once; /* one call with all the rounds in it */
};

static void
client(void *arg)
{
	struct client *c = arg;
	unsigned i;

	for (i = 0; i < (c->once ? 1 : c->s->rounds); i++)
		KCHECK_EQ(c->s->e,
		    host_call(c->s->k, NULL, &c->hint, c->fn, c->s), 0);
}

/* ---- threads of the kernel ---------------------------------------------- */

static void
kernel_thread(void *arg)
{
	struct shared *s = arg;
	unsigned i;

	for (i = 0; i < s->rounds; i++)
		(void)s->fn(s);
}

static int64_t
start_two(void *arg)
{
	struct shared *s = arg;
	unsigned i;

	for (i = 0; i < 2; i++)
		KCHECK_EQ(s->e,
		    qthread_create(s->k, "worker", kernel_thread, s,
			QPRIO_CLIENT, QCPU_ANY, &s->t[i]),
		    0);
	return 0;
}

static int64_t
join_two(void *arg)
{
	struct shared *s = arg;

	qthread_join(s->t[0]);
	qthread_join(s->t[1]);
	return 0;
}

/*
 * `fn` from CLIENTS clients and two kernel threads, `rounds` times each.
 */
static void
from_all_sides(struct shared *s, int64_t (*fn)(void *))
{
	struct client c[CLIENTS];
	unsigned i;

	s->fn = fn;
	(void)kcall(s->k, start_two, s);
	for (i = 0; i < CLIENTS; i++) {
		c[i] = (struct client){ s, fn, i % s->k->k_ncpu, false };
		kspawn(s->e, client, &c[i]);
	}
	(void)kcall(s->k, join_two, s);
	kjoin(s->e);
}

/* ---- mutual exclusion --------------------------------------------------- */

static int64_t
mutex_round(void *arg)
{
	struct shared *s = arg;

	qmutex_lock(&s->m);
	KCHECK(s->e, qmutex_held(&s->m));
	critical(s);
	qmutex_unlock(&s->m);
	return 0;
}

static void
mutex_excludes(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	from_all_sides(&s, mutex_round);
	KCHECK_EQ(e, s.count, (CLIENTS + 2) * s.rounds);
	KCHECK_EQ(e, s.m.m_owner, 0);
	kenv_destroy(e, s.k);
}

/* Held across a sleep, so that others queue for it. */
static int64_t
mutex_sleep_round(void *arg)
{
	struct shared *s = arg;

	qmutex_lock(&s->m);
	critical(s);
	qthread_yield();
	critical(s);
	qmutex_unlock(&s->m);
	return 0;
}

static void
mutex_across_yield(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	from_all_sides(&s, mutex_sleep_round);
	KCHECK_EQ(e, s.count, 2 * (CLIENTS + 2) * s.rounds);
	KCHECK_EQ(e, s.m.m_owner, 0);
	KCHECK(e, qlist_empty(&s.m.m_wq.w_list));
	kenv_destroy(e, s.k);
}

static int64_t
trylock_round(void *arg)
{
	struct shared *s = arg;

	while (!qmutex_trylock(&s->m))
		qthread_yield();
	critical(s);
	qmutex_unlock(&s->m);
	return 0;
}

static void
trylock_excludes(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	from_all_sides(&s, trylock_round);
	KCHECK_EQ(e, s.count, (CLIENTS + 2) * s.rounds);
	kenv_destroy(e, s.k);
}

static int64_t
spin_round(void *arg)
{
	struct shared *s = arg;

	qspin_lock(&s->s);
	KCHECK(s->e, qspin_held(&s->s));
	critical(s);
	qspin_unlock(&s->s);
	KCHECK(s->e, !qspin_held(&s->s));
	return 0;
}

static void
spin_excludes(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	from_all_sides(&s, spin_round);
	KCHECK_EQ(e, s.count, (CLIENTS + 2) * s.rounds);
	kenv_destroy(e, s.k);
}

/* ---- wait queues -------------------------------------------------------- */

/* Take one of `count`, waiting for it. */
static int64_t
take(void *arg)
{
	struct shared *s = arg;

	qspin_lock(&s->s);
	while (s->count == 0) {
		(void)qwaitq_sleep(&s->w, &s->s, 0, QUERN_NEVER);
		qspin_lock(&s->s);
	}
	s->count--;
	s->got++;
	qspin_unlock(&s->s);
	return 0;
}

static int64_t
give(void *arg)
{
	struct shared *s = arg;

	qspin_lock(&s->s);
	s->count++;
	s->given++;
	qspin_unlock(&s->s);
	(void)qwaitq_wake_one(&s->w);
	return 0;
}

static void
giver(void *arg)
{
	struct shared *s = arg;
	uint32_t hint = 0;
	unsigned i;

	for (i = 0; i < (CLIENTS + 2) * s->rounds; i++)
		KCHECK_EQ(s->e, host_call(s->k, NULL, &hint, give, s), 0);
}

/* Every wake-up finds a sleeper, or the condition is seen. */
static void
waitq_hands_over(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	kspawn(e, giver, &s);
	from_all_sides(&s, take);
	KCHECK_EQ(e, s.count, 0);
	KCHECK_EQ(e, s.got, (CLIENTS + 2) * s.rounds);
	KCHECK(e, qlist_empty(&s.w.w_list));
	kenv_destroy(e, s.k);
}

/* Sleep for a little; count the sleeps that a wake-up ended. */
static int64_t
nap(void *arg)
{
	struct shared *s = arg;
	uint64_t until = qclock_mono(s->k) + 1 +
	    (s->e->sim != NULL ? quern_sim_random(s->e->sim, 20000) : 3000);
	int why;

	qspin_lock(&s->w.w_lock);
	why = qwaitq_sleep(&s->w, &s->w.w_lock, 0, until);
	KCHECK(s->e, why == 0 || why == -Q_ETIMEDOUT);
	if (why == 0)
		__atomic_fetch_add(&s->sleeps, 1, __ATOMIC_RELAXED);
	else
		KCHECK(s->e, qclock_mono(s->k) >= until);
	return 0;
}

static int64_t
wake_one(void *arg)
{
	struct shared *s = arg;

	__atomic_fetch_add(&s->wakes, qwaitq_wake_one(&s->w), __ATOMIC_RELAXED);
	return 0;
}

static int64_t
wake_all(void *arg)
{
	struct shared *s = arg;

	__atomic_fetch_add(&s->wakes, qwaitq_wake_all(&s->w), __ATOMIC_RELAXED);
	return 0;
}

static void
waker(void *arg)
{
	struct shared *s = arg;
	uint32_t hint = 0;
	unsigned i;

	for (i = 0; i < 2 * s->rounds; i++)
		KCHECK_EQ(s->e,
		    host_call(s->k, NULL, &hint,
			i % 3 == 0 ? wake_all : wake_one, s),
		    0);
}

/* A timer and a waker never both end a sleep: the counts agree. */
static void
wake_or_timeout(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	if (e->sim == NULL)
		s.rounds /= 10;
	kspawn(e, waker, &s);
	from_all_sides(&s, nap);
	KCHECK_EQ(e, s.sleeps, s.wakes);
	KCHECK(e, qlist_empty(&s.w.w_list));
	kenv_destroy(e, s.k);
}

static void
sleeper_in_order(void *arg)
{
	struct shared *s = arg;

	qspin_lock(&s->w.w_lock);
	(void)qwaitq_sleep(&s->w, &s->w.w_lock, 0, QUERN_NEVER);
	qspin_lock(&s->s);
	s->t[s->count++] = qthread_current();
	qspin_unlock(&s->s);
}

static unsigned
queue_length(struct shared *s)
{
	struct qlist *l;
	unsigned n = 0;

	qspin_lock(&s->w.w_lock);
	QLIST_FOREACH(l, &s->w.w_list)
		n++;
	qspin_unlock(&s->w.w_lock);
	return n;
}

static int64_t
order_body(void *arg)
{
	struct shared *s = arg;
	struct qthread *t[5];
	unsigned i, before;

	for (i = 0; i < 5; i++) {
		KCHECK_EQ(s->e,
		    qthread_create(s->k, "sleeper", sleeper_in_order, s,
			QPRIO_CLIENT, QCPU_ANY, &t[i]),
		    0);
		while (queue_length(s) != i + 1)
			qthread_yield();
	}
	for (i = 0; i < 5; i++) {
		qspin_lock(&s->s);
		before = s->count;
		qspin_unlock(&s->s);
		KCHECK_EQ(s->e, before, i);
		KCHECK_EQ(s->e, qwaitq_wake_one(&s->w), 1);
		KCHECK_EQ(s->e, queue_length(s), 4 - i);
		qthread_join(t[i]);
		KCHECK(s->e, s->t[i] == t[i]);
	}
	KCHECK_EQ(s->e, qwaitq_wake_one(&s->w), 0);
	return 0;
}

/* First come, first woken. */
static void
waitq_order(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, kcall(s.k, order_body, &s), 0);
	kenv_destroy(e, s.k);
}

/* ---- condition variables ------------------------------------------------ */

#define ROOM 2u

static int64_t
put(void *arg)
{
	struct shared *s = arg;

	qmutex_lock(&s->m);
	while (s->count == ROOM)
		KCHECK_EQ(s->e, qcv_wait(&s->cv2, &s->m, 0, QUERN_NEVER), 0);
	KCHECK(s->e, qmutex_held(&s->m));
	KCHECK(s->e, ++s->count <= ROOM);
	s->given++;
	qmutex_unlock(&s->m);
	qcv_signal(&s->cv);
	return 0;
}

static int64_t
get(void *arg)
{
	struct shared *s = arg;

	qmutex_lock(&s->m);
	while (s->count == 0)
		KCHECK_EQ(s->e, qcv_wait(&s->cv, &s->m, 0, QUERN_NEVER), 0);
	s->count--;
	s->got++;
	qcv_signal(&s->cv2);
	qmutex_unlock(&s->m);
	return 0;
}

static void
putter(void *arg)
{
	struct shared *s = arg;
	uint32_t hint = 0;
	unsigned i;

	for (i = 0; i < (CLIENTS + 2) * s->rounds; i++)
		KCHECK_EQ(s->e, host_call(s->k, NULL, &hint, put, s), 0);
}

static void
bounded_buffer(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	kspawn(e, putter, &s);
	from_all_sides(&s, get);
	KCHECK_EQ(e, s.count, 0);
	KCHECK_EQ(e, s.got, s.given);
	kenv_destroy(e, s.k);
}

static int64_t
await_start(void *arg)
{
	struct shared *s = arg;

	qmutex_lock(&s->m);
	s->inside++;
	while (!s->flag)
		KCHECK_EQ(s->e, qcv_wait(&s->cv, &s->m, 0, QUERN_NEVER), 0);
	s->count++;
	qmutex_unlock(&s->m);
	return 0;
}

static int64_t
start_gun(void *arg)
{
	struct shared *s = arg;
	bool all;

	qmutex_lock(&s->m);
	all = s->inside == CLIENTS + 2;
	if (all) {
		s->flag = 1;
		qcv_broadcast(&s->cv);
	}
	qmutex_unlock(&s->m);
	return all;
}

static void
starter(void *arg)
{
	struct shared *s = arg;
	int64_t r;

	while ((r = kcall(s->k, start_gun, s)) == 0)
		kpause(s->e);
	KCHECK_EQ(s->e, r, 1);
}

/* All of those who wait, and with fewer vCPUs than they are. */
static void
broadcast_wakes_all(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	s.rounds = 1;
	kspawn(e, starter, &s);
	from_all_sides(&s, await_start);
	KCHECK_EQ(e, s.count, CLIENTS + 2);
	kenv_destroy(e, s.k);
}

static int64_t
timed_wait(void *arg)
{
	struct shared *s = arg;
	uint64_t until = qclock_mono(s->k) + 200000, now;

	qmutex_lock(&s->m);
	KCHECK_EQ(s->e, qcv_wait(&s->cv, &s->m, 0, until), -Q_ETIMEDOUT);
	KCHECK(s->e, qmutex_held(&s->m));
	qmutex_unlock(&s->m);
	now = qclock_mono(s->k);
	KCHECK(s->e, now >= until);
	/* In a world nobody else delays it. */
	if (s->e->sim != NULL)
		KCHECK(s->e, now < until + 50000);
	qspin_lock(&s->w.w_lock);
	until = qclock_mono(s->k); /* a deadline that has passed */
	KCHECK_EQ(s->e, qwaitq_sleep(&s->w, &s->w.w_lock, 0, until),
	    -Q_ETIMEDOUT);
	KCHECK_EQ(s->e, qthread_sleep_until(0, false), 0);
	return 0;
}

/*
 * Sleeps twice: with a deadline, which a wake-up forestalls, then without.
 */
static void
twice_sleeper(void *arg)
{
	struct shared *s = arg;

	qspin_lock(&s->w.w_lock);
	KCHECK_EQ(s->e,
	    qwaitq_sleep(&s->w, &s->w.w_lock, 0,
		qclock_mono(s->k) + 1000000000),
	    0);
	__atomic_store_n(&s->flag, 1, __ATOMIC_RELEASE);
	qspin_lock(&s->cv.c_wq.w_lock);
	KCHECK_EQ(s->e,
	    qwaitq_sleep(&s->cv.c_wq, &s->cv.c_wq.w_lock, 0, QUERN_NEVER), 0);
	__atomic_store_n(&s->flag, 2, __ATOMIC_RELEASE);
}

static int64_t
stale_body(void *arg)
{
	struct shared *s = arg;
	struct qthread *t;

	KCHECK_EQ(s->e,
	    qthread_create(s->k, "sleeper", twice_sleeper, s, QPRIO_CLIENT,
		QCPU_ANY, &t),
	    0);
	while (qwaitq_wake_one(&s->w) == 0)
		(void)qthread_sleep_until(qclock_mono(s->k) + 5000, false);
	/* Past the deadline that is void now. */
	(void)qthread_sleep_until(qclock_mono(s->k) + 2000000000, false);
	KCHECK_EQ(s->e, __atomic_load_n(&s->flag, __ATOMIC_ACQUIRE), 1);
	KCHECK_EQ(s->e, qwaitq_wake_one(&s->cv.c_wq), 1);
	qthread_join(t);
	return 0;
}

/* The deadline of one sleep does not end the next. */
static void
stale_timeout(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, kcall(s.k, stale_body, &s), 0);
	kenv_destroy(e, s.k);
}

static void
timeouts(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	KCHECK_EQ(e, kcall(s.k, timed_wait, &s), 0);
	kenv_destroy(e, s.k);
}

const struct kcase klock_cases[] = {
	{ "mutex_excludes", mutex_excludes, 10000, false, NULL },
	{ "mutex_across_yield", mutex_across_yield, 2000, false, NULL },
	{ "trylock_excludes", trylock_excludes, 1000, false, NULL },
	{ "spin_excludes", spin_excludes, 2000, false, NULL },
	{ "waitq_hands_over", waitq_hands_over, 10000, false, NULL },
	{ "wake_or_timeout", wake_or_timeout, 3000, false, NULL },
	{ "waitq_order", waitq_order, 200, false, NULL },
	{ "bounded_buffer", bounded_buffer, 2000, false, NULL },
	{ "broadcast_wakes_all", broadcast_wakes_all, 500, false, NULL },
	{ "timeouts", timeouts, 200, false, NULL },
	{ "stale_timeout", stale_timeout, 100, true, NULL },
	{ 0 },
};

/* ---- planted bugs ------------------------------------------------------- */

/* Looks at the condition, then sleeps: a wake-up in between is lost. */
static int64_t
buggy_take(void *arg)
{
	struct shared *s = arg;
	bool empty;

	for (;;) {
		qspin_lock(&s->s);
		empty = s->count == 0;
		if (!empty)
			break;
		qspin_unlock(&s->s);
		qspin_lock(&s->w.w_lock);
		(void)qwaitq_sleep(&s->w, &s->w.w_lock, 0, QUERN_NEVER);
	}
	s->count--;
	s->got++;
	qspin_unlock(&s->s);
	return 0;
}

static void
missing_wakeup(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	s.rounds = 1;
	kspawn(e, giver, &s);
	from_all_sides(&s, buggy_take);
	kenv_destroy(e, s.k);
}

/* Two mutexes, in either order. */
static int64_t
one_order(void *arg)
{
	struct shared *s = arg;
	struct qmutex *other = s->e->arg;

	qmutex_lock(&s->m);
	kchoice();
	qmutex_lock(other);
	qmutex_unlock(other);
	qmutex_unlock(&s->m);
	return 0;
}

static int64_t
other_order(void *arg)
{
	struct shared *s = arg;
	struct qmutex *other = s->e->arg;

	qmutex_lock(other);
	kchoice();
	qmutex_lock(&s->m);
	qmutex_unlock(&s->m);
	qmutex_unlock(other);
	return 0;
}

static void
lock_order(struct kenv *e)
{
	struct qmutex other;
	struct shared s;
	struct client c[2];
	unsigned i;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	qmutex_init(&other, "other");
	e->arg = &other;
	for (i = 0; i < 2; i++) {
		c[i] = (struct client){ &s, i == 0 ? one_order : other_order,
			i % s.k->k_ncpu, false };
		kspawn(e, client, &c[i]);
	}
	kjoin(e);
	kenv_destroy(e, s.k);
}

/*
 * A mutex that forgets, when it is given back, that others wait: the second
 * sleeper is never woken.
 */
struct bad_mutex {
	struct qwaitq b_wq;
	uint32_t b_held, b_waiters; /* [b_wq] */
};

static void
bad_lock(struct bad_mutex *b)
{
	qspin_lock(&b->b_wq.w_lock);
	while (b->b_held) {
		b->b_waiters = 1;
		(void)qwaitq_sleep(&b->b_wq, &b->b_wq.w_lock, 0, QUERN_NEVER);
		qspin_lock(&b->b_wq.w_lock);
	}
	b->b_held = 1;
	qspin_unlock(&b->b_wq.w_lock);
}

static void
bad_unlock(struct bad_mutex *b)
{
	bool wake;

	qspin_lock(&b->b_wq.w_lock);
	wake = b->b_waiters;
	b->b_waiters = 0;
	b->b_held = 0;
	qspin_unlock(&b->b_wq.w_lock);
	if (wake)
		(void)qwaitq_wake_one(&b->b_wq);
}

static int64_t
bad_round(void *arg)
{
	struct shared *s = arg;

	bad_lock(s->e->arg);
	critical(s);
	qthread_yield();
	bad_unlock(s->e->arg);
	return 0;
}

static void
forgetful_mutex(struct kenv *e)
{
	struct bad_mutex b = { .b_held = 0 };
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	qwaitq_init(&b.b_wq);
	e->arg = &b;
	from_all_sides(&s, bad_round);
	kenv_destroy(e, s.k);
}

/* A lock that looks and takes in two steps: two hold it. */
static int64_t
two_steps(void *arg)
{
	struct shared *s = arg;

	while (__atomic_load_n(&s->flag, __ATOMIC_ACQUIRE))
		qthread_yield();
	kchoice();
	__atomic_store_n(&s->flag, 1, __ATOMIC_RELEASE);
	critical(s);
	__atomic_store_n(&s->flag, 0, __ATOMIC_RELEASE);
	return 0;
}

static void
torn_lock(struct kenv *e)
{
	struct shared s;

	open_shared(&s, e);
	if (s.k == NULL)
		return;
	from_all_sides(&s, two_steps);
	kenv_destroy(e, s.k);
}

/* What must be found; `arg` is what the message says. */
const struct kcase klock_bugs[] = {
	{ "missing_wakeup", missing_wakeup, 10000, true, "deadlock" },
	{ "lock_order", lock_order, 10000, true, "deadlock" },
	{ "forgetful_mutex", forgetful_mutex, 10000, true, "deadlock" },
	{ "torn_lock", torn_lock, 10000, true, "s->inside" },
	{ 0 },
};
