/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Epochs: freeing what others may be looking at without a lock.
 *
 * Definitions.  Kernel code is not preempted and sections do not sleep, so a
 * section begins and ends on one vCPU between two of its *quiet points*: a
 * client entering, a switch of threads, a turn of the idle thread.  v_quiet
 * counts them.  A vCPU that nobody owns is quiet.
 *
 * What is deferred on a vCPU first gathers on es_next.  When es_wait is empty it
 * moves there, and a snapshot is taken of v_quiet of every vCPU that is owned.
 * Once each of those has another count or is not owned, nobody can be in a
 * section that began before the snapshot, and es_wait is called.
 *
 * Memory order.  Who defers has made the object unreachable and issues a full
 * barrier before the snapshot.  A vCPU seen free is taken by a locked
 * instruction later, so its next section sees the object gone.  A vCPU seen
 * owned passes a quiet point with a full barrier (epoch_quiet) or by being given
 * away and taken, and again what follows sees it gone.
 *
 * Nothing waits for epochs but memory, so there is no hurry: the idle thread
 * looks, a timer sees to it that one runs, and a call that leaves many behind
 * looks itself.
 */
#include "impl.h"

#include "trace.h"
#include "work.h"

static const struct qtrace_event ev_epoch = { .te_name = "epoch",
	.te_cat = "work",
	.te_phase = QTRACE_INSTANT,
	.te_arg = { "freed" } };

#define POLL_NS 1000000u

static void
snapshot(struct quern *k, struct epoch_state *es)
{
	struct qcpu *v;
	unsigned i;

	full_barrier(k);
	es->es_owned = 0;
	for (i = 0; i < k->k_ncpu; i++) {
		v = k->k_cpu[i];
		if (!cpu_is_owned(v))
			continue;
		es->es_owned |= (uint64_t)1 << i;
		es->es_quiet[i] = __atomic_load_n(&v->v_quiet,
		    __ATOMIC_ACQUIRE);
	}
}

static bool
passed(struct quern *k, struct epoch_state *es)
{
	struct qcpu *v;
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++) {
		v = k->k_cpu[i];
		if ((es->es_owned & (uint64_t)1 << i) != 0 && cpu_is_owned(v) &&
		    __atomic_load_n(&v->v_quiet, __ATOMIC_ACQUIRE) ==
			es->es_quiet[i])
			return false;
		es->es_owned &= ~((uint64_t)1 << i);
	}
	return true;
}

static unsigned
call_all(struct quern *k, struct epoch_state *es)
{
	struct qepoch_entry *e = es->es_wait, *next;
	unsigned n = 0;

	es->es_wait = NULL;
	for (; e != NULL; e = next, n++) {
		next = e->ee_next;
		e->ee_fn(e);
	}
	__atomic_fetch_sub(&k->k_deferred, n, __ATOMIC_RELEASE);
	return n;
}

unsigned
epoch_poll(struct qcpu *v)
{
	struct epoch_state *es = &v->v_sched->r_epoch;
	struct quern *k = v->v_k;
	unsigned n = 0;

	if (es->es_wait != NULL && passed(k, es))
		n = call_all(k, es);
	if (n != 0)
		qtrace(v, &ev_epoch, n, 0, 0);
	if (es->es_wait == NULL && es->es_next != NULL) {
		es->es_wait = es->es_next;
		es->es_next = NULL;
		v->v_deferred = 0;
		snapshot(k, es);
	}
	return n;
}

/* Have an idle thread look, and again as long as something is left. */
static void
look_again(struct qtimer *tm)
{
	struct qcpu *v = tm->tm_arg;
	struct epoch_state *es = &v->v_sched->r_epoch;

	(void)epoch_poll(v);
	if (es->es_wait != NULL || es->es_next != NULL)
		qtimer_arm(tm, qclock_mono(v->v_k) + POLL_NS);
	else
		es->es_armed = false;
}

void
epoch_init_cpu(struct qcpu *v)
{
	qtimer_init(&v->v_sched->r_epoch.es_timer, look_again, v);
}

void
qepoch_defer(struct qepoch_entry *e, void (*fn)(struct qepoch_entry *))
{
	struct qcpu *v = qcpu_current();
	struct epoch_state *es = &v->v_sched->r_epoch;

	e->ee_fn = fn;
	e->ee_next = es->es_next;
	es->es_next = e;
	v->v_deferred++;
	__atomic_fetch_add(&v->v_k->k_deferred, 1, __ATOMIC_RELAXED);
	if (!es->es_armed) {
		es->es_armed = true;
		qtimer_arm(&es->es_timer, qclock_mono(v->v_k) + POLL_NS);
	}
}

struct passing {
	struct qepoch_entry ps_entry;
	uint32_t ps_done; /* [a] */
};

static void
has_passed(struct qepoch_entry *e)
{
	struct passing *ps = QCONTAINER(e, struct passing, ps_entry);

	__atomic_store_n(&ps->ps_done, 1, __ATOMIC_RELEASE);
}

void
qepoch_pass(struct quern *k)
{
	struct passing ps = { .ps_done = 0 };

	qepoch_defer(&ps.ps_entry, has_passed);
	while (__atomic_load_n(&ps.ps_done, __ATOMIC_ACQUIRE) == 0)
		(void)qthread_sleep_until(qclock_mono(k) + POLL_NS / 4, false);
}

void
qepoch_wait(struct quern *k)
{
	while (__atomic_load_n(&k->k_deferred, __ATOMIC_ACQUIRE) != 0)
		(void)qthread_sleep_until(qclock_mono(k) + POLL_NS / 4, false);
}
