/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting for files: queues of pollers, and the calls poll and select.
 *
 * Both calls look at every file once, hanging an entry on its queue as they go
 * until they find one that is ready; if there is none they sleep, and look
 * again at all when one of the entries was told of an event it wants.  The
 * files are held by references meanwhile, so a descriptor that is closed under
 * a poll is one that it still waits for.
 */
#include "callimpl.h"

#include <quern/abi/signal.h>

/* Up to that many files need no memory. */
#define FAST 8u

static const struct qtag tag_poll = { "poll" };

/* ---- queues --------------------------------------------------------------- */

void
qpollq_add(struct qpollq *q, struct qpollent *e, uint32_t can)
{
	if (e == NULL)
		return;
	qassert(e->pe_q == NULL);
	qspin_lock(&q->pq_lock);
	e->pe_q = q;
	e->pe_can = can;
	if (e->pe_exclusive)
		qlist_append(&q->pq_list, &e->pe_link);
	else
		qlist_prepend(&q->pq_list, &e->pe_link);
	__atomic_store_n(&q->pq_n, q->pq_n + 1, __ATOMIC_RELAXED);
	qspin_unlock(&q->pq_lock);
}

void
qpollent_del(struct qpollent *e)
{
	struct qpollq *q = e->pe_q;

	if (q == NULL)
		return;
	qspin_lock(&q->pq_lock);
	qlist_del(&e->pe_link);
	__atomic_store_n(&q->pq_n, q->pq_n - 1, __ATOMIC_RELAXED);
	qspin_unlock(&q->pq_lock);
	e->pe_q = NULL;
}

void
qpollq_wake_slow(struct qpollq *q, uint32_t events)
{
	struct qpollent *e;
	struct qlist *l;

	qspin_lock(&q->pq_lock);
	QLIST_FOREACH(l, &q->pq_list) {
		e = QLIST_ELEM(l, struct qpollent, pe_link);
		if (events != 0 && (events & e->pe_can) == 0)
			continue;
		if (e->pe_fn(e, events) && e->pe_exclusive)
			break;
	}
	qspin_unlock(&q->pq_lock);
}

/* ---- sleeping for several -------------------------------------------------- */

/* A thread in poll or select. */
struct waiter {
	struct qwaitq w_wq;
	uint32_t w_fired; /* [a] */
};

/* One file it waits for. */
struct watch {
	struct qpollent wt_ent;
	struct waiter *wt_waiter;
	struct qfile *wt_file; /* NULL: none, or not held */
	uint32_t wt_events;    /* wanted; [I] while hung on a queue */
};

static bool
watch_event(struct qpollent *e, uint32_t events)
{
	struct watch *wt = QCONTAINER(e, struct watch, wt_ent);
	struct waiter *w = wt->wt_waiter;

	if (events != 0 && (events & wt->wt_events) == 0)
		return false;
	/* First told, then woken: the sleeper looks under the queue's lock. */
	__atomic_store_n(&w->w_fired, 1, __ATOMIC_RELEASE);
	(void)qwaitq_wake_all(&w->w_wq);
	return true;
}

static void
watch_init(struct watch *wt, struct waiter *w, struct qfile *f, uint32_t events)
{
	qpollent_init(&wt->wt_ent, watch_event);
	wt->wt_waiter = w;
	wt->wt_file = f;
	wt->wt_events = events | Q_POLLERR | Q_POLLHUP;
}

static void
watch_fini(struct watch *wt)
{
	if (wt->wt_file == NULL)
		return;
	qpollent_del(&wt->wt_ent);
	qfile_put(wt->wt_file);
}

/* Sleep until an event, the deadline or an interrupt. */
static int
waiter_sleep(struct waiter *w, uint64_t deadline)
{
	int error = 0;

	qspin_lock(&w->w_wq.w_lock);
	if (__atomic_load_n(&w->w_fired, __ATOMIC_ACQUIRE) == 0)
		error = qwaitq_sleep(&w->w_wq, &w->w_wq.w_lock, QSLEEP_INTR,
		    deadline);
	else
		qspin_unlock(&w->w_wq.w_lock);
	/* Before the files are looked at, so that nothing is missed. */
	__atomic_store_n(&w->w_fired, 0, __ATOMIC_SEQ_CST);
	return error;
}

/*
 * Look, and sleep, until `look` finds something or there is no time left.
 * `deadline` 0: only look.
 */
static int64_t
look_and_sleep(struct waiter *w, uint64_t deadline,
    int (*look)(void *arg, bool hang), void *arg)
{
	int n, error = deadline == 0 ? -Q_ETIMEDOUT : 0;
	bool hang = deadline != 0;

	for (;;) {
		n = look(arg, hang);
		if (n != 0 || error == -Q_ETIMEDOUT)
			return n;
		if (error != 0)
			return error;
		hang = false;
		error = waiter_sleep(w, deadline);
	}
}

