/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memfd_create(2), and seals.
 *
 * Each such file is alone on a file system in memory, which is mounted nowhere
 * and ends with it.  Seals are a promise to whoever maps the file: they are set
 * and looked at under pc_lock, as is the count of mappings that allow stores, so
 * that F_SEAL_WRITE and a new mapping can't both succeed.
 */
#include <quern/abi/mman.h>
#include <quern/slab.h>

#include "impl.h"

#define SEALS_ALL                                                           \
	(Q_F_SEAL_SEAL | Q_F_SEAL_SHRINK | Q_F_SEAL_GROW | Q_F_SEAL_WRITE | \
	    Q_F_SEAL_FUTURE_WRITE)

/* The longest name, as in Linux, with its 0. */
#define NAME_LONGEST 250u

static uint32_t
seals_of(struct qvnode *v)
{
	uint32_t seals;

	qspin_lock(&v->v_pages.pc_lock);
	seals = v->v_seals;
	qspin_unlock(&v->v_pages.pc_lock);
	return seals;
}

int
seal_check_write(struct qvnode *v, uint64_t end)
{
	uint32_t seals;

	if (qlikely(!qvnode_is(v, QV_SEALABLE)))
		return 0;
	seals = seals_of(v);
	if ((seals & (Q_F_SEAL_WRITE | Q_F_SEAL_FUTURE_WRITE)) != 0 ||
	    ((seals & Q_F_SEAL_GROW) != 0 && end > v->v_size))
		return -Q_EPERM;
	return 0;
}

int
seal_check_size(struct qvnode *v, uint64_t size)
{
	uint32_t seals;

	if (qlikely(!qvnode_is(v, QV_SEALABLE)))
		return 0;
	seals = seals_of(v);
	if (((seals & Q_F_SEAL_SHRINK) != 0 && size < v->v_size) ||
	    ((seals & Q_F_SEAL_GROW) != 0 && size > v->v_size))
		return -Q_EPERM;
	return 0;
}

int
seal_writers(struct qvnode *v, int n, bool first)
{
	int error = 0;

	qspin_lock(&v->v_pages.pc_lock);
	if (first &&
	    (v->v_seals & (Q_F_SEAL_WRITE | Q_F_SEAL_FUTURE_WRITE)) != 0)
		error = -Q_EPERM;
	else
		v->v_mapwriters += (uint32_t)n;
	qspin_unlock(&v->v_pages.pc_lock);
	return error;
}

static int64_t
add_seals(struct qfile *f, struct qvnode *v, uint32_t seals)
{
	int error = 0;

	if ((f->f_mode & QF_WRITE) == 0)
		return -Q_EPERM;
	if ((seals & ~(uint32_t)SEALS_ALL) != 0)
		return -Q_EINVAL;
	/* A write that is under way sees it whole or not at all. */
	qrw_wrlock(&v->v_lock);
	qspin_lock(&v->v_pages.pc_lock);
	if ((v->v_seals & Q_F_SEAL_SEAL) != 0)
		error = -Q_EPERM;
	else if ((seals & Q_F_SEAL_WRITE) != 0 && v->v_mapwriters != 0)
		error = -Q_EBUSY;
	else
		v->v_seals |= seals;
	qspin_unlock(&v->v_pages.pc_lock);
	qrw_wrunlock(&v->v_lock);
	return error;
}

int64_t
seal_fcntl(struct qfile *f, int cmd, uint64_t arg)
{
	struct qvnode *v = qfile_vnode(f);

	if (qvnode_type(v) != Q_S_IFREG || v->v_ops->vo_map != NULL)
		return -Q_EINVAL;
	if (!qvnode_is(v, QV_SEALABLE))
		return cmd == Q_F_GET_SEALS ? Q_F_SEAL_SEAL : -Q_EPERM;
	if (cmd == Q_F_GET_SEALS)
		return seals_of(v);
	return add_seals(f, v, (uint32_t)arg);
}

/* ---- making ----------------------------------------------------------------- */

/* A file without a name on a file system of its own; the path is the caller's. */
static int
make_file(struct quern_proc *p, const char *name, struct qpath *at)
{
	struct qvnew new = { .vn_mode = Q_S_IFREG | 0777 };
	struct vfs *vf = vfs_of(p->p_k);
	struct qvnode *dv, *v;
	struct qcred c;
	int error;

	error = mount_floating(vf, name, "tmpfs", &at->p_mnt);
	if (error != 0)
		return error == -Q_ENODEV ? -Q_ENOSYS : error;
	qproc_cred(p, &c);
	new.vn_uid = c.c_fsuid;
	new.vn_gid = c.c_fsgid;
	qcred_drop(&c);
	dv = dentry_vnode(at->p_mnt->m_root);
	qrw_wrlock(&dv->v_lock);
	error = dv->v_ops->vo_tmpfile(dv, &new, &v);
	qrw_wrunlock(&dv->v_lock);
	if (error == 0) {
		error = dentry_nameless(vf, at->p_mnt->m_root, v, &at->p_d);
		if (error != 0)
			qvnode_put(v);
	}
	if (error != 0)
		mount_put(at->p_mnt);
	return error;
}

QSYS(memfd_create)
{
	static const char prefix[] = "memfd:";
	uint32_t flags = qsys_uint(s, 1);
	char name[sizeof(prefix) + NAME_LONGEST];
	struct qvnode *v;
	struct qpath at;
	struct qfile *f;
	int64_t n;
	int error;

	if ((flags & ~(uint32_t)(Q_MFD_CLOEXEC | Q_MFD_ALLOW_SEALING)) != 0)
		return -Q_EINVAL;
	memcpy(name, prefix, sizeof(prefix));
	n = qcopyinstr(s->s_us, name + sizeof(prefix) - 1, s->s_arg[0],
	    NAME_LONGEST);
	if (n < 0)
		return n == -Q_ENAMETOOLONG ? -Q_EINVAL : n;
	error = make_file(s->s_proc, name, &at);
	if (error != 0)
		return error;
	v = dentry_vnode(at.p_d);
	v->v_seals = (flags & Q_MFD_ALLOW_SEALING) != 0 ? 0 : Q_F_SEAL_SEAL;
	__atomic_fetch_or(&v->v_flags, QV_SEALABLE, __ATOMIC_RELEASE);
	error = open_at(s->s_proc, &at, Q_O_RDWR | Q_O_LARGEFILE, true, &f);
	if (error != 0) {
		qpath_put(&at);
		return error;
	}
	return qfd_install(s->s_proc, f,
	    (flags & Q_MFD_CLOEXEC) != 0 ? Q_O_CLOEXEC : 0);
}
