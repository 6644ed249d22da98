/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes: their beginning and end, and interrupts.
 *
 * Interrupting.  quern_interrupt only sets two words, the process's and the
 * kernel's, and kicks whoever waits for events, since it must be safe in a
 * signal handler.  proc_interrupts, which every vCPU that looks around runs
 * when the kernel's word is set, ends the sleeps.
 *
 * Both sides first publish, then look: the interrupter sets p_intr before
 * k_intr; the sleeper is SLEEPING before it looks at p_intr (qwaitq_sleep);
 * proc_interrupts clears k_intr before it looks at either.  So a sleep that
 * should end is found by one or the other.  If nobody sleeps, p_intr stays and
 * ends the next sleep that may be interrupted.
 *
 * A process is alive as long as a thread's t_proc points to it: its end sees
 * that under k_thread_lock, under which threads are searched here.
 */
#include "callimpl.h"

static const struct qtag tag_proc = { "process" };

#define NOFILE_SOFT 1024u
#define NOFILE_HARD 4096u
#define STACK_SOFT  ((uint64_t)8 << 20)

void
proc_init(struct quern *k)
{
	qmutex_init(&k->k_proc_lock, "processes");
}

void
qproc_lock_all(struct quern *k)
{
	qmutex_lock(&k->k_proc_lock);
}

void
qproc_unlock_all(struct quern *k)
{
	qmutex_unlock(&k->k_proc_lock);
}

struct quern_proc *
qproc_find(struct quern *k, uint32_t pid)
{
	struct quern_proc *p;
	struct qlist *l;

	QLIST_FOREACH(l, &k->k_procs) {
		p = QLIST_ELEM(l, struct quern_proc, p_link);
		if (p->p_pid == pid)
			return p;
	}
	return NULL;
}

struct quern_proc *
qproc_next(struct quern *k, const struct quern_proc *p)
{
	struct qlist *l = p != NULL ? p->p_link.l_next : k->k_procs.l_next;

	qassert(qmutex_held(&k->k_proc_lock));
	return l != &k->k_procs ? QLIST_ELEM(l, struct quern_proc, p_link) :
				  NULL;
}

static bool
has_exited(const struct quern_proc *p)
{
	return __atomic_load_n(&p->p_exited, __ATOMIC_RELAXED) != 0;
}

unsigned
qpgrp_signal_locked(struct quern *k, uint32_t pgid, int sig)
{
	struct quern_proc *p = NULL;
	unsigned n = 0;

	while ((p = qproc_next(k, p)) != NULL)
		if (p->p_pgid == pgid && !has_exited(p)) {
			qproc_signal(p, sig);
			n++;
		}
	return n;
}

unsigned
qpgrp_signal(struct quern *k, uint32_t pgid, int sig)
{
	unsigned n;

	qproc_lock_all(k);
	n = qpgrp_signal_locked(k, pgid, sig);
	qproc_unlock_all(k);
	return n;
}

bool
qpgrp_orphaned(struct quern *k, uint32_t pgid)
{
	struct quern_proc *p = NULL, *parent;

	while ((p = qproc_next(k, p)) != NULL) {
		if (p->p_pgid != pgid || has_exited(p))
			continue;
		/* Process 1 adopts, and controls no jobs. */
		parent = p->p_ppid > 1 ? qproc_find(k, p->p_ppid) : NULL;
		if (parent != NULL && parent->p_pgid != pgid &&
		    parent->p_sid == p->p_sid)
			return false;
	}
	return true;
}

/* ---- beginning ------------------------------------------------------------- */

/* Is the number a process's, a group's or a session's?  [p] */
static bool
pid_used(struct quern *k, uint32_t pid)
{
	struct quern_proc *p;
	struct qlist *l;

	QLIST_FOREACH(l, &k->k_procs) {
		p = QLIST_ELEM(l, struct quern_proc, p_link);
		if (p->p_pid == pid || p->p_pgid == pid || p->p_sid == pid)
			return true;
		if (p->p_ops != NULL && p->p_ops->po_has_tid != NULL &&
		    p->p_ops->po_has_tid(p, pid))
			return true;
	}
	return false;
}

