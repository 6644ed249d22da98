/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Datagrams and sequenced packets: each message is received whole or cut.
 */
#include "impl.h"

/* ---- sending ------------------------------------------------------------------------- */

/* Copy the message in, in pieces. */
static int
message_in(struct usock *u, struct quio *io, struct umsg **mp)
{
	uint32_t all = (uint32_t)io->u_resid, left = all, n;
	struct umsg **at = mp;
	int error = 0;

	*mp = NULL;
	do {
		n = left < PIECE ? left : PIECE;
		error = message_make(u, n, at);
		if (error == 0)
			error = quio_in(io, (*at)->um_data, n);
		if (error != 0)
			break;
		at = &(*at)->um_more;
		left -= n;
	} while (left > 0);
	if (error != 0) {
		message_free(*mp);
		return error;
	}
	(*mp)->um_len = all;
	(*mp)->um_charge = all + CHARGE;
	__atomic_fetch_add(&u->u_wmem, (*mp)->um_charge, __ATOMIC_SEQ_CST);
	return 0;
}

/* Its peer is gone: it has none any more. */
static int
lose_peer(struct usock *u, struct usock *to)
{
	bool was = false;

	if (u->u_so.so_type == Q_SOCK_SEQPACKET)
		return -Q_EPIPE;
	qmutex_lock(&u->u_lock);
	if (u->u_peer == to) {
		u->u_peer = NULL;
		u->u_state = U_CLOSED;
		was = true;
	}
	qmutex_unlock(&u->u_lock);
	if (was)
		usock_put(to);
	return -Q_ECONNREFUSED;
}

/* Does the message have to wait?  Streams of packets never do.  [u of `to`] */
static bool
is_full(const struct usock *u, const struct usock *to)
{
	return to != u && to->u_peer != u && to->u_qlen > QUEUE_MAX;
}

static int
put_packet(struct usock *u, struct usock *to, struct umsg *um, bool nowait,
    uint64_t deadline)
{
	bool dead = false;
	int error = 0;

	qmutex_lock(&to->u_lock);
	while (error == 0) {
		if (to->u_peer != NULL && to->u_peer != u) {
			error = -Q_EPERM;
		} else if (to->u_dead) {
			dead = true;
			error = -Q_ECONNREFUSED;
		} else if ((to->u_shut & SHUT_RCV) != 0) {
			error = -Q_EPIPE;
		} else if (!is_full(u, to)) {
			break;
		} else {
			error = nowait ? -Q_EAGAIN :
					 usock_wait(to, &to->u_room, deadline);
		}
	}
	if (error == 0) {
		qlist_append(&to->u_queue, &um->um_link);
		to->u_qlen++;
		qcv_broadcast(&to->u_rcv);
	}
	qmutex_unlock(&to->u_lock);
	if (error == 0)
		qpollq_wake(&to->u_pollq, UNIX_POLL_IN);
	return dead ? lose_peer(u, to) : error;
}

/* Where it goes, with a reference. */
static int
packet_peer(struct usock *u, struct qmsg *m, struct usock **top)
{
	bool seq = u->u_so.so_type == Q_SOCK_SEQPACKET;
	int error;

	if (seq) {
		error = qsock_take_error(&u->u_so);
		if (error != 0)
			return error;
		qmutex_lock(&u->u_lock);
		if (u->u_state != U_CONNECTED)
			error = -Q_ENOTCONN;
		qmutex_unlock(&u->u_lock);
		if (error != 0)
			return error;
	} else if (m->m_name.sa_len != 0) {
		error = name_check(&m->m_name);
		if (error != 0)
			return error;
		return name_find(m->m_proc, Q_SOCK_DGRAM, &m->m_name, top);
	}
	*top = usock_peer(u);
	return *top != NULL ? 0 : -Q_ENOTCONN;
}

static int64_t
send_to(struct usock *u, struct usock *to, struct qmsg *m, struct urights *r)
{
	uint64_t deadline = qsock_deadline(&u->u_so, true);
	size_t len = m->m_io->u_resid;
	struct umsg *um;
	int error;

	if (len > u->u_so.so_sndbuf - 32)
		return -Q_EMSGSIZE;
	error = send_room(u, m->m_nowait, deadline);
	if (error == 0)
		error = message_in(u, m->m_io, &um);
	if (error != 0)
		return error;
	rights_send(u, to, r, um);
	error = put_packet(u, to, um, m->m_nowait, deadline);
	if (error != 0)
		message_free(um);
	return error != 0 ? error : (int64_t)len;
}

int64_t
packet_send(struct usock *u, struct qmsg *m)
{
	struct urights r;
	struct usock *to = NULL;
	int64_t n;
	int error;

	error = rights_in(u, m, &r);
	if (error != 0)
		return error;
	n = packet_peer(u, m, &to);
	if (n == 0 && qsock_has(&u->u_so, QSO_PASSCRED) &&
	    u->u_so.so_type == Q_SOCK_DGRAM) {
		n = name_auto(u);
		if (n != 0)
			usock_put(to);
	}
	if (n == 0) {
		n = send_to(u, to, m, &r);
		usock_put(to);
	}
	rights_drop(&r);
	return n;
}

