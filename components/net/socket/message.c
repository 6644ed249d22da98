/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages: send, recv and the others, and what comes with a message.
 */
#include "impl.h"

#include <quern/abi/signal.h>
#include <quern/timespec.h>

static const struct qtag tag_control = { "socket control data" };

/* How many messages one call sends or receives. */
#define MANY_MAX 1024u

int64_t
sock_send(struct qsock *so, struct qmsg *m)
{
	int64_t n;

	if (so->so_ops->so_send == NULL)
		return -Q_EOPNOTSUPP;
	n = so->so_ops->so_send(so, m);
	if (n == -Q_EPIPE && so->so_type == Q_SOCK_STREAM &&
	    (m->m_flags & Q_MSG_NOSIGNAL) == 0)
		qproc_signal(m->m_proc, Q_SIGPIPE);
	return n;
}

int64_t
sock_recv(struct qsock *so, struct qmsg *m)
{
	return so->so_ops->so_recv != NULL ? so->so_ops->so_recv(so, m) :
					     -Q_EOPNOTSUPP;
}

int
qmsg_put(struct qmsg *m, int level, int type, const void *data, size_t len)
{
	struct q_cmsghdr h = { sizeof(h) + len, level, type };
	size_t left = m->m_ctlroom - m->m_ctlused, all;
	quaddr_t at = m->m_ctlat + m->m_ctlused;

	if (left < sizeof(h)) {
		m->m_flags |= Q_MSG_CTRUNC;
		return 0;
	}
	if (left < h.cmsg_len) {
		m->m_flags |= Q_MSG_CTRUNC;
		h.cmsg_len = left;
		len = left - sizeof(h);
	}
	if (qcopyout(m->m_us, at, &h, sizeof(h)) != 0 ||
	    qcopyout(m->m_us, at + sizeof(h), data, len) != 0)
		return -Q_EFAULT;
	all = QROUNDUP(h.cmsg_len, sizeof(size_t));
	m->m_ctlused += all < left ? all : left;
	return 0;
}

/* ---- sendto, recvfrom ------------------------------------------------------------------ */

QSYS(sendto)
{
	struct qmsg m = { .m_proc = s->s_proc, .m_flags = qsys_uint(s, 3) };
	struct qsock *so;
	struct qfile *f;
	struct quio u;
	int64_t n = quio_init(&u, s->s_us, s->s_arg[1], s->s_arg[2]);

	if (n != 0)
		return n;
	n = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);
	if (n != 0)
		return n;
	m.m_io = &u;
	m.m_nowait = is_nowait(f, m.m_flags);
	if (s->s_arg[4] != 0)
		n = addr_in(s, s->s_arg[4], s->s_arg[5], &m.m_name);
	if (n == 0)
		n = sock_send(so, &m);
	qfile_put(f);
	return n;
}

QSYS(recvfrom)
{
	struct qmsg m = { .m_proc = s->s_proc, .m_flags = qsys_uint(s, 3) };
	struct qsock *so;
	struct qfile *f;
	struct quio u;
	int64_t n = quio_init(&u, s->s_us, s->s_arg[1], s->s_arg[2]);
	int error;

	if (n != 0)
		return n;
	n = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);
	if (n != 0)
		return n;
	m.m_io = &u;
	m.m_us = s->s_us;
	m.m_nowait = is_nowait(f, m.m_flags);
	n = sock_recv(so, &m);
	if (n >= 0 && s->s_arg[4] != 0) {
		error = addr_out(s, &m.m_name, s->s_arg[4], s->s_arg[5]);
		if (error != 0)
			n = error;
	}
	qfile_put(f);
	return n;
}

/* ---- sendmsg, recvmsg ------------------------------------------------------------------ */

