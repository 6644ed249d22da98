/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The calls of sockets, but for messages and options.
 */
#include "impl.h"

/* ---- addresses ------------------------------------------------------------------- */

int
addr_in(const struct qsys *s, quaddr_t at, uint64_t len, struct qsockaddr *a)
{
	int32_t n = (int32_t)len;

	if (n < 0 || n > (int32_t)QSOCK_ADDRMAX)
		return -Q_EINVAL;
	a->sa_len = (uint32_t)n;
	a->sa_u.sa_family = Q_AF_UNSPEC;
	return n == 0 ? 0 : qcopyin(s->s_us, &a->sa_u, at, (size_t)n);
}

int
addr_out(const struct qsys *s, const struct qsockaddr *a, quaddr_t at,
    quaddr_t lenat)
{
	int32_t room, len = (int32_t)a->sa_len;

	if (qcopyin(s->s_us, &room, lenat, sizeof(room)) != 0)
		return -Q_EFAULT;
	if (room < 0)
		return -Q_EINVAL;
	if (room > len)
		room = len;
	if (room != 0 && qcopyout(s->s_us, at, &a->sa_u, (size_t)room) != 0)
		return -Q_EFAULT;
	return qcopyout(s->s_us, lenat, &len, sizeof(len));
}

/* ---- making ---------------------------------------------------------------------- */

#define TYPE_MASK 0xf
#define TYPE_MAX  11

/* Split a type and what is or-ed to it. */
static int
take_type(int *type, uint32_t *flags)
{
	*flags = (uint32_t)*type & ~(uint32_t)TYPE_MASK;
	*type &= TYPE_MASK;
	if ((*flags & ~(uint32_t)(Q_SOCK_NONBLOCK | Q_SOCK_CLOEXEC)) != 0)
		return -Q_EINVAL;
	return *type >= TYPE_MAX ? -Q_EINVAL : 0;
}

static int
sock_create(struct quern_proc *p, int family, int type, int proto,
    const struct qsock_family **fp, struct qsock **sop)
{
	*fp = family_find(p->p_k, family);
	if (*fp == NULL)
		return -Q_EAFNOSUPPORT;
	return (*fp)->sf_create(p->p_k, p, type, proto, sop);
}

QSYS(socket)
{
	const struct qsock_family *family;
	int type = qsys_int(s, 1), error;
	struct qsock *so;
	uint32_t flags;

	error = take_type(&type, &flags);
	if (error == 0)
		error = sock_create(s->s_proc, qsys_int(s, 0), type,
		    qsys_int(s, 2), &family, &so);
	if (error != 0)
		return error;
	return sock_install(s->s_proc, so, flags);
}

/* Two that are connected to each other, as files. */
static int
make_pair(struct qsys *s, int type, uint32_t flags, struct qfile *f[2])
{
	struct quern_proc *p = s->s_proc;
	const struct qsock_family *family;
	struct qsock *so[2];
	int error;

	error = sock_create(p, qsys_int(s, 0), type, qsys_int(s, 2), &family,
	    &so[0]);
	if (error != 0)
		return error;
	error = sock_create(p, qsys_int(s, 0), type, qsys_int(s, 2), &family,
	    &so[1]);
	if (error == 0) {
		error = family->sf_pair != NULL ?
		    family->sf_pair(p, so[0], so[1]) :
		    -Q_EOPNOTSUPP;
		if (error != 0)
			so[1]->so_ops->so_close(so[1]);
	}
	if (error != 0) {
		so[0]->so_ops->so_close(so[0]);
		return error;
	}
	error = sock_file(so[0], flags, &f[0]);
	if (error != 0) {
		so[1]->so_ops->so_close(so[1]);
		return error;
	}
	error = sock_file(so[1], flags, &f[1]);
	if (error != 0)
		qfile_put(f[0]);
	return error;
}

QSYS(socketpair)
{
	struct quern_proc *p = s->s_proc;
	int type = qsys_int(s, 1), error;
	int32_t fd[2] = { -1, -1 };
	struct qfile *f[2];
	uint32_t flags;

	error = take_type(&type, &flags);
	if (error != 0)
		return error;
	error = make_pair(s, type, flags, f);
	if (error != 0)
		return error;
	error = fd[0] = qfd_reserve(p, 0, flags & Q_SOCK_CLOEXEC);
	if (error >= 0)
		error = fd[1] = qfd_reserve(p, 0, flags & Q_SOCK_CLOEXEC);
	if (error >= 0)
		error = qsys_out(s, 3, fd, sizeof(fd));
	if (error >= 0) {
		qfd_commit(p, fd[0], f[0]);
		qfd_commit(p, fd[1], f[1]);
		return 0;
	}
	if (fd[1] >= 0)
		qfd_cancel(p, fd[1]);
	if (fd[0] >= 0)
		qfd_cancel(p, fd[0]);
	qfile_put(f[0]);
	qfile_put(f[1]);
	return error;
}