int
sigmask_in(const struct qsys *s, unsigned i, unsigned size_i)
{
	struct quern_proc *p = s->s_proc;
	uint64_t mask;
	int error;

	if (s->s_arg[i] == 0)
		return 0;
	if (s->s_arg[size_i] != sizeof(struct q_sigset))
		return -Q_EINVAL;
	error = qsys_in(s, i, &mask, sizeof(mask));
	if (error != 0)
		return error;
	if (p->p_ops != NULL && p->p_ops->po_sigmask != NULL)
		p->p_ops->po_sigmask(p, &mask);
	return 0;
}

/* A timeout of a call, which stores what is left of it on the way out. */
struct timeout {
	uint64_t to_deadline; /* 0: only look; QUERN_NEVER */
	bool to_update;       /* there is something to store */
	bool to_usec;         /* it is a struct timeval */
	quaddr_t to_addr;
};

/* Read the timeout that argument `i` points to. */
static int
timeout_in(const struct qsys *s, unsigned i, bool usec, struct timeout *to)
{
	struct q_timespec t;
	uint64_t ns;
	int error;

	*to = (struct timeout){ QUERN_NEVER, false, usec, s->s_arg[i] };
	if (to->to_addr == 0)
		return 0;
	error = qsys_in(s, i, &t, sizeof(t));
	if (error != 0)
		return error;
	if (usec) { /* more than a second of them is fine, as in Linux */
		t.tv_sec = (int64_t)((uint64_t)t.tv_sec +
		    (uint64_t)(t.tv_nsec / 1000000));
		t.tv_nsec = t.tv_nsec % 1000000 * 1000;
	}
	if (!qtimespec_ns(&t, &ns))
		return -Q_EINVAL;
	to->to_deadline = ns == 0 ? 0 : qdeadline_in(s->s_proc->p_k, ns);
	to->to_update = ns != 0;
	return 0;
}

/* Store what is left.  That it can't be stored is no error, as in Linux. */
static void
timeout_out(const struct qsys *s, const struct timeout *to)
{
	uint64_t now, ns;
	struct q_timespec t;

	if (!to->to_update)
		return;
	now = qclock_mono(s->s_proc->p_k);
	ns = to->to_deadline > now ? to->to_deadline - now : 0;
	t = qtimespec_of(ns);
	if (to->to_usec)
		t.tv_nsec /= 1000;
	if (qcopyout(s->s_us, to->to_addr, &t, sizeof(t)) != 0)
		return;
}

/* ---- poll ----------------------------------------------------------------- */

struct poll {
	struct qsys *pl_sys;
	struct waiter pl_waiter;
	uint32_t pl_n;
	struct q_pollfd *pl_fds;
	struct watch *pl_watch;
};

/* One element: look its file up, hang on its queue if wanted, look at it. */
static uint32_t
poll_one(struct poll *pl, struct q_pollfd *pf, struct watch *wt, bool hang)
{
	uint32_t wanted = (uint16_t)pf->events | Q_POLLERR | Q_POLLHUP;
	struct qfile *f;
	uint32_t ready;

	if (pf->fd < 0)
		return 0;
	if (wt->wt_file != NULL) /* hung there by an earlier look */
		return qfile_poll(wt->wt_file, NULL) & wanted;
	f = qfd_get(pl->pl_sys->s_proc, pf->fd);
	if (f == NULL)
		return Q_POLLNVAL;
	if (hang) {
		watch_init(wt, &pl->pl_waiter, f, wanted);
		return qfile_poll(f, &wt->wt_ent) & wanted;
	}
	ready = qfile_poll(f, NULL) & wanted;
	qfile_put(f);
	return ready;
}

static int
poll_look(void *arg, bool hang)
{
	struct poll *pl = arg;
	uint32_t i, ready;
	int n = 0;

	for (i = 0; i < pl->pl_n; i++) {
		ready = poll_one(pl, &pl->pl_fds[i], &pl->pl_watch[i], hang);
		pl->pl_fds[i].revents = (int16_t)ready;
		if (ready != 0) {
			n++;
			hang = false;
		}
	}
	return n;
}

static int64_t
poll_run(struct poll *pl, quaddr_t fds, uint64_t deadline)
{
	size_t len = pl->pl_n * sizeof(struct q_pollfd);
	struct qsys *s = pl->pl_sys;
	uint32_t i;
	int64_t ret;

	ret = qcopyin(s->s_us, pl->pl_fds, fds, len);
	if (ret != 0)
		return ret;
	qwaitq_init(&pl->pl_waiter.w_wq);
	pl->pl_waiter.w_fired = 0;
	for (i = 0; i < pl->pl_n; i++)
		pl->pl_watch[i].wt_file = NULL;
	ret = look_and_sleep(&pl->pl_waiter, deadline, poll_look, pl);
	for (i = 0; i < pl->pl_n; i++)
		watch_fini(&pl->pl_watch[i]);
	if (ret >= 0 && qcopyout(s->s_us, fds, pl->pl_fds, len) != 0)
		return -Q_EFAULT;
	return ret;
}

