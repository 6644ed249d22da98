/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls about threads' numbers, capabilities, priorities, and what was used.
 */
#include "impl.h"

#include <quern/abi/ioprio.h>
#include <quern/abi/resource.h>
#include <quern/abi/times.h>

#define NS_PER_TICK UINT64_C(10000000)

QSYS(set_tid_address)
{
	struct lthread *lt = lthread_current();

	lt->lt_cleartid = s->s_arg[0];
	return lt->lt_tid;
}

/* ---- capabilities ------------------------------------------------------------------ */

/* How many words of each set that version has; 0: not known. */
static unsigned
cap_words(uint32_t version)
{
	switch (version) {
	case Q_LINUX_CAPABILITY_VERSION_1:
		return 1;
	case Q_LINUX_CAPABILITY_VERSION_2:
	case Q_LINUX_CAPABILITY_VERSION_3:
		return 2;
	default:
		return 0;
	}
}

static int
cap_header(const struct qsys *s, struct q_cap_header *h, unsigned *words)
{
	int error;

	error = qsys_in(s, 0, h, sizeof(*h));
	if (error != 0)
		return error;
	*words = cap_words(h->version);
	if (*words != 0)
		return h->pid >= 0 ? 0 : -Q_EINVAL;
	h->version = Q_LINUX_CAPABILITY_VERSION_3;
	error = qsys_out(s, 0, h, sizeof(*h));
	return error != 0 ? error : -Q_EINVAL;
}

QSYS(capget)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	struct quern_proc *p = s->s_proc;
	struct q_cap_data data[2];
	struct q_cap_header h;
	struct lthread *lt;
	struct lproc *lp;
	struct qcred c = { 0 };
	unsigned words, i;
	int error;

	error = cap_header(s, &h, &words);
	if (error != 0)
		return error == -Q_EINVAL && s->s_arg[1] == 0 ? 0 : error;
	qspin_lock(&l->l_lock);
	lt = h.pid != 0 ? lthread_find(l, (uint32_t)h.pid) : NULL;
	lp = h.pid != 0 && lt == NULL ? lproc_find(l, (uint32_t)h.pid) : NULL;
	if (lt != NULL)
		p = lt->lt_proc->lp_proc;
	else if (lp != NULL && lp->lp_state == LP_ALIVE)
		p = lp->lp_proc; /* process 1 may have no thread */
	else if (h.pid != 0)
		error = -Q_ESRCH;
	c = p->p_cred;
	qspin_unlock(&l->l_lock);
	if (error != 0)
		return error;
	for (i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(c.c_cap_eff >> 32 * i);
		data[i].permitted = (uint32_t)(c.c_cap_perm >> 32 * i);
		data[i].inheritable = (uint32_t)(c.c_cap_inh >> 32 * i);
	}
	return qsys_out(s, 1, data, words * sizeof(data[0]));
}

QSYS(capset)
{
	uint64_t eff, perm, inh, may;
	struct quern_proc *p = s->s_proc;
	struct q_cap_data data[2];
	struct q_cap_header h;
	unsigned words;
	int error;

	error = cap_header(s, &h, &words);
	memset(data, 0, sizeof(data));
	if (error == 0)
		error = qsys_in(s, 1, data, words * sizeof(data[0]));
	if (error != 0)
		return error;
	if (h.pid != 0 && (uint32_t)h.pid != lthread_current()->lt_tid)
		return -Q_EPERM;
	eff = data[0].effective | (uint64_t)data[1].effective << 32;
	perm = data[0].permitted | (uint64_t)data[1].permitted << 32;
	inh = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	qmutex_lock(&p->p_lock);
	may = p->p_cred.c_cap_inh | p->p_cred.c_cap_perm;
	if (qproc_capable(p, Q_CAP_SETPCAP))
		may = UINT64_MAX;
	if ((perm & ~p->p_cred.c_cap_perm) != 0 || (eff & ~perm) != 0 ||
	    (inh & ~may) != 0 ||
	    (inh & ~(p->p_cred.c_cap_inh | p->p_cred.c_cap_bnd)) != 0) {
		error = -Q_EPERM;
	} else {
		p->p_cred.c_cap_amb &= perm & inh;
		__atomic_store_n(&p->p_cred.c_cap_eff, eff & QCAP_ALL,
		    __ATOMIC_RELAXED);
		p->p_cred.c_cap_perm = perm & QCAP_ALL;
		p->p_cred.c_cap_inh = inh & QCAP_ALL;
	}
	qmutex_unlock(&p->p_lock);
	return error;
}

