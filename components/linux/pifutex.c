/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks that are futexes (FUTEX_LOCK_PI and what belongs to it): the word has the
 * number of the thread that owns the lock, which the kernel hands over.  The
 * owner does not inherit its waiters' priority: all are of one class here.
 *
 * Such locks are few, and the kernel sees them only when they are waited for, so
 * all of this is under one mutex, pi_lock, also across accesses to the word.
 *
 * L1  A waiter on pi_waiters waits for the lock of its key, whose word has
 *     FUTEX_WAITERS set and w_owner, unless guests write there.
 * L2  Who is woken (w_woken) has been taken off, and the word has its number: it
 *     owns the lock.
 * L3  A thread that ends hands over what others wait for (lpi_exit).
 */
#include "impl.h"

#include <quern/abi/futex.h>

static const struct qtag tag_pi = { "futex locks" };

struct lpi {
	struct qmutex pi_lock;
	struct qlist
	    pi_waiters; /* [pi_lock] by w_link, in the order of coming */
};

struct waiter {
	struct qlist w_link;  /* [pi_lock] */
	struct qvm_key w_key; /* [I] */
	struct qvmmap *w_map; /* [I] where the word is, ... */
	uint64_t w_addr;      /* [I] ... at that address */
	uint32_t w_tid;       /* [I] */
	uint32_t w_owner;     /* [pi_lock] */
	bool w_woken;         /* [w_wq] */
	struct qwaitq w_wq;
};

int
lpi_init(struct lsys *l)
{
	l->l_pi = qzalloc(&tag_pi, sizeof(*l->l_pi));
	if (l->l_pi == NULL)
		return -Q_ENOMEM;
	qmutex_init(&l->l_pi->pi_lock, "futex locks");
	qlist_init(&l->l_pi->pi_waiters);
	return 0;
}

void
lpi_fini(struct lsys *l)
{
	qfree(l->l_pi);
}

/* The first that waits so, after `from` (NULL: of all), or NULL.  [pi_lock] */
static struct waiter *
next_waiter(const struct lpi *pi, const struct waiter *from,
    const struct qvm_key *key)
{
	const struct qlist *e = from != NULL ? &from->w_link : &pi->pi_waiters;
	struct waiter *w;

	for (e = e->l_next; e != &pi->pi_waiters; e = e->l_next) {
		w = QLIST_ELEM(e, struct waiter, w_link);
		if (w->w_key.k_obj == key->k_obj &&
		    w->w_key.k_off == key->k_off)
			return w;
	}
	return NULL;
}

/*
 * The lock goes from thread `tid` to whoever has waited longest, or is free.
 * `died`: its owner has.  -EPERM: it is not that thread's.  [pi_lock]
 */
static int
hand_over(struct lpi *pi, struct qvmmap *m, uint64_t addr,
    const struct qvm_key *key, uint32_t tid, bool died)
{
	struct waiter *w = next_waiter(pi, NULL, key), *other;
	uint32_t value, set;
	int error;

	do {
		error = qvm_load32(m, addr, &value);
		if (error != 0)
			return error;
		/* The list of robust locks may have told already. */
		if ((value & Q_FUTEX_TID_MASK) != tid &&
		    !(died && (value & Q_FUTEX_TID_MASK) == 0))
			return -Q_EPERM;
		set = w != NULL ? w->w_tid : 0;
		if (w != NULL && next_waiter(pi, w, key) != NULL)
			set |= Q_FUTEX_WAITERS;
		if (died)
			set |= Q_FUTEX_OWNER_DIED;
		error = qvm_cas32(m, addr, value, set);
	} while (error == -Q_EAGAIN);
	if (error != 0 || w == NULL)
		return error;
	for (other = w; other != NULL; other = next_waiter(pi, other, key))
		other->w_owner = w->w_tid;
	qlist_del(&w->w_link);
	qspin_lock(&w->w_wq.w_lock);
	w->w_woken = true;
	(void)qwaitq_wake_locked(&w->w_wq);
	qspin_unlock(&w->w_wq.w_lock);
	return 0;
}

/* Is there such a thread, which will come by lpi_exit?  [pi_lock] */
static bool
is_thread(struct lsys *l, uint32_t tid)
{
	const struct lthread *lt;
	bool there;

	qspin_lock(&l->l_lock);
	lt = lthread_find(l, tid);
	there = lt != NULL && !lt->lt_pidone;
	qspin_unlock(&l->l_lock);
	return there;
}

