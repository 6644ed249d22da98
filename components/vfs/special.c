/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fifos and devices.
 */
#include "impl.h"

int
special_open(struct quern_proc *p, const struct qpath *at, struct qvnode *v,
    uint32_t flags, struct qfile **fp)
{
	(void)p, (void)at, (void)v, (void)flags, (void)fp;
	return -Q_ENXIO;
}

void
vnode_special_end(struct qvnode *v)
{
	(void)v;
}