/* The next free number after the last one given; 0: none.  [p] */
static uint32_t
pid_alloc(struct quern *k)
{
	struct qsys_table *ct = k->k_calls;
	uint32_t tries, pid;

	if (ct->ct_nproc >= PID_MAX)
		return 0;
	for (tries = 0; tries < PID_MAX; tries++) {
		pid = ++k->k_nextpid;
		if (pid >= PID_MAX) {
			k->k_nextpid = 0;
			ct->ct_pid_wrapped = true;
		}
		if (!ct->ct_pid_wrapped || !pid_used(k, pid))
			return pid;
	}
	return 0;
}

static void
limits_init(struct quern_proc *p)
{
	unsigned i;

	for (i = 0; i < Q_RLIM_NLIMITS; i++) {
		p->p_rlim[i].rlim_cur = Q_RLIM_INFINITY;
		p->p_rlim[i].rlim_max = Q_RLIM_INFINITY;
	}
	p->p_rlim[Q_RLIMIT_STACK].rlim_cur = STACK_SOFT;
	p->p_rlim[Q_RLIMIT_CORE].rlim_cur = 0;
	p->p_rlim[Q_RLIMIT_NOFILE].rlim_cur = NOFILE_SOFT;
	p->p_rlim[Q_RLIMIT_NOFILE].rlim_max = NOFILE_HARD;
	p->p_nofile = NOFILE_SOFT;
}

/* What a process has before it is anyone's child: root's. */
static int
fresh(struct quern_proc *p)
{
	p->p_umask = 022;
	p->p_cred.c_cap_eff = p->p_cred.c_cap_perm = QCAP_ALL;
	p->p_cred.c_cap_bnd = QCAP_ALL;
	limits_init(p);
	qsnprintf(p->p_comm, sizeof(p->p_comm), "client");
	return qfdtable_create(p->p_k, &p->p_fd);
}

static int
inherit(struct quern_proc *p, struct quern_proc *from)
{
	p->p_umask = __atomic_load_n(&from->p_umask, __ATOMIC_RELAXED);
	p->p_ppid = from->p_pid;
	qmutex_lock(&from->p_lock);
	memcpy(p->p_rlim, from->p_rlim, sizeof(p->p_rlim));
	memcpy(p->p_comm, from->p_comm, sizeof(p->p_comm));
	p->p_nofile = from->p_nofile;
	qmutex_unlock(&from->p_lock);
	qproc_cred(from, &p->p_cred);
	if ((p->p_flags & QPROC_SHAREFD) == 0)
		return qfdtable_copy(from, &p->p_fd);
	p->p_fd = qfdtable_share(from);
	return 0;
}

/* Give it a number and enter it into the list. */
static int
enlist(struct quern_proc *p, struct quern_proc *from)
{
	struct quern *k = p->p_k;
	uint32_t pid;

	qmutex_lock(&k->k_proc_lock);
	pid = pid_alloc(k);
	if (pid != 0) {
		p->p_pid = pid;
		p->p_pgid = from != NULL ? from->p_pgid : pid;
		p->p_sid = from != NULL ? from->p_sid : pid;
		qlist_append(&k->k_procs, &p->p_link);
		__atomic_fetch_add(&k->k_calls->ct_nproc, 1, __ATOMIC_RELAXED);
	}
	qmutex_unlock(&k->k_proc_lock);
	return pid != 0 ? 0 : -Q_EAGAIN;
}

int
qproc_part_add(struct quern *k, const struct qproc_part *part)
{
	unsigned i;

	for (i = 0; i < QPROC_NPART; i++)
		if (k->k_calls->ct_part[i] == NULL) {
			k->k_calls->ct_part[i] = part;
			return (int)i;
		}
	return -Q_ENOSPC;
}