/* ---- names and connections ---------------------------------------------------------- */

QSYS(bind)
{
	struct qsockaddr a;
	struct qsock *so;
	struct qfile *f;
	int error = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);

	if (error != 0)
		return error;
	error = addr_in(s, s->s_arg[1], s->s_arg[2], &a);
	if (error == 0)
		error = so->so_ops->so_bind != NULL ?
		    so->so_ops->so_bind(so, s->s_proc, &a) :
		    -Q_EOPNOTSUPP;
	qfile_put(f);
	return error;
}

QSYS(connect)
{
	struct qsockaddr a;
	struct qsock *so;
	struct qfile *f;
	int error = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);

	if (error != 0)
		return error;
	error = addr_in(s, s->s_arg[1], s->s_arg[2], &a);
	if (error == 0)
		error = so->so_ops->so_connect != NULL ?
		    so->so_ops->so_connect(so, s->s_proc, &a, is_nowait(f, 0)) :
		    -Q_EOPNOTSUPP;
	qfile_put(f);
	return error;
}

QSYS(listen)
{
	int backlog = qsys_int(s, 1), error;
	struct qsock *so;
	struct qfile *f;

	error = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);
	if (error != 0)
		return error;
	if ((uint32_t)backlog > Q_SOMAXCONN)
		backlog = Q_SOMAXCONN;
	error = so->so_ops->so_listen != NULL ?
	    so->so_ops->so_listen(so, s->s_proc, backlog) :
	    -Q_EOPNOTSUPP;
	qfile_put(f);
	return error;
}

/* What accept does with a connection that it has. */
static int64_t
accepted(struct qsys *s, struct qsock *so, uint32_t flags)
{
	struct quern_proc *p = s->s_proc;
	struct qsockaddr a = { 0 };
	struct qfile *f;
	int error = sock_file(so, flags, &f), fd;

	if (error != 0)
		return error;
	fd = qfd_reserve(p, 0, flags & Q_SOCK_CLOEXEC);
	if (fd < 0) {
		qfile_put(f);
		return fd;
	}
	if (s->s_arg[1] != 0) {
		error = so->so_ops->so_name(so, true, &a);
		if (error != 0)
			error = -Q_ECONNABORTED;
		else
			error = addr_out(s, &a, s->s_arg[1], s->s_arg[2]);
	}
	if (error != 0) {
		qfd_cancel(p, fd);
		qfile_put(f);
		return error;
	}
	qfd_commit(p, fd, f);
	return fd;
}

static int64_t
do_accept(struct qsys *s, uint32_t flags)
{
	struct qsock *so, *conn;
	struct qfile *f;
	int error;

	if ((flags & ~(uint32_t)(Q_SOCK_NONBLOCK | Q_SOCK_CLOEXEC)) != 0)
		return -Q_EINVAL;
	error = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);
	if (error != 0)
		return error;
	error = so->so_ops->so_accept != NULL ?
	    so->so_ops->so_accept(so, is_nowait(f, 0), &conn) :
	    -Q_EOPNOTSUPP;
	qfile_put(f);
	return error != 0 ? error : accepted(s, conn, flags);
}

QSYS(accept)
{
	return do_accept(s, 0);
}

QSYS(accept4)
{
	return do_accept(s, qsys_uint(s, 3));
}

static int64_t
get_name(struct qsys *s, bool peer)
{
	struct qsockaddr a = { 0 };
	struct qsock *so;
	struct qfile *f;
	int error = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);

	if (error != 0)
		return error;
	error = so->so_ops->so_name(so, peer, &a);
	if (error == 0)
		error = addr_out(s, &a, s->s_arg[1], s->s_arg[2]);
	qfile_put(f);
	return error;
}

QSYS(getsockname)
{
	return get_name(s, false);
}

QSYS(getpeername)
{
	return get_name(s, true);
}

QSYS(shutdown)
{
	int how = qsys_int(s, 1), error;
	struct qsock *so;
	struct qfile *f;

	error = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);
	if (error != 0)
		return error;
	if (how < Q_SHUT_RD || how > Q_SHUT_RDWR)
		error = -Q_EINVAL;
	else
		error = so->so_ops->so_shutdown != NULL ?
		    so->so_ops->so_shutdown(so, how) :
		    -Q_EOPNOTSUPP;
	qfile_put(f);
	return error;
}
