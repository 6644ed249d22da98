/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections: how they come and go.
 */
#include "impl.h"

/* ---- streams and packets --------------------------------------------------------------- */

/* It begins to connect, which nobody else can then. */
static int
begin_connect(struct usock *u)
{
	int error = 0;

	qmutex_lock(&u->u_lock);
	if (u->u_state == U_CONNECTED)
		error = -Q_EISCONN;
	else if (u->u_state != U_CLOSED)
		error = -Q_EINVAL;
	else
		u->u_state = U_CONNECTING;
	qmutex_unlock(&u->u_lock);
	return error;
}

/*
 * Put a connection on the listener's queue, waiting for room there: `u`, about to
 * be connected, is the peer of `n`.  1: look for the listener again.
 */
static int
enqueue(struct usock *l, struct usock *u, struct usock *n, bool nowait,
    uint64_t deadline)
{
	int error = 0;

	qmutex_lock(&l->u_lock);
	if (l->u_dead || l->u_state != U_LISTEN ||
	    (l->u_shut & SHUT_RCV) != 0) {
		error = -Q_ECONNREFUSED;
	} else if (l->u_qlen > l->u_backlog) {
		error = nowait ? -Q_EAGAIN :
				 usock_wait(l, &l->u_room, deadline);
		if (error == 0)
			error = 1;
	} else {
		usock_copycred(u, l);
		usock_get(u);
		n->u_peer = u;
		if (l->u_name != NULL) {
			__atomic_fetch_add(&l->u_name->n_refs, 1,
			    __ATOMIC_RELAXED);
			n->u_name = l->u_name;
		}
		if (qsock_has(&l->u_so, QSO_PASSCRED))
			n->u_so.so_flags = QSO_PASSCRED;
		qlist_append(&l->u_queue, &n->u_link);
		l->u_qlen++;
		qcv_broadcast(&l->u_rcv);
	}
	qmutex_unlock(&l->u_lock);
	if (error == 0)
		qpollq_wake(&l->u_pollq, UNIX_POLL_IN);
	return error;
}

/* The end of begin_connect; `n` is the other socket, or NULL: it failed. */
static void
end_connect(struct usock *u, struct usock *n)
{
	qmutex_lock(&u->u_lock);
	u->u_state = n != NULL ? U_CONNECTED : U_CLOSED;
	if (n != NULL)
		u->u_peer = n;
	qmutex_unlock(&u->u_lock);
	if (n != NULL)
		usock_wake(u, UNIX_POLL_OUT);
}

static int
connect_stream(struct usock *u, struct quern_proc *p, const struct qsockaddr *a,
    bool nowait)
{
	uint64_t deadline = qsock_deadline(&u->u_so, true);
	struct usock *n, *l;
	int error = begin_connect(u);

	if (error != 0)
		return error;
	error = usock_create(u->u_so.so_k, u->u_so.so_type, &n);
	if (error == 0) {
		n->u_state = U_CONNECTED;
		usock_setcred(n, p);
		/* Ours; the other is its listener's. */
		usock_get(n);
		do {
			error = name_find(p, u->u_so.so_type, a, &l);
			if (error != 0)
				break;
			error = enqueue(l, u, n, nowait, deadline);
			usock_put(l);
		} while (error == 1);
		if (error != 0) {
			usock_put(n);
			usock_put(n);
		}
	}
	end_connect(u, error == 0 ? n : NULL);
	return error;
}

int
unix_listen(struct qsock *so, struct quern_proc *p, int backlog)
{
	struct usock *u = usock_of(so);
	int error = 0;

	if (!is_connected_type(u))
		return -Q_EOPNOTSUPP;
	if (!has_name(u))
		return -Q_EINVAL;
	qmutex_lock(&u->u_lock);
	if (u->u_state != U_CLOSED && u->u_state != U_LISTEN) {
		error = -Q_EINVAL;
	} else {
		u->u_state = U_LISTEN;
		u->u_backlog = (uint32_t)backlog;
		usock_setcred(u, p);
		qcv_broadcast(&u->u_room);
	}
	qmutex_unlock(&u->u_lock);
	return error;
}

int
unix_accept(struct qsock *so, bool nowait, struct qsock **newp)
{
	uint64_t deadline = qsock_deadline(so, false);
	struct usock *u = usock_of(so), *n = NULL;
	int error = 0;

	if (!is_connected_type(u))
		return -Q_EOPNOTSUPP;
	qmutex_lock(&u->u_lock);
	while (error == 0 && n == NULL) {
		if (u->u_state != U_LISTEN) {
			error = -Q_EINVAL;
		} else if (!qlist_empty(&u->u_queue)) {
			n = QLIST_ELEM(u->u_queue.l_next, struct usock, u_link);
			qlist_del(&n->u_link);
			u->u_qlen--;
			qcv_broadcast(&u->u_room);
		} else if ((u->u_shut & SHUT_RCV) != 0) {
			error = -Q_EINVAL;
		} else {
			error = nowait ? -Q_EAGAIN :
					 usock_wait(u, &u->u_rcv, deadline);
		}
	}
	qmutex_unlock(&u->u_lock);
	if (n != NULL)
		*newp = &n->u_so;
	return error;
}