/* ---- receiving ------------------------------------------------------------------------ */

/* Move up to u_resid bytes, from `skip` on. */
static int
message_out(const struct umsg *um, struct quio *io, uint32_t skip)
{
	uint32_t n;
	int error = 0;

	for (; um != NULL && io->u_resid > 0 && error == 0; um = um->um_more) {
		if (skip >= um->um_piece) {
			skip -= um->um_piece;
			continue;
		}
		n = um->um_piece - skip;
		if (n > io->u_resid)
			n = (uint32_t)io->u_resid;
		error = quio_out(io, um->um_data + skip, n);
		skip = 0;
	}
	return error;
}

/* The message that SO_PEEK_OFF means, or the first. */
static struct umsg *
peeked(const struct usock *u, bool peek, uint32_t *skipp)
{
	int32_t skip = peek && u->u_peekoff > 0 ? u->u_peekoff : 0;
	struct umsg *um;
	struct qlist *l;

	QLIST_FOREACH(l, &u->u_queue) {
		um = QLIST_ELEM(l, struct umsg, um_link);
		if (skip == 0 || skip < (int32_t)um->um_len) {
			*skipp = (uint32_t)skip;
			return um;
		}
		skip -= (int32_t)um->um_len;
	}
	return NULL;
}

/* Wait for a message.  1: there will be none.  [u] */
static int
await_packet(struct usock *u, const struct qmsg *m, bool peek,
    struct umsg **ump, uint32_t *skipp)
{
	uint64_t deadline = qsock_deadline(&u->u_so, false);
	int error;

	for (;;) {
		error = qsock_take_error(&u->u_so);
		if (error != 0)
			return error;
		*ump = peeked(u, peek, skipp);
		if (*ump != NULL)
			return 0;
		if ((u->u_shut & SHUT_RCV) != 0 &&
		    (!m->m_nowait || u->u_so.so_type == Q_SOCK_SEQPACKET))
			return 1;
		if (m->m_nowait)
			return -Q_EAGAIN;
		error = usock_wait(u, &u->u_rcv, deadline);
		if (error != 0)
			return error;
	}
}

/* [u] */
static int64_t
take_packet(struct usock *u, struct qmsg *m, struct umsg *um, uint32_t skip,
    struct ufiles **files)
{
	bool peek = (m->m_flags & Q_MSG_PEEK) != 0;
	bool whole = (m->m_flags & Q_MSG_TRUNC) != 0;
	uint32_t len = um->um_len - skip;
	int64_t n = len < m->m_io->u_resid ? len : (int64_t)m->m_io->u_resid;
	int error;

	m->m_flags &= ~(uint32_t)(Q_MSG_TRUNC | Q_MSG_EOR);
	if (n < len)
		m->m_flags |= Q_MSG_TRUNC;
	if (has_name(um->um_from))
		name_addr(um->um_from, &m->m_name);
	error = message_out(um, m->m_io, skip);
	if (error == 0 && um->um_files != NULL)
		error = rights_take(um, peek, files);
	if (peek && error == 0 && u->u_peekoff >= 0)
		u->u_peekoff += (int32_t)n;
	else if (!peek && u->u_peekoff > 0)
		u->u_peekoff = u->u_peekoff > (int32_t)um->um_len ?
		    u->u_peekoff - (int32_t)um->um_len :
		    0;
	if (error != 0)
		return error;
	return whole ? (int64_t)len : n;
}

int64_t
packet_recv(struct usock *u, struct qmsg *m)
{
	bool peek = (m->m_flags & Q_MSG_PEEK) != 0;
	struct ufiles *files = NULL;
	struct umsg *um = NULL;
	struct q_ucred cred;
	uint32_t skip;
	int64_t n;
	int error;

	qmutex_lock(&u->u_lock);
	if (is_connected_type(u) && u->u_state != U_CONNECTED)
		n = -Q_ENOTCONN;
	else
		n = await_packet(u, m, peek, &um, &skip);
	if (n != 0) {
		qmutex_unlock(&u->u_lock);
		m->m_flags &= ~(uint32_t)(Q_MSG_TRUNC | Q_MSG_EOR);
		return n == 1 ? 0 : n;
	}
	n = take_packet(u, m, um, skip, &files);
	cred = um->um_cred;
	/* Even one that could not be copied is gone, as in Linux. */
	if (!peek) {
		qlist_del(&um->um_link);
		u->u_qlen--;
		qcv_broadcast(&u->u_room);
	}
	qmutex_unlock(&u->u_lock);
	if (!peek) {
		message_free(um);
		qpollq_wake(&u->u_pollq, 0);
	}
	error = rights_out(u, m,
	    qsock_has(&u->u_so, QSO_PASSCRED) ? &cred : NULL, files, peek,
	    n < 0);
	return error != 0 ? error : n;
}