/* What components have of `from` goes on in its child. */
static int
fork_parts(struct quern_proc *p, struct quern_proc *from)
{
	const struct qproc_part *part;
	void *state;
	unsigned i;
	int error;

	for (i = 0; i < QPROC_NPART; i++) {
		part = p->p_k->k_calls->ct_part[i];
		state = __atomic_load_n(&from->p_part[i], __ATOMIC_ACQUIRE);
		if (part == NULL || state == NULL)
			continue;
		error = part->pp_fork(from, state, p, &p->p_part[i]);
		if (error != 0)
			return error;
	}
	return 0;
}

void
qproc_exit(struct quern_proc *p)
{
	void *state;
	unsigned i;

	__atomic_store_n(&p->p_exited, 1, __ATOMIC_RELAXED);
	if (p->p_fd != NULL)
		qfdtable_put(p->p_fd);
	p->p_fd = NULL;
	for (i = 0; i < QPROC_NPART; i++) {
		state = __atomic_exchange_n(&p->p_part[i], NULL,
		    __ATOMIC_ACQ_REL);
		if (state != NULL)
			p->p_k->k_calls->ct_part[i]->pp_end(p, state);
	}
}

uint32_t
qproc_tid(struct quern *k)
{
	uint32_t tid;

	qmutex_lock(&k->k_proc_lock);
	tid = pid_alloc(k);
	qmutex_unlock(&k->k_proc_lock);
	return tid;
}

static void
proc_free(struct quern_proc *p)
{
	qproc_exit(p);
	qcred_drop(&p->p_cred);
	qfree(p);
}

int
qproc_create(struct quern *k, struct quern_proc *from,
    const struct qproc_ops *ops, uint32_t flags, void *data,
    struct quern_proc **pp)
{
	struct quern_proc *p;
	int error;

	p = qzalloc(&tag_proc, sizeof(*p));
	if (p == NULL)
		return -Q_ENOMEM;
	p->p_k = k;
	p->p_flags = flags;
	p->p_ops = ops;
	p->p_data = data;
	qlist_init(&p->p_link);
	qmutex_init(&p->p_lock, "process");
	error = from != NULL ? inherit(p, from) : fresh(p);
	if (error == 0 && from != NULL)
		error = fork_parts(p, from);
	if (error == 0)
		error = enlist(p, from);
	if (error != 0) {
		proc_free(p);
		return error;
	}
	*pp = p;
	return 0;
}

/* ---- end ------------------------------------------------------------------- */

/*
 * Is a thread other than the current one in a call of `p`, or of any process if
 * that is NULL?  [k_thread_lock]
 */
static bool
calls_of(struct quern *k, const struct quern_proc *p)
{
	struct qthread *self = qthread_current(), *t;
	const struct quern_proc *q;
	struct qlist *l;

	QLIST_FOREACH(l, &k->k_threads) {
		t = QLIST_ELEM(l, struct qthread, t_all);
		q = __atomic_load_n(&t->t_proc, __ATOMIC_RELAXED);
		if (t != self && q != NULL && (p == NULL || q == p))
			return true;
	}
	return false;
}

/* Is another thread in a call of its?  If not, the current one leaves it. */
static bool
in_use(struct quern_proc *p)
{
	struct qthread *self = qthread_current();
	struct quern *k = p->p_k;
	bool used;

	hspin_lock(k, &k->k_thread_lock);
	used = calls_of(k, p);
	/* From here on nobody finds it through us (proc_interrupts). */
	if (!used && self->t_proc == p)
		__atomic_store_n(&self->t_proc, NULL, __ATOMIC_RELAXED);
	hspin_unlock(&k->k_thread_lock);
	return used;
}

