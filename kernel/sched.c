/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler.
 *
 * Definitions.  A *kernel thread* is a stack and a saved context.  A *vCPU*
 * runs one thread at a time.  A *host thread* lends its processor: it owns
 * (v_owner) a vCPU, and with that the right to run kernel code on it.  There
 * are kernel stacks and host stacks; kernel code proper runs on kernel stacks
 * only, where the current thread and vCPU are a mask and a load away.  On a
 * host stack there is only host.c.
 *
 *   host stack             kernel stacks of a vCPU
 *   ----------             -----------------------
 *   host_call ---enter---> client's thread --sleeps--> other threads
 *                          returns | done                 |
 *   host_call <--leave-------------+                      v
 *   host_loop <---WAIT or LEAVE--- idle thread (one a vCPU)
 *        |  gives the vCPU away, waits in cpu_idle
 *        +--takes a vCPU with work--> idle thread
 *
 * A call that never sleeps is a compare-and-swap, a change of stacks, the
 * handler, a change back and an exchange.  If it sleeps, its host thread stays
 * and runs other threads, and any other host thread may go on with *it*: a
 * client's thread is a thread like any other until its call ends, which the
 * host thread that made the call is told (host_done).
 *
 * States of a thread and who makes the transition:
 *
 *   FREE -> RUNNING	host_call (client), sched_ready's READY (others)
 *   RUNNING -> SLEEPING	qwaitq_sleep, under the wait queue's lock
 *   SLEEPING -> READY	sched_wake, by compare-and-swap: one waker wins
 *   READY -> RUNNING	switch_to
 *   RUNNING -> READY	qthread_yield
 *   RUNNING -> DONE	sched_thread_start, sched_client_exit
 *   DONE -> FREE	thread_free, by the joiner or the call's host thread
 *
 * Invariants:
 *
 * S1  A thread is on a run queue iff it is READY (the gap is under r_lock).
 * S2  t_oncpu is set from before a thread runs until its context is saved;
 *     whoever picks it waits for that.  sched_arrived, on the next stack, is
 *     what clears it.
 * S3  Only the runner of a vCPU adds to its run queue, except for bound
 *     threads; anyone running any vCPU may take from it.
 * S4  If host threads are idle in a kernel, one of them is leader, or a vCPU is
 *     owned and its runner will look on leaving (host.c).
 * S5  Nobody sleeps or leaves with a spin lock held.
 *
 * Kernel code is not preempted.  Wake-ups go to the waker's vCPU; an idle vCPU
 * steals.  Events and timers are looked at whenever the idle thread runs and on
 * every POLL_SWITCHES-th switch.  Threads that run guests share a vCPU by how long
 * they have run (share.c), and a vCPU whose queue is shorter takes of others now
 * and then (balance).  Threads that wait while a guest runs and other vCPUs are
 * idle call those after a while (guest.c).
 */
#include "impl.h"

#include "guest.h"
#include "trace.h"

static const struct qtrace_event ev_wake = { .te_name = "wake",
	.te_cat = "sched",
	.te_phase = QTRACE_INSTANT,
	.te_arg = { "thread", "why" } };
static const struct qtrace_event ev_steal = { .te_name = "steal",
	.te_cat = "sched",
	.te_phase = QTRACE_INSTANT,
	.te_arg = { "thread", "from" } };

#define POLL_SWITCHES 16u

/* Count one more of something that only the runner counts and others read. */
static inline void
count(uint64_t *n)
{
	__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
}

/* ---- run queues ------------------------------------------------------ */

void
sched_init_cpu(struct quern *k, struct qcpu *v)
{
	struct qcpu_sched *r = v->v_sched;
	unsigned i;

	for (i = 0; i < QNPRIO; i++)
		qlist_init(&r->r_queue[i]);
	r->r_next = QUERN_NEVER;
	epoch_init_cpu(v);
	wheel_init(&r->r_wheel, qclock_mono(k));
}

static void
queue_add(struct qcpu *v, struct qthread *t)
{
	struct qcpu_sched *r = v->v_sched;

	vspin_lock(v->v_k, &r->r_lock);
	qassert(qlist_empty(&t->t_link));
	if (t->t_prio == QPRIO_GUEST)
		share_queue(v, t);
	else
		qlist_append(&r->r_queue[t->t_prio], &t->t_link);
	r->r_bits |= 1u << t->t_prio;
	__atomic_store_n(&r->r_count, r->r_count + 1, __ATOMIC_SEQ_CST);
	if (t->t_bound == QCPU_ANY)
		__atomic_store_n(&r->r_movable, r->r_movable + 1,
		    __ATOMIC_SEQ_CST);
	vspin_unlock(v->v_k, &r->r_lock);
}

