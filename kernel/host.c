/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host threads inside the kernel: how they come in, wait and go.
 *
 * Everything here may run on a host stack, where there is no current thread.
 *
 * A host thread whose call sleeps is *idle*: it is on k_idlers and owns no
 * vCPU.  One of the idlers is the *leader*.  It waits for the events of every
 * vCPU that has operations in flight and until the earliest timer of any; the
 * others just wait to be kicked.  An idler that finds work takes a free vCPU
 * and runs it; the leader passes its role on as it goes.
 *
 * A *wanter* has found every vCPU taken on entering and waits for one.  A host
 * thread that runs the kernel's own threads may have no end of work; when it
 * sees a wanter it hands its vCPU over, still owned, so that nobody gets in
 * between.  And when nobody is idle, so that nobody looks after the timers and
 * bound threads of vCPUs that are free, it takes turns among those (QHOST_TURN).
 *
 * An idler also comes for threads that wait on a vCPU whose runner is busy: it
 * takes a free one, whose idle thread steals.  sched_ready alerts it; if no vCPU
 * is free then, k_surplus tells who gives one away.
 *
 * Nothing is lost, because each side first publishes, then looks:
 *
 *	idler	joins k_idlers (k_nidle), gives its vCPU away, looks for work
 *	leaver	gives its vCPU away, looks at k_nidle and k_nwant
 *	waker	queues work, looks at k_nidle
 *	wanter	joins (k_nwant), tries every vCPU
 *	leader	publishes k_leader_until and k_leader_cpus, looks at the timers
 *
 * and kicks are latched by the host.  Between publishing and looking everyone
 * needs a full memory barrier.  The leaver is on the path of every call and
 * does without: idlers and wanters, who are about to sleep, have the host issue
 * one on all its threads (cpu_fence) before they look, unless they saw every
 * vCPU free.  A host that can't makes the leaver use an exchange.
 *
 * v_owner is OWNED, or v_free when nobody owns it.  v_free is FREE; in a
 * simulation, once the kernel is dead and when the embedder has asked for a
 * pollfd it is SPECIAL, so that entering and leaving look for such things only
 * then.
 */
#include "impl.h"

#include "guest.h"

/* Tries for a free vCPU before a host thread queues for one. */
#define ENTER_SPINS 64u

/* So much deferred on a vCPU is worth a look at the end of a call. */
#define DEFERRED_MANY 256u

/* ---- owning a vCPU --------------------------------------------------- */

