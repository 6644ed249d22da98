/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking at processes from outside (lproc.h).
 *
 * What [L] covers is copied under it.  Places and descriptors go when the process
 * ends, which sets lp_gone first: they are looked at with lp_life held, and only
 * for as long as it takes to get a reference.
 */
#include "impl.h"

#include "lproc.h"

/* ---- what there is to know --------------------------------------------------- */

char
lthread_state(const struct lthread *lt)
{
	uint32_t state;

	if (lt->lt_proc->lp_stopped)
		return 'T';
	if (lt->lt_thread == NULL)
		return 'S';
	state = __atomic_load_n(&lt->lt_thread->t_state, __ATOMIC_RELAXED);
	return state == QT_SLEEPING ? 'S' : 'R';
}

/* [L] */
static void
info_usage(struct lproc *lp, struct lthread *lt, struct qlproc_info *li)
{
	struct lusage u;

	if (lt != NULL)
		lthread_usage(lt, &u);
	else
		lproc_usage(lp, &u);
	li->li_user_ns = u.u_user_ns;
	li->li_sys_ns = u.u_sys_ns;
	li->li_minflt = u.u_minflt;
	li->li_majflt = u.u_majflt;
	li->li_nvcsw = u.u_nvcsw;
	li->li_nivcsw = u.u_nivcsw;
	li->li_cuser_ns = lp->lp_kids.u_user_ns;
	li->li_csys_ns = lp->lp_kids.u_sys_ns;
	li->li_cminflt = lp->lp_kids.u_minflt;
	li->li_cmajflt = lp->lp_kids.u_majflt;
}

/* [L] */
static void
info_signals(const struct lproc *lp, struct qlproc_info *li)
{
	uint64_t func;
	unsigned i;

	li->li_shared = lp->lp_pending.q_set;
	for (i = 0; i < LINUX_NSIG && lp->lp_hand != NULL; i++) {
		func = lp->lp_hand->h_act[i].sa_func;
		if (func == SIGACT_IGNORE)
			li->li_ignored |= SIGBIT(i + 1);
		else if (func != SIGACT_DEFAULT)
			li->li_caught |= SIGBIT(i + 1);
	}
}

/* `lt` is its thread, or NULL.  [L] */
static void
info_process(struct lproc *lp, struct lthread *lt, struct qlproc_info *li)
{
	const struct quern_proc *p = lp->lp_proc;

	li->li_pid = li->li_tid = p->p_pid;
	li->li_serial = lp->lp_serial;
	li->li_ppid = __atomic_load_n(&p->p_ppid, __ATOMIC_RELAXED);
	li->li_pgid = __atomic_load_n(&p->p_pgid, __ATOMIC_RELAXED);
	li->li_sid = __atomic_load_n(&p->p_sid, __ATOMIC_RELAXED);
	li->li_state = lp->lp_state == LP_ALIVE ? 'S' : 'Z';
	li->li_nthread = lp->lp_nthread != 0 ? lp->lp_nthread : 1;
	li->li_nsig = lp->lp_l->l_nsig[lp->lp_proc->p_cred.c_uid % LINUX_HASH];
	li->li_exitsig = lp->lp_exitsig;
	li->li_nice = __atomic_load_n(&lp->lp_nice, __ATOMIC_RELAXED);
	li->li_dumpable = lp->lp_dumpable;
	li->li_oomadj = __atomic_load_n(&lp->lp_oomadj, __ATOMIC_RELAXED);
	li->li_nonewprivs = lp->lp_nonewprivs;
	li->li_started = lp->lp_started;
	li->li_status = lp->lp_status;
	for (unsigned i = 0; i < QARRAYLEN(li->li_args); i++)
		li->li_args[i] = __atomic_load_n(&lp->lp_argv[i],
		    __ATOMIC_RELAXED);
	info_signals(lp, li);
	memcpy(li->li_comm, p->p_comm, sizeof(li->li_comm));
	if (lt != NULL) {
		li->li_state = lthread_state(lt);
		li->li_pending = lt->lt_pending.q_set;
		li->li_blocked = lt->lt_mask;
		li->li_cpu = __atomic_load_n(&lt->lt_cpu, __ATOMIC_RELAXED);
	}
}

static struct lthread *
first_thread(const struct lproc *lp)
{
	if (qlist_empty(&lp->lp_threads))
		return NULL;
	return QLIST_ELEM(lp->lp_threads.l_next, struct lthread, lt_link);
}

