/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Futexes: sleeping on a word of guest memory.
 *
 * A waiter is on the list of its word's bucket before the word is read, so
 * whoever changes the word and then wakes finds it there: no lock is held across
 * the reading, which may sleep.
 *
 * Words are known by their address space and address, or, where memory is
 * shared, by what is mapped there (qvm_key).
 *
 * Lock order: buckets by address, then the waiter's own queue.
 */
#include "impl.h"

#include <quern/abi/futex.h>

#define BUCKETS 256u

/* So much of a robust list is looked at. */
#define ROBUST_MAX 2048u

static const struct qtag tag_futex = { "futexes" };

struct bucket {
	struct qspin b_lock;
	struct qlist b_list;
};

struct lfutexes {
	struct bucket fs_bucket[BUCKETS];
};

struct waiter {
	struct qlist w_link;     /* [b] of w_bucket */
	struct qvm_key w_key;    /* [b] */
	struct bucket *w_bucket; /* [a] changes under both buckets' locks */
	uint32_t w_bits;
	bool w_woken; /* [b] */
	struct qwaitq w_wq;
};

int
lfutex_init(struct lsys *l)
{
	unsigned i;

	l->l_futexes = qzalloc(&tag_futex, sizeof(*l->l_futexes));
	if (l->l_futexes == NULL)
		return -Q_ENOMEM;
	for (i = 0; i < BUCKETS; i++) {
		qspin_init(&l->l_futexes->fs_bucket[i].b_lock);
		qlist_init(&l->l_futexes->fs_bucket[i].b_list);
	}
	return 0;
}

void
lfutex_fini(struct lsys *l)
{
	qfree(l->l_futexes);
}

/* ---- words --------------------------------------------------------------------- */

int
lfutex_key(struct quern_proc *p, uint64_t addr, bool shared,
    struct qvm_key *key)
{
	struct qvmmap *m = qvm_of(p);

	if (addr % sizeof(uint32_t) != 0)
		return -Q_EINVAL;
	if (shared)
		return qvm_key(m, addr, key);
	if (!quaddr_ok(addr, sizeof(uint32_t)))
		return -Q_EFAULT;
	key->k_obj = m;
	key->k_off = addr;
	return 0;
}

static bool
key_same(const struct qvm_key *a, const struct qvm_key *b)
{
	return a->k_obj == b->k_obj && a->k_off == b->k_off;
}

static struct bucket *
bucket_of(struct lsys *l, const struct qvm_key *key)
{
	uint64_t h = ((uintptr_t)key->k_obj >> 4) *
	    UINT64_C(0x9e3779b97f4a7c15);

	h = (h ^ (key->k_off >> 2)) * UINT64_C(0x9e3779b97f4a7c15);
	return &l->l_futexes->fs_bucket[h >> 56];
}

_Static_assert(BUCKETS == 256, "8 bits of the hash");

/* ---- waking ----------------------------------------------------------------------- */

/* Take it off and let it go on.  [b]; it may be gone on return. */
static void
wake_one(struct waiter *w)
{
	qlist_del(&w->w_link);
	qspin_lock(&w->w_wq.w_lock);
	w->w_woken = true;
	(void)qwaitq_wake_locked(&w->w_wq);
	qspin_unlock(&w->w_wq.w_lock);
}

static int
wake_key(struct lsys *l, const struct qvm_key *key, uint32_t n, uint32_t bits)
{
	struct bucket *b = bucket_of(l, key);
	struct qlist *e, *next;
	struct waiter *w;
	int woken = 0;

	qspin_lock(&b->b_lock);
	QLIST_FOREACH_SAFE(e, next, &b->b_list) {
		w = QLIST_ELEM(e, struct waiter, w_link);
		if (!key_same(&w->w_key, key) || (w->w_bits & bits) == 0)
			continue;
		if ((uint32_t)woken >= n)
			break;
		wake_one(w);
		woken++;
	}
	qspin_unlock(&b->b_lock);
	return woken;
}