/* ---- what was used ------------------------------------------------------------------- */

QSYS(getrusage)
{
	struct lthread *lt = lthread_current();
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lt->lt_l;
	struct q_rusage ru;
	struct lusage u;

	lproc_note_peak(lp);
	qspin_lock(&l->l_lock);
	switch (qsys_int(s, 0)) {
	case Q_RUSAGE_SELF:
		lproc_usage(lp, &u);
		break;
	case Q_RUSAGE_CHILDREN:
		u = lp->lp_kids;
		break;
	case Q_RUSAGE_THREAD:
		lthread_usage(lt, &u);
		u.u_maxrss = lp->lp_used.u_maxrss;
		break;
	default:
		qspin_unlock(&l->l_lock);
		return -Q_EINVAL;
	}
	qspin_unlock(&l->l_lock);
	lusage_out(&u, &ru);
	return qsys_out(s, 1, &ru, sizeof(ru));
}

QSYS(times)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct lsys *l = lp->lp_l;
	struct q_tms tms;
	struct lusage u;
	int error;

	qspin_lock(&l->l_lock);
	lproc_usage(lp, &u);
	tms.tms_utime = (int64_t)(u.u_user_ns / NS_PER_TICK);
	tms.tms_stime = (int64_t)(u.u_sys_ns / NS_PER_TICK);
	tms.tms_cutime = (int64_t)(lp->lp_kids.u_user_ns / NS_PER_TICK);
	tms.tms_cstime = (int64_t)(lp->lp_kids.u_sys_ns / NS_PER_TICK);
	qspin_unlock(&l->l_lock);
	if (s->s_arg[0] != 0) {
		error = qsys_out(s, 0, &tms, sizeof(tms));
		if (error != 0)
			return error;
	}
	return (int64_t)(qclock_mono(l->l_k) / NS_PER_TICK);
}

/* ---- priorities --------------------------------------------------------------------------- */

#define PRIO_PROCESS 0
#define PRIO_PGRP    1
#define PRIO_USER    2
#define NICE_MIN     (-20)
#define NICE_MAX     19

static bool
prio_match(const struct lproc *lp, int which, uint32_t who)
{
	const struct quern_proc *p = lp->lp_proc;

	switch (which) {
	case PRIO_PROCESS:
		return p->p_pid == who;
	case PRIO_PGRP:
		return p->p_pgid == who;
	default:
		return p->p_cred.c_uid == who;
	}
}

static uint32_t
prio_who(const struct qsys *s, int which)
{
	uint32_t who = qsys_uint(s, 1);

	if (who != 0)
		return who;
	switch (which) {
	case PRIO_PROCESS:
		return s->s_proc->p_pid;
	case PRIO_PGRP:
		return s->s_proc->p_pgid;
	default:
		return s->s_proc->p_cred.c_uid;
	}
}

QSYS(getpriority)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	int which = qsys_int(s, 0);
	int64_t best = -Q_ESRCH;
	struct lproc *lp;
	struct qlist *e;
	uint32_t who;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -Q_EINVAL;
	who = prio_who(s, which);
	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &l->l_procs) {
		lp = QLIST_ELEM(e, struct lproc, lp_all);
		if (prio_match(lp, which, who) && 20 - lp->lp_nice > best)
			best = 20 - lp->lp_nice;
	}
	qspin_unlock(&l->l_lock);
	return best;
}

/* [l_lock] */
static void
set_nice(struct lproc *lp, int nice)
{
	struct lthread *lt;
	struct qlist *e;

	lp->lp_nice = nice;
	QLIST_FOREACH(e, &lp->lp_threads) {
		lt = QLIST_ELEM(e, struct lthread, lt_link);
		/* One that has not begun looks when it does. */
		if (lt->lt_thread != NULL)
			qthread_setnice(lt->lt_thread, nice);
	}
}

