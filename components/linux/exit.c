/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of threads and of processes.
 *
 * A thread ends by itself, when lsig_deliver has told it to (lt_ending, or
 * lp_ending for all).  The last one ends the process: it gives back what the
 * process has, in its own context and able to sleep, and makes it a zombie.
 */
#include "impl.h"

#include <quern/abi/wait.h>

/* wait4's word for a process that called exit(n). */
#define STATUS_EXITED(n) (((n)&0xff) << 8)

/* It is to end: look, also if no signal would wake it.  [L] */
static void
tell_end(struct lthread *lt)
{
	lthread_alert(lt);
	if (lt->lt_vforked != NULL)
		(void)qwaitq_wake_all(&lt->lt_vforked->lp_endq);
}

void
lproc_end(struct lproc *lp, int status)
{
	struct qlist *e;

	if (lp->lp_ending || lp->lp_state != LP_ALIVE)
		return;
	lp->lp_ending = true;
	lp->lp_status = status;
	lp->lp_stopped = false;
	QLIST_FOREACH(e, &lp->lp_threads)
		tell_end(QLIST_ELEM(e, struct lthread, lt_link));
	(void)qwaitq_wake_all(&lp->lp_stopq);
	(void)qwaitq_wake_all(&lp->lp_waitq);
}

void
lproc_vfork_done(struct lproc *lp)
{
	struct lsys *l = lp->lp_l;

	qspin_lock(&l->l_lock);
	lp->lp_vfork = false;
	qspin_unlock(&l->l_lock);
	(void)qwaitq_wake_all(&lp->lp_endq);
}

int
lproc_single(struct lthread *lt)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lp->lp_l;
	struct lthread *other;
	struct qlist *e;
	int error = 0;

	qspin_lock(&l->l_lock);
	if (lp->lp_ending || lp->lp_execing) {
		qspin_unlock(&l->l_lock);
		return -Q_EINTR;
	}
	lp->lp_execing = true;
	QLIST_FOREACH(e, &lp->lp_threads) {
		other = QLIST_ELEM(e, struct lthread, lt_link);
		if (other == lt)
			continue;
		other->lt_ending = true;
		tell_end(other);
	}
	lp->lp_stopped = false;
	(void)qwaitq_wake_all(&lp->lp_stopq);
	while (lp->lp_nthread > 1 && !lp->lp_ending) {
		(void)qwaitq_sleep(&lp->lp_waitq, &l->l_lock, 0, QUERN_NEVER);
		qspin_lock(&l->l_lock);
	}
	if (lp->lp_ending)
		error = -Q_EINTR;
	lp->lp_execing = false;
	qspin_unlock(&l->l_lock);
	return error;
}

/* ---- the family ------------------------------------------------------------------ */

/* Who gets the children of `lp`.  [L] */
static struct lproc *
find_reaper(struct lproc *lp)
{
	struct lproc *q;

	for (q = lp->lp_parent; q != NULL; q = q->lp_parent)
		if (q->lp_subreaper && q->lp_state == LP_ALIVE && !q->lp_ending)
			return q;
	return lp->lp_l->l_init;
}

/* Is there nobody in the group who has a parent in the session outside?  [L] */
static bool
orphaned_without(struct lsys *l, uint32_t pgid, const struct lproc *without)
{
	struct lproc *q, *parent;
	struct qlist *e;

	QLIST_FOREACH(e, &l->l_procs) {
		q = QLIST_ELEM(e, struct lproc, lp_all);
		parent = q->lp_parent;
		if (q->lp_proc->p_pgid != pgid || q == without ||
		    q->lp_state != LP_ALIVE || parent == NULL ||
		    parent == l->l_init)
			continue;
		if (parent->lp_proc->p_pgid != pgid &&
		    parent->lp_proc->p_sid == q->lp_proc->p_sid)
			return false;
	}
	return true;
}

bool
lgroup_orphaned(struct lsys *l, uint32_t pgid)
{
	return orphaned_without(l, pgid, NULL);
}

static bool
group_stopped(struct lsys *l, uint32_t pgid)
{
	struct lproc *q;
	struct qlist *e;

	QLIST_FOREACH(e, &l->l_procs) {
		q = QLIST_ELEM(e, struct lproc, lp_all);
		if (q->lp_proc->p_pgid == pgid && q->lp_state == LP_ALIVE &&
		    q->lp_stopped)
			return true;
	}
	return false;
}

