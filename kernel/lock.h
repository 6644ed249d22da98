/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks and wait queues.
 *
 * With one vCPU none of them uses an atomic instruction: whoever runs the vCPU
 * is alone in the kernel, and taking and giving the vCPU orders memory.
 *
 *	spin lock	a few instructions under it, no sleeping
 *	mutex		may be held across a sleep; spins while its owner runs
 *	wait queue	sleep until woken, under a spin lock
 *	condvar		the same, under a mutex
 *
 * All are plain structs, valid when zeroed with their init function; they need
 * no destruction, but nobody may be waiting when their memory goes.
 */
#ifndef QUERN_LOCK_H
#define QUERN_LOCK_H

#include <quern/list.h>
#include <quern/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qspin {
	uint32_t s_held; /* [a] */
	uint32_t s_pad;
	const struct qthread *s_owner; /* [a] for assertions */
};

struct qwaitq {
	struct qspin w_lock;
	struct qlist w_list; /* t_wait of the sleepers, first come first */
};

struct qmutex {
	uintptr_t m_owner; /* [a] struct qthread *, | QMUTEX_WAITERS */
	struct qwaitq m_wq;
	const char *m_name;
	uint32_t m_rank; /* 1 .. 63, or 0: not ranked */
};

#define QRANK_MAX 63u

#define QMUTEX_WAITERS 1u

struct qcv {
	struct qwaitq c_wq;
};

/* Initialise to free. */
static inline void
qspin_init(struct qspin *s)
{
	s->s_held = 0;
	s->s_pad = 0;
	s->s_owner = NULL;
}

/*
 * In a loop that waits for another vCPU: let it run.  Leaves a kernel that has
 * died meanwhile.
 */
void qspin_hint(void);

/* qspin_lock_slow is the half of qspin_lock that is not inline. */
void qspin_lock_slow(struct qspin *s, struct qthread *t);

/* Take it; the caller may not sleep until it has given it back. */
static inline void
qspin_lock(struct qspin *s)
{
	struct qthread *t = qthread_current();
	struct qcpu *v = t->t_cpu;

	qchoice(v, QUERN_YIELD_LOCK);
	if (v->v_smp) {
		if (qunlikely(
			__atomic_exchange_n(&s->s_held, 1, __ATOMIC_ACQUIRE)))
			qspin_lock_slow(s, t);
	} else if (qunlikely(s->s_held)) {
		qspin_lock_slow(s, t);
	} else {
		s->s_held = 1;
	}
	__atomic_store_n(&s->s_owner, t, __ATOMIC_RELAXED);
	t->t_spins++;
}

/* Does the caller hold it?  For assertions. */
static inline bool
qspin_held(const struct qspin *s)
{
	return __atomic_load_n(&s->s_owner, __ATOMIC_RELAXED) ==
	    qthread_current();
}

/* Give it back. */
static inline void
qspin_unlock(struct qspin *s)
{
	struct qthread *t = qthread_current();

	qassert(qspin_held(s) && t->t_spins > 0);
	t->t_spins--;
	__atomic_store_n(&s->s_owner, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&s->s_held, 0, __ATOMIC_RELEASE);
	qchoice(t->t_cpu, QUERN_YIELD_UNLOCK);
}

/* Initialise to empty. */
static inline void
qwaitq_init(struct qwaitq *w)
{
	qspin_init(&w->w_lock);
	qlist_init(&w->w_list);
}

/* Flags of qwaitq_sleep. */
#define QSLEEP_INTR 1u /* quern_interrupt ends it */

/*
 * Give `w`'s lock (or `lock`, the condition's own) back and sleep until woken,
 * without a gap between the two.  The lock is not held on return.  0 when
 * woken, -ETIMEDOUT after `deadline` on the monotonic clock, -EINTR with
 * QSLEEP_INTR.  The caller tests its condition again.
 */
int qwaitq_sleep(struct qwaitq *w, struct qspin *lock, unsigned flags,
    uint64_t deadline);

/*
 * qwaitq_wake_one wakes the first sleeper, qwaitq_wake_all all of them.  Takes
 * the queue's lock.  Returns how many.
 */
unsigned qwaitq_wake_one(struct qwaitq *w);
unsigned qwaitq_wake_all(struct qwaitq *w);

/*
 * Wake all, the queue's lock being held by the caller, and still held on
 * return.  For a queue that the woken thread may free: giving the lock back is
 * the last that is done to it.
 */
unsigned qwaitq_wake_locked(struct qwaitq *w);

/* Initialise to free; `name` is kept, for debuggers. */
static inline void
qmutex_init(struct qmutex *m, const char *name)
{
	m->m_owner = 0;
	qwaitq_init(&m->m_wq);
	m->m_name = name;
	m->m_rank = 0;
}

