/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams.  A write is cut into messages of PIECE bytes at most; a read takes of as
 * many as it has room for, but does not go beyond one with files, nor mix
 * credentials that it is to tell.
 */
#include "impl.h"

static const struct qtag tag_message = { "unix message" };

/* ---- messages ---------------------------------------------------------------------- */

int
message_make(struct usock *u, uint32_t len, struct umsg **mp)
{
	bool apart = len > INLINE;
	struct umsg *um = qalloc(&tag_message, sizeof(*um) + (apart ? 0 : len));

	if (um == NULL)
		return -Q_ENOMEM;
	um->um_data = apart ? qalloc(&tag_message, len) : um->um_inline;
	if (um->um_data == NULL) {
		qfree(um);
		return -Q_ENOMEM;
	}
	qlist_init(&um->um_link);
	um->um_more = NULL;
	usock_get(u);
	um->um_from = u;
	um->um_files = NULL;
	um->um_len = um->um_piece = len;
	um->um_off = 0;
	um->um_charge = 0;
	um->um_cred = (struct q_ucred){ 0, 65534, 65534 };
	*mp = um;
	return 0;
}

/* Less is on its way from `u`: who waits for that may go on. */
static void
uncharge(struct usock *u, uint32_t n)
{
	uint64_t left;

	if (n == 0)
		return;
	left = __atomic_sub_fetch(&u->u_wmem, n, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&u->u_wwait, __ATOMIC_SEQ_CST) != 0) {
		qmutex_lock(&u->u_lock);
		qcv_broadcast(&u->u_wcv);
		qmutex_unlock(&u->u_lock);
	}
	if (left * 4 <= u->u_so.so_sndbuf)
		qpollq_wake(&u->u_pollq, UNIX_POLL_OUT);
}

void
message_free(struct umsg *um)
{
	struct umsg *more;

	for (; um != NULL; um = more) {
		more = um->um_more;
		if (um->um_files != NULL) {
			flight_end(unixes_of(um->um_from->u_so.so_k),
			    um->um_files);
			files_put(um->um_files);
		}
		uncharge(um->um_from, um->um_charge);
		usock_put(um->um_from);
		if (um->um_data != um->um_inline)
			qfree(um->um_data);
		qfree(um);
	}
}

int
send_room(struct usock *u, bool nowait, uint64_t deadline)
{
	int error = 0;

	if (__atomic_load_n(&u->u_wmem, __ATOMIC_RELAXED) >=
	    u->u_so.so_sndbuf) {
		qmutex_lock(&u->u_lock);
		__atomic_fetch_add(&u->u_wwait, 1, __ATOMIC_SEQ_CST);
		while (error == 0 && (u->u_shut & SHUT_SND) == 0 &&
		    __atomic_load_n(&u->u_wmem, __ATOMIC_SEQ_CST) >=
			u->u_so.so_sndbuf)
			error = nowait ? -Q_EAGAIN :
					 usock_wait(u, &u->u_wcv, deadline);
		__atomic_fetch_sub(&u->u_wwait, 1, __ATOMIC_SEQ_CST);
		qmutex_unlock(&u->u_lock);
	}
	if (error == 0)
		error = qsock_take_error(&u->u_so);
	if (error == 0 &&
	    (__atomic_load_n(&u->u_shut, __ATOMIC_RELAXED) & SHUT_SND) != 0)
		error = -Q_EPIPE;
	return error;
}

/* ---- sending ----------------------------------------------------------------------- */

/* Give one message to `to`, which gets it, or -EPIPE. */
static int
deliver(struct usock *u, struct usock *to, struct umsg *um)
{
	um->um_charge = um->um_len + CHARGE;
	__atomic_fetch_add(&u->u_wmem, um->um_charge, __ATOMIC_SEQ_CST);
	qmutex_lock(&to->u_lock);
	if (to->u_dead || (to->u_shut & SHUT_RCV) != 0) {
		qmutex_unlock(&to->u_lock);
		return -Q_EPIPE;
	}
	qlist_append(&to->u_queue, &um->um_link);
	to->u_qlen++;
	qcv_broadcast(&to->u_rcv);
	qmutex_unlock(&to->u_lock);
	qpollq_wake(&to->u_pollq, UNIX_POLL_IN);
	return 0;
}