/*
 * The end of `lp` may have made `pgid` an orphaned group, that nobody would
 * continue: POSIX has its stopped members hung up.  [L]
 */
static void
check_orphaned(struct lsys *l, uint32_t pgid, const struct lproc *without)
{
	struct q_siginfo hup = { .si_signo = Q_SIGHUP, .si_code = Q_SI_KERNEL };
	struct q_siginfo cont = { .si_signo = Q_SIGCONT,
		.si_code = Q_SI_KERNEL };
	struct lproc *q;
	struct qlist *e;

	if (!group_stopped(l, pgid) || !orphaned_without(l, pgid, without))
		return;
	QLIST_FOREACH(e, &l->l_procs) {
		q = QLIST_ELEM(e, struct lproc, lp_all);
		if (q->lp_proc->p_pgid != pgid)
			continue;
		lsig_proc(q, &hup);
		lsig_proc(q, &cont);
	}
}

/* Tell the parent of a zombie; false: it doesn't care, nobody will wait.  [L] */
static bool
tell_parent(struct lproc *lp)
{
	struct lproc *parent = lp->lp_parent;
	const struct q_sigaction *act;
	struct q_siginfo info;
	struct lusage u;
	bool kept = true;

	if (parent == NULL)
		return false;
	act = &parent->lp_hand->h_act[Q_SIGCHLD - 1];
	if (lp->lp_exitsig == Q_SIGCHLD &&
	    (act->sa_func == SIGACT_IGNORE ||
		(act->sa_flags & Q_SA_NOCLDWAIT) != 0))
		kept = false;
	if (lp->lp_exitsig != 0 && (kept || act->sa_func != SIGACT_IGNORE)) {
		lproc_usage(lp, &u);
		lchild_info(lp, &info);
		info.si_signo = (int32_t)lp->lp_exitsig;
		lsig_proc(parent, &info);
	}
	(void)qwaitq_wake_all(&parent->lp_waitq);
	return kept;
}

/* Its children are another's now; those nobody would wait for go to `gone`. */
static void
give_children(struct lproc *lp, struct qlist *gone)
{
	struct lproc *reaper = find_reaper(lp), *child;
	struct q_siginfo info = { .si_code = Q_SI_KERNEL };
	struct lsys *l = lp->lp_l;

	while (!qlist_empty(&lp->lp_children)) {
		child = QLIST_ELEM(lp->lp_children.l_next, struct lproc,
		    lp_sibling);
		if (reaper == NULL || reaper == lp) {
			qlist_del(&child->lp_sibling);
			child->lp_parent = NULL;
		} else {
			lproc_adopt(reaper, child);
		}
		child->lp_exitsig = Q_SIGCHLD;
		if (child->lp_pdeathsig != 0) {
			info.si_signo = (int32_t)child->lp_pdeathsig;
			lsig_proc(child, &info);
		}
		if (child->lp_state == LP_ZOMBIE && !tell_parent(child)) {
			lproc_reap(child);
			qlist_append(gone, &child->lp_sibling);
		} else if (child->lp_proc->p_pgid != lp->lp_proc->p_pgid &&
		    child->lp_proc->p_sid == lp->lp_proc->p_sid) {
			check_orphaned(l, child->lp_proc->p_pgid, lp);
		}
	}
}

/* ---- the end of a process ----------------------------------------------------------- */

/* Process 1 has ended: everybody else has to. */
static void
end_everybody(struct lsys *l, struct lproc *but)
{
	struct lproc *q;
	struct qlist *e;

	QLIST_FOREACH(e, &l->l_procs) {
		q = QLIST_ELEM(e, struct lproc, lp_all);
		if (q != but)
			lproc_end(q, Q_SIGKILL);
	}
}