QSYS(setpriority)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	int which = qsys_int(s, 0), nice = qsys_int(s, 2), error = -Q_ESRCH;
	struct quern_proc *self = s->s_proc;
	struct lproc *lp;
	struct qlist *e;
	uint32_t who;

	if (which < PRIO_PROCESS || which > PRIO_USER)
		return -Q_EINVAL;
	nice = nice < NICE_MIN ? NICE_MIN : nice > NICE_MAX ? NICE_MAX : nice;
	who = prio_who(s, which);
	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &l->l_procs) {
		lp = QLIST_ELEM(e, struct lproc, lp_all);
		if (!prio_match(lp, which, who))
			continue;
		if (self->p_cred.c_euid != lp->lp_proc->p_cred.c_uid &&
		    self->p_cred.c_euid != lp->lp_proc->p_cred.c_euid &&
		    !qproc_capable(self, Q_CAP_SYS_NICE)) {
			error = -Q_EPERM;
		} else if (nice < lp->lp_nice &&
		    !qproc_capable(self, Q_CAP_SYS_NICE)) {
			error = -Q_EACCES;
		} else {
			set_nice(lp, nice);
			if (error == -Q_ESRCH)
				error = 0;
		}
	}
	qspin_unlock(&l->l_lock);
	return error;
}

/* ---- priorities of I/O: remembered --------------------------------------------------------- */

/* As prio_match, by ioprio_set's numbers; 0: oneself. */
static int
io_which(const struct qsys *s)
{
	int which = qsys_int(s, 0);

	if (which < Q_IOPRIO_WHO_PROCESS || which > Q_IOPRIO_WHO_USER)
		return -Q_EINVAL;
	return which - Q_IOPRIO_WHO_PROCESS + PRIO_PROCESS;
}

/* What counts of a process: that which it has, or follows from its nice value. */
static uint32_t
io_prio(const struct lproc *lp)
{
	uint32_t prio = __atomic_load_n(&lp->lp_ioprio, __ATOMIC_RELAXED);

	if (prio >> Q_IOPRIO_CLASS_SHIFT != Q_IOPRIO_CLASS_NONE)
		return prio;
	return Q_IOPRIO_CLASS_BE << Q_IOPRIO_CLASS_SHIFT |
	    (uint32_t)(lp->lp_nice + 20) / 5;
}

QSYS(ioprio_get)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	int which = io_which(s);
	int64_t best = -Q_ESRCH;
	struct lproc *lp;
	struct qlist *e;
	uint32_t who;

	if (which < 0)
		return which;
	who = prio_who(s, which);
	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &l->l_procs) {
		lp = QLIST_ELEM(e, struct lproc, lp_all);
		if (prio_match(lp, which, who) &&
		    (best < 0 || io_prio(lp) < best))
			best = which == PRIO_PROCESS && lp->lp_ioprio == 0 ?
			    0 :
			    io_prio(lp);
	}
	qspin_unlock(&l->l_lock);
	return best;
}

static int
io_check(const struct qsys *s, uint32_t prio)
{
	uint32_t level = prio & ((1u << Q_IOPRIO_CLASS_SHIFT) - 1);

	switch (prio >> Q_IOPRIO_CLASS_SHIFT) {
	case Q_IOPRIO_CLASS_RT:
		if (!qproc_capable(s->s_proc, Q_CAP_SYS_ADMIN) &&
		    !qproc_capable(s->s_proc, Q_CAP_SYS_NICE))
			return -Q_EPERM;
		return level < Q_IOPRIO_LEVELS ? 0 : -Q_EINVAL;
	case Q_IOPRIO_CLASS_BE:
		return level < Q_IOPRIO_LEVELS ? 0 : -Q_EINVAL;
	case Q_IOPRIO_CLASS_IDLE:
		return 0;
	case Q_IOPRIO_CLASS_NONE:
		return level == 0 ? 0 : -Q_EINVAL;
	default:
		return -Q_EINVAL;
	}
}

QSYS(ioprio_set)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	uint32_t prio = qsys_uint(s, 2), who;
	struct quern_proc *self = s->s_proc;
	int which = io_which(s), error;
	struct lproc *lp;
	struct qlist *e;

	error = io_check(s, prio);
	if (error == 0 && which < 0)
		error = which;
	if (error != 0)
		return error;
	error = -Q_ESRCH;
	who = prio_who(s, which);
	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &l->l_procs) {
		lp = QLIST_ELEM(e, struct lproc, lp_all);
		if (!prio_match(lp, which, who))
			continue;
		error = -Q_EPERM;
		if (self->p_cred.c_euid != lp->lp_proc->p_cred.c_uid &&
		    self->p_cred.c_uid != lp->lp_proc->p_cred.c_uid &&
		    !qproc_capable(self, Q_CAP_SYS_NICE))
			break;
		error = 0;
		__atomic_store_n(&lp->lp_ioprio, prio, __ATOMIC_RELAXED);
	}
	qspin_unlock(&l->l_lock);
	return error;
}
