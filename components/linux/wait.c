/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parents and what they learn of their children: wait4, waitid, SIGCHLD.
 */
#include "impl.h"

#include <quern/abi/resource.h>
#include <quern/abi/wait.h>

#define STATUS_CORE      0x80
#define STATUS_STOPPED   0x7f
#define STATUS_CONTINUED 0xffff

#define NS_PER_TICK UINT64_C(10000000)

/* ---- telling ------------------------------------------------------------------- */

void
lchild_info(struct lproc *lp, struct q_siginfo *info)
{
	int status = lp->lp_status;
	struct lusage u;

	lproc_usage(lp, &u);
	memset(info, 0, sizeof(*info));
	info->si_signo = Q_SIGCHLD;
	info->sg_pid = (int32_t)lp->lp_proc->p_pid;
	info->sg_uid = lp->lp_proc->p_cred.c_uid;
	info->sg_utime = (int64_t)(u.u_user_ns / NS_PER_TICK);
	info->sg_stime = (int64_t)(u.u_sys_ns / NS_PER_TICK);
	if ((status & 0x7f) == 0) {
		info->si_code = Q_CLD_EXITED;
		info->sg_status = status >> 8;
	} else {
		info->si_code = (status & STATUS_CORE) != 0 ? Q_CLD_DUMPED :
							      Q_CLD_KILLED;
		info->sg_status = status & 0x7f;
	}
}

void
lchild_stopped(struct lproc *lp, int code)
{
	struct lproc *parent = lp->lp_parent;
	const struct q_sigaction *act;
	struct q_siginfo info;

	if (parent == NULL)
		return;
	lchild_info(lp, &info);
	info.si_code = code;
	info.sg_status = code == Q_CLD_CONTINUED ? Q_SIGCONT : lp->lp_stopsig;
	act = &parent->lp_hand->h_act[Q_SIGCHLD - 1];
	if (act->sa_func != SIGACT_IGNORE &&
	    (act->sa_flags & Q_SA_NOCLDSTOP) == 0)
		lsig_proc(parent, &info);
	(void)qwaitq_wake_all(&parent->lp_waitq);
}

/* ---- waiting --------------------------------------------------------------------- */

struct wait {
	int w_type; /* Q_P_* */
	uint32_t w_id;
	uint32_t w_options;
	struct lproc *w_child; /* to be given back */
	struct q_siginfo w_info;
	struct lusage w_usage;
	int w_status;
};

static bool
wait_match(const struct wait *w, const struct lproc *child)
{
	bool clone = child->lp_exitsig != Q_SIGCHLD;

	if ((w->w_options & Q___WALL) == 0 &&
	    clone != ((w->w_options & Q___WCLONE) != 0))
		return false;
	switch (w->w_type) {
	case Q_P_PID:
		return child->lp_proc->p_pid == w->w_id;
	case Q_P_PGID:
		return child->lp_proc->p_pgid == w->w_id;
	default:
		return true;
	}
}

/* Its end: what wait4 tells, and its memory, if it is not left waiting. */
static void
wait_zombie(struct wait *w, struct lproc *self, struct lproc *child)
{
	lchild_info(child, &w->w_info);
	w->w_status = child->lp_status;
	w->w_usage = child->lp_used;
	lusage_add(&w->w_usage, &child->lp_kids);
	if ((w->w_options & Q_WNOWAIT) != 0)
		return;
	lusage_add(&self->lp_kids, &w->w_usage);
	lproc_reap(child);
	w->w_child = child;
}

/* Has it something to tell?  [L] */
static bool
wait_child(struct wait *w, struct lproc *self, struct lproc *child)
{
	bool keep = (w->w_options & Q_WNOWAIT) != 0;

	if (child->lp_state == LP_ZOMBIE) {
		if ((w->w_options & Q_WEXITED) == 0)
			return false;
		wait_zombie(w, self, child);
		return true;
	}
	if ((w->w_options & Q_WSTOPPED) != 0 && child->lp_stopped &&
	    child->lp_stopsig != 0) {
		lchild_info(child, &w->w_info);
		w->w_info.si_code = Q_CLD_STOPPED;
		w->w_info.sg_status = child->lp_stopsig;
		w->w_status = child->lp_stopsig << 8 | STATUS_STOPPED;
		if (!keep)
			child->lp_stopsig = 0;
	} else if ((w->w_options & Q_WCONTINUED) != 0 && child->lp_continued) {
		lchild_info(child, &w->w_info);
		w->w_info.si_code = Q_CLD_CONTINUED;
		w->w_info.sg_status = Q_SIGCONT;
		w->w_status = STATUS_CONTINUED;
		if (!keep)
			child->lp_continued = false;
	} else {
		return false;
	}
	lproc_usage(child, &w->w_usage);
	return true;
}

