/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork, vfork, clone, clone3, unshare.
 *
 * All are one: a struct clone says what the new thread shares with its maker.  A
 * thread of the same process shares everything; a new process may share its
 * memory (vfork, posix_spawn), its descriptors, its places (directories, umask)
 * and its signal actions.
 */
#include "impl.h"

/* clone3's argument, as far as it is known. */
struct clone_args {
	uint64_t ca_flags;
	uint64_t ca_pidfd;
	uint64_t ca_childtid;
	uint64_t ca_parenttid;
	uint64_t ca_exitsig;
	uint64_t ca_stack;
	uint64_t ca_stacklen;
	uint64_t ca_tls;
	uint64_t ca_settid;
	uint64_t ca_nsettid;
	uint64_t ca_cgroup;
};

#define CLONE_ARGS_MIN 64u

#define NOT_THERE                                                              \
	(Q_CLONE_NEWNS | Q_CLONE_NEWCGROUP | Q_CLONE_NEWUTS | Q_CLONE_NEWIPC | \
	    Q_CLONE_NEWUSER | Q_CLONE_NEWPID | Q_CLONE_NEWNET)

/* What unshare knows; memory and actions are shared by threads only. */
#define UNSHARED                                                         \
	(Q_CLONE_FS | Q_CLONE_FILES | Q_CLONE_SYSVSEM | Q_CLONE_THREAD | \
	    Q_CLONE_SIGHAND | Q_CLONE_VM)

static int
clone_check(const struct clone_args *ca)
{
	uint64_t f = ca->ca_flags;

	if ((f & Q_CLONE_THREAD) != 0 && (f & Q_CLONE_SIGHAND) == 0)
		return -Q_EINVAL;
	if ((f & Q_CLONE_SIGHAND) != 0 && (f & Q_CLONE_VM) == 0)
		return -Q_EINVAL;
	if ((f & Q_CLONE_SIGHAND) != 0 && (f & Q_CLONE_CLEAR_SIGHAND) != 0)
		return -Q_EINVAL;
	if ((f & (Q_CLONE_FS | Q_CLONE_NEWNS)) == (Q_CLONE_FS | Q_CLONE_NEWNS))
		return -Q_EINVAL;
	if ((f & NOT_THERE) != 0)
		return -Q_EINVAL;
	if (ca->ca_exitsig > LINUX_NSIG)
		return -Q_EINVAL;
	return 0;
}

/* The new process's memory. */
static int
clone_memory(struct lproc *lp, struct quern_proc *from, uint64_t flags)
{
	struct qvmmap *map;
	int error;

	if ((flags & Q_CLONE_VM) != 0)
		return qvm_attach(lp->lp_proc, qvm_of(from));
	error = qvm_fork(qvm_of(from), &map);
	if (error != 0)
		return error;
	error = qvm_attach(lp->lp_proc, map);
	qvm_put(map);
	lcalls_fork(lp, lproc_of(from));
	return error;
}

static int
clone_process(struct lthread *self, const struct clone_args *ca,
    struct lproc **lpp)
{
	struct lproc *from = self->lt_proc, *lp;
	struct lsys *l = self->lt_l;
	int error;

	error = lproc_create(l, from, (uint32_t)ca->ca_flags, &lp);
	if (error != 0)
		return error;
	error = clone_memory(lp, from->lp_proc, ca->ca_flags);
	if (error == 0 && (ca->ca_flags & Q_CLONE_CLEAR_SIGHAND) != 0)
		error = lproc_reset_hand(lp);
	if (error != 0) {
		lproc_abandon(lp);
		return error;
	}
	qspin_lock(&l->l_lock);
	lp->lp_exitsig = (uint32_t)ca->ca_exitsig;
	lp->lp_vfork = (ca->ca_flags & Q_CLONE_VFORK) != 0;
	if ((ca->ca_flags & Q_CLONE_PARENT) != 0) {
		lp->lp_exitsig = from->lp_exitsig;
		if (from->lp_parent != NULL)
			lproc_adopt(from->lp_parent, lp);
	}
	qspin_unlock(&l->l_lock);
	*lpp = lp;
	return 0;
}

