/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options of sockets.
 */
#include "impl.h"

static const struct qtag tag_option = { "socket option" };

/* Room for any value but a list; and for that. */
#define OPTION_SMALL 64u
#define OPTION_MAX   65536u

/* The smallest buffers, and the largest without CAP_NET_ADMIN. */
#define SNDBUF_MIN 4608
#define RCVBUF_MIN 2304
#define BUF_MAX    212992

/* ---- what is there of SOL_SOCKET --------------------------------------------------- */

/* The flag of an option that is on or off, or 0. */
static uint32_t
flag_of(int name)
{
	switch (name) {
	case Q_SO_DEBUG:
		return QSO_DEBUG;
	case Q_SO_REUSEADDR:
		return QSO_REUSEADDR;
	case Q_SO_DONTROUTE:
		return QSO_DONTROUTE;
	case Q_SO_BROADCAST:
		return QSO_BROADCAST;
	case Q_SO_KEEPALIVE:
		return QSO_KEEPALIVE;
	case Q_SO_OOBINLINE:
		return QSO_OOBINLINE;
	case Q_SO_REUSEPORT:
		return QSO_REUSEPORT;
	case Q_SO_PASSCRED:
		return QSO_PASSCRED;
	case Q_SO_PASSSEC:
		return QSO_PASSSEC;
	case Q_SO_TIMESTAMP:
		return QSO_TIMESTAMP;
	default:
		return 0;
	}
}

/* An option that is a number.  False: it is not one of these. */
static bool
get_number(struct qsock *so, int name, int32_t *np)
{
	uint32_t flag = flag_of(name);

	if (flag != 0) {
		*np = qsock_has(so, flag);
		return true;
	}
	switch (name) {
	case Q_SO_TYPE:
		*np = so->so_type;
		return true;
	case Q_SO_DOMAIN:
		*np = so->so_family;
		return true;
	case Q_SO_PROTOCOL:
		*np = so->so_proto;
		return true;
	case Q_SO_ERROR:
		*np = -qsock_take_error(so);
		return true;
	case Q_SO_SNDBUF:
		*np = (int32_t)so->so_sndbuf;
		return true;
	case Q_SO_RCVBUF:
		*np = (int32_t)so->so_rcvbuf;
		return true;
	case Q_SO_RCVLOWAT:
		*np = so->so_lowat;
		return true;
	case Q_SO_SNDLOWAT:
		*np = 1;
		return true;
	case Q_SO_PRIORITY:
		*np = so->so_prio;
		return true;
	case Q_SO_MARK:
		*np = so->so_mark;
		return true;
	default:
		return false;
	}
}

static struct q_timeval
timeval_of(uint64_t ns)
{
	struct q_timeval tv = { 0, 0 };

	if (ns != QUERN_NEVER) {
		tv.tv_sec = (int64_t)(ns / 1000000000);
		tv.tv_usec = (int64_t)(ns % 1000000000 / 1000);
	}
	return tv;
}

/* *lenp: how long the value is, which `buf` has. */
static int
get_option(struct qsock *so, int level, int name, void *buf, uint32_t *lenp)
{
	struct q_timeval tv;
	int32_t n;

	if (level == Q_SOL_SOCKET && get_number(so, name, &n)) {
		__builtin_memcpy(buf, &n, *lenp = sizeof(n));
		return 0;
	}
	if (level == Q_SOL_SOCKET && name == Q_SO_LINGER) {
		__builtin_memcpy(buf, &so->so_linger,
		    *lenp = sizeof(so->so_linger));
		return 0;
	}
	if (level == Q_SOL_SOCKET &&
	    (name == Q_SO_RCVTIMEO || name == Q_SO_SNDTIMEO)) {
		tv = timeval_of(
		    name == Q_SO_RCVTIMEO ? so->so_rcvtimeo : so->so_sndtimeo);
		__builtin_memcpy(buf, &tv, *lenp = sizeof(tv));
		return 0;
	}
	if (so->so_ops->so_getopt != NULL)
		return so->so_ops->so_getopt(so, level, name, buf, lenp);
	return level == Q_SOL_SOCKET ? -Q_ENOPROTOOPT : -Q_EOPNOTSUPP;
}

/* The option into `buf`, which has room for *lenp, and out. */
static int
option_out(struct qsys *s, struct qsock *so, void *buf, uint32_t room)
{
	uint32_t len = room;
	int error = get_option(so, qsys_int(s, 1), qsys_int(s, 2), buf, &len);

	/* A list that has no room: how long it is. */
	if (error != 0 && error != -Q_ERANGE)
		return error;
	if (error == 0) {
		if (len > room)
			len = room;
		error = qsys_out(s, 3, buf, len);
	}
	if (error == -Q_EFAULT || qsys_out(s, 4, &len, sizeof(len)) != 0)
		return -Q_EFAULT;
	return error;
}

QSYS(getsockopt)
{
	char small[OPTION_SMALL], *buf = small;
	struct qsock *so;
	struct qfile *f;
	int32_t room;
	int error;

	error = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);
	if (error != 0)
		return error;
	if (qsys_in(s, 4, &room, sizeof(room)) != 0)
		error = -Q_EFAULT;
	else if (room < 0)
		error = -Q_EINVAL;
	if (error == 0 && room > (int32_t)sizeof(small)) {
		if (room > (int32_t)OPTION_MAX)
			room = OPTION_MAX;
		buf = qalloc(&tag_option, (size_t)room);
		if (buf == NULL)
			error = -Q_ENOMEM;
	}
	if (error == 0)
		error = option_out(s, so, buf, (uint32_t)room);
	if (buf != small)
		qfree(buf);
	qfile_put(f);
	return error;
}

