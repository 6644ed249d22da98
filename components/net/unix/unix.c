/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unix sockets.
 *
 * What is sent lies on the receiver's queue (u_queue), and is charged to the sender
 * (u_wmem) until it is received or lost, against SO_SNDBUF.  A stream's or packets'
 * two sockets refer to each other (u_peer) until each is closed; whoever is closed
 * first shuts the other down.  A datagram socket refers to where it sends, which it
 * finds out to be dead when it does.
 *
 * U1  A connection that was not accepted is a socket without a file on its
 *     listener's queue; its client is connected to it already.
 * U2  On the queue of a socket that is dead there is nothing, and nothing comes.
 * U3  Files in messages are counted (collect.c) from before the message is on a
 *     queue until after it is off.
 *
 * Waiting to send is waiting for one's own u_wmem, whose change is seen by whoever
 * receives without a lock: the waiter counts itself in u_wwait before it looks a
 * last time, the receiver changes u_wmem before it looks at u_wwait.
 *
 * Reading order: impl.h, this, connect.c, stream.c, packet.c, name.c, rights.c,
 * collect.c.
 */
#include "impl.h"

static const struct qtag tag_unix = { "unix socket" };

/* ---- life ------------------------------------------------------------------------ */

int
usock_create(struct quern *k, int type, struct usock **up)
{
	struct usock *u = qzalloc(&tag_unix, sizeof(*u));

	if (u == NULL)
		return -Q_ENOMEM;
	qsock_init(&u->u_so, k, &unix_ops, Q_AF_UNIX, type, 0);
	u->u_refs = 1;
	qmutex_init(&u->u_lock, "unix socket");
	qlist_init(&u->u_queue);
	qlist_init(&u->u_link);
	qcv_init(&u->u_rcv);
	qcv_init(&u->u_wcv);
	qcv_init(&u->u_room);
	qpollq_init(&u->u_pollq);
	qlist_init(&u->u_named);
	qlist_init(&u->u_flying);
	u->u_peekoff = -1;
	*up = u;
	return 0;
}

void
usock_get(struct usock *u)
{
	__atomic_fetch_add(&u->u_refs, 1, __ATOMIC_RELAXED);
}

static void
groups_put(struct qgroups *g)
{
	struct qcred c = { .c_groups = g };

	qcred_drop(&c);
}