int
lfutex_wake(struct quern_proc *p, uint64_t addr, uint32_t n)
{
	struct lsys *l = lproc_of(p)->lp_l;
	struct qvm_key key;
	int woken = 0;

	/* Whoever waits may have said that it is shared, or that it isn't. */
	if (lfutex_key(p, addr, true, &key) == 0)
		woken = wake_key(l, &key, n, UINT32_MAX);
	if (woken == 0 && lfutex_key(p, addr, false, &key) == 0)
		woken = wake_key(l, &key, n, UINT32_MAX);
	return woken;
}

/* ---- waiting ---------------------------------------------------------------------- */

/* Off the list; true: it had been woken. */
static bool
leave(struct waiter *w)
{
	struct bucket *b;
	bool woken;

	/* A requeue may take it elsewhere meanwhile. */
	for (;;) {
		b = __atomic_load_n(&w->w_bucket, __ATOMIC_ACQUIRE);
		qspin_lock(&b->b_lock);
		if (b == __atomic_load_n(&w->w_bucket, __ATOMIC_ACQUIRE))
			break;
		qspin_unlock(&b->b_lock);
	}
	qlist_del(&w->w_link);
	woken = w->w_woken;
	qspin_unlock(&b->b_lock);
	return woken;
}

static int
await_word(const struct qsys *s, const struct qvm_key *key, uint64_t addr,
    uint32_t value, uint32_t bits, uint64_t deadline)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	struct waiter w = { .w_key = *key, .w_bits = bits };
	uint32_t now;
	int error;

	qwaitq_init(&w.w_wq);
	w.w_bucket = bucket_of(l, key);
	qspin_lock(&w.w_bucket->b_lock);
	qlist_append(&w.w_bucket->b_list, &w.w_link);
	qspin_unlock(&w.w_bucket->b_lock);
	error = qvm_load32(qvm_of(s->s_proc), addr, &now);
	if (error == 0 && now != value)
		error = -Q_EAGAIN;
	while (error == 0) {
		qspin_lock(&w.w_wq.w_lock);
		if (w.w_woken) {
			qspin_unlock(&w.w_wq.w_lock);
			break;
		}
		error = qwaitq_sleep(&w.w_wq, &w.w_wq.w_lock, QSLEEP_INTR,
		    deadline);
	}
	return leave(&w) ? 0 : error;
}

/* ---- requeueing ------------------------------------------------------------------------ */

static void
lock_both(struct bucket *a, struct bucket *b)
{
	qspin_lock(a < b ? &a->b_lock : &b->b_lock);
	if (a != b)
		qspin_lock(a < b ? &b->b_lock : &a->b_lock);
}

static void
unlock_both(struct bucket *a, struct bucket *b)
{
	qspin_unlock(&a->b_lock);
	if (a != b)
		qspin_unlock(&b->b_lock);
}

/* Wake some, have others wait elsewhere; how many of both. */
static int
requeue(struct lsys *l, const struct qvm_key *from, const struct qvm_key *to,
    uint32_t nwake, uint32_t nmove)
{
	struct bucket *a = bucket_of(l, from), *b = bucket_of(l, to);
	struct qlist *e, *next, moved;
	struct waiter *w;
	uint32_t n = 0, m = 0;

	qlist_init(&moved);
	lock_both(a, b);
	QLIST_FOREACH_SAFE(e, next, &a->b_list) {
		w = QLIST_ELEM(e, struct waiter, w_link);
		if (!key_same(&w->w_key, from))
			continue;
		if (n < nwake) {
			wake_one(w);
			n++;
		} else if (m < nmove) {
			qlist_del(&w->w_link);
			qlist_append(&moved, &w->w_link);
			m++;
		}
	}
	while (!qlist_empty(&moved)) {
		w = QLIST_ELEM(moved.l_next, struct waiter, w_link);
		qlist_del(&w->w_link);
		w->w_key = *to;
		qlist_append(&b->b_list, &w->w_link);
		__atomic_store_n(&w->w_bucket, b, __ATOMIC_RELEASE);
	}
	unlock_both(a, b);
	return (int)(n + m);
}

