/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prctl: what belongs to a process or thread and nowhere else.
 */
#include "impl.h"

#include <quern/abi/prctl.h>

/* The timer slack of a thread that has none of its own, in ns. */
#define SLACK 50000u

/* ---- names, flags -------------------------------------------------------------------- */

static int64_t
set_name(const struct qsys *s)
{
	struct lthread *lt = lthread_current();
	char name[16];
	int64_t n;

	n = qcopyinstr(s->s_us, name, s->s_arg[1], sizeof(name));
	if (n < 0 && n != -Q_ENAMETOOLONG)
		return n;
	name[sizeof(name) - 1] = '\0';
	if (n < 0)
		n = sizeof(name) - 1;
	memset(name + n, 0, sizeof(name) - (size_t)n);
	qmutex_lock(&s->s_proc->p_lock);
	memcpy(lt->lt_comm, name, sizeof(name));
	if (lt->lt_tid == s->s_proc->p_pid)
		memcpy(s->s_proc->p_comm, name, sizeof(name));
	qmutex_unlock(&s->s_proc->p_lock);
	return 0;
}

static int64_t
set_flag(struct lproc *lp, int what, uint64_t value)
{
	struct lsys *l = lp->lp_l;
	int64_t ret = 0;

	qspin_lock(&l->l_lock);
	switch (what) {
	case Q_PR_SET_PDEATHSIG:
		if (value > LINUX_NSIG)
			ret = -Q_EINVAL;
		else
			lp->lp_pdeathsig = (uint32_t)value;
		break;
	case Q_PR_SET_DUMPABLE:
		if (value > 1)
			ret = -Q_EINVAL;
		else
			lp->lp_dumpable = value != 0;
		break;
	case Q_PR_SET_CHILD_SUBREAPER:
		lp->lp_subreaper = value != 0;
		break;
	case Q_PR_SET_NO_NEW_PRIVS:
		if (value != 1)
			ret = -Q_EINVAL;
		else
			lp->lp_nonewprivs = true;
		break;
	case Q_PR_SET_THP_DISABLE:
		lp->lp_nothp = value != 0;
		break;
	default:
		ret = -Q_EINVAL;
		break;
	}
	qspin_unlock(&l->l_lock);
	return ret;
}

/* ---- capabilities -------------------------------------------------------------------- */

static int64_t
set_keepcaps(struct quern_proc *p, uint64_t value)
{
	struct qcred *c = &p->p_cred;
	int64_t ret = 0;

	if (value > 1)
		return -Q_EINVAL;
	qmutex_lock(&p->p_lock);
	if ((c->c_secbits & QSECBIT_KEEP_LOCKED) != 0)
		ret = -Q_EPERM;
	else if (value != 0)
		c->c_secbits |= QSECBIT_KEEP_CAPS;
	else
		c->c_secbits &= ~QSECBIT_KEEP_CAPS;
	qmutex_unlock(&p->p_lock);
	return ret;
}

/* Every other bit locks the one below it. */
static int64_t
set_securebits(struct quern_proc *p, uint64_t value)
{
	struct qcred *c = &p->p_cred;
	uint32_t locks = QSECBIT_ALL & 0xaa, locked;
	int64_t ret = -Q_EPERM;

	qmutex_lock(&p->p_lock);
	locked = (c->c_secbits & locks) >> 1;
	if (((c->c_secbits ^ value) & locked) == 0 &&
	    (c->c_secbits & locks & ~value) == 0 &&
	    (value & ~(uint64_t)QSECBIT_ALL) == 0 &&
	    qproc_capable(p, Q_CAP_SETPCAP)) {
		c->c_secbits = (uint32_t)value;
		ret = 0;
	}
	qmutex_unlock(&p->p_lock);
	return ret;
}

static int64_t
drop_bound(struct quern_proc *p, uint64_t cap)
{
	if (!qproc_capable(p, Q_CAP_SETPCAP))
		return -Q_EPERM;
	if (cap > Q_CAP_LAST_CAP)
		return -Q_EINVAL;
	qmutex_lock(&p->p_lock);
	p->p_cred.c_cap_bnd &= ~QCAP(cap);
	qmutex_unlock(&p->p_lock);
	return 0;
}

static int64_t
ambient(const struct qsys *s)
{
	struct quern_proc *p = s->s_proc;
	struct qcred *c = &p->p_cred;
	uint64_t what = s->s_arg[1], cap = s->s_arg[2], bit;
	int64_t ret = 0;

	if (what == Q_PR_CAP_AMBIENT_CLEAR_ALL) {
		if ((s->s_arg[2] | s->s_arg[3] | s->s_arg[4]) != 0)
			return -Q_EINVAL;
		qmutex_lock(&p->p_lock);
		c->c_cap_amb = 0;
		qmutex_unlock(&p->p_lock);
		return 0;
	}
	if (cap > Q_CAP_LAST_CAP || (s->s_arg[3] | s->s_arg[4]) != 0 ||
	    what < Q_PR_CAP_AMBIENT_IS_SET || what > Q_PR_CAP_AMBIENT_LOWER)
		return -Q_EINVAL;
	bit = QCAP(cap);
	qmutex_lock(&p->p_lock);
	if (what == Q_PR_CAP_AMBIENT_IS_SET)
		ret = (c->c_cap_amb & bit) != 0;
	else if (what == Q_PR_CAP_AMBIENT_LOWER)
		c->c_cap_amb &= ~bit;
	else if ((c->c_cap_perm & c->c_cap_inh & bit) == 0 ||
	    (c->c_secbits & QSECBIT_NO_AMBIENT) != 0)
		ret = -Q_EPERM;
	else
		c->c_cap_amb |= bit;
	qmutex_unlock(&p->p_lock);
	return ret;
}