/* Take it off the list; its children have no parent any more. */
static void
delist(struct quern_proc *p)
{
	struct quern *k = p->p_k;
	struct quern_proc *child;
	struct qlist *l;

	qmutex_lock(&k->k_proc_lock);
	qlist_del(&p->p_link);
	QLIST_FOREACH(l, &k->k_procs) {
		child = QLIST_ELEM(l, struct quern_proc, p_link);
		if (child->p_ppid == p->p_pid)
			__atomic_store_n(&child->p_ppid, 0, __ATOMIC_RELAXED);
	}
	__atomic_fetch_sub(&k->k_calls->ct_nproc, 1, __ATOMIC_RELAXED);
	qmutex_unlock(&k->k_proc_lock);
}

void
proc_has_session(struct quern_proc *p)
{
	const struct qproc_part *part;
	void *state;
	unsigned i;

	for (i = 0; i < QPROC_NPART; i++) {
		part = p->p_k->k_calls->ct_part[i];
		state = __atomic_load_n(&p->p_part[i], __ATOMIC_ACQUIRE);
		if (state != NULL && part->pp_setsid != NULL)
			part->pp_setsid(p, state);
	}
}

int
qproc_destroy(struct quern_proc *p)
{
	if (in_use(p))
		return -Q_EBUSY;
	delist(p);
	if (p->p_ops != NULL && p->p_ops->po_end != NULL)
		p->p_ops->po_end(p);
	proc_free(p);
	return 0;
}

int
proc_end_all(struct quern *k)
{
	struct quern_proc *p;
	bool used;
	int error;

	hspin_lock(k, &k->k_thread_lock);
	used = calls_of(k, NULL);
	hspin_unlock(&k->k_thread_lock);
	if (used)
		return -Q_EBUSY;
	for (;;) {
		qmutex_lock(&k->k_proc_lock);
		p = NULL;
		if (!qlist_empty(&k->k_procs))
			p = QLIST_ELEM(k->k_procs.l_next, struct quern_proc,
			    p_link);
		qmutex_unlock(&k->k_proc_lock);
		if (p == NULL)
			return 0;
		error = qproc_destroy(p);
		if (error != 0)
			return error;
	}
}

/* ---- the embedder's calls --------------------------------------------------- */

struct create_args {
	struct quern *a_k;
	struct quern_proc *a_from;
	uint32_t a_flags;
	struct quern_proc *a_proc;
};

static int64_t
create_body(void *arg)
{
	struct create_args *a = arg;

	return qproc_create(a->a_k, a->a_from, NULL, a->a_flags, NULL,
	    &a->a_proc);
}

static int64_t
destroy_body(void *arg)
{
	return qproc_destroy(arg);
}

int
quern_proc_create(struct quern *k, struct quern_proc **pp)
{
	struct create_args a = { .a_k = k };
	uint32_t hint = 0;
	int error;

	if (k == NULL || pp == NULL)
		return -Q_EFAULT;
	*pp = NULL;
	error = (int)host_call(k, NULL, &hint, create_body, &a);
	if (error == 0)
		*pp = a.a_proc;
	return error;
}

static int
create_from(struct quern_proc *from, uint32_t flags, struct quern_proc **pp)
{
	struct create_args a = { .a_from = from, .a_flags = flags };
	int error;

	if (from == NULL || pp == NULL)
		return -Q_EFAULT;
	*pp = NULL;
	a.a_k = from->p_k;
	error = (int)host_call(a.a_k, from, &from->p_cpu, create_body, &a);
	if (error == 0)
		*pp = a.a_proc;
	return error;
}

int
quern_proc_fork(struct quern_proc *from, struct quern_proc **pp)
{
	return create_from(from, 0, pp);
}

int
quern_proc_share(struct quern_proc *from, struct quern_proc **pp)
{
	return create_from(from, QPROC_SHAREFD, pp);
}

struct cred_args {
	struct quern_proc *c_proc;
	const struct quern_cred *c_cred;
};

