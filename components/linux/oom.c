/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Out of memory: the process with the largest set is killed, so that the rest of
 * the system goes on; its oom_score_adj makes a set larger or smaller.
 */
#include "impl.h"

#include "lproc.h"

/* How long whoever is killed is given before somebody tries again. */
#define LET_NS UINT64_C(1000000)

/*
 * What it has, with what oom_score_adj adds or takes, as thousandths of all of
 * RAM; 0: it is to be spared.
 */
static uint64_t
points_of(struct lproc *lp, struct qvmmap *m)
{
	int64_t adj = __atomic_load_n(&lp->lp_oomadj, __ATOMIC_RELAXED);
	int64_t points;

	if (adj == QLPROC_OOM_MIN)
		return 0;
	points = (int64_t)qvm_rss(m) +
	    adj * (int64_t)qpage_total(lp->lp_l->l_k) / QLPROC_OOM_MAX;
	return points > 0 ? (uint64_t)points : 1;
}

bool
loom_kill(void *arg)
{
	struct lthread *self = lthread_current();
	struct lsys *l = arg;
	uint64_t most = 1, points, rss = 0;
	struct lproc *lp, *worst = NULL;
	struct qvmmap *m;
	struct qlist *e;
	uint32_t pid = 0;
	bool dying = false, go_on;

	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &l->l_procs) {
		lp = QLIST_ELEM(e, struct lproc, lp_all);
		m = lp->lp_state == LP_ALIVE ? qvm_of(lp->lp_proc) : NULL;
		if (m == NULL)
			continue;
		/* Somebody is about to give memory back already. */
		if (lp->lp_ending)
			dying = true;
		points = points_of(lp, m);
		if (points >= most && lp != l->l_init) {
			most = points;
			rss = qvm_rss(m);
			worst = lp;
		}
	}
	if (worst != NULL && !dying) {
		pid = worst->lp_proc->p_pid;
		lproc_end(worst, Q_SIGKILL);
	}
	qspin_unlock(&l->l_lock);
	if (pid != 0)
		qlog(l->l_k, QUERN_LOG_ERR,
		    "out of memory: killed process %u with %lu KiB", pid,
		    rss * (QUERN_PAGE_SIZE / 1024));
	/* Let it, unless it is we who have to end. */
	qspin_lock(&l->l_lock);
	go_on = self == NULL || !self->lt_proc->lp_ending;
	qspin_unlock(&l->l_lock);
	if (go_on)
		(void)qthread_sleep_until(qclock_mono(l->l_k) + LET_NS, false);
	return go_on;
}
