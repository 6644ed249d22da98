/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls about signals.
 */
#include "impl.h"

static bool
sig_valid(int sig)
{
	return sig >= 1 && sig <= (int)LINUX_NSIG;
}

/* ---- actions and masks ------------------------------------------------------------ */

QSYS(rt_sigaction)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct q_sigaction act, old;
	struct lsys *l = lp->lp_l;
	int sig = qsys_int(s, 0), error;
	struct qlist *e;

	if (s->s_arg[3] != sizeof(struct q_sigset) || !sig_valid(sig))
		return -Q_EINVAL;
	if (s->s_arg[1] != 0) {
		if ((SIGBIT(sig) & SIG_FORCED) != 0)
			return -Q_EINVAL;
		error = qsys_in(s, 1, &act, sizeof(act));
		if (error != 0)
			return error;
		act.sa_mask.sig &= ~SIG_FORCED;
	}
	qspin_lock(&l->l_lock);
	old = lp->lp_hand->h_act[sig - 1];
	if (s->s_arg[1] != 0) {
		lp->lp_hand->h_act[sig - 1] = act;
		/* What is ignored is not pending either. */
		if (lsig_ignored(lp, sig)) {
			lsigq_flush(&lp->lp_pending, SIGBIT(sig));
			QLIST_FOREACH(e, &lp->lp_threads)
				lsigq_flush(&QLIST_ELEM(e, struct lthread,
						lt_link)
						 ->lt_pending,
				    SIGBIT(sig));
		}
	}
	qspin_unlock(&l->l_lock);
	return s->s_arg[2] == 0 ? 0 : qsys_out(s, 2, &old, sizeof(old));
}

QSYS(rt_sigprocmask)
{
	struct lthread *lt = lthread_current();
	uint64_t set, old = lt->lt_mask;
	int error;

	if (s->s_arg[3] != sizeof(struct q_sigset))
		return -Q_EINVAL;
	if (s->s_arg[1] != 0) {
		error = qsys_in(s, 1, &set, sizeof(set));
		if (error != 0)
			return error;
		switch (qsys_int(s, 0)) {
		case Q_SIG_BLOCK:
			set |= old;
			break;
		case Q_SIG_UNBLOCK:
			set = old & ~set;
			break;
		case Q_SIG_SETMASK:
			break;
		default:
			return -Q_EINVAL;
		}
		lsig_setmask(lt, set);
	}
	return s->s_arg[2] == 0 ? 0 : qsys_out(s, 2, &old, sizeof(old));
}

QSYS(rt_sigpending)
{
	struct lthread *lt = lthread_current();
	struct lsys *l = lt->lt_l;
	uint64_t set;

	if (s->s_arg[1] > sizeof(set))
		return -Q_EINVAL;
	qspin_lock(&l->l_lock);
	set = (lt->lt_pending.q_set | lt->lt_proc->lp_pending.q_set) &
	    lt->lt_mask;
	qspin_unlock(&l->l_lock);
	return qsys_out(s, 0, &set, s->s_arg[1]);
}

/* ---- waiting ------------------------------------------------------------------------- */

/* Sleep until a signal comes.  -EINTR, -ETIMEDOUT. */
static int
sleep_for_signal(struct lthread *lt, uint64_t deadline)
{
	struct lsys *l = lt->lt_l;
	struct qwaitq q;
	int error;

	(void)l;
	qwaitq_init(&q);
	do {
		qspin_lock(&q.w_lock);
		error = qwaitq_sleep(&q, &q.w_lock, QSLEEP_INTR, deadline);
	} while (error == 0);
	return error;
}

QSYS(pause)
{
	(void)s;
	return sleep_for_signal(lthread_current(), QUERN_NEVER);
}

QSYS(rt_sigsuspend)
{
	struct lthread *lt = lthread_current();
	uint64_t mask;
	int error;

	if (s->s_arg[1] != sizeof(struct q_sigset))
		return -Q_EINVAL;
	error = qsys_in(s, 0, &mask, sizeof(mask));
	if (error != 0)
		return error;
	linux_ops.po_sigmask(s->s_proc, &mask);
	return sleep_for_signal(lt, QUERN_NEVER);
}

static int
timeout_in(const struct qsys *s, unsigned i, uint64_t *deadline)
{
	struct q_timespec ts;
	uint64_t ns;
	int error;

	*deadline = QUERN_NEVER;
	if (s->s_arg[i] == 0)
		return 0;
	error = qsys_in(s, i, &ts, sizeof(ts));
	if (error != 0)
		return error;
	if (!qtimespec_ns(&ts, &ns))
		return -Q_EINVAL;
	*deadline = qdeadline_in(s->s_proc->p_k, ns);
	return 0;
}