/* From here on it is a zombie, or gone. */
static void
become_zombie(struct lproc *lp)
{
	struct lsys *l = lp->lp_l;
	bool command, kept;
	struct qlist gone;
	struct lproc *q;
	int status;

	qlist_init(&gone);
	qspin_lock(&l->l_lock);
	give_children(lp, &gone);
	/* If it was what kept its group from being an orphan. */
	if (lp->lp_parent != NULL &&
	    lp->lp_parent->lp_proc->p_pgid != lp->lp_proc->p_pgid &&
	    lp->lp_parent->lp_proc->p_sid == lp->lp_proc->p_sid)
		check_orphaned(l, lp->lp_proc->p_pgid, lp);
	lp->lp_state = LP_ZOMBIE;
	lsigq_flush(&lp->lp_pending, ~UINT64_C(0));
	command = lp == l->l_command;
	status = lp->lp_status;
	if (lp == l->l_init) {
		end_everybody(l, lp);
		l->l_init = NULL;
	}
	kept = tell_parent(lp);
	if (!kept) {
		lproc_reap(lp);
		qlist_append(&gone, &lp->lp_sibling);
	}
	if (command)
		l->l_command = NULL;
	(void)qwaitq_wake_all(&l->l_exitq);
	(void)qwaitq_wake_all(&lp->lp_endq);
	qpollq_wake(&lp->lp_endpoll, Q_POLLIN | Q_POLLRDNORM);
	qspin_unlock(&l->l_lock);
	/* It may be another's by now, and gone. */
	while (!qlist_empty(&gone)) {
		q = QLIST_ELEM(gone.l_next, struct lproc, lp_sibling);
		qlist_del(&q->lp_sibling);
		lproc_put(q);
	}
	if (command && l->l_ended != NULL)
		l->l_ended(l->l_arg, status);
}

static void
process_exit(struct lproc *lp)
{
	struct quern_proc *p = lp->lp_proc;

	lproc_vfork_done(lp);
	ltimers_exit(lp);
	qmutex_lock(&lp->lp_life);
	lp->lp_gone = true;
	qmutex_unlock(&lp->lp_life);
	(void)!qvm_attach(p, NULL);
	qproc_exit(p);
	lproc_set_exe(lp, NULL);
	/* From here on somebody may wait for it and free it. */
	__atomic_store_n(&qthread_current()->t_proc, NULL, __ATOMIC_RELAXED);
	become_zombie(lp);
}

/* Tell the threads that joined it, by the address that it gave. */
static void
clear_tid(struct lthread *lt)
{
	struct quern_proc *p = lt->lt_proc->lp_proc;
	static const uint32_t zero;

	if (lt->lt_cleartid == 0)
		return;
	if (qcopyout(qvm_uspace(qvm_of(p)), lt->lt_cleartid, &zero,
		sizeof(zero)) == 0)
		(void)lfutex_wake(p, lt->lt_cleartid, 1);
	lt->lt_cleartid = 0;
}

void
lthread_exit(struct lthread *lt)
{
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lp->lp_l;
	struct lusage u;
	bool last;

	/* Its sleeps from here on are for what it holds. */
	qthread_calm();
	lfutex_exit(lt);
	clear_tid(lt);
	qvmspace_forget(lt->lt_vs, &lt->lt_f);
	lproc_note_peak(lp);
	qspin_lock(&l->l_lock);
	lthread_usage(lt, &u);
	lusage_add(&lp->lp_used, &u);
	qlist_del(&lt->lt_link);
	last = --lp->lp_nthread == 0;
	if (last && !lp->lp_ending) {
		lp->lp_ending = true;
		lp->lp_status = STATUS_EXITED(lt->lt_status);
	}
	lt->lt_thread = NULL;
	if (lp->lp_execing)
		(void)qwaitq_wake_all(&lp->lp_waitq);
	/* Signals that it was to take are another's. */
	if (!last)
		lsig_retarget(lp);
	if (!last)
		__atomic_store_n(&qthread_current()->t_proc, NULL,
		    __ATOMIC_RELAXED);
	qspin_unlock(&l->l_lock);
	lthread_free(lt);
	if (last)
		process_exit(lp);
}

/* ---- the calls ----------------------------------------------------------------------- */

QSYS(exit)
{
	struct lthread *lt = lthread_current();
	struct lsys *l = lt->lt_proc->lp_l;

	qspin_lock(&l->l_lock);
	lt->lt_ending = true;
	lt->lt_status = qsys_int(s, 0);
	lthread_alert(lt);
	qspin_unlock(&l->l_lock);
	return 0;
}

QSYS(exit_group)
{
	struct lthread *lt = lthread_current();
	struct lsys *l = lt->lt_proc->lp_l;

	qspin_lock(&l->l_lock);
	lproc_end(lt->lt_proc, STATUS_EXITED(qsys_int(s, 0)));
	qspin_unlock(&l->l_lock);
	return 0;
}