static inline bool
cpu_try_fast(struct qcpu *v)
{
	uint32_t free = QCPU_FREE;

	return __atomic_compare_exchange_n(&v->v_owner, &free, QCPU_OWNED,
	    false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

bool
cpu_try(struct qcpu *v)
{
	uint32_t old = __atomic_load_n(&v->v_owner, __ATOMIC_SEQ_CST);

	while (old != QCPU_OWNED)
		if (__atomic_compare_exchange_n(&v->v_owner, &old, QCPU_OWNED,
			false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return true;
	return false;
}

static struct qcpu *
cpu_try_any(struct quern *k, unsigned first)
{
	struct qcpu *v;
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++) {
		v = k->k_cpu[(first + i) % k->k_ncpu];
		if (cpu_try(v))
			return v;
	}
	return NULL;
}

/*
 * The host thread that had best run what is queued on `v`, which we own: the
 * first client's own, which has to wake up for it anyway.
 */
static QCOLD struct qhost *
home_of_first(struct quern *k, struct qcpu *v)
{
	struct qcpu_sched *r = v->v_sched;
	struct qhost *h = NULL;
	struct qthread *t;

	vspin_lock(k, &r->r_lock);
	if (!qlist_empty(&r->r_queue[QPRIO_CLIENT])) {
		t = QLIST_ELEM(r->r_queue[QPRIO_CLIENT].l_next, struct qthread,
		    t_link);
		if (t->t_client)
			h = t->t_host;
	}
	vspin_unlock(k, &r->r_lock);
	return h;
}

static void
make_leader(struct quern *k, struct qhost *h)
{
	__atomic_store_n(&k->k_leader, h, __ATOMIC_SEQ_CST);
	__atomic_store_n(&h->h_idle, QIDLE_LEADER, __ATOMIC_RELAXED);
}

/*
 * The leader, one of the idlers if there was none.  To be kicked in any case:
 * a new one is waiting for less than it should.  [k_idle_lock]
 */
static struct qhost *
elect(struct quern *k)
{
	if (k->k_leader == NULL && !qlist_empty(&k->k_idlers))
		make_leader(k,
		    QLIST_ELEM(k->k_idlers.l_next, struct qhost, h_link));
	return k->k_leader;
}

static struct qhost *
next_wanter(struct quern *k)
{
	struct qhost *h;
	struct qlist *l;

	QLIST_FOREACH(l, &k->k_wanters) {
		h = QLIST_ELEM(l, struct qhost, h_link);
		if (!h->h_kicked) {
			h->h_kicked = 1;
			return h;
		}
	}
	return NULL;
}

static void
kick(struct quern *k, struct qhost *h)
{
	if (h != NULL)
		k->k_hyper->cpu_kick(k->k_ctx, &h->h_seat);
}

/* Does the leader wait for all that may happen on `v`? */
static bool
leader_covers(struct quern *k, struct qcpu *v)
{
	struct qcpu_sched *r = v->v_sched;

	if (__atomic_load_n(&k->k_leader, __ATOMIC_SEQ_CST) == NULL)
		return false;
	if (__atomic_load_n(&r->r_next, __ATOMIC_RELAXED) <
	    __atomic_load_n(&k->k_leader_until, __ATOMIC_SEQ_CST))
		return false;
	return __atomic_load_n(&r->r_inflight, __ATOMIC_RELAXED) == 0 ||
	    (__atomic_load_n(&k->k_leader_cpus, __ATOMIC_SEQ_CST) &
		(uint64_t)1 << v->v_id) != 0;
}

/* Are threads waiting on any vCPU that another could run? */
static bool
any_surplus(struct quern *k)
{
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++)
		if (sched_has_surplus(k->k_cpu[i]))
			return true;
	return false;
}

/* The vCPU has been given away and somebody is waiting; for what is on it? */
static QCOLD void
release_slow(struct quern *k, struct qcpu *v, struct qhost *home)
{
	struct qhost *wanter = NULL, *idler = NULL, *leader = NULL;
	bool work;

	/* From here on as if it had been given away by an exchange. */
	full_barrier(k);
	host_choice(k);
	work = sched_has_work(v, 0);
	if (qunlikely(__atomic_load_n(&k->k_surplus, __ATOMIC_SEQ_CST)) &&
	    __atomic_exchange_n(&k->k_surplus, 0, __ATOMIC_SEQ_CST) != 0)
		work |= any_surplus(k);
	if (__atomic_load_n(&k->k_nwant, __ATOMIC_RELAXED) == 0 && !work &&
	    leader_covers(k, v))
		return;
	host_choice(k);
	hspin_lock(k, &k->k_idle_lock);
	if (k->k_nwant != 0)
		wanter = next_wanter(k);
	if (k->k_nidle != 0) {
		if (work && home != NULL && home->h_idle != QIDLE_NONE)
			idler = home;
		/* Also then: another may steal the work before it comes. */
		if (!leader_covers(k, v) || (work && idler == NULL))
			leader = elect(k);
	}
	hspin_unlock(&k->k_idle_lock);
	kick(k, wanter);
	kick(k, idler);
	if (leader != idler)
		kick(k, leader);
}

/*
 * Tell the host when "pollfd" is to become readable: now, when a free vCPU has
 * work that nobody looks after, else with the earliest timer.
 */
static QCOLD void
announce(struct quern *k)
{
	uint64_t until = QUERN_NEVER, next;
	unsigned i;

	/* Computing and telling go together: whoever comes last knows best. */
	hspin_lock(k, &k->k_announce_lock);
	for (i = 0; i < k->k_ncpu; i++) {
		if (__atomic_load_n(&k->k_nidle, __ATOMIC_SEQ_CST) != 0)
			break; /* somebody does */
		next = __atomic_load_n(&k->k_cpu[i]->v_sched->r_next,
		    __ATOMIC_SEQ_CST);
		if (sched_has_work(k->k_cpu[i], 0))
			next = 0;
		if (next < until)
			until = next;
	}
	if (i < k->k_ncpu)
		until = QUERN_NEVER;
	if (k->k_announced != until) {
		k->k_announced = until;
		(void)k->k_hyper->cpu_idle(k->k_ctx, NULL, 0, until);
	}
	hspin_unlock(&k->k_announce_lock);
}

static inline void
cpu_release(struct quern *k, struct qcpu *v)
{
	struct qhost *home = NULL;
	uint32_t free = __atomic_load_n(&v->v_free, __ATOMIC_RELAXED);

	if (qunlikely(free != QCPU_FREE))
		qchoice(v, QUERN_YIELD_ENTER);
	if (qunlikely(
		__atomic_load_n(&v->v_sched->r_count, __ATOMIC_RELAXED) != 0))
		home = home_of_first(k, v);
	__atomic_store_n(&v->v_owner, free, __ATOMIC_RELEASE);
	if (qunlikely(!v->v_fence))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (qunlikely((__atomic_load_n(&k->k_nidle, __ATOMIC_RELAXED) |
			  __atomic_load_n(&k->k_nwant, __ATOMIC_RELAXED)) != 0))
		release_slow(k, v, home);
	if (qunlikely(free != QCPU_FREE) &&
	    __atomic_load_n(&k->k_pollfd, __ATOMIC_RELAXED))
		announce(k);
	/* Between two calls of one client another must be able to come in. */
	if (qunlikely(free != QCPU_FREE) && k->k_choice)
		k->k_hyper->cpu_yield(k->k_ctx, QUERN_YIELD_ENTER);
}

void
host_special(struct quern *k)
{
	uint32_t free;
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++) {
		free = QCPU_FREE;
		__atomic_store_n(&k->k_cpu[i]->v_free, QCPU_SPECIAL,
		    __ATOMIC_RELAXED);
		__atomic_compare_exchange_n(&k->k_cpu[i]->v_owner, &free,
		    QCPU_SPECIAL, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
}

void
host_alert(struct quern *k)
{
	struct qhost *h;
	unsigned i;

	if (__atomic_load_n(&k->k_nidle, __ATOMIC_SEQ_CST) == 0)
		return;
	/* Whoever gives a vCPU away after this sees k_surplus. */
	__atomic_store_n(&k->k_surplus, 1, __ATOMIC_SEQ_CST);
	host_choice(k);
	for (i = 0; i < k->k_ncpu; i++)
		if (!cpu_is_owned(k->k_cpu[i]))
			break;
	if (i == k->k_ncpu)
		return;
	__atomic_store_n(&k->k_surplus, 0, __ATOMIC_SEQ_CST);
	host_choice(k);
	hspin_lock(k, &k->k_idle_lock);
	h = elect(k);
	hspin_unlock(&k->k_idle_lock);
	kick(k, h);
}

void
host_cover(struct quern *k, struct qcpu *v)
{
	struct qhost *h;

	if (__atomic_load_n(&k->k_nidle, __ATOMIC_SEQ_CST) == 0 ||
	    leader_covers(k, v))
		return;
	hspin_lock(k, &k->k_idle_lock);
	h = elect(k);
	hspin_unlock(&k->k_idle_lock);
	kick(k, h);
}

void
host_kick_all(struct quern *k)
{
	struct qlist *l;
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++)
		if (k->k_cpu[i] != NULL)
			qcpu_preempt(k->k_cpu[i]);

	hspin_lock(k, &k->k_idle_lock);
	QLIST_FOREACH(l, &k->k_idlers)
		kick(k, QLIST_ELEM(l, struct qhost, h_link));
	QLIST_FOREACH(l, &k->k_wanters)
		kick(k, QLIST_ELEM(l, struct qhost, h_link));
	hspin_unlock(&k->k_idle_lock);
}

void
host_done(struct qhost *h)
{
	struct quern *k = h->h_k;

	__atomic_store_n(&h->h_done, 1, __ATOMIC_RELEASE);
	host_choice(k);
	/* From here on `h` may be in another call; the seat stays valid. */
	k->k_hyper->cpu_kick(k->k_ctx, &h->h_seat);
}

/* ---- waiting --------------------------------------------------------- */

static bool
is_dead(struct quern *k)
{
	return __atomic_load_n(&k->k_dead, __ATOMIC_ACQUIRE) != 0;
}

static bool
must_leave(struct qhost *h)
{
	struct quern *k = h->h_k;

	return __atomic_load_n(&h->h_done, __ATOMIC_ACQUIRE) || is_dead(k) ||
	    (h->h_runner && __atomic_load_n(&k->k_stop, __ATOMIC_ACQUIRE));
}

/* A free vCPU that has something to run, from the `skip`-th after `from` on. */
static struct qcpu *
free_with_work(struct quern *k, struct qcpu *from, unsigned skip)
{
	struct qcpu *v;
	uint64_t now = 0, next;
	unsigned i;

	for (i = skip; i < k->k_ncpu; i++) {
		v = k->k_cpu[(from->v_id + i) % k->k_ncpu];
		if (cpu_is_owned(v))
			continue;
		next = __atomic_load_n(&v->v_sched->r_next, __ATOMIC_RELAXED);
		if (next != QUERN_NEVER && now == 0)
			now = qclock_mono(k);
		if (sched_has_work(v, now))
			return v;
	}
	return NULL;
}

/* Take a free vCPU that has something to run, or could steal something. */
static struct qcpu *
find_work(struct qhost *h)
{
	struct quern *k = h->h_k;
	struct qcpu *v;

	while ((v = free_with_work(k, h->h_cpu, 0)) != NULL) {
		host_choice(k);
		if (cpu_try(v))
			return v;
	}
	if (k->k_ncpu == 1 || !any_surplus(k))
		return NULL;
	v = cpu_try_any(k, h->h_cpu->v_id);
	if (v == NULL) {
		/* We are idle: whoever gives one away after this tells us. */
		__atomic_store_n(&k->k_surplus, 1, __ATOMIC_SEQ_CST);
		host_choice(k);
		v = cpu_try_any(k, h->h_cpu->v_id);
	}
	return v;
}

bool
host_neglects(struct qcpu *v)
{
	struct quern *k = v->v_k;

	return __atomic_load_n(&k->k_nidle, __ATOMIC_SEQ_CST) == 0 &&
	    free_with_work(k, v, 1) != NULL;
}

/* Leave our vCPU for one that nobody looks after.  Returns what we own then. */
static struct qcpu *
take_turn(struct qhost *h)
{
	struct quern *k = h->h_k;
	struct qcpu *v = free_with_work(k, h->h_cpu, 1);

	if (v == NULL || !cpu_try(v))
		return h->h_cpu;
	cpu_release(k, h->h_cpu);
	return v;
}

/* Events have come for vCPUs that guests keep: have those come out. */
static void
call_runners(struct quern *k)
{
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++)
		if (sched_has_event(k->k_cpu[i]))
			qcpu_preempt(k->k_cpu[i]);
}

/*
 * The leader's wait: events of every vCPU, the earliest timer of any that is
 * free; the runner of one that is not looks after its timers, and tells us when
 * it gives it away.  While the leader computes what to wait for it claims to
 * cover nothing, so that whoever changes something meanwhile kicks it.
 */
static void
lead(struct quern *k, struct qhost *h)
{
	uint64_t until = h->h_deadline, next, cpus = 0;
	unsigned i;

	__atomic_store_n(&k->k_leader_until, QUERN_NEVER, __ATOMIC_SEQ_CST);
	__atomic_store_n(&k->k_leader_cpus, 0, __ATOMIC_SEQ_CST);
	for (i = 0; i < k->k_ncpu; i++) {
		struct qcpu *v = k->k_cpu[i];
		struct qcpu_sched *r = v->v_sched;

		host_choice(k);
		if (__atomic_load_n(&r->r_inflight, __ATOMIC_SEQ_CST) != 0)
			cpus |= (uint64_t)1 << i;
		if (cpu_is_owned(v))
			continue;
		next = __atomic_load_n(&r->r_next, __ATOMIC_SEQ_CST);
		if (next < until)
			until = next;
	}
	host_choice(k);
	__atomic_store_n(&k->k_leader_cpus, cpus, __ATOMIC_SEQ_CST);
	__atomic_store_n(&k->k_leader_until, until, __ATOMIC_SEQ_CST);
	if (k->k_hyper->cpu_idle(k->k_ctx, &h->h_seat, cpus, until) > 0)
		call_runners(k);
}

/*
 * After this, a leaver has seen us among the idlers or wanters, or we see the
 * vCPU that it gave away.
 */
static void
fence_leavers(struct quern *k)
{
	unsigned i;

	full_barrier(k);
	if (!k->k_fence)
		return;
	for (i = 0; i < k->k_ncpu; i++)
		if (cpu_is_owned(k->k_cpu[i])) {
			(void)k->k_hyper->cpu_fence(k->k_ctx);
			return;
		}
}

static void
join_idlers(struct quern *k, struct qhost *h)
{
	hspin_lock(k, &k->k_idle_lock);
	qlist_append(&k->k_idlers, &h->h_link);
	__atomic_store_n(&h->h_idle, QIDLE_PARKED, __ATOMIC_RELAXED);
	__atomic_fetch_add(&k->k_nidle, 1, __ATOMIC_SEQ_CST);
	if (k->k_leader == NULL)
		make_leader(k, h);
	hspin_unlock(&k->k_idle_lock);
}

/* Is there a free vCPU with work that nobody may have been told of? */
static bool
work_left(struct quern *k)
{
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++)
		if (!cpu_is_owned(k->k_cpu[i]) &&
		    (sched_has_work(k->k_cpu[i], 0) || any_surplus(k)))
			return true;
	return false;
}