/* A header and its vector, copied; to be ended by quio_fini. */
static int
header_in(const struct qsys *s, quaddr_t at, struct q_msghdr *h, struct quio *u)
{
	if (qcopyin(s->s_us, h, at, sizeof(*h)) != 0)
		return -Q_EFAULT;
	if (h->msg_name == NULL)
		h->msg_namelen = 0;
	if ((int32_t)h->msg_namelen < 0)
		return -Q_EINVAL;
	if (h->msg_namelen > QSOCK_ADDRMAX)
		h->msg_namelen = QSOCK_ADDRMAX;
	if (h->msg_iovlen > Q_UIO_MAXIOV)
		return -Q_EMSGSIZE;
	return quio_import(u, s->s_us, (uintptr_t)h->msg_iov, h->msg_iovlen);
}

/* What is sent with the message, in memory of the kernel's. */
static int
control_in(const struct qsys *s, const struct q_msghdr *h, char **bufp)
{
	size_t len = h->msg_controllen;
	char *buf;

	*bufp = NULL;
	if (h->msg_control == NULL || len == 0)
		return 0;
	if (len > CONTROL_MAX)
		return -Q_ENOBUFS;
	buf = qalloc(&tag_control, len);
	if (buf == NULL)
		return -Q_ENOBUFS;
	if (qcopyin(s->s_us, buf, (uintptr_t)h->msg_control, len) != 0) {
		qfree(buf);
		return -Q_EFAULT;
	}
	*bufp = buf;
	return 0;
}

static int64_t
send_one(const struct qsys *s, struct qfile *f, quaddr_t at, uint32_t flags)
{
	struct qmsg m = { .m_proc = s->s_proc, .m_flags = flags };
	struct q_msghdr h;
	struct quio u;
	char *ctl = NULL;
	int64_t n = header_in(s, at, &h, &u);

	if (n != 0)
		return n;
	m.m_io = &u;
	m.m_nowait = is_nowait(f, flags);
	n = addr_in(s, (uintptr_t)h.msg_name, h.msg_namelen, &m.m_name);
	if (n == 0)
		n = control_in(s, &h, &ctl);
	if (n == 0) {
		m.m_ctl = ctl;
		m.m_ctllen = ctl != NULL ? h.msg_controllen : 0;
		n = sock_send(f->f_obj, &m);
	}
	qfree(ctl);
	quio_fini(&u);
	return n;
}

/* Store what has become of the header. */
static int
header_out(const struct qsys *s, quaddr_t at, const struct q_msghdr *h,
    const struct qmsg *m)
{
	uint32_t namelen = m->m_name.sa_len;
	uint32_t n = namelen < h->msg_namelen ? namelen : h->msg_namelen;
	uint32_t flags = m->m_flags &
	    (Q_MSG_TRUNC | Q_MSG_CTRUNC | Q_MSG_CMSG_CLOEXEC | Q_MSG_EOR);
	size_t used = m->m_ctlused;

	if (h->msg_name != NULL &&
	    (qcopyout(s->s_us, (uintptr_t)h->msg_name, &m->m_name.sa_u, n) !=
		    0 ||
		qcopyout(s->s_us, at + offsetof(struct q_msghdr, msg_namelen),
		    &namelen, sizeof(namelen)) != 0))
		return -Q_EFAULT;
	if (qcopyout(s->s_us, at + offsetof(struct q_msghdr, msg_flags), &flags,
		sizeof(flags)) != 0)
		return -Q_EFAULT;
	return qcopyout(s->s_us, at + offsetof(struct q_msghdr, msg_controllen),
	    &used, sizeof(used));
}

static int64_t
recv_one(const struct qsys *s, struct qfile *f, quaddr_t at, uint32_t flags)
{
	struct qmsg m = { .m_proc = s->s_proc, .m_us = s->s_us };
	struct q_msghdr h;
	struct quio u;
	int64_t n = header_in(s, at, &h, &u);
	int error;

	if (n != 0)
		return n;
	m.m_io = &u;
	/* The two that are answers are also questions. */
	m.m_flags = flags & ~(uint32_t)Q_MSG_CTRUNC;
	m.m_nowait = is_nowait(f, flags);
	m.m_ctlat = (uintptr_t)h.msg_control;
	m.m_ctlroom = h.msg_control != NULL ? h.msg_controllen : 0;
	n = sock_recv(f->f_obj, &m);
	if (n >= 0) {
		error = header_out(s, at, &h, &m);
		if (error != 0)
			n = error;
	}
	quio_fini(&u);
	return n;
}

