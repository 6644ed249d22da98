/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * signalfd: signals that are read.
 *
 * Whoever reads takes signals of its own, the reading thread's and its
 * process's; so what is ready depends on who asks, and the queue of those who
 * poll is that of the process that made the file.
 */
#include "impl.h"

#include <quern/abi/signalfd.h>

static const struct qtag tag_signalfd = { "signalfd" };

struct signalfd {
	uint64_t sf_set;        /* [L] */
	struct lproc *sf_maker; /* [I] with a reference */
};

void
lsignalfd_tell(struct lproc *lp)
{
	(void)qwaitq_wake_all(&lp->lp_sigq);
	qpollq_wake(&lp->lp_sigpoll, Q_POLLIN);
}

static void
fill(const struct q_siginfo *info, struct q_signalfd_siginfo *ssi)
{
	memset(ssi, 0, sizeof(*ssi));
	ssi->ssi_signo = (uint32_t)info->si_signo;
	ssi->ssi_errno = info->si_errno;
	ssi->ssi_code = info->si_code;
	switch (info->si_code) {
	case Q_SI_TIMER:
		ssi->ssi_tid = (uint32_t)info->sg_timerid;
		ssi->ssi_overrun = (uint32_t)info->sg_overrun;
		ssi->ssi_ptr = info->sg_timer_value;
		ssi->ssi_int = (int32_t)info->sg_timer_value;
		return;
	case Q_SI_QUEUE:
		ssi->ssi_ptr = info->sg_value;
		ssi->ssi_int = (int32_t)info->sg_value;
		break;
	default:
		break;
	}
	ssi->ssi_pid = (uint32_t)info->sg_pid;
	ssi->ssi_uid = info->sg_uid;
	if (info->si_signo == Q_SIGCHLD && info->si_code > 0) {
		ssi->ssi_status = info->sg_status;
		ssi->ssi_utime = (uint64_t)info->sg_utime;
		ssi->ssi_stime = (uint64_t)info->sg_stime;
	}
	if (info->si_signo == Q_SIGSEGV || info->si_signo == Q_SIGBUS ||
	    info->si_signo == Q_SIGFPE || info->si_signo == Q_SIGILL)
		ssi->ssi_addr = info->sg_addr;
}

/* Take one, waiting for it if that is wanted.  1; 0: none, and not to wait. */
static int
take(struct qfile *f, struct lthread *lt, bool wait, struct q_siginfo *info)
{
	struct signalfd *sf = f->f_obj;
	struct lproc *lp = lt->lt_proc;
	struct lsys *l = lt->lt_l;
	int sig, error;

	for (;;) {
		qspin_lock(&l->l_lock);
		sig = lsig_take(lt, sf->sf_set, info);
		if (sig != 0 || !wait) {
			qspin_unlock(&l->l_lock);
			return sig != 0;
		}
		error = qwaitq_sleep(&lp->lp_sigq, &l->l_lock, QSLEEP_INTR,
		    QUERN_NEVER);
		if (error != 0)
			return error;
	}
}

static int64_t
signalfd_read(struct qfile *f, struct quio *u)
{
	struct lthread *lt = lthread_current();
	struct q_signalfd_siginfo ssi;
	struct q_siginfo info;
	int64_t done = 0;
	int error;

	if (u->u_resid < sizeof(ssi) || lt == NULL)
		return -Q_EINVAL;
	while (u->u_resid >= sizeof(ssi)) {
		error = take(f, lt, done == 0 && !qfile_nowait(f, u), &info);
		if (error <= 0)
			return done != 0 ? done :
			    error == 0   ? -Q_EAGAIN :
					   error;
		fill(&info, &ssi);
		error = quio_out(u, &ssi, sizeof(ssi));
		if (error != 0)
			return done != 0 ? done : error;
		done += (int64_t)sizeof(ssi);
	}
	return done;
}

static uint32_t
signalfd_poll(struct qfile *f, struct qpollent *ent)
{
	struct signalfd *sf = f->f_obj;
	struct lthread *lt = lthread_current();
	struct lsys *l = sf->sf_maker->lp_l;
	struct lproc *lp = sf->sf_maker;
	uint64_t set;

	qpollq_add(&lp->lp_sigpoll, ent, Q_POLLIN);
	qspin_lock(&l->l_lock);
	set = lp->lp_pending.q_set;
	if (lt != NULL)
		set = lt->lt_pending.q_set | lt->lt_proc->lp_pending.q_set;
	set &= sf->sf_set;
	qspin_unlock(&l->l_lock);
	return set != 0 ? Q_POLLIN : 0;
}

static void
signalfd_release(struct qfile *f)
{
	struct signalfd *sf = f->f_obj;

	lproc_put(sf->sf_maker);
	qfree(sf);
}

static const struct qfile_ops signalfd_ops = {
	.fo_name = "signalfd",
	.fo_read = signalfd_read,
	.fo_poll = signalfd_poll,
	.fo_seek = qfile_seek_nowhere,
	.fo_release = signalfd_release,
};

static int64_t
make(struct qsys *s, uint64_t set, uint32_t flags)
{
	struct lproc *lp = lproc_of(s->s_proc);
	struct lsys *l = lp->lp_l;
	struct signalfd *sf;
	struct qfile *f;
	int error;

	sf = qzalloc(&tag_signalfd, sizeof(*sf));
	if (sf == NULL)
		return -Q_ENOMEM;
	sf->sf_set = set;
	sf->sf_maker = lp;
	error = qfile_create(s->s_proc->p_k, &signalfd_ops, sf,
	    Q_O_RDWR | (flags & Q_SFD_NONBLOCK), QF_NOWAIT, &f);
	if (error != 0) {
		qfree(sf);
		return error;
	}
	qspin_lock(&l->l_lock);
	lp->lp_refs++;
	qspin_unlock(&l->l_lock);
	return qfd_install(s->s_proc, f, flags & Q_SFD_CLOEXEC);
}

static int64_t
change(struct qsys *s, int fd, uint64_t set)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	struct qfile *f = qfd_get(s->s_proc, fd);

	if (f == NULL)
		return -Q_EBADF;
	if (f->f_ops != &signalfd_ops) {
		qfile_put(f);
		return -Q_EINVAL;
	}
	qspin_lock(&l->l_lock);
	((struct signalfd *)f->f_obj)->sf_set = set;
	lsignalfd_tell(lproc_of(s->s_proc));
	qspin_unlock(&l->l_lock);
	qfile_put(f);
	return fd;
}

static int64_t
do_signalfd(struct qsys *s, uint32_t flags)
{
	int fd = qsys_int(s, 0), error;
	uint64_t set;

	if ((flags & ~(uint32_t)(Q_SFD_CLOEXEC | Q_SFD_NONBLOCK)) != 0 ||
	    s->s_arg[2] != sizeof(set))
		return -Q_EINVAL;
	error = qsys_in(s, 1, &set, sizeof(set));
	if (error != 0)
		return error;
	set &= ~SIG_FORCED;
	return fd == -1 ? make(s, set, flags) : change(s, fd, set);
}

QSYS(signalfd)
{
	return do_signalfd(s, 0);
}

QSYS(signalfd4)
{
	return do_signalfd(s, qsys_uint(s, 3));
}
