/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instances: making and ending a kernel.
 *
 * This is where a reader starts.  A kernel is struct quern, in the memory that
 * the host gives it at begin(), and what hangs off it; nothing is global.
 *
 *	quern.c		this: life of an instance
 *	host.c		how host threads enter, wait and leave
 *	sched.c		threads and vCPUs (the theory is there); thread.c,
 *			switch.c, timer.c, lock.c
 *	mem.c		memory: page.c (RAM), slab.c (the heap)
 *	syscall.c	the table of system calls; proc.c, file.c and the calls
 *	component.c	components and their order
 *	panic.c		log lines, assertions, panics
 *
 * Creation is a ladder of steps, each of which may fail; undo() goes down from
 * wherever it got to.  Destruction is the same ladder.
 */
#include "callimpl.h"
#include "work.h"

/* How often destroy looks again whether a vCPU is a runner's. */
#define OWN_TRIES 1000u

#define RAM_DEFAULT ((size_t)64 << 20)
#define RAM_MAX     ((size_t)1 << 44)

/* A vCPU and what goes with it. */
struct cpu_block {
	struct qcpu cb_cpu;
	struct qcpu_sched cb_sched;
};

/* The core memory: the kernel, then its vCPUs. */
struct core {
	struct quern co_k;
	struct qsys_table co_calls;
	struct cpu_block co_cpu[] __attribute__((aligned(64)));
};

/* ---- upcalls ----------------------------------------------------------- */

static void
upcall_runner(void *cookie, unsigned runner)
{
	struct quern *k = cookie;

	(void)host_run(k, k->k_runner[runner], QUERN_NEVER);
	/* The last thing: stop_runners waits for it. */
	__atomic_fetch_sub(&k->k_runners_left, 1, __ATOMIC_SEQ_CST);
	k->k_hyper->cpu_kick(k->k_ctx, &k->k_seat);
}