/* What is about capabilities; -EINVAL: nothing. */
static int64_t
capabilities(const struct qsys *s, int what)
{
	struct quern_proc *p = s->s_proc;
	uint64_t arg = s->s_arg[1];

	switch (what) {
	case Q_PR_GET_KEEPCAPS:
		return (p->p_cred.c_secbits & QSECBIT_KEEP_CAPS) != 0;
	case Q_PR_SET_KEEPCAPS:
		return set_keepcaps(p, arg);
	case Q_PR_GET_SECUREBITS:
		return p->p_cred.c_secbits;
	case Q_PR_SET_SECUREBITS:
		return set_securebits(p, arg);
	case Q_PR_CAPBSET_READ:
		if (arg > Q_CAP_LAST_CAP)
			return -Q_EINVAL;
		return (p->p_cred.c_cap_bnd & QCAP(arg)) != 0;
	case Q_PR_CAPBSET_DROP:
		return drop_bound(p, arg);
	case Q_PR_CAP_AMBIENT:
		return ambient(s);
	default:
		return -Q_EINVAL;
	}
}

/* ---- the call -------------------------------------------------------------------------- */

static bool
has_more(const struct qsys *s, unsigned from)
{
	for (; from < 5; from++)
		if (s->s_arg[from] != 0)
			return true;
	return false;
}

/* What is read, and has no more to it. */
static int64_t
get_flag(const struct qsys *s, struct lthread *lt, int what)
{
	struct lproc *lp = lt->lt_proc;
	int value;

	switch (what) {
	case Q_PR_GET_PDEATHSIG:
		value = (int)lp->lp_pdeathsig;
		return qsys_out(s, 1, &value, sizeof(value));
	case Q_PR_GET_CHILD_SUBREAPER:
		value = lp->lp_subreaper;
		return qsys_out(s, 1, &value, sizeof(value));
	case Q_PR_GET_TSC:
		value = Q_PR_TSC_ENABLE;
		return qsys_out(s, 1, &value, sizeof(value));
	case Q_PR_GET_TID_ADDRESS:
		return qsys_out(s, 1, &lt->lt_cleartid, sizeof(uint64_t));
	case Q_PR_GET_DUMPABLE:
		return lp->lp_dumpable;
	case Q_PR_GET_NO_NEW_PRIVS:
		return has_more(s, 1) ? -Q_EINVAL : lp->lp_nonewprivs;
	case Q_PR_GET_THP_DISABLE:
		return has_more(s, 1) ? -Q_EINVAL : lp->lp_nothp;
	case Q_PR_GET_TIMERSLACK:
		return lt->lt_slack != 0 ? (int64_t)lt->lt_slack : SLACK;
	case Q_PR_MCE_KILL_GET:
		return has_more(s, 1) ? -Q_EINVAL : Q_PR_MCE_KILL_DEFAULT;
	case Q_PR_GET_SECCOMP:
	case Q_PR_GET_TIMING:
	case Q_PR_GET_IO_FLUSHER:
		return 0;
	default:
		return -Q_EINVAL;
	}
}

QSYS(prctl)
{
	struct lthread *lt = lthread_current();
	int what = qsys_int(s, 0);
	uint64_t arg = s->s_arg[1];

	switch (what) {
	case Q_PR_SET_NAME:
		return set_name(s);
	case Q_PR_GET_NAME:
		return qsys_out(s, 1, lt->lt_comm, sizeof(lt->lt_comm));
	case Q_PR_GET_KEEPCAPS:
	case Q_PR_SET_KEEPCAPS:
	case Q_PR_GET_SECUREBITS:
	case Q_PR_SET_SECUREBITS:
	case Q_PR_CAPBSET_READ:
	case Q_PR_CAPBSET_DROP:
	case Q_PR_CAP_AMBIENT:
		return capabilities(s, what);
	case Q_PR_SET_PDEATHSIG:
	case Q_PR_SET_DUMPABLE:
	case Q_PR_SET_CHILD_SUBREAPER:
		return set_flag(lt->lt_proc, what, arg);
	case Q_PR_SET_NO_NEW_PRIVS:
	case Q_PR_SET_THP_DISABLE:
		return has_more(s, 2) ? -Q_EINVAL :
					set_flag(lt->lt_proc, what, arg);
	case Q_PR_SET_TIMERSLACK:
		lt->lt_slack = arg > INT64_MAX ? 0 : arg;
		return 0;
	case Q_PR_SET_TIMING:
		return arg == 0 ? 0 : -Q_EINVAL;
	case Q_PR_SET_TSC:
		return arg == Q_PR_TSC_ENABLE ? 0 : -Q_EINVAL;
	case Q_PR_TASK_PERF_EVENTS_DISABLE:
	case Q_PR_TASK_PERF_EVENTS_ENABLE:
		return 0;
	default:
		return get_flag(s, lt, what);
	}
}