/*
 * Initialise with a rank: a thread that holds it may only take locks of a
 * higher one, or without.  Taking them otherwise panics, also when it would not
 * have been the time it deadlocks.
 */
static inline void
qmutex_init_rank(struct qmutex *m, const char *name, unsigned rank)
{
	qassert(rank >= 1 && rank <= QRANK_MAX);
	qmutex_init(m, name);
	m->m_rank = rank;
}

/* qrank_wrong is for qrank_take: panics. */
void qrank_wrong(const char *name, unsigned rank, uint64_t held) QNORETURN;

/* Note that the current thread is about to take a lock of this rank. */
static inline void
qrank_take(struct qthread *t, const char *name, uint32_t rank)
{
	if (qlikely(rank == 0))
		return;
	if (qunlikely((t->t_ranks >> rank) != 0))
		qrank_wrong(name, rank, t->t_ranks);
	t->t_ranks |= UINT64_C(1) << rank;
}

/* Note that it has given it back. */
static inline void
qrank_give(struct qthread *t, uint32_t rank)
{
	if (qunlikely(rank != 0))
		t->t_ranks &= ~(UINT64_C(1) << rank);
}

/* qmutex_lock_slow and qmutex_unlock_slow are the halves not inline. */
void qmutex_lock_slow(struct qmutex *m);
void qmutex_unlock_slow(struct qmutex *m);

/* Take it, sleeping if need be.  Not recursive.  Not under a spin lock. */
static inline void
qmutex_lock(struct qmutex *m)
{
	struct qthread *t = qthread_current();
	struct qcpu *v = t->t_cpu;
	uintptr_t free = 0;

	qassert(t->t_spins == 0);
	qrank_take(t, m->m_name, m->m_rank);
	qchoice(v, QUERN_YIELD_LOCK);
	if (v->v_smp) {
		if (qlikely(__atomic_compare_exchange_n(&m->m_owner, &free,
			(uintptr_t)t, false, __ATOMIC_ACQUIRE,
			__ATOMIC_RELAXED)))
			return;
	} else if (qlikely(m->m_owner == 0)) {
		m->m_owner = (uintptr_t)t;
		return;
	}
	qmutex_lock_slow(m);
}

/* Take it if it is free; true when taken. */
static inline bool
qmutex_trylock(struct qmutex *m)
{
	struct qthread *t = qthread_current();
	uintptr_t free = 0;

	qchoice(t->t_cpu, QUERN_YIELD_LOCK);
	if (!__atomic_compare_exchange_n(&m->m_owner, &free, (uintptr_t)t,
		false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	/* Whatever is held: who does not wait can't deadlock. */
	if (m->m_rank != 0)
		t->t_ranks |= UINT64_C(1) << m->m_rank;
	return true;
}

/* Give it back and wake the first waiter. */
static inline void
qmutex_unlock(struct qmutex *m)
{
	struct qthread *t = qthread_current();
	struct qcpu *v = t->t_cpu;
	uintptr_t self = (uintptr_t)t;

	qrank_give(t, m->m_rank);
	if (v->v_smp) {
		if (qunlikely(!__atomic_compare_exchange_n(&m->m_owner, &self,
			0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)))
			qmutex_unlock_slow(m);
	} else if (qlikely(m->m_owner == self)) {
		m->m_owner = 0;
	} else {
		qmutex_unlock_slow(m);
	}
	qchoice(v, QUERN_YIELD_UNLOCK);
}

/* Does the caller hold it?  For assertions. */
static inline bool
qmutex_held(const struct qmutex *m)
{
	return (__atomic_load_n(&m->m_owner, __ATOMIC_RELAXED) &
		   ~(uintptr_t)QMUTEX_WAITERS) == (uintptr_t)qthread_current();
}

/* Initialise to nobody waiting. */
static inline void
qcv_init(struct qcv *c)
{
	qwaitq_init(&c->c_wq);
}

/*
 * Give `m` back, sleep until woken, take it again.  Results as of
 * qwaitq_sleep; `m` is held in any case.
 */
int qcv_wait(struct qcv *c, struct qmutex *m, unsigned flags,
    uint64_t deadline);

/* Wake the first; the caller need not hold the mutex. */
static inline void
qcv_signal(struct qcv *c)
{
	(void)qwaitq_wake_one(&c->c_wq);
}

/* Wake all; the caller need not hold the mutex. */
static inline void
qcv_broadcast(struct qcv *c)
{
	(void)qwaitq_wake_all(&c->c_wq);
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_LOCK_H */