static int64_t
do_poll(struct qsys *s, uint64_t deadline)
{
	struct q_pollfd fds[FAST];
	struct watch watch[FAST];
	struct poll pl = { .pl_sys = s, .pl_n = qsys_uint(s, 1) };
	void *mem = NULL;
	int64_t ret;

	if (pl.pl_n > __atomic_load_n(&s->s_proc->p_nofile, __ATOMIC_RELAXED))
		return -Q_EINVAL;
	pl.pl_fds = fds;
	pl.pl_watch = watch;
	if (pl.pl_n > FAST) {
		mem = qalloc(&tag_poll,
		    pl.pl_n * (sizeof(*watch) + sizeof(*fds)));
		if (mem == NULL)
			return -Q_ENOMEM;
		pl.pl_watch = mem;
		pl.pl_fds = (void *)(pl.pl_watch + pl.pl_n);
	}
	ret = poll_run(&pl, s->s_arg[0], deadline);
	qfree(mem);
	return ret;
}

QSYS(poll)
{
	int ms = qsys_int(s, 2);

	if (ms == 0)
		return do_poll(s, 0);
	return do_poll(s,
	    ms < 0 ?
		QUERN_NEVER :
		qdeadline_in(s->s_proc->p_k, (uint64_t)ms * UINT64_C(1000000)));
}

QSYS(ppoll)
{
	struct timeout to;
	int64_t ret;

	ret = timeout_in(s, 2, false, &to);
	if (ret == 0)
		ret = sigmask_in(s, 3, 4);
	if (ret != 0)
		return ret;
	ret = do_poll(s, to.to_deadline);
	timeout_out(s, &to);
	return ret;
}

/* ---- select --------------------------------------------------------------- */

/* What each of the three sets asks for. */
static const uint32_t set_events[3] = {
	Q_POLLRDNORM | Q_POLLRDBAND | Q_POLLIN | Q_POLLHUP | Q_POLLERR,
	Q_POLLWRBAND | Q_POLLWRNORM | Q_POLLOUT | Q_POLLERR,
	Q_POLLPRI,
};

struct select {
	struct qsys *sl_sys;
	struct waiter sl_waiter;
	uint32_t sl_n, sl_words;
	uint64_t *sl_in[3], *sl_out[3];
	uint32_t sl_nwatch;
	struct watch *sl_watch; /* one for each descriptor in a set */
};

/* One descriptor that is in a set.  How many sets have it ready, or -EBADF. */
static int
select_one(struct select *sl, uint32_t fd, struct watch *wt, bool *hang)
{
	uint64_t bit = UINT64_C(1) << fd % 64;
	uint32_t wanted = 0, ready, i;
	int n = 0;

	for (i = 0; i < 3; i++)
		if ((sl->sl_in[i][fd / 64] & bit) != 0)
			wanted |= set_events[i];
	if (wt->wt_file == NULL) {
		wt->wt_file = qfd_get(sl->sl_sys->s_proc, (int)fd);
		if (wt->wt_file == NULL)
			return -Q_EBADF;
		watch_init(wt, &sl->sl_waiter, wt->wt_file, wanted);
		ready = qfile_poll(wt->wt_file, *hang ? &wt->wt_ent : NULL);
	} else {
		ready = qfile_poll(wt->wt_file, NULL);
	}
	for (i = 0; i < 3; i++)
		if ((sl->sl_in[i][fd / 64] & bit) != 0 &&
		    (ready & set_events[i]) != 0) {
			sl->sl_out[i][fd / 64] |= bit;
			n++;
		}
	if (n != 0)
		*hang = false;
	return n;
}

static int
select_look(void *arg, bool hang)
{
	struct select *sl = arg;
	uint32_t w, fd, k = 0;
	uint64_t any;
	int n = 0, r;

	for (w = 0; w < 3; w++)
		memset(sl->sl_out[w], 0, sl->sl_words * sizeof(uint64_t));
	for (w = 0; w < sl->sl_words; w++) {
		any = sl->sl_in[0][w] | sl->sl_in[1][w] | sl->sl_in[2][w];
		for (; any != 0; any &= any - 1) {
			fd = w * 64 + (uint32_t)__builtin_ctzll(any);
			r = select_one(sl, fd, &sl->sl_watch[k++], &hang);
			if (r < 0)
				return r;
			n += r;
		}
	}
	return n;
}

