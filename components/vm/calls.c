/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls on a process's own space.
 */
#include <quern/syscall.h>

#include "impl.h"

QSYS(mmap)
{
	struct qvmmap *m = qvm_of(s->s_proc);
	unsigned flags = (unsigned)s->s_arg[3];
	uint64_t addr = s->s_arg[0];
	struct qfile *f = NULL;
	int error;

	if (m == NULL)
		return -Q_ENOSYS;
	if ((s->s_arg[5] & PAGE_MASK) != 0)
		return -Q_EINVAL;
	if ((flags & Q_MAP_ANONYMOUS) == 0) {
		f = qfd_get(s->s_proc, qsys_int(s, 4));
		if (f == NULL)
			return -Q_EBADF;
	}
	error = qvm_map(m, &addr, s->s_arg[1], (unsigned)s->s_arg[2], flags, f,
	    f != NULL ? s->s_arg[5] : 0);
	if (f != NULL)
		qfile_put(f);
	return error != 0 ? error : (int64_t)addr;
}

QSYS(munmap)
{
	struct qvmmap *m = qvm_of(s->s_proc);

	return m != NULL ? qvm_unmap(m, s->s_arg[0], s->s_arg[1]) : -Q_ENOSYS;
}

QSYS(mprotect)
{
	struct qvmmap *m = qvm_of(s->s_proc);

	if (m == NULL)
		return -Q_ENOSYS;
	return qvm_protect(m, s->s_arg[0], s->s_arg[1], (unsigned)s->s_arg[2]);
}

QSYS(brk)
{
	struct qvmmap *m = qvm_of(s->s_proc);

	return m != NULL ? (int64_t)qvm_brk(m, s->s_arg[0]) : -Q_ENOSYS;
}