/* ---- FUTEX_WAKE_OP ---------------------------------------------------------------------- */

static int32_t
sign12(uint32_t v)
{
	return (int32_t)(v << 20) >> 20;
}

/* Change the second word as `op` says; whether what it was is so. */
static int
word_op(const struct qsys *s, uint64_t addr, uint32_t op)
{
	uint32_t what = op >> 28 & 7, arg = (uint32_t)sign12(op >> 12 & 0xfff);
	int32_t old, cmp = sign12(op & 0xfff);
	uint32_t value, set;
	int error;

	if ((op >> 28 & Q_FUTEX_OP_OPARG_SHIFT) != 0)
		arg = UINT32_C(1) << (arg & 31);
	do {
		error = qvm_load32(qvm_of(s->s_proc), addr, &value);
		if (error != 0)
			return error;
		switch (what) {
		case Q_FUTEX_OP_SET:
			set = arg;
			break;
		case Q_FUTEX_OP_ADD:
			set = value + arg;
			break;
		case Q_FUTEX_OP_OR:
			set = value | arg;
			break;
		case Q_FUTEX_OP_ANDN:
			set = value & ~arg;
			break;
		case Q_FUTEX_OP_XOR:
			set = value ^ arg;
			break;
		default:
			return -Q_ENOSYS;
		}
		error = qvm_cas32(qvm_of(s->s_proc), addr, value, set);
	} while (error == -Q_EAGAIN);
	if (error != 0)
		return error;
	old = (int32_t)value;
	switch (op >> 24 & 15) {
	case Q_FUTEX_OP_CMP_EQ:
		return old == cmp;
	case Q_FUTEX_OP_CMP_NE:
		return old != cmp;
	case Q_FUTEX_OP_CMP_LT:
		return old < cmp;
	case Q_FUTEX_OP_CMP_GE:
		return old >= cmp;
	case Q_FUTEX_OP_CMP_LE:
		return old <= cmp;
	case Q_FUTEX_OP_CMP_GT:
		return old > cmp;
	default:
		return -Q_ENOSYS;
	}
}

static int64_t
wake_op(const struct qsys *s, const struct qvm_key *key, bool shared)
{
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	struct qvm_key second;
	int error, n;

	error = lfutex_key(s->s_proc, s->s_arg[4], shared, &second);
	if (error != 0)
		return error;
	error = word_op(s, s->s_arg[4], qsys_uint(s, 5));
	if (error < 0)
		return error;
	n = wake_key(l, key, qsys_uint(s, 2), UINT32_MAX);
	if (error > 0)
		n += wake_key(l, &second, (uint32_t)s->s_arg[3], UINT32_MAX);
	return n;
}

/* ---- the call ------------------------------------------------------------------------------- */

/* When a wait ends: relative to now, or absolute by one of the clocks. */
static int
deadline_of(const struct qsys *s, uint32_t op, uint64_t *deadline)
{
	struct quern *k = s->s_proc->p_k;
	bool absolute =
	    (op & ~(uint32_t)(Q_FUTEX_PRIVATE_FLAG | Q_FUTEX_CLOCK_REALTIME)) !=
	    Q_FUTEX_WAIT;
	struct qthread *t = qthread_current();
	struct q_timespec ts;
	uint64_t ns, now, real;
	int error;

	*deadline = QUERN_NEVER;
	if (s->s_arg[3] == 0)
		return 0;
	error = qsys_in(s, 3, &ts, sizeof(ts));
	if (error != 0)
		return error;
	if (!qtimespec_ns(&ts, &ns))
		return -Q_EINVAL;
	now = qclock_mono(k);
	if (ns >= QNS_MAX - now)
		return 0;
	if (!absolute) {
		t->t_began = t->t_started != 0 ? t->t_started : now;
		*deadline = t->t_began + ns;
	} else if ((op & Q_FUTEX_CLOCK_REALTIME) != 0) {
		real = qclock_real(k);
		*deadline = now + (ns > real ? ns - real : 0);
	} else {
		*deadline = ns;
	}
	return 0;
}

