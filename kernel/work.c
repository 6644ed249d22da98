/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Work queues.
 *
 * A piece of work is idle, DELAYED (its timer is armed) or QUEUED; besides, it
 * may be the one that is running, wq_now.  All of that is under wq_lock.  A
 * function may free its own work, so nothing is written to it afterwards.
 */
#include "impl.h"

#include "slab.h"
#include "trace.h"
#include "work.h"

static const struct qtrace_event ev_work = { .te_name = "work",
	.te_cat = "work",
	.te_phase = QTRACE_BEGIN };
static const struct qtrace_event ev_worked = { .te_name = "work",
	.te_cat = "work",
	.te_phase = QTRACE_END };

static const struct qtag work_tag = { "work" };

#define WK_DELAYED 1u
#define WK_QUEUED  2u

struct qworkq {
	struct quern *wq_k;
	struct qspin wq_lock;
	struct qlist wq_list;  /* [wq_lock] */
	struct qwork *wq_now;  /* [wq_lock] whose function runs */
	uint64_t wq_done;      /* [wq_lock] functions that have returned */
	uint64_t wq_queued;    /* [wq_lock] */
	bool wq_stop;          /* [wq_lock] */
	struct qwaitq wq_wait; /* the thread: for work */
	struct qwaitq wq_over; /* others: for functions to return */
	struct qthread *wq_thread;
};

static void
put_on(struct qworkq *q, struct qwork *wk)
{
	wk->wk_state |= WK_QUEUED;
	qlist_append(&q->wq_list, &wk->wk_link);
	q->wq_queued++;
}

static void
delay_over(struct qtimer *tm)
{
	struct qwork *wk = tm->tm_arg;
	struct qworkq *q = wk->wk_q;
	bool go;

	qspin_lock(&q->wq_lock);
	go = (wk->wk_state & WK_DELAYED) != 0;
	if (go) {
		wk->wk_state &= ~WK_DELAYED;
		put_on(q, wk);
	}
	qspin_unlock(&q->wq_lock);
	if (go)
		(void)qwaitq_wake_one(&q->wq_wait);
}

void
qwork_init(struct qwork *wk, void (*fn)(struct qwork *))
{
	qlist_init(&wk->wk_link);
	wk->wk_fn = fn;
	wk->wk_q = NULL;
	wk->wk_state = 0;
	qtimer_init(&wk->wk_timer, delay_over, wk);
}

/* Run the first piece.  [wq_lock], given back and taken again. */
static void
run_one(struct qworkq *q)
{
	struct qwork *wk;

	wk = QLIST_ELEM(q->wq_list.l_next, struct qwork, wk_link);
	qlist_del(&wk->wk_link);
	wk->wk_state &= ~WK_QUEUED;
	q->wq_now = wk;
	qspin_unlock(&q->wq_lock);
	qtrace(qcpu_current(), &ev_work, 0, 0, 0);
	wk->wk_fn(wk);
	qtrace(qcpu_current(), &ev_worked, 0, 0, 0);
	qspin_lock(&q->wq_lock);
	q->wq_now = NULL;
	q->wq_done++;
	(void)qwaitq_wake_all(&q->wq_over);
}

static void
worker(void *arg)
{
	struct qworkq *q = arg;

	for (;;) {
		qspin_lock(&q->wq_lock);
		while (!qlist_empty(&q->wq_list))
			run_one(q);
		if (q->wq_stop)
			break;
		(void)qwaitq_sleep(&q->wq_wait, &q->wq_lock, 0, QUERN_NEVER);
	}
	qspin_unlock(&q->wq_lock);
}

int
qworkq_create(struct quern *k, const char *name, enum qprio prio,
    struct qworkq **qp)
{
	struct qworkq *q;
	int error;

	q = qzalloc(&work_tag, sizeof(*q));
	if (q == NULL)
		return -Q_ENOMEM;
	q->wq_k = k;
	qspin_init(&q->wq_lock);
	qlist_init(&q->wq_list);
	qwaitq_init(&q->wq_wait);
	qwaitq_init(&q->wq_over);
	error = qthread_create(k, name, worker, q, prio, QCPU_ANY,
	    &q->wq_thread);
	if (error != 0) {
		qfree(q);
		return error;
	}
	*qp = q;
	return 0;
}

void
qworkq_destroy(struct qworkq *q)
{
	qspin_lock(&q->wq_lock);
	q->wq_stop = true;
	qspin_unlock(&q->wq_lock);
	(void)qwaitq_wake_one(&q->wq_wait);
	qthread_join(q->wq_thread);
	qassert(qlist_empty(&q->wq_list));
	qfree(q);
}

bool
qwork_queue(struct qworkq *q, struct qwork *wk)
{
	bool go;

	qspin_lock(&q->wq_lock);
	go = (wk->wk_state & (WK_QUEUED | WK_DELAYED)) == 0;
	if (go) {
		wk->wk_q = q;
		put_on(q, wk);
	}
	qspin_unlock(&q->wq_lock);
	if (go)
		(void)qwaitq_wake_one(&q->wq_wait);
	return go;
}

bool
qwork_delay(struct qworkq *q, struct qwork *wk, uint64_t when)
{
	bool go;

	qspin_lock(&q->wq_lock);
	go = (wk->wk_state & (WK_QUEUED | WK_DELAYED)) == 0;
	if (go) {
		wk->wk_q = q;
		wk->wk_state |= WK_DELAYED;
	}
	qspin_unlock(&q->wq_lock);
	/* Not under the lock, which the timer's function takes. */
	if (go)
		qtimer_arm(&wk->wk_timer, when);
	return go;
}

bool
qwork_cancel(struct qwork *wk)
{
	struct qworkq *q = wk->wk_q;
	bool was;

	if (q == NULL)
		return false;
	(void)qtimer_stop(&wk->wk_timer);
	qspin_lock(&q->wq_lock);
	was = (wk->wk_state & (WK_QUEUED | WK_DELAYED)) != 0;
	wk->wk_state &= ~(WK_QUEUED | WK_DELAYED);
	if (!qlist_empty(&wk->wk_link)) {
		qlist_del(&wk->wk_link);
		q->wq_queued--;
	}
	while (q->wq_now == wk) {
		(void)qwaitq_sleep(&q->wq_over, &q->wq_lock, 0, QUERN_NEVER);
		qspin_lock(&q->wq_lock);
	}
	qspin_unlock(&q->wq_lock);
	return was;
}

void
qworkq_drain(struct qworkq *q)
{
	uint64_t until;

	qspin_lock(&q->wq_lock);
	until = q->wq_queued;
	while (q->wq_done < until &&
	    (q->wq_now != NULL || !qlist_empty(&q->wq_list))) {
		(void)qwaitq_sleep(&q->wq_over, &q->wq_lock, 0, QUERN_NEVER);
		qspin_lock(&q->wq_lock);
	}
	qspin_unlock(&q->wq_lock);
}