/* `tid` 0: the process.  [L] */
static void
info_all(struct lproc *lp, struct lthread *lt, uint32_t tid,
    struct qlproc_info *li)
{
	memset(li, 0, sizeof(*li));
	info_process(lp, lt != NULL ? lt : first_thread(lp), li);
	info_usage(lp, lt, li);
	if (tid != 0)
		li->li_tid = tid;
	if (lt != NULL) {
		if (tid != li->li_pid)
			li->li_serial = lt->lt_serial;
		memcpy(li->li_comm, lt->lt_comm, sizeof(li->li_comm));
	}
	li->li_comm[sizeof(li->li_comm) - 1] = '\0';
}

int
qlproc_look(struct quern *k, uint32_t pid, uint32_t tid, uint64_t serial,
    struct qlproc_info *li, struct quern_proc **pp)
{
	struct lsys *l = linux_of(k);
	struct lthread *lt = NULL;
	struct lproc *lp;

	qspin_lock(&l->l_lock);
	lp = lproc_find(l, pid);
	if (lp != NULL && tid != 0) {
		lt = lthread_find(l, tid);
		/* The first one is there as long as the process. */
		if (tid != pid && (lt == NULL || lt->lt_proc != lp))
			lp = NULL;
	}
	if (lp != NULL)
		info_all(lp, lt, tid, li);
	if (lp != NULL && serial != 0 && li->li_serial != serial)
		lp = NULL;
	if (lp != NULL && pp != NULL) {
		lp->lp_refs++;
		*pp = lp->lp_proc;
	}
	qspin_unlock(&l->l_lock);
	return lp != NULL ? 0 : -Q_ESRCH;
}

uint32_t
qlproc_from(struct quern *k, uint32_t pid)
{
	struct lsys *l = linux_of(k);
	uint32_t best = 0, n;
	struct qlist *e;

	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &l->l_procs) {
		n = QLIST_ELEM(e, struct lproc, lp_all)->lp_proc->p_pid;
		if (n >= pid && (best == 0 || n < best))
			best = n;
	}
	qspin_unlock(&l->l_lock);
	return best;
}

uint32_t
qlproc_tid_from(struct quern *k, uint32_t pid, uint32_t tid)
{
	struct lsys *l = linux_of(k);
	uint32_t best = 0, n;
	struct lproc *lp;
	struct qlist *e;

	qspin_lock(&l->l_lock);
	lp = lproc_find(l, pid);
	if (lp != NULL && tid <= pid)
		best = pid;
	if (lp != NULL)
		QLIST_FOREACH(e, &lp->lp_threads) {
			n = QLIST_ELEM(e, struct lthread, lt_link)->lt_tid;
			if (n >= tid && (best == 0 || n < best))
				best = n;
		}
	qspin_unlock(&l->l_lock);
	return best;
}

void
qlproc_count(struct quern *k, uint32_t *procs, uint32_t *threads,
    uint32_t *running, uint32_t *lastpid)
{
	struct lsys *l = linux_of(k);
	struct lproc *lp;
	struct qlist *e, *f;

	*threads = *running = 0;
	qspin_lock(&l->l_lock);
	*procs = l->l_nproc;
	*lastpid = l->l_lastpid;
	QLIST_FOREACH(e, &l->l_procs) {
		lp = QLIST_ELEM(e, struct lproc, lp_all);
		*threads += lp->lp_nthread != 0 ? lp->lp_nthread : 1;
		QLIST_FOREACH(f, &lp->lp_threads)
			*running += lthread_state(QLIST_ELEM(f, struct lthread,
					lt_link)) == 'R';
	}
	qspin_unlock(&l->l_lock);
}

void
qlproc_busy(struct quern *k, uint64_t *user, uint64_t *sys)
{
	struct lsys *l = linux_of(k);
	struct lusage u;
	struct lproc *lp;
	struct qlist *e;

	*user = *sys = 0;
	qspin_lock(&l->l_lock);
	QLIST_FOREACH(e, &l->l_procs) {
		lp = QLIST_ELEM(e, struct lproc, lp_all);
		lproc_usage(lp, &u);
		*user += u.u_user_ns + lp->lp_kids.u_user_ns;
		*sys += u.u_sys_ns + lp->lp_kids.u_sys_ns;
	}
	qspin_unlock(&l->l_lock);
}

/* ---- what it uses ------------------------------------------------------------- */

void
qlproc_put(struct quern_proc *p)
{
	lproc_put(lproc_of(p));
}