/* Take the best thread of `v` that `thief` may run; NULL: itself. */
static struct qthread *
queue_take(struct qcpu *v, const struct qcpu *thief)
{
	struct qcpu_sched *r = v->v_sched;
	struct qthread *t, *best = NULL;
	struct qlist *l;
	unsigned prio;

	if (__atomic_load_n(&r->r_count, __ATOMIC_RELAXED) == 0)
		return NULL;
	vspin_lock(v->v_k, &r->r_lock);
	for (prio = 0; prio < QNPRIO && best == NULL; prio++) {
		if ((r->r_bits & 1u << prio) == 0)
			continue;
		QLIST_FOREACH(l, &r->r_queue[prio]) {
			t = QLIST_ELEM(l, struct qthread, t_link);
			if (thief == NULL || t->t_bound == QCPU_ANY) {
				best = t;
				break;
			}
		}
		if (best == NULL)
			continue;
		qlist_del(&best->t_link);
		if (qlist_empty(&r->r_queue[prio]))
			r->r_bits &= ~(1u << prio);
		__atomic_store_n(&r->r_count, r->r_count - 1, __ATOMIC_SEQ_CST);
		if (best->t_bound == QCPU_ANY)
			__atomic_store_n(&r->r_movable, r->r_movable - 1,
			    __ATOMIC_SEQ_CST);
	}
	vspin_unlock(v->v_k, &r->r_lock);
	if (best != NULL && best->t_prio == QPRIO_GUEST)
		share_pick(thief != NULL ? thief : v, v, best);
	return best;
}

static struct qthread *
steal(struct qcpu *v)
{
	struct quern *k = v->v_k;
	struct qthread *t;
	unsigned i;

	for (i = 1; i < k->k_ncpu; i++) {
		t = queue_take(k->k_cpu[(v->v_id + i) % k->k_ncpu], v);
		if (t != NULL) {
			count(&v->v_sched->r_steals);
			qtrace(v, &ev_steal, t->t_id, (v->v_id + i) % k->k_ncpu,
			    0);
			return t;
		}
	}
	return NULL;
}

/*
 * Now and then: a thread that waits where more do than here, so that three that
 * only run have two vCPUs evenly; or NULL.
 */
static struct qthread *
balance(struct qcpu *v)
{
	struct qcpu_sched *r = v->v_sched;
	struct quern *k = v->v_k;
	uint32_t n, most;
	struct qcpu *from = NULL;
	unsigned i;

	if (r->r_now - r->r_balanced < QBALANCE_NS)
		return NULL;
	r->r_balanced = r->r_now;
	/* Another runs one besides; ours, which was running, is counted. */
	most = __atomic_load_n(&r->r_count, __ATOMIC_RELAXED);
	for (i = 0; i < k->k_ncpu; i++) {
		n = __atomic_load_n(&k->k_cpu[i]->v_sched->r_movable,
		    __ATOMIC_RELAXED);
		if (k->k_cpu[i] != v && n > 0 && n >= most) {
			most = n;
			from = k->k_cpu[i];
		}
	}
	return from != NULL ? queue_take(from, v) : NULL;
}

void
sched_ready(struct qthread *t)
{
	struct qcpu *v = qcpu_current(), *to = v;
	struct quern *k = v->v_k;

	/* So that who wakes up is compared with it as it is now. */
	if (qthread_current()->t_prio == QPRIO_GUEST)
		share_charge(qthread_current());
	__atomic_store_n(&t->t_state, QT_READY, __ATOMIC_RELEASE);
	if (t->t_bound != QCPU_ANY)
		to = k->k_cpu[t->t_bound];
	queue_add(to, t);
	qchoice(v, QUERN_YIELD_WAKE);
	if (to != v)
		qcpu_preempt(to);
	if (k->k_ncpu > 1 &&
	    (to != v || t->t_prio == QPRIO_HIGH ||
		__atomic_load_n(&v->v_sched->r_count, __ATOMIC_RELAXED) > 1))
		host_alert(k);
}