/* Take one of `set`, waiting until `deadline`.  Its number or -errno. */
static int
await_signal(struct lthread *lt, uint64_t set, uint64_t deadline,
    struct q_siginfo *info)
{
	struct lsys *l = lt->lt_l;
	int sig, error = 0;

	for (;;) {
		qspin_lock(&l->l_lock);
		/* From here on a sender tells us of these too. */
		lt->lt_waits = set;
		sig = lsig_take(lt, set, info);
		if (sig != 0 || error != 0) {
			lt->lt_waits = 0;
			qspin_unlock(&l->l_lock);
			break;
		}
		/* An alert that was for one of them is over. */
		if (!lsig_waiting(lt) && !lt->lt_ending &&
		    !lt->lt_proc->lp_ending && !lt->lt_proc->lp_stopped)
			qthread_calm();
		qspin_unlock(&l->l_lock);
		error = sleep_for_signal(lt, deadline);
	}
	if (sig != 0)
		return sig;
	return error == -Q_ETIMEDOUT ? -Q_EAGAIN : error;
}

QSYS(rt_sigtimedwait)
{
	struct lthread *lt = lthread_current();
	struct q_siginfo info;
	uint64_t set, deadline;
	int error, sig;

	if (s->s_arg[3] != sizeof(struct q_sigset))
		return -Q_EINVAL;
	error = qsys_in(s, 0, &set, sizeof(set));
	if (error == 0)
		error = timeout_in(s, 2, &deadline);
	if (error != 0)
		return error;
	sig = await_signal(lt, set & ~SIG_FORCED, deadline, &info);
	if (sig > 0 && s->s_arg[1] != 0) {
		error = qsys_out(s, 1, &info, sizeof(info));
		if (error != 0)
			return error;
	}
	return sig;
}

/* ---- sending --------------------------------------------------------------------------- */

/* May `p` send `sig` to the process?  [L] */
static bool
may_signal(struct quern_proc *p, const struct lproc *to, int sig)
{
	const struct qcred *a = &p->p_cred, *b = &to->lp_proc->p_cred;

	if (p == to->lp_proc || qproc_capable(p, Q_CAP_KILL))
		return true;
	if (sig == Q_SIGCONT && p->p_sid == to->lp_proc->p_sid)
		return true;
	return a->c_euid == b->c_suid || a->c_euid == b->c_uid ||
	    a->c_uid == b->c_suid || a->c_uid == b->c_uid;
}

/* To one process.  [L] */
static int
send(struct quern_proc *p, struct lproc *to, const struct q_siginfo *info)
{
	if (!may_signal(p, to, info->si_signo))
		return -Q_EPERM;
	return info->si_signo != 0 ? lsig_proc(to, info) : 0;
}

static void
info_of(struct quern_proc *p, int sig, int code, struct q_siginfo *info)
{
	memset(info, 0, sizeof(*info));
	info->si_signo = sig;
	info->si_code = code;
	info->sg_pid = (int32_t)p->p_pid;
	info->sg_uid = p->p_cred.c_uid;
}

/* What a program says that a signal carries; only itself may lie about it. */
static int
queue_info(const struct qsys *s, unsigned i, bool self, int sig,
    struct q_siginfo *info)
{
	int error;

	if (sig != 0 && !sig_valid(sig))
		return -Q_EINVAL;
	error = qsys_in(s, i, info, sizeof(*info));
	if (error != 0)
		return error;
	if (!self && (info->si_code >= 0 || info->si_code == Q_SI_TKILL))
		return -Q_EPERM;
	info->si_signo = sig;
	return 0;
}

int
lsig_kill(const struct qsys *s, struct lproc *to, int sig, unsigned i,
    struct q_siginfo *info)
{
	struct lsys *l = to->lp_l;
	int error = 0;

	if (sig != 0 && !sig_valid(sig))
		return -Q_EINVAL;
	if (s->s_arg[i] != 0)
		error = queue_info(s, i, to->lp_proc == s->s_proc, sig, info);
	else
		info_of(s->s_proc, sig, Q_SI_USER, info);
	if (error != 0)
		return error;
	qspin_lock(&l->l_lock);
	error = to->lp_state == LP_REAPED ? -Q_ESRCH :
					    send(s->s_proc, to, info);
	qspin_unlock(&l->l_lock);
	return error;
}