/* ---- setting --------------------------------------------------------------------------- */

static void
set_flag(struct qsock *so, uint32_t flag, bool on)
{
	if (on)
		__atomic_fetch_or(&so->so_flags, flag, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&so->so_flags, ~flag, __ATOMIC_RELAXED);
}

/* Linux doubles what is asked for, since it counts what it needs itself. */
static uint32_t
buffer_size(int32_t n, bool force, int32_t min)
{
	if (!force && (uint32_t)n > BUF_MAX)
		n = BUF_MAX;
	if (n < 0 || n > INT32_MAX / 2)
		n = n < 0 ? 0 : INT32_MAX / 2;
	n *= 2;
	return (uint32_t)(n > min ? n : min);
}

static int
set_timeout(uint64_t *to, const void *buf, uint32_t len)
{
	uint64_t ns = QUERN_NEVER;
	struct q_timeval tv;

	if (len < sizeof(tv))
		return -Q_EINVAL;
	__builtin_memcpy(&tv, buf, sizeof(tv));
	if (tv.tv_usec < 0 || tv.tv_usec >= 1000000)
		return -Q_EDOM;
	if (tv.tv_sec < 0)
		ns = 0;
	else if ((tv.tv_sec != 0 || tv.tv_usec != 0) && tv.tv_sec < INT32_MAX)
		ns = (uint64_t)tv.tv_sec * 1000000000 +
		    (uint64_t)tv.tv_usec * 1000;
	__atomic_store_n(to, ns, __ATOMIC_RELAXED);
	return 0;
}

static int
set_linger(struct qsock *so, const void *buf, uint32_t len)
{
	if (len < sizeof(so->so_linger))
		return -Q_EINVAL;
	__builtin_memcpy(&so->so_linger, buf, sizeof(so->so_linger));
	so->so_linger.l_onoff = so->so_linger.l_onoff != 0;
	return 0;
}

/* An option that is a number.  1: it is not one of these. */
static int
set_number(struct qsock *so, struct quern_proc *p, int name, int32_t n)
{
	bool admin = qproc_capable(p, Q_CAP_NET_ADMIN);
	uint32_t flag = flag_of(name);

	if (name == Q_SO_DEBUG && n != 0 && !admin)
		return -Q_EACCES;
	if (flag != 0) {
		set_flag(so, flag, n != 0);
		return 0;
	}
	switch (name) {
	case Q_SO_SNDBUF:
	case Q_SO_SNDBUFFORCE:
		if (name == Q_SO_SNDBUFFORCE && !admin)
			return -Q_EPERM;
		so->so_sndbuf = buffer_size(n, name == Q_SO_SNDBUFFORCE,
		    SNDBUF_MIN);
		return 0;
	case Q_SO_RCVBUF:
	case Q_SO_RCVBUFFORCE:
		if (name == Q_SO_RCVBUFFORCE && !admin)
			return -Q_EPERM;
		so->so_rcvbuf = buffer_size(n, name == Q_SO_RCVBUFFORCE,
		    RCVBUF_MIN);
		return 0;
	case Q_SO_RCVLOWAT:
		so->so_lowat = n < 0 ? INT32_MAX : n == 0 ? 1 : n;
		return 0;
	case Q_SO_PRIORITY:
		if ((n < 0 || n > 6) && !admin)
			return -Q_EPERM;
		so->so_prio = n;
		return 0;
	case Q_SO_MARK:
		if (!admin)
			return -Q_EPERM;
		so->so_mark = n;
		return 0;
	case Q_SO_TYPE:
	case Q_SO_DOMAIN:
	case Q_SO_PROTOCOL:
	case Q_SO_ERROR:
	case Q_SO_SNDLOWAT:
	case Q_SO_ACCEPTCONN:
		return -Q_ENOPROTOOPT;
	default:
		return 1;
	}
}

static int
set_option(struct qsock *so, struct quern_proc *p, int level, int name,
    const void *buf, uint32_t len)
{
	int32_t n;
	int error;

	if (level == Q_SOL_SOCKET) {
		if (name == Q_SO_LINGER)
			return set_linger(so, buf, len);
		if (name == Q_SO_RCVTIMEO)
			return set_timeout(&so->so_rcvtimeo, buf, len);
		if (name == Q_SO_SNDTIMEO)
			return set_timeout(&so->so_sndtimeo, buf, len);
		if (len < sizeof(n))
			return -Q_EINVAL;
		__builtin_memcpy(&n, buf, sizeof(n));
		error = set_number(so, p, name, n);
		if (error <= 0)
			return error;
	}
	if (so->so_ops->so_setopt != NULL)
		return so->so_ops->so_setopt(so, level, name, buf, len);
	return level == Q_SOL_SOCKET ? -Q_ENOPROTOOPT : -Q_EOPNOTSUPP;
}

QSYS(setsockopt)
{
	int32_t len = qsys_int(s, 4);
	struct qsock *so;
	struct qfile *f;
	char buf[256];
	int error;

	if (len < 0)
		return -Q_EINVAL;
	error = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);
	if (error != 0)
		return error;
	if ((size_t)len > sizeof(buf))
		len = sizeof(buf);
	error = len != 0 ? qsys_in(s, 3, buf, (size_t)len) : 0;
	if (error == 0)
		error = set_option(so, s->s_proc, qsys_int(s, 1),
		    qsys_int(s, 2), buf, (uint32_t)len);
	qfile_put(f);
	return error;
}