int
unix_pair(struct quern_proc *p, struct qsock *a, struct qsock *b)
{
	struct usock *u[2] = { usock_of(a), usock_of(b) };
	int i;

	/* Nobody else knows them. */
	for (i = 0; i < 2; i++) {
		usock_setcred(u[i], p);
		usock_get(u[1 - i]);
		u[i]->u_peer = u[1 - i];
		u[i]->u_state = U_CONNECTED;
	}
	return 0;
}

/* ---- datagrams ------------------------------------------------------------------------------ */

/* From now on it sends to `to`, whose reference it gets, or to nobody. */
static void
set_peer(struct usock *u, struct usock *to)
{
	struct usock *old;
	struct qlist lost;
	bool told = false;

	qlist_init(&lost);
	qmutex_lock(&u->u_lock);
	old = u->u_peer;
	u->u_peer = to;
	u->u_state = to != NULL ? U_CONNECTED : U_CLOSED;
	if (old != NULL && old != to) {
		/* What the old one has sent is of no use any more. */
		queue_take(u, &lost);
	}
	qmutex_unlock(&u->u_lock);
	if (old != NULL && !qlist_empty(&lost)) {
		qmutex_lock(&old->u_lock);
		told = !old->u_dead && old->u_peer == u;
		if (told)
			__atomic_store_n(&old->u_so.so_error, -Q_ECONNRESET,
			    __ATOMIC_RELAXED);
		qmutex_unlock(&old->u_lock);
	}
	messages_free(&lost);
	if (told)
		usock_wake(old, Q_POLLERR);
	usock_wake(u, UNIX_POLL_OUT);
	if (old != NULL)
		usock_put(old);
}

static int
connect_packet(struct usock *u, struct quern_proc *p, const struct qsockaddr *a)
{
	struct usock *to;
	int error;

	if (qsock_has(&u->u_so, QSO_PASSCRED)) {
		error = name_auto(u);
		if (error != 0)
			return error;
	}
	error = name_find(p, Q_SOCK_DGRAM, a, &to);
	if (error != 0)
		return error;
	qmutex_lock(&to->u_lock);
	if (to->u_dead)
		error = -Q_ECONNREFUSED;
	else if (to->u_peer != NULL && to->u_peer != u)
		error = -Q_EPERM;
	qmutex_unlock(&to->u_lock);
	if (error != 0) {
		usock_put(to);
		return error;
	}
	set_peer(u, to);
	return 0;
}

int
unix_connect(struct qsock *so, struct quern_proc *p, const struct qsockaddr *a,
    bool nowait)
{
	struct usock *u = usock_of(so);
	int error;

	if (a->sa_len < sizeof(a->sa_u.sa_family))
		return -Q_EINVAL;
	if (!is_connected_type(u) && a->sa_u.sa_family == Q_AF_UNSPEC) {
		set_peer(u, NULL);
		return 0;
	}
	error = name_check(a);
	if (error != 0)
		return error;
	return is_connected_type(u) ? connect_stream(u, p, a, nowait) :
				      connect_packet(u, p, a);
}

/* ---- the end ----------------------------------------------------------------------------------- */

/* The peer of what is gone: shut down, and told if something was lost. */
static void
leave_peer(struct usock *peer, bool lost)
{
	qmutex_lock(&peer->u_lock);
	__atomic_store_n(&peer->u_shut, SHUT_ALL, __ATOMIC_RELAXED);
	if (lost)
		__atomic_store_n(&peer->u_so.so_error, -Q_ECONNRESET,
		    __ATOMIC_RELAXED);
	qmutex_unlock(&peer->u_lock);
	usock_wake(peer, 0);
}

/* `accepted`: it had a file. */
static void
end_socket(struct usock *u, bool accepted)
{
	struct qlist queue;
	struct usock *peer;
	bool lost, listens;

	name_release(u);
	qlist_init(&queue);
	qmutex_lock(&u->u_lock);
	u->u_dead = true;
	__atomic_store_n(&u->u_shut, SHUT_ALL, __ATOMIC_RELAXED);
	peer = u->u_peer;
	u->u_peer = NULL;
	listens = u->u_state == U_LISTEN;
	u->u_state = U_CLOSED;
	lost = !accepted || !qlist_empty(&u->u_queue);
	queue_take(u, &queue);
	qmutex_unlock(&u->u_lock);
	usock_wake(u, 0);
	if (peer != NULL && is_connected_type(u))
		leave_peer(peer, lost);
	if (peer != NULL)
		usock_put(peer);
	if (!listens) {
		messages_free(&queue);
	} else {
		while (!qlist_empty(&queue)) {
			peer = QLIST_ELEM(queue.l_next, struct usock, u_link);
			qlist_del(&peer->u_link);
			end_socket(peer, false);
		}
	}
	usock_put(u);
}

void
unix_close(struct qsock *so)
{
	struct unixes *ut = unixes_of(so->so_k);

	end_socket(usock_of(so), true);
	if (__atomic_load_n(&ut->ut_nflying, __ATOMIC_RELAXED) != 0)
		collect(ut);
}
