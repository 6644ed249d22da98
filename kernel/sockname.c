/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names of sockets: passed on to whatever is a file system.
 */
#include "callimpl.h"

#include "sockname.h"

void
qsockname_install(struct quern *k, const struct qsockname_ops *ops)
{
	k->k_calls->ct_socknames = ops;
}

int
qsockname_make(struct quern_proc *p, const char *path, struct qsockname *n)
{
	const struct qsockname_ops *ops = p->p_k->k_calls->ct_socknames;

	return ops != NULL ? ops->sn_make(p, path, n) : -Q_EOPNOTSUPP;
}

int
qsockname_find(struct quern_proc *p, const char *path, struct qsockname *n)
{
	const struct qsockname_ops *ops = p->p_k->k_calls->ct_socknames;

	return ops != NULL ? ops->sn_find(p, path, n) : -Q_EOPNOTSUPP;
}

void
qsockname_put(struct quern *k, struct qsockname *n)
{
	k->k_calls->ct_socknames->sn_put(n);
}
