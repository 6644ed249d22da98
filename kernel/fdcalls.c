/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls about descriptors: close, dup, fcntl, ioctl.
 */
#include "callimpl.h"

#include <quern/abi/ioctl.h>

QSYS(close)
{
	return qfd_close(s->s_proc, qsys_int(s, 0));
}

QSYS(close_range)
{
	uint32_t first = qsys_uint(s, 0), last = qsys_uint(s, 1);
	uint32_t flags = qsys_uint(s, 2);

	if ((flags & ~(Q_CLOSE_RANGE_UNSHARE | Q_CLOSE_RANGE_CLOEXEC)) != 0)
		return -Q_EINVAL;
	if (first > last)
		return -Q_EINVAL;
	return fd_close_range(s->s_proc, first, last, flags);
}

/* The lowest free descriptor from `from` up for the file of `fd`. */
static int64_t
dup_from(struct quern_proc *p, int fd, uint32_t from, uint32_t flags)
{
	struct qfile *f;
	int to;

	f = qfd_get_path(p, fd);
	if (f == NULL)
		return -Q_EBADF;
	to = -Q_EINVAL;
	if (from < __atomic_load_n(&p->p_nofile, __ATOMIC_RELAXED) || from == 0)
		to = qfd_reserve(p, from, flags);
	if (to < 0)
		qfile_put(f);
	else
		qfd_commit(p, to, f);
	return to;
}

QSYS(dup)
{
	return dup_from(s->s_proc, qsys_int(s, 0), 0, 0);
}

QSYS(dup2)
{
	int fd = qsys_int(s, 0), to = qsys_int(s, 1);
	struct qfile *f;

	if (fd != to)
		return fd_replace(s->s_proc, fd, to, 0);
	f = qfd_get_path(s->s_proc, fd);
	if (f == NULL)
		return -Q_EBADF;
	qfile_put(f);
	return fd;
}

QSYS(dup3)
{
	int fd = qsys_int(s, 0), to = qsys_int(s, 1);
	uint32_t flags = qsys_uint(s, 2);

	if ((flags & ~(uint32_t)Q_O_CLOEXEC) != 0 || fd == to)
		return -Q_EINVAL;
	return fd_replace(s->s_proc, fd, to, flags);
}

/* ---- fcntl --------------------------------------------------------------- */

/*
 * Change status flags.  Two at once may both take effect or one undo the
 * other's, as in Linux; each sees whole values.
 */
static int64_t
set_flags(struct qfile *f, uint32_t flags)
{
	uint32_t old = __atomic_load_n(&f->f_flags, __ATOMIC_RELAXED);
	int error;

	flags = (flags & QF_SETFL) | (old & ~(uint32_t)QF_SETFL);
	if ((flags & Q_O_DIRECT) != 0 && (f->f_mode & QF_DIRECT) == 0)
		return -Q_EINVAL;
	if (f->f_ops->fo_setfl != NULL) {
		error = f->f_ops->fo_setfl(f, flags);
		if (error != 0)
			return error;
	}
	__atomic_store_n(&f->f_flags, flags, __ATOMIC_RELAXED);
	return 0;
}

static int64_t
fcntl_file(struct qsys *s, struct qfile *f, int cmd, uint64_t arg)
{
	switch (cmd) {
	case Q_F_GETFL:
		return __atomic_load_n(&f->f_flags, __ATOMIC_RELAXED);
	case Q_F_SETFL:
		return set_flags(f, (uint32_t)arg);
	default:
		if (f->f_ops->fo_fcntl != NULL)
			return f->f_ops->fo_fcntl(f, s, cmd, arg);
		/* Linux asks for the pipe first, then for the command. */
		return cmd == Q_F_GETPIPE_SZ || cmd == Q_F_SETPIPE_SZ ?
		    -Q_EBADF :
		    -Q_EINVAL;
	}
}

QSYS(fcntl)
{
	struct quern_proc *p = s->s_proc;
	int fd = qsys_int(s, 0), cmd = qsys_int(s, 1);
	uint64_t arg = s->s_arg[2];
	struct qfile *f;
	int64_t ret;

	switch (cmd) {
	case Q_F_DUPFD:
		return dup_from(p, fd, (uint32_t)arg, 0);
	case Q_F_DUPFD_CLOEXEC:
		return dup_from(p, fd, (uint32_t)arg, Q_O_CLOEXEC);
	case Q_F_GETFD:
		return fd_get_cloexec(p, fd);
	case Q_F_SETFD:
		return fd_set_cloexec(p, fd, (arg & Q_FD_CLOEXEC) != 0);
	}
	f = qfd_get_path(p, fd);
	if (f == NULL)
		return -Q_EBADF;
	if ((f->f_mode & QF_PATH) != 0 && cmd != Q_F_GETFL)
		ret = -Q_EBADF;
	else
		ret = fcntl_file(s, f, cmd, arg);
	qfile_put(f);
	return ret;
}

/* ---- ioctl --------------------------------------------------------------- */

static int64_t
set_nonblock(struct qsys *s, struct qfile *f)
{
	uint32_t flags;
	int32_t on;
	int error;

	error = qsys_in(s, 2, &on, sizeof(on));
	if (error != 0)
		return error;
	flags = __atomic_load_n(&f->f_flags, __ATOMIC_RELAXED);
	flags = on ? flags | Q_O_NONBLOCK : flags & ~(uint32_t)Q_O_NONBLOCK;
	__atomic_store_n(&f->f_flags, flags, __ATOMIC_RELAXED);
	return 0;
}

QSYS(ioctl)
{
	int fd = qsys_int(s, 0);
	uint32_t cmd = qsys_uint(s, 1);
	struct qfile *f;
	int64_t ret = 0;

	f = qfd_get(s->s_proc, fd);
	if (f == NULL)
		return -Q_EBADF;
	if (cmd == Q_FIOCLEX || cmd == Q_FIONCLEX)
		(void)fd_set_cloexec(s->s_proc, fd, cmd == Q_FIOCLEX);
	else if (cmd == Q_FIONBIO)
		ret = set_nonblock(s, f);
	else if (f->f_ops->fo_ioctl != NULL)
		ret = f->f_ops->fo_ioctl(f, s, cmd, s->s_arg[2]);
	else
		ret = -Q_ENOTTY;
	qfile_put(f);
	return ret;
}