/* Send up to a message's worth: bytes. */
static int64_t
send_piece(struct usock *u, struct usock *to, struct qmsg *m, struct urights *r,
    uint64_t deadline)
{
	struct quio *io = m->m_io;
	uint32_t len = io->u_resid < PIECE ? (uint32_t)io->u_resid : PIECE;
	struct umsg *um;
	int error;

	error = send_room(u, m->m_nowait, deadline);
	if (error == 0)
		error = message_make(u, len, &um);
	if (error != 0)
		return error;
	error = quio_in(io, um->um_data, len);
	if (error == 0) {
		rights_send(u, to, r, um);
		error = deliver(u, to, um);
	}
	if (error != 0) {
		message_free(um);
		return error;
	}
	return len;
}

/* May it send at all?  *top with a reference. */
static int
stream_peer(struct usock *u, const struct qmsg *m, struct usock **top)
{
	int error = 0;

	qmutex_lock(&u->u_lock);
	if (m->m_name.sa_len != 0)
		error = u->u_state == U_CONNECTED ? -Q_EISCONN : -Q_EOPNOTSUPP;
	else if (u->u_peer == NULL)
		error = -Q_ENOTCONN;
	else if ((u->u_shut & SHUT_SND) != 0)
		error = -Q_EPIPE;
	else
		usock_get(*top = u->u_peer);
	qmutex_unlock(&u->u_lock);
	return error;
}

int64_t
stream_send(struct usock *u, struct qmsg *m)
{
	uint64_t deadline = qsock_deadline(&u->u_so, true);
	int64_t n = 0, done = 0;
	struct usock *to = NULL;
	struct urights r;
	int error;

	error = rights_in(u, m, &r);
	if (error != 0)
		return error;
	error = stream_peer(u, m, &to);
	if (error != 0) {
		rights_drop(&r);
		return error;
	}
	while (m->m_io->u_resid > 0) {
		n = send_piece(u, to, m, &r, deadline);
		if (n < 0)
			break;
		done += n;
	}
	rights_drop(&r);
	usock_put(to);
	return done != 0 ? done : n;
}

/* ---- receiving --------------------------------------------------------------------------- */

/* What a receive in progress knows. */
struct taking {
	struct usock *t_u;
	struct qmsg *t_m;
	size_t t_done, t_target;
	uint64_t t_skip; /* peeking: bytes before those that are meant */
	uint64_t t_deadline;
	bool t_peek, t_cred;
	struct q_ucred t_ucred;
	struct ufiles *t_files;
	struct qlist t_used; /* messages that are empty */
};

/* Nothing is there: wait, or say why not.  1: that is all.  [u] */
static int
await_data(struct taking *t)
{
	struct usock *u = t->t_u;
	int error;

	if (t->t_done >= t->t_target)
		return 1;
	error = qsock_take_error(&u->u_so);
	if (error != 0)
		return error;
	if ((u->u_shut & SHUT_RCV) != 0)
		return 1;
	if (t->t_m->m_nowait)
		return -Q_EAGAIN;
	if (!qlist_empty(&t->t_used)) {
		/* Whose room is needed for more. */
		qmutex_unlock(&u->u_lock);
		messages_free(&t->t_used);
		qmutex_lock(&u->u_lock);
		return 0;
	}
	return usock_wait(u, &u->u_rcv, t->t_deadline);
}

/* The first message with something that is meant; *skipp: behind so much of it. */
static struct umsg *
next_message(struct taking *t, uint32_t *skipp)
{
	uint64_t skip = t->t_skip;
	struct umsg *um;
	struct qlist *l;

	QLIST_FOREACH(l, &t->t_u->u_queue) {
		um = QLIST_ELEM(l, struct umsg, um_link);
		if (skip < um->um_len - um->um_off) {
			*skipp = (uint32_t)skip;
			return um;
		}
		skip -= um->um_len - um->um_off;
	}
	return NULL;
}