/* No longer idle: gone (without a vCPU) or running `v`. */
static void
leave_idlers(struct quern *k, struct qhost *h, struct qcpu *v)
{
	struct qhost *next = NULL;

	host_choice(k);
	hspin_lock(k, &k->k_idle_lock);
	qlist_del(&h->h_link);
	__atomic_store_n(&h->h_idle, QIDLE_NONE, __ATOMIC_RELAXED);
	__atomic_fetch_sub(&k->k_nidle, 1, __ATOMIC_SEQ_CST);
	if (k->k_leader == h) {
		__atomic_store_n(&k->k_leader, NULL, __ATOMIC_SEQ_CST);
		/* With one vCPU, whoever runs it looks after events itself. */
		if (v == NULL || k->k_ncpu > 1)
			next = elect(k);
	} else if (v != NULL ? free_with_work(k, v, 1) != NULL : work_left(k)) {
		next = elect(k); /* the kick we got may have been for that */
	}
	hspin_unlock(&k->k_idle_lock);
	kick(k, next);
}

/* Give `v` to the first wanter rather than away.  False: there is none. */
static bool
hand_over(struct quern *k, struct qcpu *v)
{
	struct qhost *h = NULL;
	struct qlist *l;

	if (__atomic_load_n(&k->k_nwant, __ATOMIC_SEQ_CST) == 0)
		return false;
	hspin_lock(k, &k->k_idle_lock);
	QLIST_FOREACH(l, &k->k_wanters) {
		h = QLIST_ELEM(l, struct qhost, h_link);
		if (h->h_given == NULL) {
			__atomic_store_n(&h->h_given, v, __ATOMIC_RELEASE);
			break;
		}
		h = NULL;
	}
	hspin_unlock(&k->k_idle_lock);
	kick(k, h);
	return h != NULL;
}

