/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slow paths of locks, and wait queues.
 *
 * A sleeper is on its wait queue and SLEEPING from before it gives the
 * condition's lock back; that is what makes waking race-free.  Three may wake
 * it - the queue, its timer, quern_interrupt - and the compare-and-swap in
 * sched_wake decides who did.  A sleeper that was not woken through the queue
 * takes itself off it.
 *
 * A mutex word is the owner's address, | QMUTEX_WAITERS while somebody is or
 * may be on the queue.  Waiters spin as long as the owner runs on another vCPU;
 * unlocking wakes the first sleeper, which competes like anyone else.
 */
#include "impl.h"

#include "proc.h"

/* How often a waiter looks at a running owner before it sleeps. */
#define MUTEX_SPINS 200u

void
qspin_hint(void)
{
	struct quern *k = quern_current();

	if (__atomic_load_n(&k->k_dead, __ATOMIC_RELAXED))
		sched_leave_dead();
	k->k_hyper->cpu_yield(k->k_ctx, QUERN_YIELD_SPIN);
}

void
qspin_lock_slow(struct qspin *s, struct qthread *t)
{
	qassert(!qspin_held(s));
	/* With one vCPU nobody else can be running, so nobody can hold it. */
	qassert(t->t_cpu->v_smp);
	do {
		qspin_hint();
	} while (__atomic_load_n(&s->s_held, __ATOMIC_RELAXED) ||
	    __atomic_exchange_n(&s->s_held, 1, __ATOMIC_ACQUIRE));
}

/* ---- wait queues ------------------------------------------------------ */

/* Has the thread been alerted, or its process since it last noticed? */
static bool
take_interrupt(struct qthread *t)
{
	struct quern_proc *p = t->t_proc;

	if (__atomic_load_n(&t->t_alert, __ATOMIC_SEQ_CST) != 0)
		return true;
	return p != NULL &&
	    __atomic_load_n(&p->p_intr, __ATOMIC_SEQ_CST) != 0 &&
	    __atomic_exchange_n(&p->p_intr, 0, __ATOMIC_SEQ_CST) != 0;
}

int
qwaitq_sleep(struct qwaitq *w, struct qspin *lock, unsigned flags,
    uint64_t deadline)
{
	struct qthread *t = qthread_current();
	int why;

	qassert(qspin_held(lock));
	qassert(t->t_spins == 1);
	if (t->t_account)
		share_charge(t);
	if (lock != &w->w_lock)
		qspin_lock(&w->w_lock);
	qlist_append(&w->w_list, &t->t_wait);
	t->t_wq = w;
	t->t_wake = 0;
	__atomic_store_n(&t->t_intr, (flags & QSLEEP_INTR) != 0,
	    __ATOMIC_RELAXED);
	__atomic_store_n(&t->t_state, QT_SLEEPING, __ATOMIC_SEQ_CST);
	if (lock != &w->w_lock)
		qspin_unlock(&w->w_lock);
	if (deadline != QUERN_NEVER)
		qtimer_arm(t->t_timer, deadline);
	/* After SLEEPING is visible: proc_interrupts sets, then looks. */
	if (t->t_intr && take_interrupt(t))
		(void)sched_wake(t, -Q_EINTR);
	qspin_unlock(lock);
	sched_switch();
	if (deadline != QUERN_NEVER)
		(void)qtimer_stop(t->t_timer);
	why = t->t_wake;
	qspin_lock(&w->w_lock);
	qlist_del(&t->t_wait);
	qspin_unlock(&w->w_lock);
	t->t_wq = NULL;
	__atomic_store_n(&t->t_intr, false, __ATOMIC_RELAXED);
	return why;
}

static unsigned
wake_locked(struct qwaitq *w, unsigned max)
{
	struct qthread *t;
	unsigned n = 0;

	while (n < max && !qlist_empty(&w->w_list)) {
		t = QLIST_ELEM(w->w_list.l_next, struct qthread, t_wait);
		qlist_del(&t->t_wait);
		if (sched_wake(t, 0))
			n++;
	}
	return n;
}

static unsigned
wake(struct qwaitq *w, unsigned max)
{
	unsigned n;

	/* With one vCPU nobody else is at the list. */
	if (!qcpu_current()->v_smp && qlist_empty(&w->w_list))
		return 0;
	qspin_lock(&w->w_lock);
	n = wake_locked(w, max);
	qspin_unlock(&w->w_lock);
	return n;
}

