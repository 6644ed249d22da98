/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deferred work.
 *
 *	work queue	functions run one after another by a thread of its own
 *	delayed work	the same, after a time
 *	epoch		functions run when nobody can still be looking: the way to
 *			free what readers find without a lock
 */
#ifndef QUERN_WORK_H
#define QUERN_WORK_H

#include <quern/lock.h>
#include <quern/timer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qworkq;

/* One piece; embedded in what it works on. */
struct qwork {
	struct qlist wk_link;
	void (*wk_fn)(struct qwork *);
	struct qworkq *wk_q; /* while queued or delayed */
	struct qtimer wk_timer;
	uint32_t wk_state; /* [wq_lock] */
};

/* Initialise; `fn` may sleep and may queue the work again. */
void qwork_init(struct qwork *wk, void (*fn)(struct qwork *));

/* Make a queue with one thread.  -ENOMEM. */
int qworkq_create(struct quern *k, const char *name, enum qprio prio,
    struct qworkq **qp) QMUSTCHECK;

/* Finish what is queued, then end.  Nothing delayed may be left.  Sleeps. */
void qworkq_destroy(struct qworkq *q);

/* Queue; false: it was queued or delayed already.  Does not sleep. */
bool qwork_queue(struct qworkq *q, struct qwork *wk);

/* Queue it at `when` on the monotonic clock; likewise. */
bool qwork_delay(struct qworkq *q, struct qwork *wk, uint64_t when);

/*
 * Take it back and wait for its function if that is running.  True when it will
 * not run for an earlier call.  Sleeps; not from its own function.
 */
bool qwork_cancel(struct qwork *wk);

/* Wait until everything queued before has been done.  Sleeps. */
void qworkq_drain(struct qworkq *q);

/* ---- epochs --------------------------------------------------------------- */

struct qepoch_entry {
	struct qepoch_entry *ee_next;
	void (*ee_fn)(struct qepoch_entry *);
};

/*
 * Between qepoch_enter and qepoch_exit what was found in a shared structure
 * stays there.  Free of cost: kernel code is not preempted.  No sleeping.
 */
static inline void
qepoch_enter(void)
{
	qthread_current()->t_spins++;
}

/* The end of it. */
static inline void
qepoch_exit(void)
{
	struct qthread *t = qthread_current();

	qassert(t->t_spins > 0);
	t->t_spins--;
	qchoice(t->t_cpu, QUERN_YIELD_UNLOCK);
}

/*
 * Have fn(e) called once no thread can be in a section that it entered before
 * now; the caller has made the object unreachable.  It is called between
 * threads or at the end of a call, and must not sleep.  Does not sleep.
 */
void qepoch_defer(struct qepoch_entry *e, void (*fn)(struct qepoch_entry *));

/*
 * Sleep until no thread can be in a section that it entered before now: as
 * qepoch_defer, for who can wait.  That takes about a millisecond.
 */
void qepoch_pass(struct quern *k);

/* Sleep until nothing that was deferred is left. */
void qepoch_wait(struct quern *k);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_WORK_H */