/*
 * Give the vCPU away and wait: for the end of the call (NULL, without a vCPU)
 * or for work (its vCPU, taken).
 */
static struct qcpu *
host_wait(struct qhost *h)
{
	struct quern *k = h->h_k;
	struct qcpu *v = NULL;

	join_idlers(k, h);
	host_choice(k);
	if (!hand_over(k, h->h_cpu))
		cpu_release(k, h->h_cpu);
	fence_leavers(k);
	for (;;) {
		if (must_leave(h))
			break;
		__atomic_store_n(&h->h_seeks, 1, __ATOMIC_SEQ_CST);
		if ((v = find_work(h)) != NULL)
			break;
		__atomic_store_n(&h->h_seeks, 0, __ATOMIC_SEQ_CST);
		if (h->h_deadline != QUERN_NEVER &&
		    qclock_mono(k) >= h->h_deadline)
			break;
		if (__atomic_load_n(&h->h_idle, __ATOMIC_ACQUIRE) ==
		    QIDLE_LEADER)
			lead(k, h);
		else
			(void)k->k_hyper->cpu_idle(k->k_ctx, &h->h_seat, 0,
			    h->h_deadline);
	}
	leave_idlers(k, h, v);
	return v;
}

/* ---- coming in ------------------------------------------------------- */