static int64_t
cred_body(void *arg)
{
	struct cred_args *a = arg;

	return proc_become(a->c_proc, a->c_cred);
}

int
quern_proc_cred(struct quern_proc *p, const struct quern_cred *cred)
{
	struct cred_args a = { p, cred };

	if (p == NULL || cred == NULL ||
	    (cred->ngroups != 0 && cred->groups == NULL))
		return -Q_EFAULT;
	return (int)host_call(p->p_k, p, &p->p_cpu, cred_body, &a);
}

int
quern_proc_destroy(struct quern_proc *p)
{
	uint32_t hint;

	if (p == NULL)
		return -Q_EFAULT;
	hint = __atomic_load_n(&p->p_cpu, __ATOMIC_RELAXED);
	return (int)host_call(p->p_k, p, &hint, destroy_body, p);
}

struct quern *
quern_proc_kernel(struct quern_proc *p)
{
	return p != NULL ? p->p_k : NULL;
}

/* ---- interrupts ------------------------------------------------------------- */

void
quern_interrupt(struct quern_proc *p)
{
	struct quern *k;
	struct qhost *h;

	if (p == NULL)
		return;
	k = p->p_k;
	__atomic_store_n(&p->p_intr, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&k->k_intr, 1, __ATOMIC_SEQ_CST);
	h = __atomic_load_n(&k->k_leader, __ATOMIC_SEQ_CST);
	if (h != NULL)
		k->k_hyper->cpu_kick(k->k_ctx, &h->h_seat);
}

/* Does `t` sleep in a call of an interrupted process, in a way that ends? */
static bool
should_end(struct qthread *t)
{
	struct quern_proc *p = __atomic_load_n(&t->t_proc, __ATOMIC_RELAXED);

	return p != NULL && __atomic_load_n(&t->t_intr, __ATOMIC_RELAXED) &&
	    __atomic_load_n(&p->p_intr, __ATOMIC_SEQ_CST) != 0;
}

/*
 * Claim the sleepers to be woken: each as sched_wake does, but for the run
 * queue, whose lock comes before k_thread_lock.  Until they are made ready they
 * can't run, so their processes stay.  [k_thread_lock]
 */
static void
claim_sleepers(struct quern *k, struct qlist *claimed)
{
	struct qthread *t;
	struct qlist *l;
	uint32_t state;

	QLIST_FOREACH(l, &k->k_threads) {
		t = QLIST_ELEM(l, struct qthread, t_all);
		state = QT_SLEEPING;
		if (__atomic_load_n(&t->t_state, __ATOMIC_ACQUIRE) != state ||
		    !should_end(t))
			continue;
		if (!__atomic_compare_exchange_n(&t->t_state, &state,
			QT_RUNNING, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		/*
		 * It may have woken and gone to sleep on something else since
		 * we looked.  Then it is woken for nothing, which sleepers
		 * must expect.
		 */
		t->t_wake = should_end(t) ? -Q_EINTR : 0;
		qlist_append(claimed, &t->t_link);
	}
}

void
proc_interrupts(struct quern *k)
{
	struct qlist claimed, *l;
	struct qthread *t;

	qlist_init(&claimed);
	__atomic_store_n(&k->k_intr, 0, __ATOMIC_SEQ_CST);
	hspin_lock(k, &k->k_thread_lock);
	claim_sleepers(k, &claimed);
	QLIST_FOREACH(l, &claimed) {
		t = QLIST_ELEM(l, struct qthread, t_link);
		if (t->t_wake != 0)
			__atomic_store_n(&t->t_proc->p_intr, 0,
			    __ATOMIC_SEQ_CST);
	}
	hspin_unlock(&k->k_thread_lock);
	while (!qlist_empty(&claimed)) {
		t = QLIST_ELEM(claimed.l_next, struct qthread, t_link);
		qlist_del(&t->t_link);
		sched_ready(t);
	}
}
