/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks for data that is read more often than written.
 *
 *	rwlock	readers together or one writer; may be held across a sleep
 *	seqlock	readers take nothing and read again if a writer was there
 *
 * The theory of the rwlock is in rwlock.c.
 */
#ifndef QUERN_RWLOCK_H
#define QUERN_RWLOCK_H

#include <quern/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

/* rw_word: readers, or one of these. */
#define QRW_WRITER (1u << 30)
#define QRW_WAIT   (1u << 31) /* somebody sleeps: newcomers queue */

struct qrwlock {
	uint32_t rw_word; /* [a] */
	struct qwaitq rw_wq;
	struct qthread *rw_owner; /* the writer, for assertions */
	const char *rw_name;
	uint32_t rw_rank; /* as of a mutex */
};

/* Initialise to free; `name` is kept. */
static inline void
qrw_init(struct qrwlock *rw, const char *name)
{
	rw->rw_word = 0;
	qwaitq_init(&rw->rw_wq);
	rw->rw_owner = NULL;
	rw->rw_name = name;
	rw->rw_rank = 0;
}

/* Initialise with a rank, as qmutex_init_rank does. */
static inline void
qrw_init_rank(struct qrwlock *rw, const char *name, unsigned rank)
{
	qassert(rank >= 1 && rank <= QRANK_MAX);
	qrw_init(rw, name);
	rw->rw_rank = rank;
}

/* qrw_lock_slow and qrw_unlock_slow are the halves not inline. */
void qrw_lock_slow(struct qrwlock *rw, bool write);
void qrw_unlock_slow(struct qrwlock *rw, uint32_t gone);

/* Take it for reading, sleeping if need be.  Not recursive: a writer may wait
 * in between.  Not under a spin lock. */
static inline void
qrw_rdlock(struct qrwlock *rw)
{
	struct qthread *t = qthread_current();
	uint32_t old = __atomic_load_n(&rw->rw_word, __ATOMIC_RELAXED);

	qassert(t->t_spins == 0);
	qrank_take(t, rw->rw_name, rw->rw_rank);
	qchoice(t->t_cpu, QUERN_YIELD_LOCK);
	if (t->t_cpu->v_smp) {
		if (qlikely(old < QRW_WRITER &&
			__atomic_compare_exchange_n(&rw->rw_word, &old, old + 1,
			    false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
			return;
	} else if (qlikely(rw->rw_word < QRW_WRITER)) {
		rw->rw_word++;
		return;
	}
	qrw_lock_slow(rw, false);
}

/* Take it for writing, likewise. */
static inline void
qrw_wrlock(struct qrwlock *rw)
{
	struct qthread *t = qthread_current();
	uint32_t old = 0;

	qassert(t->t_spins == 0);
	qrank_take(t, rw->rw_name, rw->rw_rank);
	qchoice(t->t_cpu, QUERN_YIELD_LOCK);
	if (qlikely(__atomic_compare_exchange_n(&rw->rw_word, &old, QRW_WRITER,
		false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
		rw->rw_owner = t;
	else
		qrw_lock_slow(rw, true);
}

/* Give back what qrw_rdlock took. */
static inline void
qrw_rdunlock(struct qrwlock *rw)
{
	struct qthread *t = qthread_current();
	struct qcpu *v = t->t_cpu;
	uint32_t old = __atomic_load_n(&rw->rw_word, __ATOMIC_RELAXED);

	qassert((old & QRW_WRITER) == 0 && (old & ~QRW_WAIT) != 0);
	qrank_give(t, rw->rw_rank);
	if (!v->v_smp && old < QRW_WAIT)
		rw->rw_word = old - 1;
	else if (qunlikely(__atomic_fetch_sub(&rw->rw_word, 1,
			       __ATOMIC_RELEASE) == (QRW_WAIT | 1)))
		qrw_unlock_slow(rw, 0);
	qchoice(v, QUERN_YIELD_UNLOCK);
}

/* Give back what qrw_wrlock took. */
static inline void
qrw_wrunlock(struct qrwlock *rw)
{
	struct qthread *t = qthread_current();
	uint32_t old = QRW_WRITER;

	qassert(rw->rw_owner == t);
	qrank_give(t, rw->rw_rank);
	rw->rw_owner = NULL;
	if (qunlikely(!__atomic_compare_exchange_n(&rw->rw_word, &old, 0, false,
		__ATOMIC_RELEASE, __ATOMIC_RELAXED)))
		qrw_unlock_slow(rw, QRW_WRITER);
	qchoice(t->t_cpu, QUERN_YIELD_UNLOCK);
}

/* Does the caller hold it for writing?  For assertions. */
static inline bool
qrw_wrheld(const struct qrwlock *rw)
{
	return rw->rw_owner == qthread_current();
}

/* ---- seqlock -------------------------------------------------------------- */

struct qseqlock {
	uint32_t sq_seq; /* [a] odd: being written */
	struct qspin sq_lock;
};

/* Initialise. */
static inline void
qseq_init(struct qseqlock *sq)
{
	sq->sq_seq = 0;
	qspin_init(&sq->sq_lock);
}

/*
 * Read: do { s = qseq_begin(); copy the data, by relaxed atomic loads; } while
 * (qseq_retry(s)).  The copy is consistent after the loop and rubbish before.
 */
static inline uint32_t
qseq_begin(const struct qseqlock *sq)
{
	uint32_t s;

	while ((s = __atomic_load_n(&sq->sq_seq, __ATOMIC_ACQUIRE)) & 1)
		qspin_hint();
	return s;
}

/* Was there a writer since qseq_begin gave `s`? */
static inline bool
qseq_retry(struct qseqlock *sq, uint32_t s)
{
	/*
	 * A read-modify-write, so that the loads of the data can't move below
	 * it: a fence would do, but TSan does not understand fences.
	 */
	return __atomic_fetch_add(&sq->sq_seq, 0, __ATOMIC_ACQ_REL) != s;
}

/* Write between these, by relaxed atomic stores; a spin lock is held. */
static inline void
qseq_write_begin(struct qseqlock *sq)
{
	qspin_lock(&sq->sq_lock);
	(void)__atomic_fetch_add(&sq->sq_seq, 1, __ATOMIC_ACQ_REL);
}

/* The end of it. */
static inline void
qseq_write_end(struct qseqlock *sq)
{
	(void)__atomic_fetch_add(&sq->sq_seq, 1, __ATOMIC_RELEASE);
	qspin_unlock(&sq->sq_lock);
}

#ifdef __cplusplus
}
#endif

#endif /* QUERN_RWLOCK_H */