/* Have a guest come out, for our sake. */
static void
preempt_one(struct quern *k, unsigned first)
{
	struct qcpu *v;
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++) {
		v = k->k_cpu[(first + i) % k->k_ncpu];
		if (__atomic_load_n(&v->v_guest, __ATOMIC_SEQ_CST) != 0) {
			qcpu_preempt(v);
			return;
		}
	}
}

/* Wait for a vCPU, on a seat of our own. */
static struct qcpu *
want_cpu(struct quern *k, struct qhost *h, unsigned first)
{
	struct qhost *next = NULL;
	struct qcpu *v, *given;

	hspin_lock(k, &k->k_idle_lock);
	qlist_append(&k->k_wanters, &h->h_link);
	h->h_kicked = 0;
	h->h_given = NULL;
	__atomic_fetch_add(&k->k_nwant, 1, __ATOMIC_SEQ_CST);
	hspin_unlock(&k->k_idle_lock);
	fence_leavers(k);
	host_choice(k);
	preempt_one(k, first);
	for (;;) {
		v = __atomic_load_n(&h->h_given, __ATOMIC_ACQUIRE);
		if (v == NULL)
			v = cpu_try_any(k, first);
		host_choice(k);
		if (v != NULL || is_dead(k))
			break;
		(void)k->k_hyper->cpu_idle(k->k_ctx, &h->h_seat, 0,
		    QUERN_NEVER);
		hspin_lock(k, &k->k_idle_lock);
		h->h_kicked = 0;
		hspin_unlock(&k->k_idle_lock);
	}
	hspin_lock(k, &k->k_idle_lock);
	qlist_del(&h->h_link);
	__atomic_fetch_sub(&k->k_nwant, 1, __ATOMIC_SEQ_CST);
	given = h->h_given;
	/* The kick may have been for another vCPU than the one we take. */
	if (h->h_kicked)
		next = next_wanter(k);
	hspin_unlock(&k->k_idle_lock);
	kick(k, next);
	if (given != NULL && v == NULL)
		return given;
	if (given != NULL && given != v)
		cpu_release(k, given);
	return v;
}