static int64_t
do_requeue(const struct qsys *s, const struct qvm_key *key, bool shared,
    bool compare)
{
	struct qvm_key to;
	uint32_t now;
	int error;

	if (qsys_int(s, 2) < 0 || (int32_t)s->s_arg[3] < 0)
		return -Q_EINVAL;
	error = lfutex_key(s->s_proc, s->s_arg[4], shared, &to);
	if (error == 0 && compare) {
		error = qvm_load32(qvm_of(s->s_proc), s->s_arg[0], &now);
		if (error == 0 && now != qsys_uint(s, 5))
			error = -Q_EAGAIN;
	}
	if (error != 0)
		return error;
	return requeue(lproc_of(s->s_proc)->lp_l, key, &to, qsys_uint(s, 2),
	    (uint32_t)s->s_arg[3]);
}

static int64_t
do_wait(const struct qsys *s, const struct qvm_key *key, uint32_t op,
    uint32_t bits)
{
	uint64_t deadline;
	int error;

	if (bits == 0)
		return -Q_EINVAL;
	error = deadline_of(s, op, &deadline);
	if (error != 0)
		return error;
	return await_word(s, key, s->s_arg[0], qsys_uint(s, 2), bits, deadline);
}

/* A lock that is a futex; when the wait ends is absolute. */
static int64_t
do_lock(const struct qsys *s, uint32_t op, bool shared)
{
	uint64_t deadline;
	int error = deadline_of(s, op, &deadline);

	return error != 0 ? error : lpi_lock(s, shared, false, deadline);
}

QSYS(futex)
{
	uint32_t op = qsys_uint(s, 1);
	uint32_t cmd = op &
	    ~(uint32_t)(Q_FUTEX_PRIVATE_FLAG | Q_FUTEX_CLOCK_REALTIME);
	bool shared = (op & Q_FUTEX_PRIVATE_FLAG) == 0;
	struct lsys *l = lproc_of(s->s_proc)->lp_l;
	struct qvm_key key;
	int error;

	if ((op & Q_FUTEX_CLOCK_REALTIME) != 0 && cmd != Q_FUTEX_WAIT &&
	    cmd != Q_FUTEX_WAIT_BITSET && cmd != Q_FUTEX_LOCK_PI2)
		return -Q_ENOSYS;
	error = lfutex_key(s->s_proc, s->s_arg[0], shared, &key);
	if (error != 0)
		return error;
	switch (cmd) {
	case Q_FUTEX_WAIT:
		return do_wait(s, &key, op, Q_FUTEX_BITSET_MATCH_ANY);
	case Q_FUTEX_WAIT_BITSET:
		return do_wait(s, &key, op, qsys_uint(s, 5));
	case Q_FUTEX_WAKE:
		return wake_key(l, &key, qsys_uint(s, 2), UINT32_MAX);
	case Q_FUTEX_WAKE_BITSET:
		if (qsys_uint(s, 5) == 0)
			return -Q_EINVAL;
		return wake_key(l, &key, qsys_uint(s, 2), qsys_uint(s, 5));
	case Q_FUTEX_REQUEUE:
		return do_requeue(s, &key, shared, false);
	case Q_FUTEX_CMP_REQUEUE:
		return do_requeue(s, &key, shared, true);
	case Q_FUTEX_WAKE_OP:
		return wake_op(s, &key, shared);
	case Q_FUTEX_LOCK_PI:
		return do_lock(s, op | Q_FUTEX_CLOCK_REALTIME, shared);
	case Q_FUTEX_LOCK_PI2:
		return do_lock(s, op, shared);
	case Q_FUTEX_TRYLOCK_PI:
		return lpi_lock(s, shared, true, 0);
	case Q_FUTEX_UNLOCK_PI:
		return lpi_unlock(s, shared);
	default:
		return -Q_ENOSYS;
	}
}