/* Wait for what `w` says.  The child's number, 0 with WNOHANG, -errno. */
static int64_t
do_wait(struct quern_proc *p, struct wait *w)
{
	struct lproc *self = lproc_of(p), *child;
	struct lsys *l = self->lp_l;
	int64_t ret;
	struct qlist *e;

	for (;;) {
		ret = -Q_ECHILD;
		qspin_lock(&l->l_lock);
		QLIST_FOREACH(e, &self->lp_children) {
			child = QLIST_ELEM(e, struct lproc, lp_sibling);
			if (!wait_match(w, child))
				continue;
			ret = 0;
			if (!wait_child(w, self, child))
				continue;
			ret = child->lp_proc->p_pid;
			break;
		}
		if (ret != 0 || (w->w_options & Q_WNOHANG) != 0)
			break;
		ret = qwaitq_sleep(&self->lp_waitq, &l->l_lock, QSLEEP_INTR,
		    QUERN_NEVER);
		if (ret != 0)
			return ret;
	}
	qspin_unlock(&l->l_lock);
	if (w->w_child != NULL)
		lproc_put(w->w_child);
	return ret;
}

void
lusage_out(const struct lusage *u, struct q_rusage *ru)
{
	memset(ru, 0, sizeof(*ru));
	ru->ru_utime.tv_sec = (int64_t)(u->u_user_ns / 1000000000u);
	ru->ru_utime.tv_usec = (int64_t)(u->u_user_ns / 1000u % 1000000u);
	ru->ru_stime.tv_sec = (int64_t)(u->u_sys_ns / 1000000000u);
	ru->ru_stime.tv_usec = (int64_t)(u->u_sys_ns / 1000u % 1000000u);
	ru->ru_maxrss = (int64_t)u->u_maxrss;
	ru->ru_minflt = (int64_t)u->u_minflt;
	ru->ru_majflt = (int64_t)u->u_majflt;
	ru->ru_nvcsw = (int64_t)u->u_nvcsw;
	ru->ru_nivcsw = (int64_t)u->u_nivcsw;
}

/* ---- the calls ------------------------------------------------------------------- */

static void
whom(struct wait *w, struct quern_proc *p, int pid)
{
	w->w_type = Q_P_PGID;
	if (pid < -1) {
		w->w_id = 0u - (uint32_t)pid;
	} else if (pid == -1) {
		w->w_type = Q_P_ALL;
	} else if (pid == 0) {
		w->w_id = p->p_pgid;
	} else {
		w->w_type = Q_P_PID;
		w->w_id = (uint32_t)pid;
	}
}

QSYS(wait4)
{
	uint32_t options = qsys_uint(s, 2);
	struct wait w = { .w_options = options | Q_WEXITED };
	struct q_rusage ru;
	int64_t ret;
	int error = 0;

	if ((options &
		~(Q_WNOHANG | Q_WUNTRACED | Q_WCONTINUED | Q___WNOTHREAD |
		    Q___WALL | Q___WCLONE)) != 0)
		return -Q_EINVAL;
	if (qsys_int(s, 0) == INT32_MIN)
		return -Q_ESRCH;
	whom(&w, s->s_proc, qsys_int(s, 0));
	ret = do_wait(s->s_proc, &w);
	if (ret <= 0)
		return ret;
	if (s->s_arg[1] != 0)
		error = qsys_out(s, 1, &w.w_status, sizeof(w.w_status));
	if (error == 0 && s->s_arg[3] != 0) {
		lusage_out(&w.w_usage, &ru);
		error = qsys_out(s, 3, &ru, sizeof(ru));
	}
	return error != 0 ? error : ret;
}

static int
waitid_whom(const struct qsys *s, struct wait *w)
{
	int id = qsys_int(s, 1);

	w->w_type = qsys_int(s, 0);
	w->w_id = (uint32_t)id;
	switch (w->w_type) {
	case Q_P_ALL:
		return 0;
	case Q_P_PID:
		return id > 0 ? 0 : -Q_EINVAL;
	case Q_P_PGID:
		if (id == 0)
			w->w_id = s->s_proc->p_pgid;
		return id >= 0 ? 0 : -Q_EINVAL;
	case Q_P_PIDFD:
		w->w_type = Q_P_PID;
		return lpidfd_pid(s->s_proc, id, &w->w_id);
	default:
		return -Q_EINVAL;
	}
}

QSYS(waitid)
{
	uint32_t options = qsys_uint(s, 3);
	struct wait w = { .w_options = options };
	struct q_rusage ru;
	int64_t ret;
	int error;

	if ((options &
		~(Q_WNOHANG | Q_WNOWAIT | Q_WEXITED | Q_WSTOPPED |
		    Q_WCONTINUED | Q___WNOTHREAD | Q___WALL | Q___WCLONE)) !=
		0 ||
	    (options & (Q_WEXITED | Q_WSTOPPED | Q_WCONTINUED)) == 0)
		return -Q_EINVAL;
	error = waitid_whom(s, &w);
	if (error != 0)
		return error;
	ret = do_wait(s->s_proc, &w);
	if (ret < 0)
		return ret;
	/* As in Linux: all zero when nobody has anything to tell. */
	error = 0;
	if (s->s_arg[2] != 0)
		error = qsys_out(s, 2, &w.w_info, sizeof(w.w_info));
	if (error == 0 && ret > 0 && s->s_arg[4] != 0) {
		lusage_out(&w.w_usage, &ru);
		error = qsys_out(s, 4, &ru, sizeof(ru));
	}
	return error;
}
