/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files in flight, and sockets that nobody can have any more.
 *
 * A socket whose file is in a message that waits at the socket itself, or at one
 * whose file is in a message that waits at it, and so on, keeps itself alive.  So,
 * each time that a socket is closed while others are in flight:
 *
 * 1. *Candidates* are the sockets all references to whose files are messages'.
 * 2. For each, count the messages that do not wait at a candidate.
 * 3. Where there are any, somebody may receive it; and what waits at it, and at
 *    what that is.
 * 4. From the queues of the others the messages with files are thrown away.
 *
 * While ut_lock is held no file begins or ends to be in flight, and with the
 * candidates' locks nothing comes to or goes from where they wait.  A message that
 * is on its way to a queue or off it is in none, so its files count as reachable.
 * Nobody else holds two such locks, or waits for ut_lock with one.
 */
#include "impl.h"

/* The unix socket that a file is, or NULL. */
static struct usock *
socket_of(const struct qfile *f)
{
	struct qsock *so = qsock_of(f);

	return so != NULL && so->so_ops == &unix_ops ? usock_of(so) : NULL;
}

int
flight_begin(struct unixes *ut, struct ufiles *f, struct quern_proc *p)
{
	struct usock *u;
	uint32_t i;

	qmutex_lock(&ut->ut_lock);
	if (ut->ut_nflying + f->uf_n >
		__atomic_load_n(&p->p_nofile, __ATOMIC_RELAXED) &&
	    !qproc_capable(p, Q_CAP_SYS_RESOURCE) &&
	    !qproc_capable(p, Q_CAP_SYS_ADMIN)) {
		qmutex_unlock(&ut->ut_lock);
		return -Q_ETOOMANYREFS;
	}
	for (i = 0; i < f->uf_n; i++) {
		u = socket_of(f->uf_file[i]);
		if (u != NULL && u->u_inflight++ == 0)
			qlist_append(&ut->ut_flying, &u->u_flying);
	}
	__atomic_fetch_add(&ut->ut_nflying, f->uf_n, __ATOMIC_RELAXED);
	qmutex_unlock(&ut->ut_lock);
	return 0;
}

void
flight_end(struct unixes *ut, struct ufiles *f)
{
	struct usock *u;
	uint32_t i;

	qmutex_lock(&ut->ut_lock);
	for (i = 0; i < f->uf_n; i++) {
		u = socket_of(f->uf_file[i]);
		if (u != NULL && --u->u_inflight == 0)
			qlist_del(&u->u_flying);
	}
	__atomic_fetch_sub(&ut->ut_nflying, f->uf_n, __ATOMIC_RELAXED);
	qmutex_unlock(&ut->ut_lock);
}

/* ---- the walk --------------------------------------------------------------------------- */

static struct usock *
flying(struct qlist *l)
{
	return QLIST_ELEM(l, struct usock, u_flying);
}

/* A candidate: all references to its file are messages'.  [g] */
static bool
is_candidate(const struct usock *u)
{
	const struct qfile *f = __atomic_load_n(&u->u_so.so_file,
	    __ATOMIC_ACQUIRE);

	return f != NULL &&
	    __atomic_load_n(&f->f_refs, __ATOMIC_RELAXED) == u->u_inflight;
}

/* Call fn for each socket whose file waits in a queue.  [u] */
static void
each_queued(const struct qlist *queue, void (*fn)(struct usock *))
{
	const struct umsg *um;
	struct usock *child;
	struct qlist *l;
	uint32_t i;

	QLIST_FOREACH(l, queue) {
		um = QLIST_ELEM(l, struct umsg, um_link);
		for (i = 0; um->um_files != NULL && i < um->um_files->uf_n;
		     i++) {
			child = socket_of(um->um_files->uf_file[i]);
			if (child != NULL)
				fn(child);
		}
	}
}

/* The same of all that waits at `u`, at its connections if it listens.  [u] */
static void
each_child(struct usock *u, void (*fn)(struct usock *))
{
	struct qlist *l;

	if (u->u_state != U_LISTEN) {
		each_queued(&u->u_queue, fn);
		return;
	}
	QLIST_FOREACH(l, &u->u_queue)
		each_queued(&QLIST_ELEM(l, struct usock, u_link)->u_queue, fn);
}