/* Copy the sets in, without what is at or above sl_n. */
static int
sets_in(struct select *sl, const quaddr_t *sets)
{
	const struct quspace *us = sl->sl_sys->s_us;
	uint32_t i, w;
	int error;

	for (i = 0; i < 3; i++) {
		memset(sl->sl_in[i], 0, sl->sl_words * sizeof(uint64_t));
		if (sets[i] == 0)
			continue;
		error = qcopyin(us, sl->sl_in[i], sets[i],
		    sl->sl_words * sizeof(uint64_t));
		if (error != 0)
			return error;
		if (sl->sl_n % 64 != 0)
			sl->sl_in[i][sl->sl_words - 1] &=
			    (UINT64_C(1) << sl->sl_n % 64) - 1;
	}
	for (w = 0; w < sl->sl_words; w++)
		sl->sl_nwatch += (uint32_t)__builtin_popcountll(
		    sl->sl_in[0][w] | sl->sl_in[1][w] | sl->sl_in[2][w]);
	return 0;
}

static int
sets_out(struct select *sl, const quaddr_t *sets)
{
	uint32_t i;
	int error;

	for (i = 0; i < 3; i++) {
		if (sets[i] == 0)
			continue;
		error = qcopyout(sl->sl_sys->s_us, sets[i], sl->sl_out[i],
		    sl->sl_words * sizeof(uint64_t));
		if (error != 0)
			return error;
	}
	return 0;
}

/* With the sets copied in. */
static int64_t
select_run(struct select *sl, uint64_t deadline)
{
	struct watch fast[FAST];
	void *mem = NULL;
	int64_t ret;
	uint32_t i;

	sl->sl_watch = fast;
	if (sl->sl_nwatch > FAST) {
		mem = qalloc(&tag_poll, sl->sl_nwatch * sizeof(struct watch));
		if (mem == NULL)
			return -Q_ENOMEM;
		sl->sl_watch = mem;
	}
	for (i = 0; i < sl->sl_nwatch; i++)
		sl->sl_watch[i].wt_file = NULL;
	qwaitq_init(&sl->sl_waiter.w_wq);
	sl->sl_waiter.w_fired = 0;
	ret = look_and_sleep(&sl->sl_waiter, deadline, select_look, sl);
	for (i = 0; i < sl->sl_nwatch; i++)
		watch_fini(&sl->sl_watch[i]);
	qfree(mem);
	return ret;
}

static int64_t
do_select(struct qsys *s, uint64_t deadline)
{
	uint64_t fast[6 * FAST];
	struct select sl = { .sl_sys = s };
	uint64_t *bits = fast;
	void *mem = NULL;
	int64_t ret;
	uint32_t i, size;

	if (qsys_int(s, 0) < 0)
		return -Q_EINVAL;
	/* Linux has no more descriptors than its table has room for. */
	size = fd_size(s->s_proc);
	sl.sl_n = qsys_uint(s, 0) < size ? qsys_uint(s, 0) : size;
	sl.sl_words = (sl.sl_n + 63) / 64;
	if (sl.sl_words > FAST) {
		mem = bits = qalloc(&tag_poll,
		    6 * sl.sl_words * sizeof(uint64_t));
		if (mem == NULL)
			return -Q_ENOMEM;
	}
	for (i = 0; i < 3; i++) {
		sl.sl_in[i] = bits + i * sl.sl_words;
		sl.sl_out[i] = bits + (i + 3) * sl.sl_words;
	}
	ret = sets_in(&sl, s->s_arg + 1);
	if (ret == 0)
		ret = select_run(&sl, deadline);
	if (ret >= 0 && sets_out(&sl, s->s_arg + 1) != 0)
		ret = -Q_EFAULT;
	qfree(mem);
	return ret;
}

QSYS(select)
{
	struct timeout to;
	int64_t ret;

	ret = timeout_in(s, 4, true, &to);
	if (ret != 0)
		return ret;
	ret = do_select(s, to.to_deadline);
	timeout_out(s, &to);
	return ret;
}

QSYS(pselect6)
{
	struct q_pselect_sigset sig = { NULL, 0 };
	uint64_t args[2];
	struct qsys inner = *s;
	struct timeout to;
	int64_t ret = 0;

	if (s->s_arg[5] != 0)
		ret = qsys_in(s, 5, &sig, sizeof(sig));
	if (ret == 0)
		ret = timeout_in(s, 4, false, &to);
	if (ret != 0)
		return ret;
	args[0] = (uintptr_t)sig.ss;
	args[1] = sig.ss_len;
	inner.s_arg = args;
	ret = sigmask_in(&inner, 0, 1);
	if (ret != 0)
		return ret;
	ret = do_select(s, to.to_deadline);
	timeout_out(s, &to);
	return ret;
}