int
qlproc_may_look(struct quern_proc *self, struct quern_proc *p)
{
	struct qcred a, b;
	bool ok;

	if (self == NULL || self == p || qproc_capable(self, Q_CAP_SYS_PTRACE))
		return 0;
	qproc_cred(self, &a);
	qproc_cred(p, &b);
	ok = a.c_fsuid == b.c_euid && a.c_fsuid == b.c_suid &&
	    a.c_fsuid == b.c_uid && a.c_fsgid == b.c_egid &&
	    a.c_fsgid == b.c_sgid && a.c_fsgid == b.c_gid &&
	    (b.c_cap_perm & ~a.c_cap_perm) == 0 &&
	    __atomic_load_n(&lproc_of(p)->lp_dumpable, __ATOMIC_RELAXED);
	qcred_drop(&a);
	qcred_drop(&b);
	return ok ? 0 : -Q_EACCES;
}

int
qlproc_exe(struct quern_proc *p, struct qpath *out)
{
	struct lproc *lp = lproc_of(p);
	int error = -Q_ENOENT;

	qmutex_lock(&p->p_lock);
	if (lp->lp_exe != NULL) {
		*out = *lp->lp_exe;
		qpath_get(out);
		error = 0;
	}
	qmutex_unlock(&p->p_lock);
	return error;
}

int
qlproc_cwd(struct quern_proc *p, struct qpath *out)
{
	struct lproc *lp = lproc_of(p);
	int error = -Q_ESRCH;

	qmutex_lock(&lp->lp_life);
	if (!lp->lp_gone)
		error = qvfs_cwd(p, out);
	qmutex_unlock(&lp->lp_life);
	return error;
}

int
qlproc_root(struct quern_proc *p, struct qpath *out)
{
	struct lproc *lp = lproc_of(p);
	int error = -Q_ESRCH;

	qmutex_lock(&lp->lp_life);
	if (!lp->lp_gone)
		error = qvfs_root(p, out);
	qmutex_unlock(&lp->lp_life);
	return error;
}

int
qlproc_file(struct quern_proc *p, int fd, struct qfile **fp)
{
	struct lproc *lp = lproc_of(p);
	int error = -Q_ESRCH;

	qmutex_lock(&lp->lp_life);
	if (!lp->lp_gone) {
		*fp = qfd_get_path(p, fd);
		error = *fp != NULL ? 0 : -Q_ENOENT;
	}
	qmutex_unlock(&lp->lp_life);
	return error;
}

int
qlproc_fd_from(struct quern_proc *p, int fd)
{
	struct lproc *lp = lproc_of(p);
	int next = -Q_ESRCH;

	qmutex_lock(&lp->lp_life);
	if (!lp->lp_gone)
		next = qfd_from(p, fd);
	qmutex_unlock(&lp->lp_life);
	return next;
}

bool
qlproc_cloexec(struct quern_proc *p, int fd)
{
	struct lproc *lp = lproc_of(p);
	bool on = false;

	qmutex_lock(&lp->lp_life);
	if (!lp->lp_gone)
		on = qfd_cloexec(p, fd) > 0;
	qmutex_unlock(&lp->lp_life);
	return on;
}

int
qlproc_set_oomadj(struct quern_proc *p, int adj)
{
	struct lproc *lp = lproc_of(p);

	if (adj < QLPROC_OOM_MIN || adj > QLPROC_OOM_MAX)
		return -Q_EINVAL;
	__atomic_store_n(&lp->lp_oomadj, adj, __ATOMIC_RELAXED);
	return 0;
}

int
qlproc_set_comm(struct quern_proc *p, uint32_t tid, const char *name,
    size_t len)
{
	struct lproc *lp = lproc_of(p);
	struct lsys *l = lp->lp_l;
	struct lthread *lt;
	char comm[16] = { 0 };

	if (len > sizeof(comm) - 1)
		len = sizeof(comm) - 1;
	memcpy(comm, name, len);
	qmutex_lock(&p->p_lock);
	qspin_lock(&l->l_lock);
	lt = lthread_find(l, tid);
	if (lt != NULL && lt->lt_proc == lp)
		memcpy(lt->lt_comm, comm, sizeof(comm));
	else
		lt = NULL;
	if (lt != NULL && tid == p->p_pid)
		memcpy(p->p_comm, comm, sizeof(comm));
	qspin_unlock(&l->l_lock);
	qmutex_unlock(&p->p_lock);
	return lt != NULL ? 0 : -Q_ESRCH;
}
