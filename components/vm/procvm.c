/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process_vm_readv(2) and process_vm_writev(2): from one space to another.
 *
 * By way of a page of the kernel's, so that no lock of one is held while the
 * other is accessed; both may be the same.
 */
#include <quern/syscall.h>

#include "impl.h"

static const struct qtag tag_copy = { "process_vm" };

/* May `p` look into another process's memory? */
static bool
may_access(struct quern_proc *p, struct quern_proc *other)
{
	struct qcred a, b;
	bool ok;

	if (p == other || qproc_capable(p, Q_CAP_SYS_PTRACE))
		return true;
	qproc_cred(p, &a);
	qproc_cred(other, &b);
	ok = a.c_uid == b.c_euid && a.c_uid == b.c_suid && a.c_uid == b.c_uid &&
	    a.c_gid == b.c_egid && a.c_gid == b.c_sgid && a.c_gid == b.c_gid &&
	    (b.c_cap_perm & ~a.c_cap_perm) == 0;
	qcred_drop(&a);
	qcred_drop(&b);
	return ok;
}

/* The space of a process, with a reference. */
static int
space_of(struct quern_proc *p, uint32_t pid, struct qvmmap **mp)
{
	struct quern_proc *other;
	int error = 0;

	qproc_lock_all(p->p_k);
	other = qproc_find(p->p_k, pid);
	*mp = other != NULL ? qvm_hold(other) : NULL;
	if (*mp == NULL)
		error = -Q_ESRCH;
	else if (!may_access(p, other))
		error = -Q_EPERM;
	qproc_unlock_all(p->p_k);
	if (error == -Q_EPERM)
		qvm_put(*mp);
	return error;
}

/*
 * What of `n` bytes is next to each other within a page: copying that much
 * either works or does not.
 */
static size_t
within_page(const struct quio *u, size_t n)
{
	const struct q_iovec *v = u->u_iov;
	size_t done = u->u_done, room;

	for (; done == v->iov_len; v++)
		done = 0;
	room = (size_t)(PAGE_SIZE -
	    (((uintptr_t)v->iov_base + done) & PAGE_MASK));
	if (n > room)
		n = room;
	return n < v->iov_len - done ? n : v->iov_len - done;
}

/* As much as possible; bytes, or -EFAULT if there were none. */
static int64_t
transfer(struct quio *from, struct quio *to)
{
	void *buf = qalloc(&tag_copy, PAGE_SIZE);
	size_t n, before;
	int64_t done = 0;
	int error = 0;

	if (buf == NULL)
		return -Q_ENOMEM;
	while (error == 0 && from->u_resid > 0 && to->u_resid > 0) {
		n = from->u_resid < to->u_resid ? from->u_resid : to->u_resid;
		n = within_page(to, within_page(from, n));
		before = from->u_resid;
		error = quio_in(from, buf, n);
		n = before - from->u_resid;
		before = to->u_resid;
		if (n > 0 && quio_out(to, buf, n) != 0)
			error = -Q_EFAULT;
		done += (int64_t)(before - to->u_resid);
	}
	qfree(buf);
	return done > 0 ? done : error;
}

static int64_t
process_vm(struct qsys *s, bool write)
{
	struct quio here, there;
	struct qvmmap *m;
	int64_t ret;
	int error;

	if (s->s_arg[5] != 0)
		return -Q_EINVAL;
	error = quio_import(&here, s->s_us, s->s_arg[1], s->s_arg[2]);
	if (error != 0)
		return error;
	error = quio_import(&there, s->s_us, s->s_arg[3], s->s_arg[4]);
	if (error != 0) {
		quio_fini(&here);
		return error;
	}
	ret = 0;
	if (here.u_resid != 0 && there.u_resid != 0) {
		ret = space_of(s->s_proc, qsys_uint(s, 0), &m);
		if (ret == 0) {
			there.u_us = qvm_uspace(m);
			ret = write ? transfer(&here, &there) :
				      transfer(&there, &here);
			qvm_put(m);
		}
	}
	quio_fini(&there);
	quio_fini(&here);
	return ret;
}

QSYS(process_vm_readv)
{
	return process_vm(s, false);
}

QSYS(process_vm_writev)
{
	return process_vm(s, true);
}
