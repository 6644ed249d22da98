/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel threads: their stacks, making them and waiting for their end.
 *
 * A stack is QSTACK_SIZE bytes, aligned to that: a guard page, the stack, and
 * at the top the room of the thread.  Stacks are never given back before the
 * kernel ends; a late kick of a seat in one is harmless then.
 */
#include "impl.h"

#include "guest.h"

struct thread_room {
	struct qthread tr_thread;
	struct qtimer tr_timer;
	struct qhost tr_host;
};

_Static_assert(sizeof(struct thread_room) <= QTHREAD_ROOM,
    "a thread outgrows its room");
_Static_assert(QTHREAD_ROOM % 64 == 0, "stacks start aligned");

static void
sleep_over(struct qtimer *tm)
{
	struct qthread *t = tm->tm_arg;

	(void)sched_wake(t, -Q_ETIMEDOUT);
}

static void
thread_reset(struct qthread *t)
{
	struct qhost *h = t->t_host;

	t->t_cpu = NULL;
	__atomic_store_n(&t->t_proc, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&t->t_state, QT_FREE, __ATOMIC_RELAXED);
	__atomic_store_n(&t->t_oncpu, 0, __ATOMIC_RELAXED);
	t->t_spins = 0;
	t->t_ranks = 0;
	t->t_moved = t->t_client = false;
	t->t_account = t->t_detached = false;
	t->t_started = t->t_began = t->t_ran = t->t_since = 0;
	t->t_turn = t->t_vtime = t->t_vkey = 0;
	t->t_alert = t->t_tid = 0;
	__atomic_store_n(&t->t_intr, false, __ATOMIC_RELAXED);
	t->t_bound = QCPU_ANY;
	t->t_wake = 0;
	t->t_sp = NULL;
	t->t_wq = NULL;
	h->h_cpu = NULL;
	h->h_sp = NULL;
	__atomic_store_n(&h->h_done, 0, __ATOMIC_RELAXED);
	h->h_poll = h->h_ran = h->h_runner = false;
	h->h_deadline = QUERN_NEVER;
	san_clear(&t->t_san);
}

int
thread_alloc(struct quern *k, struct qthread **tp)
{
	struct thread_room *room;
	struct qthread *t = NULL;
	void *base;
	int error;

	hspin_lock(k, &k->k_thread_lock);
	if (!qlist_empty(&k->k_spares)) {
		t = QLIST_ELEM(k->k_spares.l_next, struct qthread, t_link);
		qlist_del(&t->t_link);
	}
	hspin_unlock(&k->k_thread_lock);
	if (t == NULL) {
		if (qalloc_fails(k))
			return -Q_ENOMEM;
		error = k->k_hyper->map(k->k_ctx, QSTACK_SIZE, QSTACK_SIZE,
		    QUERN_MAP_GUARD, &base);
		if (error != 0)
			return error;
		room = (void *)((char *)base + QSTACK_SIZE - QTHREAD_ROOM);
		t = &room->tr_thread;
		t->t_k = k;
		t->t_host = &room->tr_host;
		t->t_timer = &room->tr_timer;
		t->t_host->h_k = k;
		t->t_host->h_thread = t;
		qlist_init(&t->t_host->h_link);
		qlist_init(&t->t_link);
		qlist_init(&t->t_wait);
		qtimer_init(t->t_timer, sleep_over, t);
		san_create(&t->t_san, (char *)base + QUERN_PAGE_SIZE,
		    QSTACK_SIZE - QUERN_PAGE_SIZE - QTHREAD_ROOM);
		hspin_lock(k, &k->k_thread_lock);
		qlist_append(&k->k_threads, &t->t_all);
		t->t_id = (uint32_t)++k->k_nthread;
		hspin_unlock(&k->k_thread_lock);
	}
	thread_reset(t);
	*tp = t;
	return 0;
}

void
thread_free(struct qthread *t)
{
	struct quern *k = t->t_k;

	qassert_host(k, qlist_empty(&t->t_link) && qlist_empty(&t->t_wait));
	thread_reset(t);
	hspin_lock(k, &k->k_thread_lock);
	qlist_prepend(&k->k_spares, &t->t_link);
	hspin_unlock(&k->k_thread_lock);
}

