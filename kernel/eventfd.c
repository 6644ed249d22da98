/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * eventfd: a counter that can be waited for.
 *
 * Readers wait for it to be other than 0, writers for it to stay below its
 * greatest value; they share a queue, all of which is woken by a change.
 */
#include "callimpl.h"

#include <quern/abi/eventfd.h>

struct eventfd {
	struct qwaitq e_wq; /* its lock is the counter's, [w] */
	uint64_t e_count;   /* [w] never UINT64_MAX */
	uint32_t e_nwait;   /* [w] */
	bool e_semaphore;   /* [I] */
	struct qpollq e_pollq;
};

static const struct qtag tag_eventfd = { "eventfd" };

/* Sleep until it has changed.  Gives the lock back; takes it again. */
static int
wait_change(struct eventfd *e)
{
	int error;

	e->e_nwait++;
	error = qwaitq_sleep(&e->e_wq, &e->e_wq.w_lock, QSLEEP_INTR,
	    QUERN_NEVER);
	qspin_lock(&e->e_wq.w_lock);
	e->e_nwait--;
	return error;
}

/* It has changed: give the lock back and tell everyone. */
static void
changed(struct eventfd *e, uint32_t events)
{
	bool wake = e->e_nwait != 0;

	qspin_unlock(&e->e_wq.w_lock);
	if (wake)
		(void)qwaitq_wake_all(&e->e_wq);
	qpollq_wake(&e->e_pollq, events);
}

static int64_t
eventfd_read(struct qfile *f, struct quio *u)
{
	struct eventfd *e = f->f_obj;
	uint64_t n;
	int error = 0;

	if (u->u_resid < sizeof(n))
		return -Q_EINVAL;
	qspin_lock(&e->e_wq.w_lock);
	while (e->e_count == 0 && error == 0)
		error = qfile_nowait(f, u) ? -Q_EAGAIN : wait_change(e);
	if (error != 0) {
		qspin_unlock(&e->e_wq.w_lock);
		return error;
	}
	n = e->e_semaphore ? 1 : e->e_count;
	e->e_count -= n;
	changed(e, Q_POLLOUT);
	error = quio_out(u, &n, sizeof(n));
	return error != 0 ? error : (int64_t)sizeof(n);
}

static int64_t
eventfd_write(struct qfile *f, struct quio *u)
{
	struct eventfd *e = f->f_obj;
	uint64_t n;
	int error;

	if (u->u_resid < sizeof(n))
		return -Q_EINVAL;
	error = quio_in(u, &n, sizeof(n));
	if (error != 0)
		return error;
	if (n == UINT64_MAX)
		return -Q_EINVAL;
	qspin_lock(&e->e_wq.w_lock);
	while (n >= UINT64_MAX - e->e_count && error == 0)
		error = qfile_nowait(f, u) ? -Q_EAGAIN : wait_change(e);
	if (error != 0) {
		qspin_unlock(&e->e_wq.w_lock);
		return error;
	}
	e->e_count += n;
	changed(e, Q_POLLIN);
	return sizeof(n);
}

static uint32_t
eventfd_poll(struct qfile *f, struct qpollent *ent)
{
	struct eventfd *e = f->f_obj;
	uint32_t ready = 0;

	qpollq_add(&e->e_pollq, ent, Q_POLLIN | Q_POLLOUT);
	qspin_lock(&e->e_wq.w_lock);
	if (e->e_count != 0)
		ready |= Q_POLLIN;
	if (e->e_count < UINT64_MAX - 1)
		ready |= Q_POLLOUT;
	qspin_unlock(&e->e_wq.w_lock);
	return ready;
}

static void
eventfd_release(struct qfile *f)
{
	qfree(f->f_obj);
}

static const struct qfile_ops eventfd_ops = {
	.fo_name = "eventfd",
	.fo_read = eventfd_read,
	.fo_write = eventfd_write,
	.fo_poll = eventfd_poll,
	.fo_seek = qfile_seek_nowhere,
	.fo_release = eventfd_release,
};

static int64_t
do_eventfd(struct qsys *s, uint32_t count, uint32_t flags)
{
	struct eventfd *e;
	struct qfile *f;
	int error;

	e = qzalloc(&tag_eventfd, sizeof(*e));
	if (e == NULL)
		return -Q_ENOMEM;
	qwaitq_init(&e->e_wq);
	qpollq_init(&e->e_pollq);
	e->e_count = count;
	e->e_semaphore = (flags & Q_EFD_SEMAPHORE) != 0;
	error = qfile_create(s->s_proc->p_k, &eventfd_ops, e,
	    Q_O_RDWR | (flags & Q_EFD_NONBLOCK), QF_NOWAIT, &f);
	if (error != 0) {
		qfree(e);
		return error;
	}
	return qfd_install(s->s_proc, f, flags & Q_EFD_CLOEXEC);
}

QSYS(eventfd)
{
	return do_eventfd(s, qsys_uint(s, 0), 0);
}

QSYS(eventfd2)
{
	uint32_t flags = qsys_uint(s, 1);

	if ((flags & ~(Q_EFD_SEMAPHORE | Q_EFD_NONBLOCK | Q_EFD_CLOEXEC)) != 0)
		return -Q_EINVAL;
	return do_eventfd(s, qsys_uint(s, 0), flags);
}