/* To all that `pid` names, as kill(2).  [L] */
static int
send_many(struct quern_proc *p, int pid, const struct q_siginfo *info)
{
	struct lsys *l = lproc_of(p)->lp_l;
	uint32_t pgid = pid == 0 ? p->p_pgid : 0u - (uint32_t)pid;
	int error, denied = 0;
	struct lproc *to;
	bool any = false;
	struct qlist *e;

	QLIST_FOREACH(e, &l->l_procs) {
		to = QLIST_ELEM(e, struct lproc, lp_all);
		if (pid == -1 ? to == l->l_init || to->lp_proc == p :
				to->lp_proc->p_pgid != pgid)
			continue;
		error = send(p, to, info);
		if (error == 0)
			any = true;
		else
			denied = error;
	}
	if (any)
		return 0;
	return denied != 0 ? denied : -Q_ESRCH;
}

QSYS(kill)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	int pid = qsys_int(s, 0), sig = qsys_int(s, 1), error = -Q_ESRCH;
	struct q_siginfo info;
	struct lproc *to;

	if (sig != 0 && !sig_valid(sig))
		return -Q_EINVAL;
	if (pid == INT32_MIN)
		return -Q_ESRCH;
	info_of(s->s_proc, sig, Q_SI_USER, &info);
	qspin_lock(&l->l_lock);
	if (pid <= 0)
		error = send_many(s->s_proc, pid, &info);
	else if ((to = lproc_find(l, (uint32_t)pid)) != NULL)
		error = send(s->s_proc, to, &info);
	qspin_unlock(&l->l_lock);
	return error;
}

/* To thread `tid` of process `pid` (0: of any). */
static int
send_thread(struct quern_proc *p, uint32_t pid, uint32_t tid,
    const struct q_siginfo *info)
{
	struct lsys *l = lproc_of(p)->lp_l;
	struct lthread *lt;
	int error = -Q_ESRCH;

	qspin_lock(&l->l_lock);
	lt = lthread_find(l, tid);
	if (lt != NULL && (pid == 0 || lt->lt_proc->lp_proc->p_pid == pid)) {
		error = may_signal(p, lt->lt_proc, info->si_signo) ? 0 :
								     -Q_EPERM;
		if (error == 0 && info->si_signo != 0)
			error = lsig_thread(lt, info);
	}
	qspin_unlock(&l->l_lock);
	return error;
}

QSYS(tkill)
{
	int tid = qsys_int(s, 0), sig = qsys_int(s, 1);
	struct q_siginfo info;

	if (tid <= 0 || (sig != 0 && !sig_valid(sig)))
		return -Q_EINVAL;
	info_of(s->s_proc, sig, Q_SI_TKILL, &info);
	return send_thread(s->s_proc, 0, (uint32_t)tid, &info);
}

QSYS(tgkill)
{
	int pid = qsys_int(s, 0), tid = qsys_int(s, 1), sig = qsys_int(s, 2);
	struct q_siginfo info;

	if (pid <= 0 || tid <= 0 || (sig != 0 && !sig_valid(sig)))
		return -Q_EINVAL;
	info_of(s->s_proc, sig, Q_SI_TKILL, &info);
	return send_thread(s->s_proc, (uint32_t)pid, (uint32_t)tid, &info);
}

QSYS(rt_sigqueueinfo)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	uint32_t pid = qsys_uint(s, 0);
	struct q_siginfo info;
	struct lproc *to;
	int error;

	error = queue_info(s, 2, pid == s->s_proc->p_pid, qsys_int(s, 1),
	    &info);
	if (error != 0)
		return error;
	error = -Q_ESRCH;
	qspin_lock(&l->l_lock);
	to = lproc_find(l, pid);
	if (to != NULL)
		error = send(s->s_proc, to, &info);
	qspin_unlock(&l->l_lock);
	return error;
}

QSYS(rt_tgsigqueueinfo)
{
	int pid = qsys_int(s, 0), tid = qsys_int(s, 1);
	struct q_siginfo info;
	int error;

	if (pid <= 0 || tid <= 0)
		return -Q_EINVAL;
	error = queue_info(s, 3, (uint32_t)pid == s->s_proc->p_pid,
	    qsys_int(s, 2), &info);
	if (error != 0)
		return error;
	return send_thread(s->s_proc, (uint32_t)pid, (uint32_t)tid, &info);
}
