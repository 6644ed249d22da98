/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fair shares: the discipline of run queues at QPRIO_GUEST.
 *
 * What guests run has no end, so "first come, first served" would leave the
 * vCPU to whoever makes most threads.  Each of these threads has a virtual time:
 * how long it has run, weighted by its nice value.  Whose is least goes next.
 *
 * Virtual times are of a vCPU.  r_vmin is the least that anyone there has, and
 * never falls; what counts is how far a thread is from it (its lag).  One that
 * has slept comes back no further behind than SHARE_CREDIT, so it soon runs, but
 * can't claim the time that it slept through.  A thread that is made begins where
 * its maker is and a little later: processes that make processes get no more
 * than one that does not.  A thread that moves to another vCPU keeps its lag.
 *
 * t_vtime is written only by the thread's runner, between being picked and the
 * moment when others may wake it: it is charged before it says that it sleeps
 * (share_charge in qwaitq_sleep, qthread_yield).  Who wakes it works out t_vkey,
 * its place in the queue, which becomes t_vtime when it is picked.
 */
#include "impl.h"

/* How much sooner than the others one that has slept may run. */
#define SHARE_CREDIT ((int64_t)QSLICE_NS)

/* How much later than its maker a new one does. */
#define SHARE_DEBIT (QSLICE_NS / 2)

/* Fractional bits of t_rate. */
#define RATE_SHIFT 10u

/* The longest stretch that is charged at once; keeps products in 64 bits. */
#define STRETCH_MAX (UINT64_C(1) << 40)

static uint64_t
vmin_of(const struct qcpu *v)
{
	return __atomic_load_n(&v->v_sched->r_vmin, __ATOMIC_RELAXED);
}

/* How far `t` is from the least of the vCPU where it ran last; below 0: behind. */
static int64_t
lag_of(const struct qthread *t)
{
	const struct qcpu *v = __atomic_load_n(&t->t_cpu, __ATOMIC_RELAXED);

	return v == NULL ? 0 : (int64_t)(t->t_vtime - vmin_of(v));
}

void
qthread_setnice(struct qthread *t, int nice)
{
	uint32_t rate = UINT32_C(1) << RATE_SHIFT;

	/* One step is a quarter more or a fifth less. */
	for (; nice > 0; nice--)
		rate += rate / 4;
	for (; nice < 0; nice++)
		rate -= rate / 5;
	__atomic_store_n(&t->t_rate, rate, __ATOMIC_RELAXED);
}

void
share_charge(struct qthread *t)
{
	struct qcpu_sched *r = t->t_cpu->v_sched;
	uint64_t now = qclock_mono(t->t_k), ran, least;
	const struct qthread *first;
	const struct qlist *q = &r->r_queue[QPRIO_GUEST];

	r->r_now = now;
	if (t->t_since == 0 || now <= t->t_since)
		return;
	ran = now - t->t_since;
	__atomic_store_n(&t->t_since, now, __ATOMIC_RELAXED);
	__atomic_store_n(&t->t_ran, t->t_ran + ran, __ATOMIC_RELAXED);
	if (t->t_prio != QPRIO_GUEST)
		return;
	if (ran > STRETCH_MAX)
		ran = STRETCH_MAX;
	t->t_vtime += (ran * __atomic_load_n(&t->t_rate, __ATOMIC_RELAXED)) >>
	    RATE_SHIFT;
	least = t->t_vtime;
	vspin_lock(t->t_k, &r->r_lock);
	if (!qlist_empty(q)) {
		first = QLIST_ELEM(q->l_next, struct qthread, t_link);
		if ((int64_t)(first->t_vkey - least) < 0)
			least = first->t_vkey;
	}
	if ((int64_t)(least - r->r_vmin) > 0)
		__atomic_store_n(&r->r_vmin, least, __ATOMIC_RELAXED);
	vspin_unlock(t->t_k, &r->r_lock);
}

void
share_begin(struct qthread *t)
{
	struct qthread *maker = qthread_current();
	struct qcpu *v = maker->t_cpu;

	t->t_rate = UINT32_C(1) << RATE_SHIFT;
	t->t_vtime = vmin_of(v);
	if (maker->t_prio == QPRIO_GUEST) {
		share_charge(maker);
		t->t_rate = maker->t_rate;
		t->t_vtime = maker->t_vtime + SHARE_DEBIT;
	}
	__atomic_store_n(&t->t_cpu, v, __ATOMIC_RELAXED);
}

void
share_queue(struct qcpu *v, struct qthread *t)
{
	struct qlist *q = &v->v_sched->r_queue[QPRIO_GUEST], *at;
	int64_t lag = lag_of(t);

	if (lag < -SHARE_CREDIT)
		lag = -SHARE_CREDIT;
	t->t_vkey = vmin_of(v) + (uint64_t)lag;
	/* From the end: those that have run stand there, and they are many. */
	for (at = q->l_prev; at != q; at = at->l_prev)
		if ((int64_t)(QLIST_ELEM(at, struct qthread, t_link)->t_vkey -
			t->t_vkey) <= 0)
			break;
	qlist_append(at->l_next, &t->t_link);
}

void
share_pick(const struct qcpu *v, const struct qcpu *from, struct qthread *t)
{
	t->t_vtime = t->t_vkey - vmin_of(from) + vmin_of(v);
}

void
share_stand_back(struct qthread *t)
{
	struct qcpu_sched *r = t->t_cpu->v_sched;
	const struct qlist *q = &r->r_queue[QPRIO_GUEST];
	const struct qthread *first;

	vspin_lock(t->t_k, &r->r_lock);
	if (!qlist_empty(q)) {
		first = QLIST_ELEM(q->l_next, struct qthread, t_link);
		if ((int64_t)(t->t_vtime - first->t_vkey) < 0)
			t->t_vtime = first->t_vkey;
	}
	vspin_unlock(t->t_k, &r->r_lock);
}
