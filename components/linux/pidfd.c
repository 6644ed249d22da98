/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pidfds: descriptors that stand for a process, also when it has ended.
 */
#include "impl.h"

#include <quern/abi/signalfd.h>

static uint32_t
pidfd_poll(struct qfile *f, struct qpollent *ent)
{
	struct lproc *lp = f->f_obj;
	struct lsys *l = lp->lp_l;
	bool over;

	qpollq_add(&lp->lp_endpoll, ent, Q_POLLIN | Q_POLLRDNORM | Q_POLLHUP);
	qspin_lock(&l->l_lock);
	over = lp->lp_state != LP_ALIVE;
	qspin_unlock(&l->l_lock);
	return over ? Q_POLLIN | Q_POLLRDNORM : 0;
}

static void
pidfd_release(struct qfile *f)
{
	lproc_put(f->f_obj);
}

static const struct qfile_ops pidfd_ops = {
	.fo_name = "pidfd",
	.fo_poll = pidfd_poll,
	.fo_release = pidfd_release,
};

/* A descriptor for `lp`, whose reference it takes over. */
static int
pidfd_install(const struct qsys *s, struct lproc *lp, uint32_t flags)
{
	struct qfile *f;
	int error;

	error = qfile_create(s->s_proc->p_k, &pidfd_ops, lp,
	    Q_O_RDWR | (flags & Q_PIDFD_NONBLOCK), 0, &f);
	if (error != 0) {
		lproc_put(lp);
		return error;
	}
	return qfd_install(s->s_proc, f, Q_O_CLOEXEC);
}

static void
lproc_get(struct lproc *lp)
{
	struct lsys *l = lp->lp_l;

	qspin_lock(&l->l_lock);
	lp->lp_refs++;
	qspin_unlock(&l->l_lock);
}

int
lpidfd_make(const struct qsys *s, struct lproc *lp, uint64_t addr)
{
	int fd, error;

	lproc_get(lp);
	fd = pidfd_install(s, lp, 0);
	if (fd < 0)
		return fd;
	error = qcopyout(s->s_us, addr, &fd, sizeof(fd));
	if (error != 0)
		(void)qfd_close(s->s_proc, fd);
	return error;
}

/* The process behind a descriptor, with the file's reference. */
static int
pidfd_get(struct quern_proc *p, int fd, struct qfile **fp)
{
	struct qfile *f = qfd_get(p, fd);

	if (f == NULL)
		return -Q_EBADF;
	if (f->f_ops != &pidfd_ops) {
		qfile_put(f);
		return -Q_EBADF;
	}
	*fp = f;
	return 0;
}

int
lpidfd_pid(struct quern_proc *p, int fd, uint32_t *pid)
{
	struct qfile *f;
	int error;

	error = pidfd_get(p, fd, &f);
	if (error != 0)
		return error;
	*pid = ((struct lproc *)f->f_obj)->lp_proc->p_pid;
	qfile_put(f);
	return 0;
}

QSYS(pidfd_open)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	uint32_t flags = qsys_uint(s, 1);
	int pid = qsys_int(s, 0);
	struct lproc *lp;

	if ((flags & ~(uint32_t)Q_PIDFD_NONBLOCK) != 0 || pid <= 0)
		return -Q_EINVAL;
	qspin_lock(&l->l_lock);
	lp = lproc_find(l, (uint32_t)pid);
	if (lp != NULL)
		lp->lp_refs++;
	qspin_unlock(&l->l_lock);
	if (lp == NULL)
		return -Q_ESRCH;
	return pidfd_install(s, lp, flags);
}

QSYS(pidfd_send_signal)
{
	int sig = qsys_int(s, 1), error;
	struct q_siginfo info;
	struct qfile *f;

	if (qsys_uint(s, 3) != 0)
		return -Q_EINVAL;
	error = pidfd_get(s->s_proc, qsys_int(s, 0), &f);
	if (error != 0)
		return error;
	error = lsig_kill(s, f->f_obj, sig, 2, &info);
	qfile_put(f);
	return error;
}

QSYS(pidfd_getfd)
{
	struct quern_proc *p = s->s_proc;
	struct qfile *f, *theirs = NULL;
	struct lsys *l = lproc_of(p)->lp_l;
	struct lproc *lp;
	bool alive;
	int error;

	if (qsys_uint(s, 2) != 0)
		return -Q_EINVAL;
	error = pidfd_get(p, qsys_int(s, 0), &f);
	if (error != 0)
		return error;
	lp = f->f_obj;
	qspin_lock(&l->l_lock);
	alive = lp->lp_state == LP_ALIVE;
	qspin_unlock(&l->l_lock);
	if (!alive)
		error = -Q_ESRCH;
	else if (p->p_cred.c_euid != lp->lp_proc->p_cred.c_uid &&
	    !qproc_capable(p, Q_CAP_SYS_PTRACE))
		error = -Q_EPERM;
	else if ((theirs = qfd_get(lp->lp_proc, qsys_int(s, 1))) == NULL)
		error = -Q_EBADF;
	qfile_put(f);
	return error != 0 ? error : qfd_install(p, theirs, Q_O_CLOEXEC);
}