/* The registers with which it begins. */
static int
clone_frame(struct lthread *lt, struct lthread *self,
    const struct clone_args *ca)
{
	void *xsave = lt->lt_f.f_xsave;
	int error = qvmspace_save(self->lt_vs, &self->lt_f);

	if (error != 0)
		return error;
	lt->lt_f = self->lt_f;
	lt->lt_f.f_xsave = xsave;
	memset(lt->lt_f.f_host, 0, sizeof(lt->lt_f.f_host));
	memcpy(xsave, self->lt_f.f_xsave, lt->lt_f.f_xsavelen);
	lt->lt_f.f_reg[RAX] = 0;
	if (ca->ca_stack != 0)
		lt->lt_f.f_reg[RSP] = ca->ca_stack + ca->ca_stacklen;
	if ((ca->ca_flags & Q_CLONE_SETTLS) != 0)
		lt->lt_f.f_fsbase = ca->ca_tls;
	return 0;
}

static int
clone_thread(struct lthread *lt, struct lthread *self,
    const struct clone_args *ca)
{
	int error = clone_frame(lt, self, ca);

	if (error != 0)
		return error;
	lt->lt_mask = self->lt_mask;
	memcpy(lt->lt_comm, self->lt_comm, sizeof(lt->lt_comm));
	/* One that has another stack has no use for this one's other stack. */
	if ((ca->ca_flags & (Q_CLONE_VM | Q_CLONE_VFORK)) != Q_CLONE_VM)
		lt->lt_alt = self->lt_alt;
	if ((ca->ca_flags & Q_CLONE_CHILD_CLEARTID) != 0)
		lt->lt_cleartid = ca->ca_childtid;
	if ((ca->ca_flags & Q_CLONE_CHILD_SETTID) != 0)
		lt->lt_settid = ca->ca_childtid;
	if ((ca->ca_flags & Q_CLONE_VM) == 0) {
		lt->lt_rseq = self->lt_rseq;
		lt->lt_rseqlen = self->lt_rseqlen;
		lt->lt_rseqsig = self->lt_rseqsig;
	}
	return 0;
}

/* vfork: until the child has another program, or has ended. */
static void
await_vfork(struct lthread *self, struct lproc *child)
{
	struct lsys *l = self->lt_l;

	qspin_lock(&l->l_lock);
	self->lt_vforked = child;
	/* Signals wait, but not those that end it. */
	while (
	    child->lp_vfork && !self->lt_proc->lp_ending && !self->lt_ending) {
		(void)qwaitq_sleep(&child->lp_endq, &l->l_lock, 0, QUERN_NEVER);
		qspin_lock(&l->l_lock);
	}
	self->lt_vforked = NULL;
	qspin_unlock(&l->l_lock);
	lproc_put(child);
}

static int64_t
do_clone(struct qsys *s, const struct clone_args *ca)
{
	struct lthread *self = lthread_current(), *lt;
	struct lproc *lp = self->lt_proc;
	bool thread = (ca->ca_flags & Q_CLONE_THREAD) != 0;
	bool vfork = (ca->ca_flags & Q_CLONE_VFORK) != 0 && !thread;
	struct lsys *l = self->lt_l;
	int64_t tid;
	int error;

	error = clone_check(ca);
	if (error == 0 && !thread)
		error = clone_process(self, ca, &lp);
	if (error != 0)
		return error;
	error = lthread_create(lp, !thread, &lt);
	if (error != 0) {
		if (!thread)
			lproc_abandon(lp);
		return error;
	}
	tid = lt->lt_tid;
	error = clone_thread(lt, self, ca);
	if (error == 0 && (ca->ca_flags & Q_CLONE_PARENT_SETTID) != 0)
		error = qcopyout(s->s_us, ca->ca_parenttid, &lt->lt_tid,
		    sizeof(lt->lt_tid));
	if (error == 0 && (ca->ca_flags & Q_CLONE_PIDFD) != 0)
		error = lpidfd_make(s, lp, ca->ca_pidfd);
	if (error == 0 && vfork) {
		qspin_lock(&l->l_lock);
		lp->lp_refs++;
		qspin_unlock(&l->l_lock);
	}
	if (error == 0)
		error = lthread_start(lt);
	if (error != 0) {
		lthread_free(lt);
		if (!thread)
			lproc_abandon(lp);
		return error;
	}
	if (vfork)
		await_vfork(self, lp);
	return tid;
}