static void
upcall_event(void *cookie, struct quern_event *ev, int64_t result)
{
	struct quern *k = cookie;
	struct qcpu_sched *r = k->k_cpu[ev->e_cpu]->v_sched;

	ev->e_result = result;
	ev->e_next = __atomic_load_n(&r->r_inbox, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&r->r_inbox, &ev->e_next, ev, false,
	    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		continue;
}

static const struct quern_upcalls upcalls = {
	.runner = upcall_runner,
	.event = upcall_event,
};

/* ---- configuration ----------------------------------------------------- */

QPRINTF(2, 3)
static int
bad_config(const struct quern_config *cfg, const char *fmt, ...)
{
	char line[160];
	va_list ap;

	va_start(ap, fmt);
	qvsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (cfg->log != NULL)
		cfg->log(cfg->arg, QUERN_LOG_ERR, line);
	return -Q_EINVAL;
}

static int
check_config(const struct quern_config *cfg)
{
	const struct quern_component *const *p;
	const struct quern_hyper *hy = cfg->host.h_ops;

	if (hy == NULL)
		return bad_config(cfg, "config: host: none given");
	if (hy->hy_version != QUERN_HYPER_VERSION || hy->hy_size != sizeof(*hy))
		return bad_config(cfg,
		    "config: host: version %u, %u bytes; need %u, %u",
		    hy->hy_version, hy->hy_size, QUERN_HYPER_VERSION,
		    (unsigned)sizeof(*hy));
	if (cfg->ram % QUERN_PAGE_SIZE != 0 || cfg->ram > RAM_MAX)
		return bad_config(cfg,
		    "config: ram: %zu is not a multiple of %u up to %zu",
		    cfg->ram, QUERN_PAGE_SIZE, RAM_MAX);
	if (cfg->ncpu > QUERN_MAXCPU)
		return bad_config(cfg, "config: ncpu: %u is more than %u",
		    cfg->ncpu, QUERN_MAXCPU);
	if (cfg->runners > (cfg->ncpu != 0 ? cfg->ncpu : 1))
		return bad_config(cfg, "config: runners: %u is more than ncpu",
		    cfg->runners);
	for (p = cfg->components; p != NULL && *p != NULL; p++)
		continue;
	if (p != NULL && p - cfg->components > QCOMPONENT_MAX)
		return bad_config(cfg, "config: components: more than %u",
		    QCOMPONENT_MAX);
	if (cfg->pin != NULL && cfg->runners == 0)
		return bad_config(cfg,
		    "config: pin: there are no runners to pin");
	return 0;
}

/* ---- the ladder -------------------------------------------------------- */

static void
init_lists(struct quern *k)
{
	qlist_init(&k->k_idlers);
	qlist_init(&k->k_wanters);
	qlist_init(&k->k_threads);
	qlist_init(&k->k_spares);
	qlist_init(&k->k_procs);
	qlist_init(&k->k_disks);
	qmutex_init(&k->k_disk_lock, "disks");
	qmutex_init(&k->k_reclaim_lock, "reclaim");
	qlist_init(&k->k_reclaimers);
	qwaitq_init(&k->k_join);
	k->k_leader_until = QUERN_NEVER;
	k->k_announced = 0; /* a new "pollfd" is readable */
}

static int
create_cpu(struct core *core, unsigned i)
{
	struct quern *k = &core->co_k;
	struct cpu_block *b = &core->co_cpu[i];
	struct qcpu *v = &b->cb_cpu;
	struct qthread *t;
	int error;

	v->v_k = k;
	v->v_id = i;
	v->v_smp = k->k_ncpu > 1;
	v->v_choice = k->k_choice;
	v->v_fence = k->k_fence;
	v->v_owner = v->v_free = k->k_choice ? QCPU_SPECIAL : QCPU_FREE;
	v->v_sched = &b->cb_sched;
	k->k_cpu[i] = v;
	sched_init_cpu(k, v);
	error = thread_alloc(k, &t);
	if (error != 0)
		return error;
	thread_setup(t, "idle", sched_idle_loop, v, QPRIO_LOW);
	t->t_cpu = v;
	t->t_oncpu = 1;
	t->t_bound = (int32_t)i;
	v->v_idle = t;
	return 0;
}

struct boot {
	struct quern *b_k;
	const struct quern_config *b_cfg;
};

/* The first code on a kernel stack. */
static int64_t
boot(void *arg)
{
	struct boot *b = arg;
	int error;

	error = syscalls_trace(b->b_k, b->b_cfg->trace_only);
	if (error == 0)
		error = syscalls_init(b->b_k);
	if (error != 0)
		return error;
	error = component_start(b->b_k, b->b_cfg);
	if (error != 0) {
		component_stop(b->b_k);
		syscalls_fini(b->b_k);
	}
	return error;
}

static int64_t
shut_down(void *arg)
{
	struct quern *k = arg;
	int error;

	error = proc_end_all(k);
	if (error != 0)
		return error;
	component_stop(k);
	qepoch_wait(k);
	syscalls_fini(k);
	return 0;
}

static void
stop_runners(struct quern *k)
{
	unsigned i;

	__atomic_store_n(&k->k_stop, 1, __ATOMIC_SEQ_CST);
	host_kick_all(k);
	while (__atomic_load_n(&k->k_runners_left, __ATOMIC_SEQ_CST) != 0)
		(void)k->k_hyper->cpu_idle(k->k_ctx, &k->k_seat, 0,
		    QUERN_NEVER);
	for (i = 0; i < k->k_nrunner; i++)
		(void)k->k_hyper->cpu_stop(k->k_ctx, i);
}

/* Give everything back; nobody is inside. */
static uint64_t
undo(struct quern *k)
{
	uint64_t leaks = 0;

	stop_runners(k);
	block_drain(k);
	if (!k->k_dead)
		leaks = mem_leaks(k);
	thread_destroy_all(k);
	trace_fini(k);
	mem_fini(k);
	k->k_hyper->end(k->k_ctx);
	return leaks;
}

static int
start_runners(struct quern *k, const struct quern_config *cfg)
{
	unsigned i;
	int error;

	for (i = 0; i < cfg->runners; i++) {
		error = thread_alloc(k, &k->k_runner[i]);
		if (error != 0)
			return error;
		__atomic_fetch_add(&k->k_runners_left, 1, __ATOMIC_SEQ_CST);
		error = k->k_hyper->cpu_start(k->k_ctx, i,
		    cfg->pin != NULL ? cfg->pin[i] : -1);
		if (error != 0) {
			__atomic_fetch_sub(&k->k_runners_left, 1,
			    __ATOMIC_SEQ_CST);
			qlog(k, QUERN_LOG_ERR,
			    "config: %s: runner %u can't be started: error %d",
			    cfg->pin != NULL ? "pin" : "runners", i, -error);
			return error;
		}
		k->k_nrunner++;
	}
	return 0;
}

static void
take_config(struct quern *k, const struct quern_config *cfg)
{
	const struct quern_component *const *p;
	char buf[8];

	k->k_logfn = cfg->log;
	k->k_panicfn = cfg->panic;
	k->k_arg = cfg->arg;
	k->k_trace = cfg->trace_calls != 0 ? QTRACE_CALLS : 0;
	quern_log_level(k, cfg->log_level);
	k->k_fail_alloc = cfg->fail_alloc;
	k->k_choice = k->k_hyper->param(k->k_ctx, "choice", buf, sizeof(buf)) >
	    0;
	k->k_fence = k->k_hyper->cpu_fence(k->k_ctx) == 0;
	k->k_born = qclock_mono(k);
	qspin_init(&k->k_uts);
	qsnprintf(k->k_domain, sizeof(k->k_domain), "(none)");
	qsnprintf(k->k_name, sizeof(k->k_name), "%s",
	    cfg->name != NULL ? cfg->name : "quern");
	qsnprintf(k->k_host, sizeof(k->k_host), "%s", k->k_name);
	for (p = cfg->components; p != NULL && *p != NULL; p++)
		k->k_ncomp++;
}

static int
climb(struct core *core, const struct quern_config *cfg)
{
	struct quern *k = &core->co_k;
	struct boot b = { k, cfg };
	uint32_t hint = 0;
	unsigned i;
	int error;

	error = mem_init(k, cfg->ram != 0 ? cfg->ram : RAM_DEFAULT);
	for (i = 0; i < k->k_ncpu && error == 0; i++)
		error = create_cpu(core, i);
	if (error == 0)
		error = mem_init_cpus(k);
	if (error == 0)
		proc_init(k);
	if (error == 0 && cfg->trace_events != 0)
		error = quern_trace_start(k, cfg->trace_events);
	if (error == 0)
		error = start_runners(k, cfg);
	if (error == 0)
		error = (int)host_call(k, NULL, &hint, boot, &b);
	return error;
}

int
quern_create(const struct quern_config *cfg, struct quern **kp)
{
	const struct quern_hyper *hy;
	struct quern_machine m;
	struct core *core;
	struct quern *k;
	void *ctx, *mem;
	int error;

	if (cfg == NULL || kp == NULL)
		return -Q_EFAULT;
	*kp = NULL;
	error = check_config(cfg);
	if (error != 0)
		return error;
	hy = cfg->host.h_ops;
	m.m_ncpu = cfg->ncpu != 0 ? cfg->ncpu : 1;
	m.m_name = cfg->name != NULL ? cfg->name : "quern";
	m.m_core = sizeof(struct core) + m.m_ncpu * sizeof(struct cpu_block);
	error = hy->begin(cfg->host.h_arg, &m, &upcalls, &ctx, &mem);
	if (error != 0)
		return error;
	core = mem;
	k = &core->co_k;
	k->k_hyper = hy;
	k->k_ctx = ctx;
	k->k_ncpu = m.m_ncpu;
	k->k_calls = &core->co_calls;
	init_lists(k);
	take_config(k, cfg);
	error = climb(core, cfg);
	if (error != 0) {
		(void)undo(k);
		return error;
	}
	k->k_up = true;
	*kp = k;
	return 0;
}

static void
disown(struct quern *k, unsigned n)
{
	while (n-- > 0)
		__atomic_store_n(&k->k_cpu[n]->v_owner, k->k_cpu[n]->v_free,
		    __ATOMIC_SEQ_CST);
}

/*
 * May it be one of our own threads that has `v`?  One that has just taken it
 * may not have said so yet; but `tries` is how often we have looked.
 */
static bool
may_be_runner(struct qcpu *v, unsigned tries)
{
	struct qhost *h = __atomic_load_n(&v->v_host, __ATOMIC_RELAXED), *r;
	struct quern *k = v->v_k;
	unsigned i;

	for (i = 0; i < k->k_nrunner; i++) {
		r = k->k_runner[i]->t_host;
		if (h == r ||
		    (tries < OWN_TRIES &&
			__atomic_load_n(&r->h_seeks, __ATOMIC_SEQ_CST) != 0))
			return true;
	}
	return false;
}

/*
 * Own every vCPU, waiting for runners to be done with theirs.  False: somebody
 * else is inside, and we own none.
 */
static bool
own_all(struct quern *k)
{
	unsigned i, tries;

	for (i = 0; i < k->k_ncpu; i++) {
		for (tries = 0; !cpu_try(k->k_cpu[i]); tries++) {
			if (!may_be_runner(k->k_cpu[i], tries)) {
				disown(k, i);
				return false;
			}
			k->k_hyper->cpu_yield(k->k_ctx, QUERN_YIELD_SPIN);
		}
	}
	if (__atomic_load_n(&k->k_inside, __ATOMIC_SEQ_CST) == 0)
		return true;
	disown(k, i);
	return false;
}

int
quern_destroy_count(struct quern *k, uint64_t *leaks)
{
	uint32_t hint = 0;
	uint64_t n;

	if (k == NULL)
		return -Q_EFAULT;
	if (__atomic_load_n(&k->k_inside, __ATOMIC_SEQ_CST) != 0)
		return -Q_EBUSY;
	if (!own_all(k))
		return -Q_EBUSY;
	disown(k, k->k_ncpu);
	if (!k->k_dead && host_call(k, NULL, &hint, shut_down, k) == -Q_EBUSY)
		return -Q_EBUSY;
	stop_runners(k);
	if (!own_all(k))
		return -Q_EBUSY; /* a dead kernel's last clients */
	n = undo(k);
	if (leaks != NULL)
		*leaks = n;
	return 0;
}

int
quern_destroy(struct quern *k)
{
	return quern_destroy_count(k, NULL);
}

/* ---- the rest of the embedder's calls ----------------------------------- */

int
quern_poll(struct quern *k, uint64_t timeout_ns)
{
	uint64_t now, deadline = timeout_ns;

	if (k == NULL)
		return -Q_EFAULT;
	if (__atomic_load_n(&k->k_dead, __ATOMIC_ACQUIRE))
		return -Q_ENOTRECOVERABLE;
	if (timeout_ns != 0 && timeout_ns != QUERN_NEVER) {
		now = qclock_mono(k);
		deadline = timeout_ns > QUERN_NEVER - 1 - now ?
		    QUERN_NEVER - 1 :
		    now + timeout_ns;
	}
	return host_run(k, NULL, deadline);
}

int
quern_pollfd(struct quern *k)
{
	char buf[16];
	int64_t len;
	int fd = 0, i;

	if (k == NULL)
		return -Q_EFAULT;
	len = k->k_hyper->param(k->k_ctx, "pollfd", buf, sizeof(buf));
	if (len <= 0 || (size_t)len > sizeof(buf))
		return -Q_EOPNOTSUPP;
	for (i = 0; i < len && buf[i] >= '0' && buf[i] <= '9'; i++)
		fd = fd * 10 + (buf[i] - '0');
	if (__atomic_exchange_n(&k->k_pollfd, 1, __ATOMIC_SEQ_CST) == 0) {
		host_special(k);
		(void)quern_poll(k, 0);
	}
	return fd;
}
