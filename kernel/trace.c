/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rings of the trace.
 *
 * Only the runner of a vCPU writes its ring, and whoever owns the vCPU next
 * sees what the last one wrote, so writing takes no lock.  Reading may happen
 * at any time, also of a kernel that is dead: a record is a small seqlock.
 *
 * T1  tr_seq is 0 while a record is written, else the number of the record,
 *     counted from 1; record n lies at (n - 1) mod the size.
 * T2  A ring stays where it is until the kernel ends: stopping only has writers
 *     not find it.
 *
 * In a simulated world much happens at one instant: there records carry the
 * order in which they were made, over all rings.  On a real host the clock does.
 */
#include "traceimpl.h"

static const struct qtrace_event ev_switch = { .te_name = "switch",
	.te_cat = "sched",
	.te_phase = QTRACE_SWITCH };

void
qtrace_put(struct qcpu *v, const struct qtrace_event *ev, uint64_t a,
    uint64_t b, uint64_t c)
{
	struct trace_ring *tr = __atomic_load_n(&v->v_ring, __ATOMIC_ACQUIRE);
	struct quern *k = v->v_k;
	struct trace_rec *r;
	uint64_t n;

	if (tr == NULL)
		return; /* stopped meanwhile */
	n = __atomic_load_n(&tr->tr_head, __ATOMIC_RELAXED);
	r = &tr->tr_rec[n & tr->tr_mask];
	/* An exchange, so that nothing below is seen before it. */
	(void)__atomic_exchange_n(&r->r_seq, 0, __ATOMIC_ACQ_REL);
	__atomic_store_n(&r->r_time, qclock_mono(k), __ATOMIC_RELAXED);
	__atomic_store_n(&r->r_event, ev, __ATOMIC_RELAXED);
	__atomic_store_n(&r->r_thread, qthread_current()->t_id,
	    __ATOMIC_RELAXED);
	__atomic_store_n(&r->r_order,
	    k->k_choice ?
		__atomic_add_fetch(&k->k_trace_order, 1, __ATOMIC_RELAXED) :
		0,
	    __ATOMIC_RELAXED);
	__atomic_store_n(&r->r_arg[0], a, __ATOMIC_RELAXED);
	__atomic_store_n(&r->r_arg[1], b, __ATOMIC_RELAXED);
	__atomic_store_n(&r->r_arg[2], c, __ATOMIC_RELAXED);
	__atomic_store_n(&r->r_seq, n + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&tr->tr_head, n + 1, __ATOMIC_RELEASE);
}

void
trace_switch(struct qcpu *v, const struct qthread *next)
{
	uint64_t name[2] = { 0 };

	if (next == v->v_idle) {
		qtrace_put(v, &ev_switch, 0, 0, 0);
		return;
	}
	/* As much of it as the record takes. */
	memcpy(name, next->t_name, sizeof(name));
	qtrace_put(v, &ev_switch, next->t_id, name[0], name[1]);
}

/* ---- starting and stopping ------------------------------------------------ */

static size_t
ring_size(uint64_t events)
{
	return QROUNDUP(sizeof(struct trace_ring) +
		events * sizeof(struct trace_rec),
	    QUERN_PAGE_SIZE);
}

void
trace_fini(struct quern *k)
{
	unsigned i;

	for (i = 0; i < k->k_ncpu; i++) {
		if (k->k_ring[i] == NULL)
			continue;
		k->k_hyper->unmap(k->k_ctx, k->k_ring[i],
		    ring_size(k->k_ring[i]->tr_mask + 1));
		k->k_ring[i] = NULL;
	}
}

static int
make_rings(struct quern *k, unsigned events)
{
	uint64_t n = TRACE_MIN;
	unsigned i;
	void *mem;
	int error;

	while (n < events)
		n *= 2;
	for (i = 0; i < k->k_ncpu; i++) {
		if (k->k_ring[i] != NULL)
			continue;
		error = k->k_hyper->map(k->k_ctx, ring_size(n), QUERN_PAGE_SIZE,
		    0, &mem);
		if (error != 0)
			return error;
		k->k_ring[i] = mem;
		k->k_ring[i]->tr_mask = n - 1;
	}
	return 0;
}

int
quern_trace_start(struct quern *k, unsigned events)
{
	struct trace_ring *tr;
	unsigned i;
	int error;

	if (k == NULL)
		return -Q_EFAULT;
	if (!TRACE_BUILT)
		return -Q_EOPNOTSUPP;
	if (events == 0)
		events = TRACE_DEFAULT;
	if (events > TRACE_MAX)
		return -Q_EINVAL;
	error = make_rings(k, events);
	if (error != 0)
		return error;
	for (i = 0; i < k->k_ncpu; i++) {
		tr = k->k_ring[i];
		if (__atomic_load_n(&k->k_cpu[i]->v_ring, __ATOMIC_RELAXED) ==
		    NULL)
			__atomic_store_n(&tr->tr_first,
			    __atomic_load_n(&tr->tr_head, __ATOMIC_ACQUIRE),
			    __ATOMIC_RELEASE);
		__atomic_store_n(&k->k_cpu[i]->v_ring, tr, __ATOMIC_RELEASE);
	}
	__atomic_fetch_or(&k->k_trace, QTRACE_RINGS, __ATOMIC_RELAXED);
	return 0;
}

void
quern_trace_stop(struct quern *k)
{
	unsigned i;

	if (k == NULL)
		return;
	__atomic_fetch_and(&k->k_trace, ~QTRACE_RINGS, __ATOMIC_RELAXED);
	for (i = 0; i < k->k_ncpu; i++)
		__atomic_store_n(&k->k_cpu[i]->v_ring, NULL, __ATOMIC_RELEASE);
}

bool
trace_read(const struct trace_ring *tr, uint64_t n, struct trace_rec *out)
{
	/* Written to by the exchange below, and that leaves it as it is. */
	struct trace_rec *r =
	    (struct trace_rec *)(uintptr_t)&tr->tr_rec[n & tr->tr_mask];
	unsigned i;

	if (__atomic_load_n(&r->r_seq, __ATOMIC_ACQUIRE) != n + 1)
		return false;
	out->r_time = __atomic_load_n(&r->r_time, __ATOMIC_RELAXED);
	out->r_event = __atomic_load_n(&r->r_event, __ATOMIC_RELAXED);
	out->r_thread = __atomic_load_n(&r->r_thread, __ATOMIC_RELAXED);
	out->r_order = __atomic_load_n(&r->r_order, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++)
		out->r_arg[i] = __atomic_load_n(&r->r_arg[i], __ATOMIC_RELAXED);
	/* As qseq_retry does, for the same reason. */
	return __atomic_fetch_add(&r->r_seq, 0, __ATOMIC_ACQ_REL) == n + 1;
}