void
usock_put(struct usock *u)
{
	if (__atomic_sub_fetch(&u->u_refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	qassert(qlist_empty(&u->u_queue) && u->u_inflight == 0);
	if (u->u_name != NULL)
		name_put(u->u_name);
	groups_put(u->u_groups);
	qfree(u);
}

void
usock_wake(struct usock *u, uint32_t events)
{
	qcv_broadcast(&u->u_rcv);
	qcv_broadcast(&u->u_wcv);
	qcv_broadcast(&u->u_room);
	qpollq_wake(&u->u_pollq, events);
}

void
usock_setcred(struct usock *u, struct quern_proc *p)
{
	struct qcred c;

	qproc_cred(p, &c);
	groups_put(u->u_groups);
	u->u_groups = c.c_groups;
	u->u_cred = (struct q_ucred){ (int32_t)p->p_pid, c.c_euid, c.c_egid };
	u->u_hascred = true;
}

void
usock_copycred(struct usock *u, const struct usock *of)
{
	u->u_cred = of->u_cred;
	u->u_hascred = of->u_hascred;
	u->u_groups = of->u_groups;
	if (u->u_groups != NULL)
		__atomic_fetch_add(&u->u_groups->g_refs, 1, __ATOMIC_RELAXED);
}

int
usock_wait(struct usock *u, struct qcv *cv, uint64_t deadline)
{
	int error = qcv_wait(cv, &u->u_lock, QSLEEP_INTR, deadline);

	return error == -Q_ETIMEDOUT ? -Q_EAGAIN : error;
}

struct umsg *
usock_first(const struct usock *u)
{
	return qlist_empty(&u->u_queue) ?
	    NULL :
	    QLIST_ELEM(u->u_queue.l_next, struct umsg, um_link);
}

struct usock *
usock_peer(struct usock *u)
{
	struct usock *peer;

	qmutex_lock(&u->u_lock);
	peer = u->u_peer;
	if (peer != NULL)
		usock_get(peer);
	qmutex_unlock(&u->u_lock);
	return peer;
}

void
queue_take(struct usock *u, struct qlist *to)
{
	struct qlist *l;

	while (!qlist_empty(&u->u_queue)) {
		l = u->u_queue.l_next;
		qlist_del(l);
		qlist_append(to, l);
	}
	u->u_qlen = 0;
}

void
messages_free(struct qlist *list)
{
	struct umsg *um;

	while (!qlist_empty(list)) {
		um = QLIST_ELEM(list->l_next, struct umsg, um_link);
		qlist_del(&um->um_link);
		message_free(um);
	}
}

/* ---- shutting down ---------------------------------------------------------------- */

static void
add_shut(struct usock *u, uint32_t how)
{
	qmutex_lock(&u->u_lock);
	__atomic_store_n(&u->u_shut, u->u_shut | how, __ATOMIC_RELAXED);
	qmutex_unlock(&u->u_lock);
	usock_wake(u, 0);
}

void
usock_shutdown(struct usock *u, uint32_t how)
{
	struct usock *peer = usock_peer(u);

	add_shut(u, how);
	if (peer != NULL && is_connected_type(u))
		add_shut(peer,
		    ((how & SHUT_RCV) != 0 ? SHUT_SND : 0) |
			((how & SHUT_SND) != 0 ? SHUT_RCV : 0));
	if (peer != NULL)
		usock_put(peer);
}

static int
unix_shutdown(struct qsock *so, int how)
{
	usock_shutdown(usock_of(so), (uint32_t)how + 1);
	return 0;
}

/* ---- readiness ---------------------------------------------------------------------- */

/* Would a datagram find room at the peer? */
static bool
peer_has_room(struct usock *u)
{
	struct usock *peer = usock_peer(u);
	bool room = true;

	if (peer == NULL)
		return true;
	if (peer != u) {
		qmutex_lock(&peer->u_lock);
		room = peer->u_peer == u || peer->u_qlen <= QUEUE_MAX;
		qmutex_unlock(&peer->u_lock);
	}
	usock_put(peer);
	return room;
}

static uint32_t
unix_poll(struct qsock *so, struct qpollent *e)
{
	struct usock *u = usock_of(so);
	uint32_t ready = 0;
	bool writable;

	qpollq_add(&u->u_pollq, e,
	    UNIX_POLL_IN | UNIX_POLL_OUT | Q_POLLERR | Q_POLLHUP | Q_POLLRDHUP);
	qmutex_lock(&u->u_lock);
	if (__atomic_load_n(&so->so_error, __ATOMIC_RELAXED) != 0)
		ready |= Q_POLLERR;
	if (u->u_shut == SHUT_ALL)
		ready |= Q_POLLHUP;
	if ((u->u_shut & SHUT_RCV) != 0)
		ready |= Q_POLLRDHUP | UNIX_POLL_IN;
	if (!qlist_empty(&u->u_queue))
		ready |= UNIX_POLL_IN;
	if (is_connected_type(u) && u->u_state == U_CLOSED)
		ready |= Q_POLLHUP;
	writable = u->u_state != U_LISTEN &&
	    __atomic_load_n(&u->u_wmem, __ATOMIC_RELAXED) * 4 <= so->so_sndbuf;
	qmutex_unlock(&u->u_lock);
	if (writable && (is_connected_type(u) || peer_has_room(u)))
		ready |= UNIX_POLL_OUT;
	return ready;
}

/* ---- names, messages, options ------------------------------------------------------------ */

static int
unix_name(struct qsock *so, bool peer, struct qsockaddr *a)
{
	struct usock *u = usock_of(so), *other;

	if (!peer) {
		name_addr(u, a);
		return 0;
	}
	other = usock_peer(u);
	if (other == NULL)
		return -Q_ENOTCONN;
	name_addr(other, a);
	usock_put(other);
	return 0;
}

static int64_t
unix_send(struct qsock *so, struct qmsg *m)
{
	if ((m->m_flags & Q_MSG_OOB) != 0)
		return -Q_EOPNOTSUPP;
	return so->so_type == Q_SOCK_STREAM ? stream_send(usock_of(so), m) :
					      packet_send(usock_of(so), m);
}

static int64_t
unix_recv(struct qsock *so, struct qmsg *m)
{
	if ((m->m_flags & Q_MSG_OOB) != 0)
		return -Q_EOPNOTSUPP;
	return so->so_type == Q_SOCK_STREAM ? stream_recv(usock_of(so), m) :
					      packet_recv(usock_of(so), m);
}

/* What SIOCINQ says: of a stream all, else the first.  [u] */
static int32_t
unread(const struct usock *u)
{
	const struct umsg *um;
	struct qlist *l;
	uint32_t n = 0;

	QLIST_FOREACH(l, &u->u_queue) {
		um = QLIST_ELEM(l, struct umsg, um_link);
		n += um->um_len - um->um_off;
		if (!is_stream(u))
			break;
	}
	return (int32_t)n;
}

static int64_t
unix_ioctl(struct qsock *so, struct qsys *s, uint32_t cmd, uint64_t arg)
{
	struct usock *u = usock_of(so);
	int32_t n = -Q_EINVAL;

	if (cmd == Q_TIOCOUTQ) {
		n = (int32_t)__atomic_load_n(&u->u_wmem, __ATOMIC_RELAXED);
		return qcopyout(s->s_us, arg, &n, sizeof(n));
	}
	if (cmd != Q_FIONREAD)
		return -Q_ENOTTY;
	qmutex_lock(&u->u_lock);
	if (u->u_state != U_LISTEN)
		n = unread(u);
	qmutex_unlock(&u->u_lock);
	return n < 0 ? n : qcopyout(s->s_us, arg, &n, sizeof(n));
}

/* SO_PEERGROUPS.  [u] */
static int
peer_groups(const struct usock *u, void *buf, uint32_t *lenp)
{
	uint32_t n = u->u_groups != NULL ? u->u_groups->g_n : 0;
	uint32_t len = n * (uint32_t)sizeof(u->u_groups->g_gid[0]);
	bool fits = len <= *lenp;

	if (!u->u_hascred)
		return -Q_ENODATA;
	*lenp = len;
	if (!fits)
		return -Q_ERANGE;
	if (len != 0)
		__builtin_memcpy(buf, u->u_groups->g_gid, len);
	return 0;
}

static int
unix_getopt(struct qsock *so, int level, int name, void *buf, uint32_t *lenp)
{
	struct q_ucred none = { 0, UINT32_MAX, UINT32_MAX };
	struct usock *u = usock_of(so);
	int32_t n = 0;
	int error = 0;

	if (level != Q_SOL_SOCKET)
		return -Q_EOPNOTSUPP;
	qmutex_lock(&u->u_lock);
	switch (name) {
	case Q_SO_PEERCRED:
		__builtin_memcpy(buf, u->u_hascred ? &u->u_cred : &none,
		    *lenp = sizeof(u->u_cred));
		break;
	case Q_SO_PEERGROUPS:
		error = peer_groups(u, buf, lenp);
		break;
	case Q_SO_ACCEPTCONN:
		n = u->u_state == U_LISTEN;
		__builtin_memcpy(buf, &n, *lenp = sizeof(n));
		break;
	case Q_SO_PEEK_OFF:
		__builtin_memcpy(buf, &u->u_peekoff, *lenp = sizeof(n));
		break;
	default:
		error = -Q_ENOPROTOOPT;
	}
	qmutex_unlock(&u->u_lock);
	return error;
}

static int
unix_setopt(struct qsock *so, int level, int name, const void *buf,
    uint32_t len)
{
	struct usock *u = usock_of(so);
	int32_t n;

	if (level != Q_SOL_SOCKET)
		return -Q_EOPNOTSUPP;
	if (name != Q_SO_PEEK_OFF)
		return -Q_ENOPROTOOPT;
	if (len < sizeof(n))
		return -Q_EINVAL;
	__builtin_memcpy(&n, buf, sizeof(n));
	qmutex_lock(&u->u_lock);
	u->u_peekoff = n;
	qmutex_unlock(&u->u_lock);
	return 0;
}

const struct qsock_ops unix_ops = {
	.so_bind = unix_bind,
	.so_connect = unix_connect,
	.so_listen = unix_listen,
	.so_accept = unix_accept,
	.so_name = unix_name,
	.so_send = unix_send,
	.so_recv = unix_recv,
	.so_shutdown = unix_shutdown,
	.so_poll = unix_poll,
	.so_ioctl = unix_ioctl,
	.so_getopt = unix_getopt,
	.so_setopt = unix_setopt,
	.so_close = unix_close,
};

/* ---- the family, the component ------------------------------------------------------------- */

static int
unix_create(struct quern *k, struct quern_proc *p, int type, int protocol,
    struct qsock **sop)
{
	struct usock *u;
	int error;

	(void)p;
	if (protocol != 0 && protocol != Q_AF_UNIX)
		return -Q_EPROTONOSUPPORT;
	if (type == Q_SOCK_RAW)
		type = Q_SOCK_DGRAM;
	if (type != Q_SOCK_STREAM && type != Q_SOCK_DGRAM &&
	    type != Q_SOCK_SEQPACKET)
		return -Q_ESOCKTNOSUPPORT;
	error = usock_create(k, type, &u);
	if (error == 0) {
		u->u_so.so_proto = protocol;
		*sop = &u->u_so;
	}
	return error;
}

static const struct qsock_family family = {
	.sf_family = Q_AF_UNIX,
	.sf_create = unix_create,
	.sf_pair = unix_pair,
};

static int
unix_init(struct quern *k, void **statep)
{
	struct unixes *ut = qzalloc(&tag_unix, sizeof(*ut));
	int error;

	if (ut == NULL)
		return -Q_ENOMEM;
	ut->ut_k = k;
	qmutex_init(&ut->ut_lock, "unix sockets");
	qlist_init(&ut->ut_names);
	qlist_init(&ut->ut_flying);
	error = qsock_family_add(k, &family);
	if (error != 0) {
		qfree(ut);
		return error;
	}
	*statep = ut;
	return 0;
}

static void
unix_fini(struct quern *k, void *state)
{
	struct unixes *ut = state;

	(void)k;
	/* Circles are found when a socket goes, and none may have gone since. */
	collect(ut);
	qassert(qlist_empty(&ut->ut_names) && ut->ut_nflying == 0);
	qfree(ut);
}

static const struct quern_component *const needs[] = { &qsockets, NULL };

const struct quern_component qunix = {
	.c_name = "unix",
	.c_needs = needs,
	.c_init = unix_init,
	.c_fini = unix_fini,
};
