/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes: making one, finding it, giving it back.
 */
#include "impl.h"

/* How many signals may wait for a user's processes. */
#define PAGES_PER_SIGNAL 64u
#define SIGPENDING_MIN   1024u

#include <quern/vfs.h>

static const struct qtag tag_lproc = { "guest process" };
static const struct qtag tag_hand = { "signal actions" };

/* ---- making one ------------------------------------------------------------ */

/* Its signal actions: those of `from`, a copy of them, or none. */
static int
give_hand(struct lproc *lp, struct lproc *from, bool share)
{
	struct lsys *l = lp->lp_l;
	struct lhand *h = NULL;

	if (!share) {
		h = qzalloc(&tag_hand, sizeof(*h));
		if (h == NULL)
			return -Q_ENOMEM;
		h->h_refs = 1;
	}
	qspin_lock(&l->l_lock);
	if (share) {
		h = from->lp_hand;
		h->h_refs++;
	} else if (from != NULL) {
		memcpy(h->h_act, from->lp_hand->h_act, sizeof(h->h_act));
	}
	lp->lp_hand = h;
	qspin_unlock(&l->l_lock);
	return 0;
}

void
lproc_drop_hand(struct lproc *lp)
{
	struct lsys *l = lp->lp_l;
	struct lhand *h;

	qspin_lock(&l->l_lock);
	h = lp->lp_hand;
	lp->lp_hand = NULL;
	if (h != NULL && --h->h_refs != 0)
		h = NULL;
	qspin_unlock(&l->l_lock);
	qfree(h);
}

/* Have actions of its own, all but the ignored ones by default: for exec. */
int
lproc_reset_hand(struct lproc *lp)
{
	struct lhand *h, *old;
	struct lsys *l = lp->lp_l;
	unsigned i;

	h = qzalloc(&tag_hand, sizeof(*h));
	if (h == NULL)
		return -Q_ENOMEM;
	h->h_refs = 1;
	qspin_lock(&l->l_lock);
	old = lp->lp_hand;
	for (i = 0; i < LINUX_NSIG; i++)
		if (old->h_act[i].sa_func == SIGACT_IGNORE)
			h->h_act[i].sa_func = SIGACT_IGNORE;
	lp->lp_hand = h;
	if (--old->h_refs != 0)
		old = NULL;
	qspin_unlock(&l->l_lock);
	qfree(old);
	return 0;
}

/* Is there room for one more process of that user? */
static bool
may_fork(struct lsys *l, struct lproc *from)
{
	struct quern_proc *p = from->lp_proc;
	uint32_t uid = p->p_cred.c_uid;
	struct lproc *q;
	struct qlist *e;
	uint64_t n = 0, max;

	max = __atomic_load_n(&p->p_rlim[Q_RLIMIT_NPROC].rlim_cur,
	    __ATOMIC_RELAXED);
	if (max == Q_RLIM_INFINITY || uid == 0 ||
	    qproc_capable(p, Q_CAP_SYS_RESOURCE) ||
	    qproc_capable(p, Q_CAP_SYS_ADMIN))
		return true;
	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &l->l_procs) {
		q = QLIST_ELEM(e, struct lproc, lp_all);
		if (__atomic_load_n(&q->lp_proc->p_cred.c_uid,
			__ATOMIC_RELAXED) == uid)
			n += q->lp_nthread != 0 ? q->lp_nthread : 1;
	}
	qspin_unlock(&l->l_lock);
	return n < max;
}

static void
enter_lists(struct lproc *lp, struct lproc *from)
{
	struct lsys *l = lp->lp_l;

	qspin_lock(&l->l_lock);
	qlist_append(&l->l_procs, &lp->lp_all);
	qlist_append(&l->l_pids[lp->lp_proc->p_pid % LINUX_HASH], &lp->lp_hash);
	l->l_nproc++;
	lp->lp_serial = ++l->l_serial;
	l->l_lastpid = lp->lp_proc->p_pid;
	if (from != NULL)
		lproc_adopt(from, lp);
	qspin_unlock(&l->l_lock);
}

static void
leave_lists(struct lproc *lp)
{
	struct lsys *l = lp->lp_l;

	qlist_del(&lp->lp_all);
	qlist_del(&lp->lp_hash);
	qlist_del(&lp->lp_sibling);
	lp->lp_parent = NULL;
	l->l_nproc--;
}