unsigned
qwaitq_wake_locked(struct qwaitq *w)
{
	qassert(qspin_held(&w->w_lock));
	return wake_locked(w, UINT32_MAX);
}

unsigned
qwaitq_wake_one(struct qwaitq *w)
{
	return wake(w, 1);
}

unsigned
qwaitq_wake_all(struct qwaitq *w)
{
	return wake(w, UINT32_MAX);
}

int
qthread_sleep_until(uint64_t deadline, bool intr)
{
	struct qwaitq w;
	int error;

	qwaitq_init(&w);
	qspin_lock(&w.w_lock);
	error = qwaitq_sleep(&w, &w.w_lock, intr ? QSLEEP_INTR : 0, deadline);
	return error == -Q_ETIMEDOUT ? 0 : error;
}

/* ---- mutex ------------------------------------------------------------ */

static struct qthread *
mutex_owner(uintptr_t word)
{
	return (struct qthread *)(word & ~(uintptr_t)QMUTEX_WAITERS);
}

/* Wait while the owner runs on another vCPU; true when it is worth a try. */
static bool
mutex_spin(struct qmutex *m)
{
	struct qthread *owner;
	unsigned i;

	for (i = 0; i < MUTEX_SPINS; i++) {
		owner = mutex_owner(
		    __atomic_load_n(&m->m_owner, __ATOMIC_RELAXED));
		if (owner == NULL)
			return true;
		if (__atomic_load_n(&owner->t_oncpu, __ATOMIC_RELAXED) == 0)
			return false;
		qspin_hint();
	}
	return false;
}

/* Try to take it; if it is held, say that somebody waits.  [w_lock] */
static bool
mutex_try_or_mark(struct qmutex *m, struct qthread *t)
{
	uintptr_t old, new;

	old = __atomic_load_n(&m->m_owner, __ATOMIC_RELAXED);
	do {
		if (mutex_owner(old) == NULL)
			new = (uintptr_t)t | (old & QMUTEX_WAITERS);
		else
			new = old | QMUTEX_WAITERS;
	} while (!__atomic_compare_exchange_n(&m->m_owner, &old, new, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return mutex_owner(old) == NULL;
}

void
qmutex_lock_slow(struct qmutex *m)
{
	struct qthread *t = qthread_current();
	uint64_t since;
	unsigned slept;

	qassert(!qmutex_held(m));
	since = lock_wait(m->m_name);
	for (slept = 0;; slept++) {
		if (qcpu_current()->v_smp && mutex_spin(m) && qmutex_trylock(m))
			break;
		qspin_lock(&m->m_wq.w_lock);
		if (mutex_try_or_mark(m, t)) {
			if (qlist_empty(&m->m_wq.w_list))
				__atomic_fetch_and(&m->m_owner,
				    ~(uintptr_t)QMUTEX_WAITERS,
				    __ATOMIC_RELAXED);
			qspin_unlock(&m->m_wq.w_lock);
			break;
		}
		(void)qwaitq_sleep(&m->m_wq, &m->m_wq.w_lock, 0, QUERN_NEVER);
	}
	lock_waited(m->m_name, since, slept);
}

void
qmutex_unlock_slow(struct qmutex *m)
{
	qassert(qmutex_held(m));
	/* The mark stays: others may be behind the one that is woken. */
	__atomic_store_n(&m->m_owner, QMUTEX_WAITERS, __ATOMIC_RELEASE);
	(void)qwaitq_wake_one(&m->m_wq);
}

/* ---- ranks ------------------------------------------------------------ */

void
qrank_wrong(const char *name, unsigned rank, uint64_t held)
{
	qpanic(quern_current(),
	    "lock %s of rank %u taken while rank %u is held", name, rank,
	    63u - (unsigned)__builtin_clzll(held));
}

/* ---- condvar ---------------------------------------------------------- */

int
qcv_wait(struct qcv *c, struct qmutex *m, unsigned flags, uint64_t deadline)
{
	int why;

	qassert(qmutex_held(m));
	/*
	 * Under the queue's lock from before the mutex is free, so a signal
	 * under the mutex comes after the sleeper is on the queue.
	 */
	qspin_lock(&c->c_wq.w_lock);
	qmutex_unlock(m);
	why = qwaitq_sleep(&c->c_wq, &c->c_wq.w_lock, flags, deadline);
	qmutex_lock(m);
	return why;
}