/* Own a vCPU, `hint` first.  NULL: dead, or no memory (*errp). */
static QCOLD struct qcpu *
cpu_get_slow(struct quern *k, unsigned hint, int *errp)
{
	struct qthread *t;
	struct qcpu *v;
	unsigned i;

	for (i = 0; i < ENTER_SPINS; i++) {
		if (is_dead(k))
			break;
		v = cpu_try_any(k, hint);
		if (v != NULL)
			return v;
		k->k_hyper->cpu_yield(k->k_ctx, QUERN_YIELD_SPIN);
	}
	*errp = -Q_ENOTRECOVERABLE;
	if (is_dead(k))
		return NULL;
	__atomic_fetch_add(&k->k_inside, 1, __ATOMIC_SEQ_CST);
	*errp = thread_alloc(k, &t);
	if (*errp == 0) {
		v = want_cpu(k, t->t_host, hint);
		thread_free(t);
		*errp = -Q_ENOTRECOVERABLE;
	} else {
		v = NULL;
	}
	__atomic_fetch_sub(&k->k_inside, 1, __ATOMIC_SEQ_CST);
	return v;
}

static inline struct qcpu *
cpu_get(struct quern *k, unsigned hint, int *errp)
{
	struct qcpu *v = k->k_cpu[hint];

	if (qlikely(cpu_try_fast(v)))
		return v;
	v = cpu_get_slow(k, hint, errp);
	if (v == NULL)
		return NULL;
	if (is_dead(k)) {
		cpu_release(k, v);
		*errp = -Q_ENOTRECOVERABLE;
		return NULL;
	}
	qchoice(v, QUERN_YIELD_ENTER);
	return v;
}