/*
 * Take the lock, or (`w` not NULL) begin to wait for its owner.  1: it waits.
 * -EDEADLK, -ESRCH (its owner is no more), -EAGAIN (it has one).  [pi_lock]
 */
static int
take_or_queue(const struct qsys *s, const struct qvm_key *key, struct waiter *w)
{
	struct lthread *lt = lthread_current();
	struct lpi *pi = lt->lt_l->l_pi;
	struct qvmmap *m = qvm_of(s->s_proc);
	uint32_t value, owner, set;
	int error;

	do {
		error = qvm_load32(m, s->s_arg[0], &value);
		if (error != 0)
			return error;
		owner = value & Q_FUTEX_TID_MASK;
		if (owner == lt->lt_tid)
			return -Q_EDEADLK;
		if (owner == 0) {
			set = lt->lt_tid | (value & Q_FUTEX_OWNER_DIED);
			if (next_waiter(pi, NULL, key) != NULL)
				set |= Q_FUTEX_WAITERS;
		} else if (!is_thread(lt->lt_l, owner)) {
			return -Q_ESRCH;
		} else if (w == NULL) {
			return -Q_EAGAIN;
		} else {
			set = value | Q_FUTEX_WAITERS;
		}
		error = qvm_cas32(m, s->s_arg[0], value, set);
	} while (error == -Q_EAGAIN);
	if (error != 0 || owner == 0)
		return error;
	w->w_owner = owner;
	qlist_append(&pi->pi_waiters, &w->w_link);
	return 1;
}

static int
await_lock(struct lpi *pi, struct waiter *w, uint64_t deadline)
{
	int error = 0;
	bool woken;

	qspin_lock(&w->w_wq.w_lock);
	while (error == 0 && !w->w_woken) {
		error = qwaitq_sleep(&w->w_wq, &w->w_wq.w_lock, QSLEEP_INTR,
		    deadline);
		qspin_lock(&w->w_wq.w_lock);
	}
	qspin_unlock(&w->w_wq.w_lock);
	/* It may be handed over just now. */
	qmutex_lock(&pi->pi_lock);
	woken = w->w_woken;
	if (!woken)
		qlist_del(&w->w_link);
	qmutex_unlock(&pi->pi_lock);
	return woken ? 0 : error;
}

int
lpi_lock(const struct qsys *s, bool shared, bool try, uint64_t deadline)
{
	struct lthread *lt = lthread_current();
	struct lpi *pi = lt->lt_l->l_pi;
	struct waiter w = { .w_map = qvm_of(s->s_proc),
		.w_addr = s->s_arg[0],
		.w_tid = lt->lt_tid };
	int error;

	error = lfutex_key(s->s_proc, s->s_arg[0], shared, &w.w_key);
	if (error != 0)
		return error;
	qwaitq_init(&w.w_wq);
	qmutex_lock(&pi->pi_lock);
	error = take_or_queue(s, &w.w_key, try ? NULL : &w);
	qmutex_unlock(&pi->pi_lock);
	return error == 1 ? await_lock(pi, &w, deadline) : error;
}

int
lpi_unlock(const struct qsys *s, bool shared)
{
	struct lthread *lt = lthread_current();
	struct lpi *pi = lt->lt_l->l_pi;
	struct qvm_key key;
	int error;

	error = lfutex_key(s->s_proc, s->s_arg[0], shared, &key);
	if (error != 0)
		return error;
	qmutex_lock(&pi->pi_lock);
	error = hand_over(pi, qvm_of(s->s_proc), s->s_arg[0], &key, lt->lt_tid,
	    false);
	qmutex_unlock(&pi->pi_lock);
	return error;
}

void
lpi_exit(struct lthread *lt)
{
	struct lpi *pi = lt->lt_l->l_pi;
	struct waiter *w;
	struct qlist *e;

	qmutex_lock(&pi->pi_lock);
	lt->lt_pidone = true;
	e = pi->pi_waiters.l_next;
	while (e != &pi->pi_waiters) {
		w = QLIST_ELEM(e, struct waiter, w_link);
		e = e->l_next;
		if (w->w_owner != lt->lt_tid)
			continue;
		/* Whoever else waits for that one has another owner then. */
		if (hand_over(pi, w->w_map, w->w_addr, &w->w_key, lt->lt_tid,
			true) != 0)
			w->w_owner = 0;
		else
			e = pi->pi_waiters.l_next;
	}
	qmutex_unlock(&pi->pi_lock);
}