/* ---- the calls ---------------------------------------------------------------------- */

QSYS(fork)
{
	static const struct clone_args ca = { .ca_exitsig = Q_SIGCHLD };

	return do_clone(s, &ca);
}

QSYS(vfork)
{
	static const struct clone_args ca = {
		.ca_flags = Q_CLONE_VM | Q_CLONE_VFORK,
		.ca_exitsig = Q_SIGCHLD,
	};

	return do_clone(s, &ca);
}

QSYS(clone)
{
	struct clone_args ca = {
		.ca_flags = s->s_arg[0] & ~(uint64_t)Q_CSIGNAL & UINT32_MAX,
		.ca_exitsig = s->s_arg[0] & Q_CSIGNAL,
		.ca_stack = s->s_arg[1],
		.ca_parenttid = s->s_arg[2],
		.ca_pidfd = s->s_arg[2],
		.ca_childtid = s->s_arg[3],
		.ca_tls = s->s_arg[4],
	};

	if ((ca.ca_flags & (Q_CLONE_PIDFD | Q_CLONE_PARENT_SETTID)) ==
	    (Q_CLONE_PIDFD | Q_CLONE_PARENT_SETTID))
		return -Q_EINVAL;
	return do_clone(s, &ca);
}

QSYS(clone3)
{
	struct clone_args ca = { 0 };
	uint64_t len = s->s_arg[1], i;
	uint8_t more;
	int error;

	if (len < CLONE_ARGS_MIN)
		return -Q_EINVAL;
	if (len > QUERN_PAGE_SIZE)
		return -Q_E2BIG;
	error = qsys_in(s, 0, &ca, len < sizeof(ca) ? len : sizeof(ca));
	for (i = sizeof(ca); i < len && error == 0; i++) {
		error = qcopyin(s->s_us, &more, s->s_arg[0] + i, 1);
		if (error == 0 && more != 0)
			error = -Q_E2BIG;
	}
	if (error != 0)
		return error;
	if ((ca.ca_flags & (Q_CSIGNAL | Q_CLONE_DETACHED)) != 0 ||
	    (ca.ca_stack == 0) != (ca.ca_stacklen == 0) || ca.ca_nsettid != 0 ||
	    (ca.ca_flags & Q_CLONE_INTO_CGROUP) != 0)
		return -Q_EINVAL;
	if ((ca.ca_flags & (Q_CLONE_THREAD | Q_CLONE_PARENT)) != 0 &&
	    ca.ca_exitsig != 0)
		return -Q_EINVAL;
	return do_clone(s, &ca);
}

/* Alone in its process?  Then what threads share is its own. */
static bool
is_single(const struct lthread *lt)
{
	struct lsys *l = lt->lt_l;
	bool ret;

	qspin_lock(&l->l_lock);
	ret = lt->lt_proc->lp_nthread == 1;
	qspin_unlock(&l->l_lock);
	return ret;
}

/* Others may be looking where it is. */
static int
unshare_places(struct lproc *lp)
{
	int error;

	qmutex_lock(&lp->lp_life);
	error = qvfs_unshare(lp->lp_proc);
	qmutex_unlock(&lp->lp_life);
	return error;
}

QSYS(unshare)
{
	struct lthread *lt = lthread_current();
	uint64_t flags = s->s_arg[0];
	int error = 0;

	if ((flags & ~(uint64_t)UNSHARED) != 0)
		return -Q_EINVAL;
	/* Descriptors and places are the process's here, as its memory is. */
	if ((flags & ~(uint64_t)Q_CLONE_SYSVSEM) != 0 && !is_single(lt))
		return -Q_EINVAL;
	if ((flags & Q_CLONE_FS) != 0)
		error = unshare_places(lt->lt_proc);
	if (error == 0 && (flags & Q_CLONE_FILES) != 0)
		error = qfdtable_unshare(s->s_proc);
	return error;
}

QSYS(setns)
{
	struct qfile *f = qfd_get(s->s_proc, qsys_int(s, 0));

	if (f == NULL)
		return -Q_EBADF;
	qfile_put(f);
	return -Q_EINVAL;
}
