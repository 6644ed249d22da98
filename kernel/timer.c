/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timer wheels, one a vCPU.
 *
 * Time is in ticks of 1,024 ns.  A timer that is due at tick W is at level L,
 * where L is the highest group of six bits in which W differs from wh_now, in
 * the slot that those bits of W name.  So all timers of a level are due before
 * those of the next, and within a level in the order of slots; the earliest
 * thing to do is the lowest slot in use of the lowest level in use.  At level 0
 * it is a timer that is due, above it is a slot whose timers move down.
 *
 * T1  A timer is on the wheel tm_cpu iff tm_slot is not QTIMER_IDLE.
 * T2  wh_now never passes the start of a slot in use.
 * T3  r_next is when the earliest thing is to be done, in ns, or QUERN_NEVER:
 *     no tick happens for nothing.
 */
#include "impl.h"

#include "trace.h"

static const struct qtrace_event ev_timer = { .te_name = "timer",
	.te_cat = "sched",
	.te_phase = QTRACE_INSTANT,
	.te_arg = { "late_ns" } };

#define SLOT_BITS  6u
#define TICK_NEVER ((UINT64_C(1) << (SLOT_BITS * QWHEEL_LEVELS)) - 1)

_Static_assert(1u << SLOT_BITS == QWHEEL_SLOTS, "slots of a level");

void
wheel_init(struct qwheel *w, uint64_t now)
{
	unsigned l, s;

	for (l = 0; l < QWHEEL_LEVELS; l++)
		for (s = 0; s < QWHEEL_SLOTS; s++)
			qlist_init(&w->wh_slot[l][s]);
	w->wh_now = now >> QWHEEL_SHIFT;
}

/* The earliest thing to do.  False: nothing. */
static bool
wheel_next(const struct qwheel *w, unsigned *levelp, unsigned *slotp,
    uint64_t *tickp)
{
	unsigned l, s, shift;

	for (l = 0; l < QWHEEL_LEVELS; l++) {
		if (w->wh_bits[l] == 0)
			continue;
		s = (unsigned)__builtin_ctzll(w->wh_bits[l]);
		shift = l * SLOT_BITS;
		*levelp = l;
		*slotp = s;
		*tickp = (w->wh_now >> (shift + SLOT_BITS)
				 << (shift + SLOT_BITS)) |
		    (uint64_t)s << shift;
		return true;
	}
	return false;
}

static void
wheel_publish(struct qcpu *v)
{
	struct qwheel *w = &v->v_sched->r_wheel;
	unsigned l, s;
	uint64_t tick, next = QUERN_NEVER;

	if (wheel_next(w, &l, &s, &tick))
		next = tick << QWHEEL_SHIFT;
	__atomic_store_n(&v->v_sched->r_next, next, __ATOMIC_SEQ_CST);
}

static void
wheel_insert(struct qwheel *w, struct qtimer *tm)
{
	uint64_t tick;
	unsigned l, s;

	/* Rounded up: never early. */
	tick = (tm->tm_when >> QWHEEL_SHIFT) +
	    ((tm->tm_when & ((1u << QWHEEL_SHIFT) - 1)) != 0);
	if (tick > TICK_NEVER)
		tick = TICK_NEVER;
	if (tick <= w->wh_now)
		tick = w->wh_now + 1;
	l = (63u - (unsigned)__builtin_clzll(tick ^ w->wh_now)) / SLOT_BITS;
	qassert(l < QWHEEL_LEVELS);
	s = (tick >> (l * SLOT_BITS)) & (QWHEEL_SLOTS - 1);
	qlist_append(&w->wh_slot[l][s], &tm->tm_link);
	w->wh_bits[l] |= UINT64_C(1) << s;
	tm->tm_slot = l * QWHEEL_SLOTS + s;
}

