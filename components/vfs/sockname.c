/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes of sockets.  Who holds one has a reference to its dentry and so to its
 * vnode, which is what tells it from others.
 */
#include <quern/sockname.h>

#include "impl.h"

static void
hold(struct qsockname *n, const struct qpath *at)
{
	n->sn_key = dentry_vnode(at->p_d);
	n->sn_held[0] = at->p_mnt;
	n->sn_held[1] = at->p_d;
}

/* Make a node in a directory that has been found; *at is it, with references. */
static int
make_in(struct quern_proc *p, struct qparent *pa, struct qpath *at)
{
	struct qvnew new = { .vn_mode = Q_S_IFSOCK | 0777 };
	struct qvnode *dv = dentry_vnode(pa->pa_dir.p_d);
	struct qdentry *d;
	int error;

	qrw_wrlock(&dv->v_lock);
	error = free_name_in(vfs_of(p->p_k), pa, &d);
	if (error == 0) {
		error = pa->pa_slash ? -Q_ENOENT :
				       make_vnode(p, &pa->pa_dir, d, &new);
		at->p_mnt = pa->pa_dir.p_mnt;
		at->p_d = d;
		if (error == 0)
			qpath_get(at);
		dentry_put(d);
	}
	qrw_wrunlock(&dv->v_lock);
	return error;
}

static int
node_make(struct quern_proc *p, const char *path, struct qsockname *n)
{
	struct qparent pa;
	struct qpath at;
	int error;

	error = parent_of(p, Q_AT_FDCWD, path, 0, &pa);
	if (error != 0)
		return error;
	error = make_in(p, &pa, &at);
	parent_put(&pa);
	if (error == 0)
		hold(n, &at);
	return error == -Q_EEXIST ? -Q_EADDRINUSE : error;
}

static int
node_find(struct quern_proc *p, const char *path, struct qsockname *n)
{
	struct qpath at;
	struct qvnode *v;
	int error;

	error = qvfs_walk(p, Q_AT_FDCWD, path, QWALK_FOLLOW, &at);
	if (error != 0)
		return error;
	v = dentry_vnode(at.p_d);
	if (v == NULL)
		error = -Q_ENOENT;
	else
		error = may_access(v, p, QACC_WRITE);
	if (error == 0 && qvnode_type(v) != Q_S_IFSOCK)
		error = -Q_ECONNREFUSED;
	if (error != 0)
		qpath_put(&at);
	else
		hold(n, &at);
	return error;
}

static void
node_put(struct qsockname *n)
{
	struct qpath at = { n->sn_held[0], n->sn_held[1] };

	qpath_put(&at);
}

const struct qsockname_ops vfs_socknames = {
	.sn_make = node_make,
	.sn_find = node_find,
	.sn_put = node_put,
};
