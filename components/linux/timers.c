/* SPDX-License-Identifier: BSD-2-Clause */
#include "impl.h"
void
ltimers_exit(struct lproc *lp)
{
	(void)lp;
}
void
ltimers_exec(struct lproc *lp)
{
	(void)lp;
}
void
ltimer_taken(struct ltimer *t, struct q_siginfo *info)
{
	(void)t;
	(void)info;
}
void
lsignalfd_tell(struct lproc *lp)
{
	(void)lp;
}
int
lpidfd_make(const struct qsys *s, struct lproc *lp, uint64_t addr)
{
	(void)s;
	(void)lp;
	(void)addr;
	return -Q_EINVAL;
}
int
lpidfd_pid(struct quern_proc *p, int fd, uint32_t *pid)
{
	(void)p;
	(void)fd;
	(void)pid;
	return -Q_EINVAL;
}
int
lrseq_update(struct lthread *lt)
{
	(void)lt;
	return 0;
}