static int64_t
one_message(struct qsys *s,
    int64_t (*fn)(const struct qsys *, struct qfile *, quaddr_t, uint32_t))
{
	struct qsock *so;
	struct qfile *f;
	int64_t n = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);

	if (n != 0)
		return n;
	n = fn(s, f, s->s_arg[1], qsys_uint(s, 2));
	qfile_put(f);
	return n;
}

QSYS(sendmsg)
{
	return one_message(s, send_one);
}

QSYS(recvmsg)
{
	return one_message(s, recv_one);
}

/* ---- several at a time -------------------------------------------------------------------- */

/* How long one message was goes behind its header. */
static int
length_out(const struct qsys *s, quaddr_t at, int64_t n)
{
	uint32_t len = (uint32_t)n;

	return qcopyout(s->s_us, at + offsetof(struct q_mmsghdr, msg_len), &len,
	    sizeof(len));
}

QSYS(sendmmsg)
{
	uint32_t count = qsys_uint(s, 2), flags = qsys_uint(s, 3), i;
	quaddr_t at = s->s_arg[1];
	struct qsock *so;
	struct qfile *f;
	int64_t n = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);

	if (n != 0)
		return n;
	if (count > MANY_MAX)
		count = MANY_MAX;
	for (i = 0; i < count; i++, at += sizeof(struct q_mmsghdr)) {
		n = send_one(s, f, at, flags);
		if (n >= 0)
			n = length_out(s, at, n);
		if (n < 0)
			break;
	}
	qfile_put(f);
	return i != 0 ? (int64_t)i : n;
}

/* When recvmmsg has waited long enough: it looks after each message only. */
static int
end_time(const struct qsys *s, uint64_t *untilp)
{
	struct q_timespec ts;
	uint64_t ns;

	*untilp = QUERN_NEVER;
	if (s->s_arg[4] == 0)
		return 0;
	if (qsys_in(s, 4, &ts, sizeof(ts)) != 0)
		return -Q_EFAULT;
	if (!qtimespec_ns(&ts, &ns))
		return -Q_EINVAL;
	*untilp = qdeadline_in(s->s_proc->p_k, ns);
	return 0;
}

QSYS(recvmmsg)
{
	uint32_t count = qsys_uint(s, 2), flags = qsys_uint(s, 3), i;
	quaddr_t at = s->s_arg[1];
	struct qsock *so;
	struct qfile *f;
	uint64_t until;
	int64_t n = end_time(s, &until);

	if (n == 0)
		n = sock_get(s->s_proc, qsys_int(s, 0), &f, &so);
	if (n != 0)
		return n;
	if (count > MANY_MAX)
		count = MANY_MAX;
	for (i = 0; i < count; i++, at += sizeof(struct q_mmsghdr)) {
		n = recv_one(s, f, at, flags & ~(uint32_t)Q_MSG_WAITFORONE);
		if (n >= 0)
			n = length_out(s, at, n);
		if (n < 0)
			break;
		if ((flags & Q_MSG_WAITFORONE) != 0)
			flags |= Q_MSG_DONTWAIT;
		if (until != QUERN_NEVER &&
		    qclock_mono(s->s_proc->p_k) >= until) {
			i++;
			break;
		}
	}
	/* An error behind some messages is told next time. */
	if (i != 0 && n < 0 && n != -Q_EAGAIN)
		__atomic_store_n(&so->so_error, (int32_t)n, __ATOMIC_RELAXED);
	qfile_put(f);
	return i != 0 ? (int64_t)i : n;
}