static void
init_lproc(struct lproc *lp, struct lsys *l)
{
	lp->lp_l = l;
	lp->lp_refs = 1;
	lp->lp_exitsig = Q_SIGCHLD;
	lp->lp_dumpable = true;
	lp->lp_forked = true;
	lp->lp_started = qclock_mono(l->l_k);
	lsigq_init(&lp->lp_pending);
	qlist_init(&lp->lp_threads);
	qlist_init(&lp->lp_children);
	qlist_init(&lp->lp_sibling);
	qlist_init(&lp->lp_hash);
	qlist_init(&lp->lp_all);
	qwaitq_init(&lp->lp_waitq);
	qwaitq_init(&lp->lp_stopq);
	qwaitq_init(&lp->lp_endq);
	qlist_init(&lp->lp_timers);
	qmutex_init(&lp->lp_life, "process's end");
	qwaitq_init(&lp->lp_sigq);
	qpollq_init(&lp->lp_sigpoll);
	qpollq_init(&lp->lp_endpoll);
}

/* Of one that has nobody to inherit them from: as in Linux, by the RAM. */
static void
set_limits(struct lproc *lp)
{
	uint64_t n = qpage_total(lp->lp_l->l_k) / PAGES_PER_SIGNAL;

	if (n < SIGPENDING_MIN)
		n = SIGPENDING_MIN;
	lp->lp_proc->p_rlim[Q_RLIMIT_SIGPENDING] = (struct q_rlimit){ n, n };
}

int
lproc_create(struct lsys *l, struct lproc *from, uint32_t flags,
    struct lproc **lpp)
{
	struct lproc *lp;
	uint32_t pflags = QPROC_GUEST;
	int error;

	if (from != NULL && !may_fork(l, from))
		return -Q_EAGAIN;
	lp = qzalloc(&tag_lproc, sizeof(*lp));
	if (lp == NULL)
		return -Q_ENOMEM;
	init_lproc(lp, l);
	error = give_hand(lp, from, (flags & Q_CLONE_SIGHAND) != 0);
	if ((flags & Q_CLONE_FILES) != 0)
		pflags |= QPROC_SHAREFD;
	if (error == 0)
		error = qproc_create(l->l_k,
		    from != NULL ? from->lp_proc : NULL, &linux_ops, pflags, lp,
		    &lp->lp_proc);
	if (error != 0) {
		lproc_drop_hand(lp);
		qfree(lp);
		return error;
	}
	/* Where it was copied it may be shared as well: that allocates nothing. */
	if (from != NULL && (flags & Q_CLONE_FS) != 0)
		(void)!qvfs_share(from->lp_proc, lp->lp_proc);
	if (from != NULL) {
		lp->lp_dumpable = from->lp_dumpable;
		lp->lp_nice = from->lp_nice;
		lp->lp_oomadj = from->lp_oomadj;
		lp->lp_ioprio = from->lp_ioprio;
		memcpy(lp->lp_argv, from->lp_argv, sizeof(lp->lp_argv));
		lproc_copy_exe(lp, from);
	} else {
		set_limits(lp);
	}
	enter_lists(lp, (flags & Q_CLONE_PARENT) != 0 ? NULL : from);
	*lpp = lp;
	return 0;
}

void
lproc_adopt(struct lproc *parent, struct lproc *child)
{
	qlist_del(&child->lp_sibling);
	qlist_append(&parent->lp_children, &child->lp_sibling);
	child->lp_parent = parent;
	__atomic_store_n(&child->lp_proc->p_ppid, parent->lp_proc->p_pid,
	    __ATOMIC_RELAXED);
}

/* ---- what it executes --------------------------------------------------------- */

static const struct qtag tag_exe = { "guest program" };

void
lproc_set_exe(struct lproc *lp, const struct qpath *path)
{
	struct qpath *exe = NULL, *old;

	if (path != NULL && (exe = qalloc(&tag_exe, sizeof(*exe))) != NULL) {
		*exe = *path;
		qpath_get(exe);
	}
	qmutex_lock(&lp->lp_proc->p_lock);
	old = lp->lp_exe;
	lp->lp_exe = exe;
	qmutex_unlock(&lp->lp_proc->p_lock);
	if (old != NULL)
		qpath_put(old);
	qfree(old);
}

void
lproc_copy_exe(struct lproc *lp, struct lproc *from)
{
	struct qpath path = { NULL, NULL };

	qmutex_lock(&from->lp_proc->p_lock);
	if (from->lp_exe != NULL) {
		path = *from->lp_exe;
		qpath_get(&path);
	}
	qmutex_unlock(&from->lp_proc->p_lock);
	if (path.p_d == NULL)
		return;
	lproc_set_exe(lp, &path);
	qpath_put(&path);
}

/* ---- finding ---------------------------------------------------------------- */

struct lproc *
lproc_find(struct lsys *l, uint32_t pid)
{
	struct lproc *lp;
	struct qlist *e;

	QLIST_FOREACH(e, &l->l_pids[pid % LINUX_HASH]) {
		lp = QLIST_ELEM(e, struct lproc, lp_hash);
		if (lp->lp_proc->p_pid == pid)
			return lp;
	}
	return NULL;
}