/* May bytes of it follow those that were taken? */
static bool
may_follow(struct taking *t, const struct umsg *um)
{
	if (!qsock_has(&t->t_u->u_so, QSO_PASSCRED))
		return true;
	if (!t->t_cred) {
		t->t_cred = true;
		t->t_ucred = um->um_cred;
	}
	return __builtin_memcmp(&t->t_ucred, &um->um_cred,
		   sizeof(um->um_cred)) == 0;
}

/* Take of one message.  1: no more after that.  [u] */
static int
take_message(struct taking *t, struct umsg *um, uint32_t skip)
{
	struct quio *io = t->t_m->m_io;
	uint32_t n = um->um_len - um->um_off - skip;
	bool files = um->um_files != NULL;
	struct usock *u = t->t_u;
	int error;

	if (n > io->u_resid)
		n = (uint32_t)io->u_resid;
	error = quio_out(io, um->um_data + um->um_off + skip, n);
	if (error != 0)
		return error;
	if (t->t_m->m_name.sa_len == 0 && has_name(um->um_from))
		name_addr(um->um_from, &t->t_m->m_name);
	if (files && t->t_files == NULL) {
		error = rights_take(um, t->t_peek, &t->t_files);
		if (error != 0)
			return error;
	}
	t->t_done += n;
	if (t->t_peek) {
		t->t_skip += n;
		if (u->u_peekoff >= 0)
			u->u_peekoff += (int32_t)n;
	} else {
		um->um_off += n;
		if (u->u_peekoff > 0)
			u->u_peekoff = u->u_peekoff > (int32_t)n ?
			    u->u_peekoff - (int32_t)n :
			    0;
		if (um->um_off == um->um_len) {
			qlist_del(&um->um_link);
			u->u_qlen--;
			qlist_append(&t->t_used, &um->um_link);
		}
	}
	return files || io->u_resid == 0;
}

/* [u] */
static int
take_stream(struct taking *t)
{
	struct umsg *um;
	uint32_t skip;
	int error = 0;

	while (error == 0) {
		um = next_message(t, &skip);
		if (um == NULL)
			error = await_data(t);
		else if (!may_follow(t, um))
			error = 1;
		else
			error = take_message(t, um, skip);
	}
	return error == 1 ? 0 : error;
}

int64_t
stream_recv(struct usock *u, struct qmsg *m)
{
	struct taking t = { .t_u = u, .t_m = m };
	int error;

	t.t_peek = (m->m_flags & Q_MSG_PEEK) != 0;
	t.t_deadline = qsock_deadline(&u->u_so, false);
	t.t_target = (size_t)u->u_so.so_lowat;
	if ((m->m_flags & Q_MSG_WAITALL) != 0 || t.t_target > m->m_io->u_resid)
		t.t_target = m->m_io->u_resid;
	if (t.t_target == 0)
		t.t_target = 1;
	qlist_init(&t.t_used);
	qmutex_lock(&u->u_lock);
	if (t.t_peek && u->u_peekoff > 0)
		t.t_skip = (uint64_t)u->u_peekoff;
	error = u->u_state == U_CONNECTED ? take_stream(&t) : -Q_EINVAL;
	qmutex_unlock(&u->u_lock);
	messages_free(&t.t_used);
	m->m_flags &= ~(uint32_t)(Q_MSG_TRUNC | Q_MSG_EOR);
	if (t.t_done == 0)
		(void)rights_out(u, m, NULL, t.t_files, t.t_peek, true);
	else
		error = rights_out(u, m, t.t_cred ? &t.t_ucred : NULL,
		    t.t_files, t.t_peek, false);
	return error != 0 && t.t_done == 0 ? error : (int64_t)t.t_done;
}