bool
sched_wake(struct qthread *t, int why)
{
	uint32_t want = QT_SLEEPING;

	/* RUNNING in between: on no queue, and no other waker can win. */
	if (!__atomic_compare_exchange_n(&t->t_state, &want, QT_RUNNING, false,
		__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return false;
	t->t_wake = why;
	qtrace(qcpu_current(), &ev_wake, t->t_id, (uint64_t)(int64_t)why, 0);
	sched_ready(t);
	return true;
}

/* ---- switching ------------------------------------------------------- */

/* First thing on a new stack: the one we came from may now be run elsewhere. */
static void
sched_arrived(struct qcpu *v)
{
	struct qthread *prev = v->v_sched->r_prev;
	struct quern *k = v->v_k;
	bool done, client, detached;

	v->v_sched->r_prev = NULL;
	if (prev == NULL)
		return;
	done = thread_is_done(prev);
	client = prev->t_client;
	detached = prev->t_detached;
	__atomic_store_n(&prev->t_oncpu, 0, __ATOMIC_RELEASE);
	if (!done)
		return;
	if (client)
		host_done(prev->t_host);
	else if (detached)
		thread_free(prev);
	else
		(void)qwaitq_wake_all(&k->k_join);
}

static void
wait_offcpu(struct qthread *t)
{
	while (qunlikely(__atomic_load_n(&t->t_oncpu, __ATOMIC_ACQUIRE)))
		qspin_hint();
}

/* Go from the current thread to the context at `sp` on stack `to`. */
static uintptr_t
jump(struct qcpu *v, struct qthread *cur, struct qsan *to, void *sp,
    uintptr_t arg, bool last)
{
	uintptr_t r;

	v->v_sched->r_san = &cur->t_san;
	san_leave(&cur->t_san, to, last);
	r = ctx_switch(&cur->t_sp, sp, arg, to->sn_fiber);
	v = qcpu_current();
	san_arrive(&cur->t_san, v->v_sched->r_san);
	return r;
}

/* Of two threads at least one accounts for its time. */
static QCOLD void
account(struct qcpu *v, struct qthread *from, struct qthread *to)
{
	uint64_t now;

	/* It was charged before anybody else could wake it. */
	if (from->t_account)
		__atomic_store_n(&from->t_since, 0, __ATOMIC_RELAXED);
	if (!to->t_account)
		return;
	now = from->t_account ? v->v_sched->r_now : qclock_mono(v->v_k);
	to->t_turn = now;
	__atomic_store_n(&to->t_since, now, __ATOMIC_RELAXED);
}

static void
switch_to(struct qcpu *v, struct qthread *cur, struct qthread *next)
{
	if (next != v->v_idle)
		wait_offcpu(next);
	if (qunlikely(cur->t_account || next->t_account))
		account(v, cur, next);
	__atomic_store_n(&next->t_cpu, v, __ATOMIC_RELAXED);
	__atomic_store_n(&next->t_oncpu, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&next->t_switches, next->t_switches + 1,
	    __ATOMIC_RELAXED);
	__atomic_store_n(&next->t_state, QT_RUNNING, __ATOMIC_RELAXED);
	count(&v->v_sched->r_switches);
	v->v_sched->r_prev = cur == v->v_idle ? NULL : cur;
	if (qtrace_on(v))
		trace_switch(v, next);
	(void)jump(v, cur, &next->t_san, next->t_sp, 0, thread_is_done(cur));
	sched_arrived(qcpu_current());
}

/* Hand the vCPU back to the host thread that runs it, on its own stack. */
static void
switch_host(struct qcpu *v, struct qthread *cur, enum qhost_cmd cmd)
{
	struct qhost *h = v->v_host;

	v->v_sched->r_prev = cur == v->v_idle ? NULL : cur;
	(void)jump(v, cur, &h->h_san, h->h_sp, cmd, thread_is_done(cur));
	sched_arrived(qcpu_current());
}

void
sched_leave_dead(void)
{
	struct qthread *cur = qthread_current();
	struct qcpu *v = cur->t_cpu;

	cur->t_moved = true;
	if (v->v_spare == cur)
		v->v_spare = NULL;
	v->v_sched->r_prev = NULL;
	(void)jump(v, cur, &v->v_host->h_san, v->v_host->h_sp, QHOST_LEAVE,
	    true);
	__builtin_unreachable();
}

/* Is the call of the host thread that runs `v` over? */
static bool
host_may_leave(struct qcpu *v)
{
	return __atomic_load_n(&v->v_host->h_done, __ATOMIC_ACQUIRE);
}

/* Does a host thread wait for a vCPU?  Then this one is handed over. */
static bool
is_wanted(struct qcpu *v)
{
	return __atomic_load_n(&v->v_k->k_nwant, __ATOMIC_RELAXED) != 0;
}

void
sched_switch(void)
{
	struct qthread *cur = qthread_current(), *next;
	struct qcpu *v = cur->t_cpu;

	qassert(cur->t_spins == 0);
	if (qunlikely(__atomic_load_n(&v->v_k->k_dead, __ATOMIC_RELAXED)))
		sched_leave_dead();
	epoch_quiet(v);
	qchoice(v, QUERN_YIELD_SWITCH);
	if (!cur->t_moved) {
		cur->t_moved = true;
		if (v->v_spare == cur)
			v->v_spare = NULL;
	}
	next = NULL;
	if (!host_may_leave(v) && !is_wanted(v) &&
	    ++v->v_sched->r_tick % POLL_SWITCHES != 0)
		next = queue_take(v, NULL);
	if (next == cur) {
		__atomic_store_n(&cur->t_state, QT_RUNNING, __ATOMIC_RELAXED);
		cur->t_turn = v->v_sched->r_now;
		return;
	}
	switch_to(v, cur, next != NULL ? next : v->v_idle);
}

/* ---- the idle thread ------------------------------------------------- */

/* Run the functions of events that the host has delivered, oldest first. */
static unsigned
run_inbox(struct qcpu *v)
{
	struct qcpu_sched *r = v->v_sched;
	struct quern_event *ev, *next, *list = NULL;
	unsigned n = 0;

	if (__atomic_load_n(&r->r_inbox, __ATOMIC_RELAXED) == NULL)
		return 0;
	ev = __atomic_exchange_n(&r->r_inbox, NULL, __ATOMIC_ACQUIRE);
	for (; ev != NULL; ev = next) {
		next = ev->e_next;
		ev->e_next = list;
		list = ev;
	}
	for (ev = list; ev != NULL; ev = next, n++) {
		next = ev->e_next;
		__atomic_fetch_sub(&r->r_inflight, 1, __ATOMIC_RELAXED);
		ev->e_fn(v->v_k, ev);
	}
	return n;
}

static unsigned
look_around(struct qcpu *v)
{
	struct quern *k = v->v_k;
	struct qcpu_sched *r = v->v_sched;
	uint64_t next = __atomic_load_n(&r->r_next, __ATOMIC_RELAXED);
	unsigned n;

	if (__atomic_load_n(&r->r_inflight, __ATOMIC_RELAXED) != 0)
		(void)k->k_hyper->cpu_idle(k->k_ctx, NULL,
		    (uint64_t)1 << v->v_id, next);
	epoch_quiet(v);
	n = run_inbox(v);
	if (v->v_sched->r_epoch.es_wait != NULL ||
	    v->v_sched->r_epoch.es_next != NULL)
		n += epoch_poll(v);
	if (next != QUERN_NEVER)
		n += wheel_run(v, qclock_mono(k));
	if (__atomic_load_n(&k->k_intr, __ATOMIC_RELAXED))
		proc_interrupts(k);
	return n;
}

bool
sched_has_surplus(struct qcpu *v)
{
	return __atomic_load_n(&v->v_sched->r_movable, __ATOMIC_SEQ_CST) != 0;
}

bool
sched_has_ready(struct qcpu *v)
{
	return __atomic_load_n(&v->v_sched->r_count, __ATOMIC_RELAXED) != 0;
}

bool
sched_has_event(struct qcpu *v)
{
	return __atomic_load_n(&v->v_sched->r_inbox, __ATOMIC_SEQ_CST) !=
	    NULL ||
	    __atomic_load_n(&v->v_k->k_intr, __ATOMIC_SEQ_CST) != 0;
}

bool
sched_has_work(struct qcpu *v, uint64_t now)
{
	struct qcpu_sched *r = v->v_sched;

	return __atomic_load_n(&r->r_count, __ATOMIC_SEQ_CST) != 0 ||
	    __atomic_load_n(&r->r_next, __ATOMIC_RELAXED) <= now ||
	    sched_has_event(v);
}

/* quern_poll does not stay for ever with threads that are always ready. */
static bool
poll_is_over(struct qhost *h)
{
	return h->h_poll && h->h_ran && h->h_deadline != 0 &&
	    h->h_deadline != QUERN_NEVER &&
	    qclock_mono(h->h_k) >= h->h_deadline;
}

void
sched_idle_loop(void *arg)
{
	struct qcpu *v = arg;
	struct quern *k = v->v_k;
	struct qthread *self = v->v_idle, *next;

	for (;;) {
		if (__atomic_load_n(&k->k_dead, __ATOMIC_RELAXED))
			sched_leave_dead();
		if (look_around(v) != 0)
			v->v_host->h_ran = true;
		if (host_may_leave(v)) {
			switch_host(v, self, QHOST_LEAVE);
			continue;
		}
		next = NULL;
		if (!is_wanted(v) && !poll_is_over(v->v_host)) {
			if (k->k_ncpu > 1)
				next = balance(v);
			if (next == NULL)
				next = queue_take(v, NULL);
			if (next == NULL && k->k_ncpu > 1)
				next = steal(v);
		}
		if (next == NULL) {
			switch_host(v, self, QHOST_WAIT);
			continue;
		}
		v->v_host->h_ran = true;
		switch_to(v, self, next);
		/* Having run something, so that taking turns gets somewhere. */
		if (k->k_ncpu > 1 && host_neglects(v))
			switch_host(v, self, QHOST_TURN);
	}
}

/* ---- where threads begin and end -------------------------------------- */

void
sched_thread_start(void)
{
	struct qthread *t = qthread_current();

	san_arrive(&t->t_san, t->t_cpu->v_sched->r_san);
	sched_arrived(t->t_cpu);
	t->t_fn(t->t_arg);
	qassert(t->t_spins == 0);
	/* The next one's turn begins now and not with this one's. */
	if (t->t_account)
		share_charge(t);
	__atomic_store_n(&t->t_state, QT_DONE, __ATOMIC_RELEASE);
	sched_switch();
	__builtin_unreachable();
}

void
sched_client_exit(struct qthread *t, int64_t ret)
{
	struct qcpu *v = t->t_cpu;
	struct qhost *h = t->t_host;

	qassert(t->t_spins == 0);
	h->h_ret = ret;
	__atomic_store_n(&t->t_state, QT_DONE, __ATOMIC_RELAXED);
	if (v->v_host == h) /* home: straight to the host's stack */
		switch_host(v, t, QHOST_LEAVE);
	else
		sched_switch();
	__builtin_unreachable();
}

static void
requeue(struct qthread *cur)
{
	qassert(cur->t_spins == 0);
	__atomic_store_n(&cur->t_state, QT_READY, __ATOMIC_RELEASE);
	queue_add(cur->t_cpu, cur);
	sched_switch();
}

void
qthread_yield(void)
{
	struct qthread *cur = qthread_current();

	if (cur->t_account)
		share_charge(cur);
	if (cur->t_prio == QPRIO_GUEST)
		share_stand_back(cur);
	requeue(cur);
}

void
qthread_pause(void)
{
	struct qthread *cur = qthread_current();

	if (cur->t_account)
		share_charge(cur);
	/* The next switch goes by the idle thread, which looks around. */
	cur->t_cpu->v_sched->r_tick = POLL_SWITCHES - 1;
	requeue(cur);
}

uint64_t
qclock_mono(struct quern *k)
{
	uint64_t ns = 0;

	(void)k->k_hyper->clock_read(k->k_ctx, QUERN_CLOCK_MONOTONIC, &ns);
	return ns;
}

uint64_t
qclock_real(struct quern *k)
{
	uint64_t ns = 0;

	(void)k->k_hyper->clock_read(k->k_ctx, QUERN_CLOCK_REALTIME, &ns);
	return ns;
}

uint64_t
qclock_coarse(struct quern *k)
{
	uint64_t ns = 0;

	(void)k->k_hyper->clock_read(k->k_ctx, QUERN_CLOCK_COARSE, &ns);
	return ns;
}

int
qclock_params(struct quern *k, struct quern_clock_params *cp)
{
	return k->k_hyper->clock_params(k->k_ctx, cp);
}

int
qrandom_fill(struct quern *k, void *buf, size_t len)
{
	return k->k_hyper->random(k->k_ctx, buf, len);
}

unsigned
qcpu_count(const struct quern *k)
{
	return k->k_ncpu;
}

void
qchoice_slow(struct qcpu *v, enum quern_yield why)
{
	v->v_k->k_hyper->cpu_yield(v->v_k->k_ctx, why);
}