struct lthread *
lthread_find(struct lsys *l, uint32_t tid)
{
	struct lthread *lt;
	struct qlist *e;

	QLIST_FOREACH(e, &l->l_tids[tid % LINUX_HASH]) {
		lt = QLIST_ELEM(e, struct lthread, lt_hash);
		if (lt->lt_tid == tid)
			return lt;
	}
	return NULL;
}

/* ---- what it has used --------------------------------------------------------- */

void
lusage_add(struct lusage *to, const struct lusage *u)
{
	to->u_user_ns += u->u_user_ns;
	to->u_sys_ns += u->u_sys_ns;
	to->u_minflt += u->u_minflt;
	to->u_majflt += u->u_majflt;
	to->u_nvcsw += u->u_nvcsw;
	to->u_nivcsw += u->u_nivcsw;
	if (u->u_maxrss > to->u_maxrss)
		to->u_maxrss = u->u_maxrss;
}

/* What was timed is an estimate; but none of both may seem to go back. */
static void
split_time(struct lthread *lt, struct lusage *u)
{
	uint64_t ran = qthread_ran(lt->lt_thread);
	uint64_t sys = __atomic_load_n(&lt->lt_sys, __ATOMIC_RELAXED);

	if (sys > ran)
		sys = ran;
	if (sys < lt->lt_stold)
		sys = lt->lt_stold;
	if (ran < lt->lt_utold + sys)
		sys = ran > lt->lt_utold ? ran - lt->lt_utold : 0;
	u->u_sys_ns = lt->lt_stold = sys;
	u->u_user_ns = lt->lt_utold = ran > sys ? ran - sys : 0;
}

void
lthread_usage(struct lthread *lt, struct lusage *u)
{
	memset(u, 0, sizeof(*u));
	u->u_minflt = __atomic_load_n(&lt->lt_minflt, __ATOMIC_RELAXED);
	if (lt->lt_thread == NULL)
		return;
	split_time(lt, u);
	u->u_nvcsw = __atomic_load_n(&lt->lt_thread->t_switches,
	    __ATOMIC_RELAXED);
}

void
lproc_note_peak(struct lproc *lp)
{
	struct qvmmap *m = qvm_of(lp->lp_proc);
	uint64_t kib = m != NULL ? qvm_peak(m) * (QUERN_PAGE_SIZE / 1024) : 0;

	qspin_lock(&lp->lp_l->l_lock);
	if (kib > lp->lp_used.u_maxrss)
		lp->lp_used.u_maxrss = kib;
	qspin_unlock(&lp->lp_l->l_lock);
}

void
lproc_usage(struct lproc *lp, struct lusage *u)
{
	struct lusage one;
	struct qlist *e;

	*u = lp->lp_used;
	QLIST_FOREACH(e, &lp->lp_threads) {
		lthread_usage(QLIST_ELEM(e, struct lthread, lt_link), &one);
		lusage_add(u, &one);
	}
}

/* ---- giving it back --------------------------------------------------------------- */

void
lproc_fini(struct lproc *lp)
{
	struct lsys *l = lp->lp_l;

	qspin_lock(&l->l_lock);
	if (lp->lp_state != LP_REAPED)
		leave_lists(lp);
	lsigq_flush(&lp->lp_pending, ~UINT64_C(0));
	qspin_unlock(&l->l_lock);
	lproc_set_exe(lp, NULL);
	lproc_drop_hand(lp);
	lcalls_free(lp);
	qfree(lp);
}

void
lproc_abandon(struct lproc *lp)
{
	struct lsys *l = lp->lp_l;

	qspin_lock(&l->l_lock);
	leave_lists(lp);
	lp->lp_state = LP_REAPED;
	qspin_unlock(&l->l_lock);
	qmutex_lock(&lp->lp_life);
	lp->lp_gone = true;
	qmutex_unlock(&lp->lp_life);
	(void)!qvm_attach(lp->lp_proc, NULL);
	lproc_put(lp);
}

void
lproc_reap(struct lproc *lp)
{
	qassert(lp->lp_state == LP_ZOMBIE);
	leave_lists(lp);
	lp->lp_state = LP_REAPED;
}

void
lproc_put(struct lproc *lp)
{
	struct lsys *l = lp->lp_l;
	uint32_t refs;
	int error;

	qspin_lock(&l->l_lock);
	refs = --lp->lp_refs;
	qspin_unlock(&l->l_lock);
	if (refs == 0) {
		error = qproc_destroy(lp->lp_proc);
		qassert(error == 0);
	}
}