/* Lock a socket, and its connections if it listens. */
static void
lock_tree(struct usock *u)
{
	struct qlist *l;

	qmutex_lock(&u->u_lock);
	if (u->u_state == U_LISTEN)
		QLIST_FOREACH(l, &u->u_queue)
			qmutex_lock(
			    &QLIST_ELEM(l, struct usock, u_link)->u_lock);
}

static void
unlock_tree(struct usock *u)
{
	struct qlist *l;

	if (u->u_state == U_LISTEN)
		QLIST_FOREACH(l, &u->u_queue)
			qmutex_unlock(
			    &QLIST_ELEM(l, struct usock, u_link)->u_lock);
	qmutex_unlock(&u->u_lock);
}

static void
count_down(struct usock *u)
{
	if (u->u_count > 0)
		u->u_count--;
}

static void
find_it(struct usock *u)
{
	if (!u->u_found)
		u->u_count = UINT32_MAX;
}

/* From those that somebody may receive on.  [g] */
static void
find_reachable(struct unixes *ut)
{
	struct qlist *l;
	struct usock *u;
	bool more;

	do {
		more = false;
		QLIST_FOREACH(l, &ut->ut_flying) {
			u = flying(l);
			if (u->u_found || u->u_count == 0)
				continue;
			u->u_found = more = true;
			each_child(u, find_it);
		}
	} while (more);
}

/* Move messages with files from a queue to `out`.  [u] */
static void
purge(struct usock *u, struct qlist *out)
{
	struct qlist *l, *next;
	struct umsg *um;

	for (l = u->u_queue.l_next; l != &u->u_queue; l = next) {
		next = l->l_next;
		um = QLIST_ELEM(l, struct umsg, um_link);
		if (um->um_files == NULL)
			continue;
		qlist_del(&um->um_link);
		u->u_qlen--;
		qlist_append(out, &um->um_link);
	}
}

/* [u] */
static void
purge_tree(struct usock *u, struct qlist *out)
{
	struct qlist *l;

	if (u->u_state != U_LISTEN) {
		purge(u, out);
		return;
	}
	QLIST_FOREACH(l, &u->u_queue)
		purge(QLIST_ELEM(l, struct usock, u_link), out);
}

/* The walk: what is lost goes to `lost`.  [g] */
static void
look(struct unixes *ut, struct qlist *lost)
{
	struct qlist *l;
	struct usock *u;

	QLIST_FOREACH(l, &ut->ut_flying) {
		u = flying(l);
		u->u_count = 0;
		u->u_candidate = is_candidate(u);
		u->u_found = !u->u_candidate;
		if (!u->u_candidate)
			continue;
		lock_tree(u);
		u->u_count = u->u_inflight;
	}
	QLIST_FOREACH(l, &ut->ut_flying)
		if (flying(l)->u_candidate)
			each_child(flying(l), count_down);
	find_reachable(ut);
	QLIST_FOREACH(l, &ut->ut_flying) {
		u = flying(l);
		if (!u->u_found)
			purge_tree(u, lost);
	}
	QLIST_FOREACH(l, &ut->ut_flying)
		if (flying(l)->u_candidate)
			unlock_tree(flying(l));
}

void
collect(struct unixes *ut)
{
	struct qlist lost;

	qlist_init(&lost);
	qmutex_lock(&ut->ut_lock);
	/* Who throws away what was found closes sockets, and comes here again. */
	ut->ut_again = true;
	if (ut->ut_collecting) {
		qmutex_unlock(&ut->ut_lock);
		return;
	}
	ut->ut_collecting = true;
	while (ut->ut_again) {
		ut->ut_again = false;
		look(ut, &lost);
		qmutex_unlock(&ut->ut_lock);
		messages_free(&lost);
		qmutex_lock(&ut->ut_lock);
	}
	ut->ut_collecting = false;
	qmutex_unlock(&ut->ut_lock);
}
