/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The slow paths of the rwlock.
 *
 * rw_word counts the readers or is QRW_WRITER; QRW_WAIT is set while somebody
 * is on the queue.  Newcomers that find it queue as well, so neither side
 * starves: the queue is served in order, one writer or all readers up to the
 * next writer at a time.
 *
 * W1  Under the queue's lock, QRW_WAIT is set iff the queue is not empty.
 * W2  Who is woken owns the lock already: who gives it back takes it on their
 *     behalf (hand-over), under the queue's lock.
 */
#include "impl.h"

#include "rwlock.h"

/* A sleeper, on its own stack. */
struct rw_waiter {
	struct qlist ww_link;
	struct qthread *ww_thread;
	struct qwaitq ww_wq; /* just this thread */
	bool ww_write;
	bool ww_granted;
};

/* Try to take it as `write` wants, the queue being empty; else mark it. */
static bool
try_or_mark(struct qrwlock *rw, bool write)
{
	uint32_t old = __atomic_load_n(&rw->rw_word, __ATOMIC_RELAXED), new;
	bool take;

	do {
		take = (old & QRW_WAIT) == 0 &&
		    (write ? old == 0 : (old & QRW_WRITER) == 0);
		if (take)
			new = write ? QRW_WRITER : old + 1;
		else
			new = old | QRW_WAIT;
	} while (!__atomic_compare_exchange_n(&rw->rw_word, &old, new, false,
	    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return take;
}

void
qrw_lock_slow(struct qrwlock *rw, bool write)
{
	struct rw_waiter ww = { .ww_write = write };
	uint64_t since = lock_wait(rw->rw_name);
	unsigned slept = 0;

	qspin_lock(&rw->rw_wq.w_lock);
	if (!try_or_mark(rw, write)) {
		ww.ww_thread = qthread_current();
		qwaitq_init(&ww.ww_wq);
		qlist_append(&rw->rw_wq.w_list, &ww.ww_link);
		while (!ww.ww_granted) {
			(void)qwaitq_sleep(&ww.ww_wq, &rw->rw_wq.w_lock, 0,
			    QUERN_NEVER);
			slept++;
			qspin_lock(&rw->rw_wq.w_lock);
		}
	}
	if (write)
		rw->rw_owner = qthread_current();
	qspin_unlock(&rw->rw_wq.w_lock);
	lock_waited(rw->rw_name, since, slept);
}

/* How many from the head of the queue may have it together. */
static uint32_t
grant(struct qrwlock *rw, struct qlist *out)
{
	struct qlist *head = &rw->rw_wq.w_list;
	struct rw_waiter *ww;
	uint32_t n = 0;

	while (!qlist_empty(head)) {
		ww = QLIST_ELEM(head->l_next, struct rw_waiter, ww_link);
		if (ww->ww_write && n > 0)
			break;
		qlist_del(&ww->ww_link);
		qlist_append(out, &ww->ww_link);
		if (ww->ww_write)
			return QRW_WRITER;
		n++;
	}
	return n;
}

void
qrw_unlock_slow(struct qrwlock *rw, uint32_t gone)
{
	struct qlist out, *l, *n;
	struct rw_waiter *ww;
	uint32_t old, new, granted;

	qlist_init(&out);
	qspin_lock(&rw->rw_wq.w_lock);
	/* The mark keeps newcomers out: what was given back is ours to give. */
	/* Acquire: what all the readers did, not just the last, is over. */
	old = __atomic_load_n(&rw->rw_word, __ATOMIC_ACQUIRE);
	qassert(old == (QRW_WAIT | gone));
	granted = grant(rw, &out);
	new = granted | (qlist_empty(&rw->rw_wq.w_list) ? 0 : QRW_WAIT);
	__atomic_store_n(&rw->rw_word, new, __ATOMIC_RELEASE);
	QLIST_FOREACH_SAFE(l, n, &out) {
		ww = QLIST_ELEM(l, struct rw_waiter, ww_link);
		ww->ww_granted = true;
		/* It can't go on, and free `ww`, before we give the lock back.
		 */
		(void)qwaitq_wake_one(&ww->ww_wq);
	}
	qspin_unlock(&rw->rw_wq.w_lock);
}