static void
wheel_remove(struct qwheel *w, struct qtimer *tm)
{
	unsigned l = tm->tm_slot / QWHEEL_SLOTS, s = tm->tm_slot % QWHEEL_SLOTS;

	qlist_del(&tm->tm_link);
	if (qlist_empty(&w->wh_slot[l][s]))
		w->wh_bits[l] &= ~(UINT64_C(1) << s);
	tm->tm_slot = QTIMER_IDLE;
}

/* Run one timer's function without the lock. */
static void
wheel_fire(struct qcpu *v, struct qtimer *tm)
{
	struct quern *k = v->v_k;
	struct qwheel *w = &v->v_sched->r_wheel;
	void (*fn)(struct qtimer *) = tm->tm_fn;

	if (qtrace_on(v))
		qtrace_put(v, &ev_timer, qclock_mono(k) - tm->tm_when, 0, 0);
	wheel_remove(w, tm);
	__atomic_store_n(&w->wh_running, tm, __ATOMIC_RELAXED);
	vspin_unlock(k, &w->wh_lock);
	fn(tm);
	vspin_lock(k, &w->wh_lock);
	__atomic_store_n(&w->wh_running, NULL, __ATOMIC_RELEASE);
}

unsigned
wheel_run(struct qcpu *v, uint64_t now)
{
	struct quern *k = v->v_k;
	struct qwheel *w = &v->v_sched->r_wheel;
	struct qlist *head;
	struct qtimer *tm;
	unsigned l, s, n = 0;
	uint64_t tick, target = now >> QWHEEL_SHIFT;

	if (__atomic_load_n(&v->v_sched->r_next, __ATOMIC_RELAXED) > now)
		return 0;
	vspin_lock(k, &w->wh_lock);
	while (wheel_next(w, &l, &s, &tick) && tick <= target) {
		w->wh_now = tick;
		head = &w->wh_slot[l][s];
		while (!qlist_empty(head)) {
			tm = QLIST_ELEM(head->l_next, struct qtimer, tm_link);
			if (l == 0 || tm->tm_when <= tick << QWHEEL_SHIFT) {
				wheel_fire(v, tm);
				n++;
			} else {
				wheel_remove(w, tm);
				wheel_insert(w, tm);
			}
		}
	}
	if (w->wh_now < target)
		w->wh_now = target;
	wheel_publish(v);
	vspin_unlock(k, &w->wh_lock);
	return n;
}

void
qtimer_init(struct qtimer *tm, void (*fn)(struct qtimer *), void *arg)
{
	qlist_init(&tm->tm_link);
	tm->tm_when = 0;
	tm->tm_cpu = NULL;
	tm->tm_fn = fn;
	tm->tm_arg = arg;
	tm->tm_slot = QTIMER_IDLE;
}

void
qtimer_arm(struct qtimer *tm, uint64_t when)
{
	struct qcpu *v = qcpu_current();
	struct qwheel *w = &v->v_sched->r_wheel;

	(void)qtimer_stop(tm);
	vspin_lock(v->v_k, &w->wh_lock);
	tm->tm_when = when;
	__atomic_store_n(&tm->tm_cpu, v, __ATOMIC_RELEASE);
	wheel_insert(w, tm);
	wheel_publish(v);
	vspin_unlock(v->v_k, &w->wh_lock);
}

bool
qtimer_stop(struct qtimer *tm)
{
	struct qcpu *v = __atomic_load_n(&tm->tm_cpu, __ATOMIC_ACQUIRE);
	struct quern *k;
	struct qwheel *w;
	bool armed;

	if (v == NULL)
		return false;
	k = v->v_k;
	w = &v->v_sched->r_wheel;
	for (;;) {
		vspin_lock(k, &w->wh_lock);
		armed = tm->tm_slot != QTIMER_IDLE;
		if (armed) {
			wheel_remove(w, tm);
			wheel_publish(v);
		}
		vspin_unlock(k, &w->wh_lock);
		/* Its function may be running elsewhere; here it is ourselves. */
		if (armed || v == qcpu_current() ||
		    __atomic_load_n(&w->wh_running, __ATOMIC_ACQUIRE) != tm)
			return armed;
		qspin_hint();
	}
}
