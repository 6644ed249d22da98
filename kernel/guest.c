/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running guest code on a vCPU.
 *
 * A guest keeps the vCPU: to the scheduler, the thread that called is running,
 * and the guest is what it runs.  Three things end the run besides the guest
 * itself.  The time slice and the vCPU's next timer are the deadline of the
 * hypercall; another thread that wants the vCPU kicks the seat of the host
 * thread that runs it (qcpu_preempt); and when events come for the vCPU, the
 * leader, who delivers them, does the same (v_guest, host.c).
 */
#include "impl.h"

#include "guest.h"
#include "trace.h"

static const struct qtrace_event ev_guest = { .te_name = "guest",
	.te_cat = "guest",
	.te_phase = QTRACE_BEGIN,
	.te_arg = { "vmspace" } };
static const struct qtrace_event ev_left = { .te_name = "guest",
	.te_cat = "guest",
	.te_phase = QTRACE_END,
	.te_arg = { "vmspace", "why" } };

int
qguest_run(uint32_t id, struct quern_vmframe *f, uint64_t slice_ns)
{
	struct qthread *t = qthread_current();
	struct qcpu *v = t->t_cpu;
	struct quern *k = v->v_k;
	uint64_t deadline = QUERN_NEVER, next;
	int error = 0;

	qassert(t->t_spins == 0);
	if (__atomic_load_n(&k->k_dead, __ATOMIC_RELAXED))
		sched_leave_dead();
	/* Set, then look: whoever queues an event looks after queueing. */
	__atomic_store_n(&v->v_guest, 1, __ATOMIC_SEQ_CST);
	next = __atomic_load_n(&v->v_sched->r_next, __ATOMIC_RELAXED);
	if (slice_ns != QUERN_NEVER)
		deadline = qclock_mono(k) + slice_ns;
	if (next < deadline)
		deadline = next;
	host_cover(k, v);
	if (sched_has_event(v) ||
	    __atomic_load_n(&k->k_nwant, __ATOMIC_SEQ_CST) != 0) {
		f->f_why = QUERN_VM_KICK;
	} else {
		qtrace(v, &ev_guest, id, 0, 0);
		error = k->k_hyper->vm_run(k->k_ctx, v->v_id, id,
		    &v->v_host->h_seat, f, deadline);
		qtrace(v, &ev_left, id, f->f_why, 0);
	}
	__atomic_store_n(&v->v_guest, 0, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&k->k_dead, __ATOMIC_RELAXED))
		sched_leave_dead();
	return error;
}

void
qcpu_preempt(struct qcpu *v)
{
	struct quern *k = v->v_k;

	if (__atomic_load_n(&v->v_guest, __ATOMIC_SEQ_CST) != 0)
		k->k_hyper->cpu_kick(k->k_ctx,
		    &__atomic_load_n(&v->v_host, __ATOMIC_RELAXED)->h_seat);
}
