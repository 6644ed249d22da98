/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks on files.
 */
#include "impl.h"

int64_t
vnode_fcntl(struct qfile *f, struct qsys *s, int cmd, uint64_t arg)
{
	(void)f, (void)s, (void)cmd, (void)arg;
	return -Q_EINVAL;
}

void
vnode_locks_closed(struct qvnode *v, struct quern_proc *p)
{
	(void)v, (void)p;
}

void
vnode_flock_closed(struct qvnode *v, struct qfile *f)
{
	(void)v, (void)f;
}

void
vnode_locks_end(struct qvnode *v)
{
	(void)v;
}