/* Give `v`, which we own, a thread for clients. */
static QCOLD int
spare_make(struct quern *k, struct qcpu *v)
{
	struct qthread *t;
	int error;

	error = thread_alloc(k, &t);
	if (error != 0)
		return error;
	qsnprintf(t->t_name, sizeof(t->t_name), "client");
	t->t_prio = QPRIO_CLIENT;
	t->t_client = true;
	t->t_cpu = v;
	__atomic_store_n(&t->t_oncpu, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&t->t_state, QT_RUNNING, __ATOMIC_RELAXED);
	t->t_host->h_deadline = QUERN_NEVER;
	t->t_host->h_cpu = v;
	v->v_spare = t;
	return 0;
}

/* A client call in the making, on the host's stack. */
struct call {
	int64_t (*c_fn)(void *);
	void *c_arg;
	bool c_moved; /* it has slept */
};

static struct qclient_ret
client_body(struct qthread *t, void *frame)
{
	struct call *c = frame;
	struct qclient_ret r;
	struct qcpu *v;

	san_arrive(&t->t_san, &t->t_host->h_san);
	r.cr_ret = c->c_fn(c->c_arg);
	qassert(t->t_spins == 0);
	v = t->t_cpu;
	if (qunlikely(v->v_deferred > DEFERRED_MANY))
		(void)epoch_poll(v);
	r.cr_moved = t->t_moved;
	if (!r.cr_moved) {
		c->c_moved = false;
		__atomic_store_n(&t->t_proc, NULL, __ATOMIC_RELAXED);
		san_leave(&t->t_san, &t->t_host->h_san, true);
	}
	return r;
}

int64_t
host_call(struct quern *k, struct quern_proc *p, uint32_t *hint,
    int64_t (*fn)(void *), void *arg)
{
	struct call c = { fn, arg, true };
	uint32_t first = __atomic_load_n(hint, __ATOMIC_RELAXED);
	struct qthread *t;
	struct qhost *h;
	struct qcpu *v;
	int64_t ret;
	int error;

	v = cpu_get(k, first, &error);
	if (qunlikely(v == NULL))
		return error;
	if (qunlikely(v->v_id != first))
		__atomic_store_n(hint, v->v_id, __ATOMIC_RELAXED);
	if (qunlikely(v->v_spare == NULL)) {
		error = spare_make(k, v);
		if (error != 0) {
			cpu_release(k, v);
			return error;
		}
	}
	t = v->v_spare;
	h = t->t_host;
	__atomic_store_n(&v->v_host, h, __ATOMIC_RELAXED);
	__atomic_store_n(&t->t_proc, p, __ATOMIC_RELAXED);
	san_host(&h->h_san);
	san_leave(&h->h_san, &t->t_san, false);
	ret = ctx_enter(t, &c, &t->t_san, &h->h_san, &h->h_sp, client_body);
	if (qunlikely(c.c_moved))
		return ret; /* host_loop has done the rest */
	san_arrive(&h->h_san, &t->t_san);
	cpu_release(k, v);
	return ret;
}

/* ---- on the host's stack while its call sleeps ------------------------- */

