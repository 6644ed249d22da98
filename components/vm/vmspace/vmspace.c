/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmspaces of the host's behind address spaces.
 *
 * A vmspace has a number, which is never used again while the kernel lives.  The
 * host runs one thread of it at a time: others wait here, and whoever runs gives
 * way after a short slice.
 *
 * The extended state of who ran last is still the host's (vs_last), and is fetched
 * when another is about to run, or when somebody wants to know it: then nobody
 * writes to f_xsave until it has run again.
 */
#include <quern/vmspace.h>

#include <quern/lock.h>
#include <quern/slab.h>

/* How long a thread runs while others of its space wait. */
#define SHARED_SLICE_NS UINT64_C(2000000)

static const struct qtag tag_vmspace = { "vmspace" };

struct qvmspace {
	struct quern *vs_k;  /* [I] */
	uint32_t vs_id;      /* [I] the host's number */
	bool vs_running;     /* [w] somebody is in vs_id, or about to be */
	bool vs_given;       /* [w] vs_running is for one who waits */
	uint32_t vs_waiting; /* [w] also [a] */
	struct qcpu *vs_cpu; /* [w] where it runs */
	const struct quern_vmframe
	    *vs_last;        /* [w] changed by who has vs_running */
	struct qwaitq vs_wq; /* its lock: [w] */
};

static int
vmspace_create(struct quern *k, void *parent, void **argp)
{
	struct qvmspace *vs = qzalloc(&tag_vmspace, sizeof(*vs));
	int error;

	(void)parent;
	if (vs == NULL)
		return -Q_ENOMEM;
	vs->vs_k = k;
	qwaitq_init(&vs->vs_wq);
	error = qguest_create(k, &vs->vs_id);
	if (error != 0) {
		qfree(vs);
		return error;
	}
	*argp = vs;
	return 0;
}

static void
vmspace_destroy(void *arg)
{
	struct qvmspace *vs = arg;
	int error;

	error = qguest_destroy(vs->vs_k, vs->vs_id);
	qassert(error == 0);
	qfree(vs);
}

static int
vmspace_update(void *arg, const struct quern_vm_op *ops, unsigned n)
{
	struct qvmspace *vs = arg;

	return qguest_update(vs->vs_k, vs->vs_id, ops, n);
}

const struct qpmap_ops qvmspace_ops = {
	.pm_create = vmspace_create,
	.pm_destroy = vmspace_destroy,
	.pm_update = vmspace_update,
};

/* One more or less; read without the lock, too.  [w] */
static void
count_waiting(struct qvmspace *vs, int n)
{
	/* Before qcpu_preempt looks whether anybody is in a guest. */
	__atomic_store_n(&vs->vs_waiting, vs->vs_waiting + (uint32_t)n,
	    __ATOMIC_SEQ_CST);
}

/*
 * Where several threads want to run in one space, one vCPU will do: another would
 * only carry the space, with its host process, to and fro.  NULL: any.
 */
static void
keep_here(const struct qcpu *v)
{
	qthread_current()->t_bound = v != NULL ? (int32_t)v->v_id : QCPU_ANY;
}

/* Become the one that runs; `flags` QSLEEP_*; false: not now. */
static bool
run_begin(struct qvmspace *vs, unsigned flags)
{
	bool mine;

	qspin_lock(&vs->vs_wq.w_lock);
	mine = !vs->vs_running;
	if (!mine) {
		count_waiting(vs, 1);
		keep_here(vs->vs_cpu);
		qcpu_preempt(vs->vs_cpu);
		(void)qwaitq_sleep(&vs->vs_wq, &vs->vs_wq.w_lock, flags,
		    QUERN_NEVER);
		qspin_lock(&vs->vs_wq.w_lock);
		count_waiting(vs, -1);
		mine = vs->vs_given || !vs->vs_running;
		vs->vs_given = false;
	}
	if (mine) {
		vs->vs_running = true;
		vs->vs_cpu = qcpu_current();
	} else {
		keep_here(NULL);
	}
	qspin_unlock(&vs->vs_wq.w_lock);
	return mine;
}

/* `give`: to one who waits, before anybody else gets in. */
static void
run_end(struct qvmspace *vs, bool give)
{
	bool waiting;

	qspin_lock(&vs->vs_wq.w_lock);
	waiting = vs->vs_waiting != 0;
	keep_here(waiting ? vs->vs_cpu : NULL);
	vs->vs_given = vs->vs_running = waiting && give;
	qspin_unlock(&vs->vs_wq.w_lock);
	if (waiting)
		(void)qwaitq_wake_one(&vs->vs_wq);
}

/* Fetch the state of who ran last; from here on that is `f`, or nobody (NULL). */
static int
make_last(struct qvmspace *vs, const struct quern_vmframe *f)
{
	int error = 0;

	if (vs->vs_last != NULL)
		error = qguest_save(vs->vs_id, vs->vs_last);
	qspin_lock(&vs->vs_wq.w_lock);
	if (error == 0)
		vs->vs_last = f;
	qspin_unlock(&vs->vs_wq.w_lock);
	return error;
}

/* Become the one that runs if `f` ran last; false: another did. */
static bool
begin_as_last(struct qvmspace *vs, const struct quern_vmframe *f)
{
	bool last;

	for (;;) {
		qspin_lock(&vs->vs_wq.w_lock);
		last = vs->vs_last == f;
		qspin_unlock(&vs->vs_wq.w_lock);
		if (!last || run_begin(vs, 0))
			return last;
	}
}

int
qvmspace_save(struct qvmspace *vs, const struct quern_vmframe *f)
{
	int error = 0;

	if (!begin_as_last(vs, f))
		return 0;
	/* Meanwhile another may have been it. */
	if (vs->vs_last == f)
		error = make_last(vs, NULL);
	run_end(vs, false);
	return error;
}

void
qvmspace_forget(struct qvmspace *vs, const struct quern_vmframe *f)
{
	if (!begin_as_last(vs, f))
		return;
	qspin_lock(&vs->vs_wq.w_lock);
	if (vs->vs_last == f)
		vs->vs_last = NULL;
	qspin_unlock(&vs->vs_wq.w_lock);
	run_end(vs, false);
}

void
qvmspace_hold(struct qvmspace *vs)
{
	while (!run_begin(vs, 0))
		;
}

void
qvmspace_release(struct qvmspace *vs)
{
	run_end(vs, false);
}

int
qvmspace_run(struct qvmspace *vs, struct quern_vmframe *f, uint64_t slice_ns)
{
	int error = 0;

	if (!run_begin(vs, QSLEEP_INTR)) {
		f->f_why = QUERN_VM_KICK;
		return 0;
	}
	if (vs->vs_last != f)
		error = make_last(vs, f);
	if (__atomic_load_n(&vs->vs_waiting, __ATOMIC_RELAXED) != 0 &&
	    slice_ns > SHARED_SLICE_NS)
		slice_ns = SHARED_SLICE_NS;
	if (error == 0)
		error = qguest_run(vs->vs_id, f, slice_ns, &vs->vs_waiting);
	run_end(vs, error == 0 && f->f_why == QUERN_VM_KICK);
	return error;
}