void
thread_destroy_all(struct quern *k)
{
	struct qlist *l, *n;
	struct qthread *t;

	QLIST_FOREACH_SAFE(l, n, &k->k_threads) {
		t = QLIST_ELEM(l, struct qthread, t_all);
		san_destroy(&t->t_san);
		k->k_hyper->unmap(k->k_ctx,
		    (char *)t + QTHREAD_ROOM - QSTACK_SIZE, QSTACK_SIZE);
	}
}

/* Make ready to be switched to: fn(arg) from the top of the stack. */
void
thread_setup(struct qthread *t, const char *name, void (*fn)(void *), void *arg,
    enum qprio prio)
{
	uintptr_t *sp = (uintptr_t *)t;

	qsnprintf(t->t_name, sizeof(t->t_name), "%s", name);
	t->t_fn = fn;
	t->t_arg = arg;
	t->t_prio = prio;
	*--sp = 0;
	*--sp = 0; /* the stack is aligned at the call */
	*--sp = (uintptr_t)ctx_thread_tramp;
	sp -= QSAN_SWITCH_REGS;
	memset(sp, 0, QSAN_SWITCH_REGS * sizeof(*sp));
	t->t_sp = sp;
	t->t_moved = true;
}

int
qthread_create(struct quern *k, const char *name, void (*fn)(void *), void *arg,
    enum qprio prio, int cpu, struct qthread **tp)
{
	struct qthread *t;
	int error;

	if (cpu != QCPU_ANY && (cpu < 0 || (unsigned)cpu >= k->k_ncpu))
		return -Q_EINVAL;
	if ((unsigned)prio >= QNPRIO)
		return -Q_EINVAL;
	error = thread_alloc(k, &t);
	if (error != 0)
		return error;
	thread_setup(t, name, fn, arg, prio);
	t->t_bound = cpu;
	if (prio == QPRIO_GUEST)
		share_begin(t);
	*tp = t;
	sched_ready(t);
	return 0;
}

void
qthread_join(struct qthread *t)
{
	struct quern *k = t->t_k;

	qassert(t != qthread_current());
	for (;;) {
		qspin_lock(&k->k_join.w_lock);
		if (__atomic_load_n(&t->t_state, __ATOMIC_ACQUIRE) == QT_DONE &&
		    __atomic_load_n(&t->t_oncpu, __ATOMIC_ACQUIRE) == 0)
			break;
		(void)qwaitq_sleep(&k->k_join, &k->k_join.w_lock, 0,
		    QUERN_NEVER);
	}
	qspin_unlock(&k->k_join.w_lock);
	thread_free(t);
}

void
qthread_detach(void)
{
	qthread_current()->t_detached = true;
}

void
qthread_alert(struct qthread *t)
{
	uint32_t state = QT_SLEEPING;
	struct qcpu *v;

	__atomic_store_n(&t->t_alert, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&t->t_intr, __ATOMIC_RELAXED) &&
	    __atomic_compare_exchange_n(&t->t_state, &state, QT_RUNNING, false,
		__ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		/* It may be another sleep by now, which is not to end. */
		t->t_wake = __atomic_load_n(&t->t_intr, __ATOMIC_RELAXED) ?
		    -Q_EINTR :
		    0;
		sched_ready(t);
		return;
	}
	/*
	 * A thread that is about to run its guest, here or on another vCPU,
	 * says so before it looks at t_alert.
	 */
	v = __atomic_load_n(&t->t_cpu, __ATOMIC_RELAXED);
	if (v != NULL && __atomic_load_n(&t->t_oncpu, __ATOMIC_SEQ_CST) != 0)
		qcpu_preempt(v);
}

uint64_t
qthread_ran(const struct qthread *t)
{
	uint64_t ran = __atomic_load_n(&t->t_ran, __ATOMIC_RELAXED);
	uint64_t since = __atomic_load_n(&t->t_since, __ATOMIC_RELAXED), now;

	if (since == 0)
		return ran;
	now = qclock_mono(t->t_k);
	return now > since ? ran + (now - since) : ran;
}
