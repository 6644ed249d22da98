/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Process 1.  It is there from the kernel's beginning, before any client's
 * process, without a program.  A system that is booted gives it one.  In a kernel
 * that runs a command it stays as it is: it owns whatever is orphaned and never
 * waits for anybody, since it ignores SIGCHLD and so its children are not kept
 * when they end.
 */
#include "impl.h"

int
linit_start(struct lsys *l)
{
	struct lproc *lp;
	int error;

	error = lproc_create(l, NULL, 0, &lp);
	if (error != 0)
		return error;
	qsnprintf(lp->lp_proc->p_comm, sizeof(lp->lp_proc->p_comm), "init");
	qspin_lock(&l->l_lock);
	lp->lp_hand->h_act[Q_SIGCHLD - 1].sa_func = SIGACT_IGNORE;
	l->l_init = lp;
	qspin_unlock(&l->l_lock);
	return 0;
}