/* The first thing on the host's stack after a switch to it. */
static void
host_arrived(struct qhost *h)
{
	struct qcpu *v = h->h_cpu;
	struct qthread *prev = v->v_sched->r_prev;

	san_arrive(&h->h_san, v->v_sched->r_san);
	v->v_sched->r_prev = NULL;
	if (prev == NULL)
		return;
	/* Ours, if it is done: others' go through a kernel stack first. */
	qassert_host(h->h_k, !thread_is_done(prev) || prev == h->h_thread);
	if (thread_is_done(prev))
		h->h_done = 1;
	__atomic_store_n(&prev->t_oncpu, 0, __ATOMIC_RELEASE);
}

/*
 * Run the kernel on h_cpu, which we own, until the call is over.  Returns the
 * vCPU if we still own one.
 */
static struct qcpu *
drive(struct qhost *h, uintptr_t cmd)
{
	struct qcpu *v = h->h_cpu;

	for (;;) {
		if (cmd == QHOST_LEAVE || (h->h_poll && h->h_ran))
			return v;
		if (cmd == QHOST_WAIT) {
			v = host_wait(h);
			if (v == NULL)
				return NULL;
			h->h_cpu = v;
		} else if (cmd == QHOST_TURN) {
			v = h->h_cpu = take_turn(h);
		}
		/*
		 * A dead kernel's idle threads have been abandoned wherever
		 * they were; owning the vCPU, we see that it is dead.
		 */
		if (is_dead(h->h_k))
			return v;
		__atomic_store_n(&v->v_host, h, __ATOMIC_RELAXED);
		v->v_sched->r_san = &h->h_san;
		san_leave(&h->h_san, &v->v_idle->t_san, false);
		cmd = ctx_switch(&h->h_sp, v->v_idle->t_sp, 0,
		    v->v_idle->t_san.sn_fiber);
		host_arrived(h);
	}
}

/* A host thread leaves that may have been the last to look after things. */
static void
drive_over(struct quern *k, struct qcpu *v)
{
	if (v != NULL)
		cpu_release(k, v);
	else if (__atomic_load_n(&k->k_pollfd, __ATOMIC_RELAXED))
		announce(k);
}

/*
 * Entered by the first switch to the host's stack after ctx_enter, owning
 * h_cpu; its result is ctx_enter's.
 */
int64_t
host_loop(struct qthread *t, uintptr_t cmd)
{
	struct qhost *h = t->t_host;
	struct quern *k = h->h_k;
	struct qcpu *v;
	int64_t ret = -Q_ENOTRECOVERABLE;

	__atomic_fetch_add(&k->k_inside, 1, __ATOMIC_SEQ_CST);
	host_arrived(h);
	v = drive(h, cmd);
	drive_over(k, v);
	if (__atomic_load_n(&h->h_done, __ATOMIC_ACQUIRE)) {
		ret = h->h_ret;
		thread_free(t);
	}
	__atomic_fetch_sub(&k->k_inside, 1, __ATOMIC_SEQ_CST);
	return ret;
}

int
host_run(struct quern *k, struct qthread *runner, uint64_t deadline)
{
	struct qthread *t = runner;
	struct qhost *h;
	struct qcpu *v;
	int error = 0;

	__atomic_fetch_add(&k->k_inside, runner == NULL, __ATOMIC_SEQ_CST);
	if (t == NULL)
		error = thread_alloc(k, &t);
	if (error != 0)
		goto out;
	h = t->t_host;
	h->h_poll = runner == NULL;
	h->h_runner = runner != NULL;
	__atomic_store_n(&h->h_seeks, 1, __ATOMIC_SEQ_CST);
	h->h_deadline = deadline;
	san_host(&h->h_san);
	v = cpu_try_any(k, 0);
	if (v == NULL)
		v = want_cpu(k, h, 0);
	if (v != NULL) {
		h->h_cpu = v;
		v = drive(h, 0);
	}
	drive_over(k, v);
	__atomic_store_n(&h->h_seeks, 0, __ATOMIC_SEQ_CST);
	error = is_dead(k) ? -Q_ENOTRECOVERABLE : h->h_ran;
	if (runner == NULL)
		thread_free(t);
out:
	__atomic_fetch_sub(&k->k_inside, runner == NULL, __ATOMIC_SEQ_CST);
	return error;
}