/* ---- robust lists ------------------------------------------------------------------------------ */

/* The owner of the lock at `addr` is gone, if that is this thread. */
static int
owner_died(struct lthread *lt, uint64_t addr, bool pi, bool pending)
{
	struct quern_proc *p = lt->lt_proc->lp_proc;
	struct qvmmap *m = qvm_of(p);
	uint32_t value;
	int error;

	do {
		error = qvm_load32(m, addr, &value);
		if (error != 0)
			return error;
		if (pending && !pi && value == 0) {
			(void)lfutex_wake(p, addr, 1);
			return 0;
		}
		if ((value & Q_FUTEX_TID_MASK) != lt->lt_tid)
			return 0;
		error = qvm_cas32(m, addr, value,
		    (value & Q_FUTEX_WAITERS) | Q_FUTEX_OWNER_DIED);
	} while (error == -Q_EAGAIN);
	/* Who waits for a lock that is a futex is given it by lpi_exit. */
	if (error == 0 && !pi && (value & Q_FUTEX_WAITERS) != 0)
		(void)lfutex_wake(p, addr, 1);
	return error;
}

/* The lowest bit of an address says that the lock is of pifutex.c. */
static void
exit_robust(struct lthread *lt)
{
	const struct quspace *us = qvm_uspace(qvm_of(lt->lt_proc->lp_proc));
	struct q_robust_list_head head;
	uint64_t at, next, pending;
	unsigned n;

	if (lt->lt_robust == 0 ||
	    qcopyin(us, &head, lt->lt_robust, sizeof(head)) != 0)
		return;
	pending = head.list_op_pending;
	at = head.list_next;
	for (n = 0; n < ROBUST_MAX && (at & ~UINT64_C(1)) != lt->lt_robust;
	     n++) {
		if (qcopyin(us, &next, at & ~UINT64_C(1), sizeof(next)) != 0)
			break;
		if ((at & ~UINT64_C(1)) != (pending & ~UINT64_C(1)) &&
		    owner_died(lt,
			(at & ~UINT64_C(1)) + (uint64_t)head.futex_offset,
			(at & 1) != 0, false) != 0)
			break;
		at = next;
	}
	if (pending != 0)
		(void)owner_died(lt,
		    (pending & ~UINT64_C(1)) + (uint64_t)head.futex_offset,
		    (pending & 1) != 0, true);
	lt->lt_robust = 0;
}

void
lfutex_exit(struct lthread *lt)
{
	exit_robust(lt);
	lpi_exit(lt);
}

QSYS(set_robust_list)
{
	if (s->s_arg[1] != sizeof(struct q_robust_list_head))
		return -Q_EINVAL;
	lthread_current()->lt_robust = s->s_arg[0];
	return 0;
}

QSYS(get_robust_list)
{
	static const uint64_t len = sizeof(struct q_robust_list_head);
	struct lthread *self = lthread_current(), *lt = self;
	struct lsys *l = self->lt_l;
	uint64_t head = 0;
	int error = 0;

	qspin_lock(&l->l_lock);
	if (qsys_int(s, 0) != 0)
		lt = lthread_find(l, qsys_uint(s, 0));
	if (lt == NULL)
		error = -Q_ESRCH;
	else if (lt->lt_proc != self->lt_proc &&
	    !qproc_capable(s->s_proc, Q_CAP_SYS_PTRACE))
		error = -Q_EPERM;
	else
		head = lt->lt_robust;
	qspin_unlock(&l->l_lock);
	if (error == 0)
		error = qsys_out(s, 1, &head, sizeof(head));
	if (error == 0)
		error = qsys_out(s, 2, &len, sizeof(len));
	return error;
}
