/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running guest code on a vCPU.
 *
 * A guest keeps the vCPU: to the scheduler, the thread that called is running,
 * and the guest is what it runs.  Three things end the run besides the guest
 * itself.  The time slice and the vCPU's next timer are the deadline of the
 * hypercall (the slice begins when the thread gets the vCPU: one that began with
 * every run would never be over for a guest that only makes calls); another thread that wants the vCPU kicks the seat of the host
 * thread that runs it (qcpu_preempt); and when events come for the vCPU, the
 * leader, who delivers them, does the same (v_guest, host.c).
 */
#include "impl.h"

#include "guest.h"
#include "trace.h"

/*
 * How long one thread runs at all before it is looked after: what guests are told
 * about the clock has to be renewed.
 */
#define ALONE_NS UINT64_C(1000000000)

/* How long threads wait for this vCPU before an idle one is called. */
#define HELP_NS UINT64_C(100000)

static const struct qtrace_event ev_guest = { .te_name = "guest",
	.te_cat = "guest",
	.te_phase = QTRACE_BEGIN,
	.te_arg = { "vmspace" } };
static const struct qtrace_event ev_left = { .te_name = "guest",
	.te_cat = "guest",
	.te_phase = QTRACE_END,
	.te_arg = { "vmspace", "why" } };

int
qguest_create(struct quern *k, uint32_t *idp)
{
	int error;

	do {
		*idp = __atomic_add_fetch(&k->k_nextguest, 1, __ATOMIC_RELAXED);
		error = k->k_hyper->vm_create(k->k_ctx, *idp);
	} while (error == -Q_EEXIST);
	return error;
}

int
qguest_destroy(struct quern *k, uint32_t id)
{
	return k->k_hyper->vm_destroy(k->k_ctx, id);
}

int
qguest_update(struct quern *k, uint32_t id, const struct quern_vm_op *ops,
    unsigned n)
{
	return k->k_hyper->vm_update(k->k_ctx, qcpu_current()->v_id, id, ops,
	    n);
}

/* A number that the host knows; 0: it does not. */
static uint64_t
number_param(struct quern *k, const char *name)
{
	char s[24];
	uint64_t value = 0;
	int64_t n, i;

	n = k->k_hyper->param(k->k_ctx, name, s, sizeof(s));
	for (i = 0; i < n && i < (int64_t)sizeof(s); i++)
		if (s[i] >= '0' && s[i] <= '9')
			value = value * 10 + (uint64_t)(s[i] - '0');
	return value;
}

size_t
qguest_xsave(struct quern *k)
{
	return (size_t)number_param(k, "vm.xsave");
}

uint64_t
qguest_call(struct quern *k)
{
	return number_param(k, "vm.call");
}

/*
 * Threads wait here while other vCPUs are idle.  Usually this one sleeps before
 * another could have begun, so they are called only after a while.  Returns when
 * to look again.
 */
static QCOLD uint64_t
call_for_help(struct quern *k, struct qcpu *v)
{
	struct qcpu_sched *r = v->v_sched;
	uint64_t now = qclock_mono(k);

	if (r->r_alone == 0) {
		r->r_alone = now;
	} else if (now - r->r_alone >= HELP_NS) {
		r->r_alone = now;
		host_alert(k);
	}
	return r->r_alone + HELP_NS;
}

/* Until when the current thread may be in its guest. */
static uint64_t
guest_deadline(struct qcpu *v, uint64_t slice_ns, const uint32_t *others)
{
	struct qthread *t = qthread_current();
	struct quern *k = v->v_k;
	uint64_t deadline = QUERN_NEVER, next, look;

	next = __atomic_load_n(&v->v_sched->r_next, __ATOMIC_RELAXED);
	if (slice_ns != QUERN_NEVER && !sched_has_ready(v) &&
	    (others == NULL || __atomic_load_n(others, __ATOMIC_SEQ_CST) == 0))
		slice_ns = k->k_ncpu > 1 ? QBALANCE_NS : ALONE_NS;
	if (slice_ns != QUERN_NEVER)
		deadline = (t->t_account ? t->t_turn : qclock_mono(k)) +
		    slice_ns;
	if (next < deadline)
		deadline = next;
	if (k->k_ncpu == 1)
		return deadline;
	if (qlikely(!sched_has_surplus(v) || !host_has_idle(k))) {
		v->v_sched->r_alone = 0;
		return deadline;
	}
	look = call_for_help(k, v);
	return look < deadline ? look : deadline;
}

int
qguest_run(uint32_t id, struct quern_vmframe *f, uint64_t slice_ns,
    const uint32_t *others)
{
	struct qthread *t = qthread_current();
	struct qcpu *v = t->t_cpu;
	struct quern *k = v->v_k;
	uint64_t deadline;
	int error = 0;

	qassert(t->t_spins == 0);
	if (__atomic_load_n(&k->k_dead, __ATOMIC_RELAXED))
		sched_leave_dead();
	/* Set, then look: whoever queues an event looks after queueing. */
	__atomic_store_n(&v->v_guest, 1, __ATOMIC_SEQ_CST);
	deadline = guest_deadline(v, slice_ns, others);
	host_cover(k, v);
	if (sched_has_event(v) ||
	    __atomic_load_n(&t->t_alert, __ATOMIC_SEQ_CST) != 0 ||
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

int
qguest_save(uint32_t id, const struct quern_vmframe *f)
{
	struct qcpu *v = qcpu_current();
	struct quern *k = v->v_k;
	/* Its thread may be changing the other registers meanwhile. */
	struct quern_vmframe copy = { .f_flags = QUERN_VM_SAVE,
		.f_xsave = f->f_xsave,
		.f_xsavelen = f->f_xsavelen };

	memcpy(copy.f_host, f->f_host, sizeof(copy.f_host));
	return k->k_hyper->vm_run(k->k_ctx, v->v_id, id, &v->v_host->h_seat,
	    &copy, 0);
}

void
qcpu_preempt(struct qcpu *v)
{
	struct quern *k = v->v_k;

	if (__atomic_load_n(&v->v_guest, __ATOMIC_SEQ_CST) != 0)
		k->k_hyper->cpu_kick(k->k_ctx,
		    &__atomic_load_n(&v->v_host, __ATOMIC_RELAXED)->h_seat);
}
