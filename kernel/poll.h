/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting for files to become ready.
 *
 * An object that can be polled (a pipe, a socket, ...) has one queue, struct
 * qpollq, on which those wait who poll it: poll and select while they sleep,
 * an epoll set for as long as it holds the file.  The two sides:
 *
 *	poller	qpollq_add, then looks at the state under the object's lock
 *	object	changes the state under its lock, then qpollq_wake
 *
 * so that either the poller sees the state or the object sees the poller.  The
 * object's function fo_poll does both of the poller's steps.
 *
 * Lock order: the object's lock, qpollq, the poller's.  A queue's functions run
 * under its lock: they do not sleep.
 */
#ifndef QUERN_POLL_H
#define QUERN_POLL_H

#include <quern/abi/poll.h>
#include <quern/list.h>
#include <quern/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct qfile;

/* Those who wait for one object. */
struct qpollq {
	uint32_t pq_n; /* [a] on pq_list */
	struct qspin pq_lock;
	struct qlist pq_list; /* exclusive ones last */
};

/* What a poller hangs on a queue.  [I] while it is there but for pe_link. */
struct qpollent {
	struct qlist pe_link;
	struct qpollq *pe_q; /* NULL: on none */
	uint32_t pe_can;     /* what its file can be ready for */
	bool pe_exclusive; /* wake no other exclusive one if this one took it */
	/*
	 * Something happened: Q_POLL* in `events`, 0 if it isn't known what.
	 * True: a thread will look after it.
	 */
	bool (*pe_fn)(struct qpollent *, uint32_t events);
};

/* Initialise to nobody waiting. */
static inline void
qpollq_init(struct qpollq *q)
{
	q->pq_n = 0;
	qspin_init(&q->pq_lock);
	qlist_init(&q->pq_list);
}

/* Initialise to being on no queue. */
static inline void
qpollent_init(struct qpollent *e, bool (*fn)(struct qpollent *, uint32_t))
{
	qlist_init(&e->pe_link);
	e->pe_q = NULL;
	e->pe_can = 0;
	e->pe_exclusive = false;
	e->pe_fn = fn;
}

/*
 * Hang `e`, which is on no queue, on `q`; nothing if it is NULL, for a look
 * without waiting.  `can` is what the file can ever be ready for: other events
 * of the object, of the other end of a pipe say, are none for it.  fo_poll
 * calls it once, before it looks at the state.
 */
void qpollq_add(struct qpollq *q, struct qpollent *e, uint32_t can);

/* Take `e` off its queue, if it is on one; its function no longer runs. */
void qpollent_del(struct qpollent *e);

/* qpollq_wake_slow is the half of qpollq_wake that is not inline. */
void qpollq_wake_slow(struct qpollq *q, uint32_t events);

/*
 * Tell those who wait that `events` have happened.  After the state has been
 * changed under the object's lock, which may still be held if it's a mutex, or
 * a spin lock that ranks before.
 */
static inline void
qpollq_wake(struct qpollq *q, uint32_t events)
{
	if (qunlikely(__atomic_load_n(&q->pq_n, __ATOMIC_RELAXED) != 0))
		qpollq_wake_slow(q, events);
}

/* ---- for epoll.c and file.c ---------------------------------------------- */

/* The last reference to `f` is gone: take it out of every epoll set. */
void qepoll_forget(struct qfile *f);

#ifdef __cplusplus
}
#endif

#endif /* QUERN_POLL_H */
